/** Kernel lab: draw a kernel; its matrix, spectrum, rank and effect on a signal follow. */
import { buttons, choice } from "./controls.js";
import { axes, heatmap, path, picture, stems } from "./draw.js";
import { vectorEditor } from "./editor.js";
import { frame } from "./frame.js";
import { circulant, dft, magnitudes, product, rank } from "./numbers.js";
import { listed, short } from "./texts.js";

/** Return what the pictures show: { matrix, spectrum, rank, result }. */
export function kernelNumbers(kernel, signal, layout) {
  const matrix = circulant(kernel, layout);
  return { matrix, spectrum: magnitudes(dft(kernel)), rank: rank(kernel), result: product(matrix, signal) };
}

/** Return the readings of the alternative text. */
export function readings({ kernel, layout, signal }, { signals }) {
  const found = kernelNumbers(kernel, signals[signal], layout);
  const [lowest, highest] = [Math.min(...found.spectrum), Math.max(...found.spectrum)].map(short);
  const shown = { kernel: listed(kernel), result: listed(found.result), lowest, highest };
  return { d: kernel.length, layout, rank: found.rank, signal, ...shown };
}

function signalPicture(node, signal, result, colors) {
  const largest = Math.max(1, ...signal.concat(result).map(Math.abs)) * 1.05;
  const d = signal.length;
  const box = { left: 40, top: 24, width: 780, height: 128 };
  const { group, x, y } = axes({ ...box, xRange: [0, d - 1], yRange: [-largest, largest], title: "signal, and matrix times signal", colors });
  const line = (values, color, dash) => path(values.map((value, k) => [x(k), y(value)]), color, { "stroke-dasharray": dash });
  group.append(line(signal, colors.muted, "5 4"), line(result, colors.lines[1], "none"));
  node.replaceChildren(group, stems(result, { x, y }, colors.lines[1]));
}

export function render({ model, el }) {
  const data = model.get("data");
  const { presets, signals } = data;
  const piece = frame(model, el, "Kernel lab");
  const editor = vectorEditor({ label: "kernel: draw here", height: 234, change: (kernel) => piece.change({ kernel }) });
  const matrix = picture(212, 234, "the circulant matrix of the kernel");
  const spectrum = picture(300, 234, "absolute values of the kernel's spectrum");
  const signal = picture(838, 190, "the signal, dashed, and the matrix times the signal");
  const layout = choice({
    label: "layout: the kernel is the",
    options: [["column", "first column"], ["row", "first row"]],
    value: piece.state.layout,
    change: (value) => piece.change({ layout: value }),
  });
  const chosen = choice({
    label: "signal",
    options: Object.keys(signals).map((name) => [name, name]),
    value: piece.state.signal,
    change: (value) => piece.change({ signal: value }),
  });
  const options = Object.entries(presets).map(([name, kernel]) => [name, () => piece.change({ kernel })]);
  piece.controls.append(buttons({ label: "kernel", options }), layout, chosen);
  piece.pictures.append(editor.node, spectrum, matrix, signal);

  return piece.start((state, colors) => {
    const found = kernelNumbers(state.kernel, signals[state.signal], state.layout);
    const d = state.kernel.length;
    editor.show(state.kernel, colors);
    layout.show(state.layout);
    chosen.show(state.signal);
    matrix.replaceChildren(heatmap(found.matrix, { left: 5, size: 200, title: "matrix", colors, limit: 1 }));
    const highest = Math.max(1, ...found.spectrum) * 1.1;
    const box = { left: 40, top: 24, width: 250, height: 168 };
    const range = { xRange: [-0.5, d - 0.5], yRange: [0, highest] };
    const chart = axes({ ...box, ...range, title: "absolute spectrum", xTitle: "frequency k", colors });
    spectrum.replaceChildren(chart.group, stems(found.spectrum, chart, colors.lines[2], (k) => found.spectrum[k] > 1e-9 * highest));
    signalPicture(signal, signals[state.signal], found.result, colors);
    const missing = d - found.rank;
    const frequencies = `${missing} of the ${d} frequencies ${missing === 1 ? "is" : "are"} zero`;
    piece.say(`Rank ${found.rank} of ${d}: ${frequencies}.`, readings(state, data));
  });
}
