/** Block dial: choose b; the block-circulant matrix nearest to a target follows, with what it costs. */
import { choice, slider } from "./controls.js";
import { axes, path, picture, svg } from "./draw.js";
import { frame } from "./frame.js";
import { decode, raster } from "./raster.js";
import { short } from "./texts.js";

const SIZE = 200; // of the longer side of a matrix

/** Return the entries of the block-circulant matrix row by row. Kernel (I, J) is the first row of its block. */
export function blockCirculant(kernels, rows, columns, b) {
  const across = columns / b;
  const entries = new Int8Array(rows * columns);
  for (let i = 0; i < rows; i += 1) {
    for (let j = 0; j < columns; j += 1) {
      const block = Math.floor(i / b) * across + Math.floor(j / b);
      entries[i * columns + j] = kernels[block * b + ((((j - i) % b) + b) % b)];
    }
  }
  return entries;
}

/** Return the place of the block size that is nearest to b, on a logarithmic scale. */
export function nearestPlace(fits, b) {
  const distance = (place) => Math.abs(Math.log(fits[place].b / b));
  return fits.reduce((best, _, place) => (distance(place) < distance(best) ? place : best), 0);
}

const count = (value) => Math.round(value).toLocaleString("en-US");
const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** Return the readings of the alternative text. */
export function readings({ target, b }, { targets }) {
  const { rows, columns, fits } = targets.find(({ name }) => name === target);
  const fit = fits[nearestPlace(fits, b)];
  const counts = { parameters: count(fit.parameters), flops: count(fit.flops), captured: percent(fit.captured) };
  return { target, rows, columns, b: fit.b, rank: fit.rank, full: Math.min(rows, columns), ...counts };
}

function matrixPicture(node, target, fit, title, colors, lines) {
  const { rows, columns } = target;
  const entries = blockCirculant(decode(fit.kernels), rows, columns, fit.b);
  const group = raster(entries, rows, columns, { left: 5, size: SIZE, title, colors });
  const cell = SIZE / Math.max(rows, columns);
  const line = (x1, y1, x2, y2) => group.append(svg("line", { x1, y1, x2, y2, stroke: colors.muted, "stroke-width": 0.7 }));
  if (lines && fit.b > 1) {
    for (let k = fit.b; k < columns; k += fit.b) line(5 + k * cell, 24, 5 + k * cell, 24 + rows * cell);
    for (let k = fit.b; k < rows; k += fit.b) line(5, 24 + k * cell, 5 + columns * cell, 24 + k * cell);
  }
  node.replaceChildren(group);
}

function valuesPicture(node, fit, dense, colors) {
  const highest = 1.05 * dense.values[0];
  const range = { xRange: [0, dense.values.length - 1], yRange: [0, highest] };
  const box = { left: 34, top: 24, width: 255, height: 170 };
  const chart = axes({ ...box, ...range, title: "singular values (dashed: target)", xTitle: "index", colors });
  const places = (values) => values.map((value, k) => [chart.x(k), chart.y(value)]);
  chart.group.append(path(places(dense.values), colors.muted, { "stroke-dasharray": "5 4" }));
  chart.group.append(path(places(fit.values), colors.lines[0]));
  for (const [cx, cy] of places(fit.values)) chart.group.append(svg("circle", { cx, cy, r: 2.4, fill: colors.lines[0] }));
  node.replaceChildren(chart.group);
}

/** Draw one bar for each block size; a click on a bar chooses it. `dense` is drawn as a dashed line. */
function barPicture(node, { title, numbers, labels, chosen, log, dense, shown, choose, colors }) {
  const box = { left: 4, top: 40, width: 200, height: 84 };
  const low = log ? Math.log(Math.min(...numbers) / 2) : 0;
  const high = Math.max(...numbers.concat(dense));
  const share = (value) => ((log ? Math.log(value) : value) - low) / ((log ? Math.log(high) : high) - low);
  const step = box.width / numbers.length;
  const middle = { x: box.left + box.width / 2, "text-anchor": "middle" };
  const drawn = [svg("text", { ...middle, y: 14, "font-size": 13 }, `${title}: ${shown}`)];
  numbers.forEach((value, place) => {
    const height = Math.max(1, box.height * share(value));
    const [x, y] = [box.left + place * step + 1, box.top + box.height - height];
    const fill = place === chosen ? colors.lines[0] : colors.muted;
    const bar = svg("rect", { x, y, width: step - 2, height, fill, opacity: place === chosen ? 1 : 0.45 });
    const area = svg("rect", { x, y: 20, width: step - 2, height: 126, fill: "transparent", style: "cursor: pointer" });
    area.addEventListener("click", () => choose(place));
    const name = { x: x + step / 2 - 1, y: box.top + box.height + 14, "text-anchor": "middle", "font-size": 10 };
    drawn.push(bar, svg("text", { ...name, "font-weight": place === chosen ? 700 : 400 }, String(labels[place])), area);
  });
  const level = box.top + box.height * (1 - share(dense));
  drawn.push(svg("line", { x1: box.left, x2: box.left + box.width, y1: level, y2: level, stroke: colors.ink, "stroke-dasharray": "4 3" }));
  node.replaceChildren(...drawn);
}

export function render({ model, el }) {
  const data = model.get("data");
  const { targets } = data;
  const piece = frame(model, el, "Block dial");
  const target = () => targets.find(({ name }) => name === piece.state.target);
  const place = () => nearestPlace(target().fits, piece.state.b);
  const choose = (chosen) => piece.change({ b: target().fits[chosen].b });
  const dial = slider({
    label: "block size b",
    min: 0,
    max: target().fits.length - 1,
    value: place(),
    format: (at) => String(target().fits[Math.min(at, target().fits.length - 1)].b),
    input: choose,
  });
  const names = choice({
    label: "target",
    options: targets.map(({ name }) => [name, name]),
    value: piece.state.target,
    change: (name) => piece.change({ target: name }),
  });
  piece.controls.append(dial, names);
  const given = picture(210, 230, "the target");
  const nearest = picture(210, 230, "the nearest block-circulant matrix");
  const values = picture(300, 230, "singular values of both");
  const bars = ["parameters", "FLOPs per token", "rank", "share captured"].map((title) => [title, picture(208, 146, `${title} by block size`)]);
  piece.pictures.append(given, nearest, values, ...bars.map(([, node]) => node));

  return piece.start((state, colors) => {
    const { rows, columns, fits } = target();
    const chosen = place();
    const [fit, dense] = [fits[chosen], fits[fits.length - 1]];
    const full = Math.min(rows, columns);
    dial.range.max = fits.length - 1;
    dial.show(chosen);
    names.show(state.target);
    matrixPicture(given, target(), dense, `target: up to ±${short(dense.limit)}`, colors, false);
    matrixPicture(nearest, target(), fit, `nearest ΔW: up to ±${short(fit.limit)}`, colors, true);
    valuesPicture(values, fit, dense, colors);
    const captured = percent(fit.captured);
    const every = (key) => fits.map((one) => one[key]);
    const charts = [
      { numbers: every("parameters"), log: true, dense: rows * columns, shown: count(fit.parameters) },
      { numbers: every("flops"), log: true, dense: 2 * rows * columns, shown: count(fit.flops) },
      { numbers: every("rank"), log: false, dense: full, shown: `${fit.rank} of ${full}` },
      { numbers: every("captured"), log: false, dense: 1, shown: captured },
    ];
    bars.forEach(([title, node], k) => barPicture(node, { title, labels: every("b"), chosen, choose, colors, ...charts[k] }));
    piece.say(
      `b = ${fit.b}: ${rows / fit.b} × ${columns / fit.b} blocks, ${count(fit.parameters)} parameters of ${count(rows * columns)}; ` +
        `${count(fit.flops)} FLOPs per token (a dense product: ${count(2 * rows * columns)}); ` +
        `rank ${fit.rank} of ${full}; ${captured} of the target's squared norm captured. Dashed lines: dense.`,
      readings(state, data),
    );
  });
}
