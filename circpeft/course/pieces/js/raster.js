/** Matrices with thousands of cells, as one image: faster than one SVG element per cell. */
import { svg } from "./draw.js";
import { colorAt } from "./theme.js";

/** Return whole numbers from -127 to 127, one for each byte of a base64 text. */
export function decode(text) {
  return Int8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/**
 * Return a matrix as an SVG group with an outline and a title. Its entries are whole numbers from -127 to 127, row by
 * row; `size` is the length of its longer side.
 */
export function raster(entries, rows, columns, { left = 0, top = 24, size = 200, title = "", colors }) {
  const canvas = document.createElement("canvas");
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const shades = Array.from({ length: 255 }, (_, k) => colorAt(colors.diverging, k / 254).match(/\d+/g).map(Number));
  entries.forEach((value, place) => image.data.set([...shades[value + 127], 255], 4 * place));
  context.putImageData(image, 0, 0);
  const cell = size / Math.max(rows, columns);
  const box = { x: left, y: top, width: cell * columns, height: cell * rows };
  const group = svg("g");
  const middle = { x: left + box.width / 2, y: top - 8, "text-anchor": "middle", "font-size": 13 };
  group.append(svg("text", middle, title));
  const pixels = { href: canvas.toDataURL(), preserveAspectRatio: "none", style: "image-rendering: pixelated" };
  group.append(svg("image", { ...box, ...pixels }));
  group.append(svg("rect", { ...box, fill: "none", stroke: colors.muted }));
  return group;
}
