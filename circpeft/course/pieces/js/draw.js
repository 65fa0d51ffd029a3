/** Pictures as SVG: heatmaps, and charts with axes. */
import { short } from "./texts.js";
import { colorAt } from "./theme.js";

/** Return a new SVG element with attributes and children; a string child is text. */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Return an empty picture with alternative text. Fill it with `replaceChildren`. */
export function picture(width, height, alt) {
  return svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": alt });
}

/**
 * Return the cells of a matrix (a list of rows) as one group, in a square of side `size` at (left, top).
 * `limit` is the absolute value with the strongest colour; `signed` chooses the scale.
 */
export function heatmap(matrix, { left = 0, top = 24, size = 200, title = "", colors, limit, signed = true }) {
  const rows = matrix.length;
  const columns = matrix[0].length;
  const cell = size / Math.max(rows, columns);
  const largest = limit || Math.max(1e-12, ...matrix.flat().map(Math.abs));
  const scale = signed ? colors.diverging : colors.sequential;
  const group = svg("g");
  group.append(svg("text", { x: left + (cell * columns) / 2, y: top - 8, "text-anchor": "middle", "font-size": 13 }, title));
  matrix.forEach((row, i) =>
    row.forEach((value, j) => {
      const t = signed ? (value / largest + 1) / 2 : value / largest;
      const box = { x: left + j * cell, y: top + i * cell, width: cell + 0.3, height: cell + 0.3 };
      group.append(svg("rect", { ...box, fill: colorAt(scale, t) }));
    }),
  );
  const outline = { x: left, y: top, width: cell * columns, height: cell * rows, fill: "none", stroke: colors.muted };
  group.append(svg("rect", outline));
  return group;
}

/** Return about `count` round numbers from `low` to `high`. */
export function ticks(low, high, count = 4) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= rough * 0.999);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k += 1) found.push(k * step);
  return found;
}

/**
 * Return { group, x, y }: the axes of a chart in the box (left, top, width, height), and functions from numbers to
 * places. The box is the plot area: the title goes above it, and the numbers below and left of it.
 */
export function axes({ left, top, width, height, xRange, yRange, title = "", xTitle = "", colors, xTicks, yTicks }) {
  const x = (value) => left + ((value - xRange[0]) / (xRange[1] - xRange[0])) * width;
  const y = (value) => top + height - ((value - yRange[0]) / (yRange[1] - yRange[0])) * height;
  const small = { "font-size": 11, fill: colors.muted };
  const group = svg("g");
  group.append(svg("text", { x: left + width / 2, y: top - 8, "text-anchor": "middle", "font-size": 13 }, title));
  for (const value of yTicks || ticks(...yRange)) {
    group.append(svg("line", { x1: left, x2: left + width, y1: y(value), y2: y(value), stroke: colors.grid }));
    group.append(svg("text", { x: left - 5, y: y(value) + 4, "text-anchor": "end", ...small }, short(value)));
  }
  for (const value of xTicks || ticks(...xRange)) {
    group.append(svg("text", { x: x(value), y: top + height + 14, "text-anchor": "middle", ...small }, short(value)));
  }
  const middle = { x: left + width / 2, y: top + height + 30, "text-anchor": "middle" };
  if (xTitle) group.append(svg("text", { ...middle, ...small }, xTitle));
  return { group, x, y };
}

/** Return a line through points [x, y] that are places already. */
export function path(points, color, attributes = {}) {
  const text = points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(2)},${y.toFixed(2)}`).join("");
  return svg("path", { d: text, fill: "none", stroke: color, "stroke-width": 2.2, ...attributes });
}

/** Return a stem with a dot for each value, on axes. `strong(k)` says which are drawn in full. */
export function stems(values, { x, y }, color, strong = () => true) {
  const group = svg("g");
  values.forEach((value, k) => {
    const opacity = strong(k) ? 1 : 0.3;
    group.append(svg("line", { x1: x(k), x2: x(k), y1: y(0), y2: y(value), stroke: color, "stroke-width": 2.5, opacity }));
    group.append(svg("circle", { cx: x(k), cy: y(value), r: 4, fill: color, opacity }));
  });
  return group;
}

/** Return an arrow from one place to another. */
export function arrow(x1, y1, x2, y2, color, width = 2.2) {
  const group = svg("g", { stroke: color, fill: color });
  group.append(svg("line", { x1, y1, x2, y2, "stroke-width": width }));
  const length = Math.hypot(x2 - x1, y2 - y1);
  if (length > 6) {
    const [u, v] = [(x2 - x1) / length, (y2 - y1) / length];
    const corner = (side) => `${x2 - 8 * u + side * 4 * v},${y2 - 8 * v - side * 4 * u}`;
    group.append(svg("polygon", { points: `${x2},${y2} ${corner(1)} ${corner(-1)}`, stroke: "none" }));
  }
  return group;
}
