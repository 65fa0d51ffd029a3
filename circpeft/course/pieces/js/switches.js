/** Layout and conjugate: what a product computes, what its backward pass implies, and what gradcheck says. */
import { choice, element } from "./controls.js";
import { heatmap, picture } from "./draw.js";
import { frame } from "./frame.js";
import { circulant } from "./numbers.js";
import { short } from "./texts.js";

/**
 * Return { forward, implied, error }: the matrix of the forward product, the matrix whose transpose the backward pass
 * multiplies by, and their largest difference. With the conjugate of the kernel's spectrum, the backward pass
 * multiplies by the row-layout matrix; without it, by the column-layout one.
 */
export function switchNumbers(kernel, layout, conjugate) {
  const forward = circulant(kernel, layout);
  const backward = circulant(kernel, conjugate ? "row" : "column");
  const implied = backward.map((_, i) => backward.map((line) => line[i]));
  const error = Math.max(...forward.flatMap((line, i) => line.map((value, j) => Math.abs(value - implied[i][j]))));
  return { forward, implied, error };
}

/** Return the readings of the alternative text. */
export function readings({ layout, conjugate, size }, { kernels, verdicts }) {
  const { error } = switchNumbers(kernels[size], layout, conjugate);
  const spectrum = conjugate ? "the conjugate of the kernel's spectrum" : "the kernel's spectrum itself";
  const verdict = verdicts[size][layout][conjugate ? "yes" : "no"] ? "passes" : "fails";
  return { layout, b: size, spectrum, error: short(error), verdict };
}

export function render({ model, el }) {
  const data = model.get("data");
  const { kernels, verdicts } = data;
  const piece = frame(model, el, "Layout and conjugate");
  const layout = choice({
    label: "forward: layout of the product",
    options: [["row", "row: conjugate of ŵ"], ["column", "column: ŵ itself"]],
    value: piece.state.layout,
    change: (value) => piece.change({ layout: value }),
  });
  const conjugate = choice({
    label: "backward for x: multiply the spectrum of g by",
    options: [["yes", "the conjugate of ŵ"], ["no", "ŵ itself"]],
    value: piece.state.conjugate ? "yes" : "no",
    change: (value) => piece.change({ conjugate: value === "yes" }),
  });
  const size = choice({
    label: "size b of the kernel",
    options: Object.keys(kernels).map((b) => [b, b]),
    value: piece.state.size,
    change: (value) => piece.change({ size: value }),
  });
  piece.controls.append(layout, conjugate, size);
  const names = ["matrix of the forward pass", "matrix in the backward pass", "difference"];
  const pictures = names.map((name) => picture(212, 234, name));
  const table = element("table");
  piece.pictures.append(...pictures, table);

  return piece.start((state, colors) => {
    const found = switchNumbers(kernels[state.size], state.layout, state.conjugate);
    const limit = Math.max(...kernels[state.size].map(Math.abs));
    const difference = found.forward.map((line, i) => line.map((value, j) => value - found.implied[i][j]));
    [found.forward, found.implied, difference].forEach((matrix, i) =>
      pictures[i].replaceChildren(heatmap(matrix, { left: 5, size: 200, title: names[i], colors, limit })),
    );
    layout.show(state.layout);
    conjugate.show(state.conjugate ? "yes" : "no");
    size.show(state.size);
    fillTable(table, verdicts[state.size], state);
    const verdict = verdicts[state.size][state.layout][state.conjugate ? "yes" : "no"];
    const norm = `largest difference ${short(found.error)}`;
    piece.say(`gradcheck for x, b = ${state.size}: ${verdict ? "passes" : "FAILS"} (${norm}).`, readings(state, data));
  });
}

/** Write the verdicts of all four combinations; the chosen one is framed. */
function fillTable(table, verdicts, state) {
  const head = element("tr", {}, element("th", { textContent: "gradcheck" }));
  for (const text of ["conjugate of ŵ", "ŵ itself"]) head.append(element("th", { textContent: text, scope: "col" }));
  const rows = ["row", "column"].map((layout) => {
    const row = element("tr", {}, element("th", { textContent: `forward: ${layout}`, scope: "row" }));
    for (const key of ["yes", "no"]) {
      const passes = verdicts[layout][key];
      const cell = element("td", { textContent: passes ? "✓ passes" : "✗ FAILS" });
      if (layout === state.layout && (key === "yes") === state.conjugate) cell.style.boxShadow = "inset 0 0 0 3px var(--accent)";
      row.append(cell);
    }
    return row;
  });
  table.replaceChildren(element("caption", { textContent: `all four, b = ${state.size}` }), head, ...rows);
}
