/** Factor mixer: draw the three vectors of A C A; ΔW, and the gradients of the three, follow. */
import { buttons } from "./controls.js";
import { axes, heatmap, picture, stems } from "./draw.js";
import { vectorEditor } from "./editor.js";
import { frame } from "./frame.js";
import { circulant } from "./numbers.js";
import { listed, short } from "./texts.js";

const FACTORS = ["a1", "c", "a3"];
const LETTERS = ["a₁", "c", "a₃"];

/**
 * Return { delta, a1, c, a3 }: ΔW = diag(a3) C(c) diag(a1), and the gradients of the three vectors for a loss with
 * gradient G = ∂L/∂ΔW.
 */
export function mixerNumbers({ a1, c, a3 }, G) {
  const d = c.length;
  const C = circulant(c);
  const delta = C.map((row, i) => row.map((value, j) => a3[i] * value * a1[j]));
  const gradients = { a1: Array(d).fill(0), c: Array(d).fill(0), a3: Array(d).fill(0) };
  for (let i = 0; i < d; i += 1) {
    for (let j = 0; j < d; j += 1) {
      gradients.a1[j] += G[i][j] * a3[i] * C[i][j];
      gradients.a3[i] += G[i][j] * C[i][j] * a1[j];
      gradients.c[(i - j + d) % d] += G[i][j] * a3[i] * a1[j];
    }
  }
  return { delta, ...gradients };
}

/** Return the readings of the alternative text. `live` counts the entries of each vector that have a gradient. */
export function readings(state, { gradient }) {
  const [d, found] = [gradient.length, mixerNumbers(state, gradient)];
  const count = (name) => found[name].filter((value) => Math.abs(value) > 1e-12).length;
  const live = FACTORS.map((name, i) => `${count(name)} of ${d} in ${LETTERS[i]}`).join(", ");
  const largest = short(Math.max(...found.delta.flat().map(Math.abs)));
  return { d, a1: listed(state.a1), c: listed(state.c), a3: listed(state.a3), largest, live };
}

export function render({ model, el }) {
  const data = model.get("data");
  const { starts, gradient, rate } = data;
  const d = gradient.length;
  const piece = frame(model, el, "Factor mixer");
  const range = [-2, 2];
  const labels = { a1: "a₁ (first diagonal)", c: "c (circulant)", a3: "a₃ (last diagonal)" };
  const editors = Object.fromEntries(
    FACTORS.map((name) => {
      const change = (values) => piece.change({ [name]: values });
      return [name, vectorEditor({ label: labels[name], range, width: 232, height: 190, change })];
    }),
  );
  const gradients = Object.fromEntries(FACTORS.map((name) => [name, picture(232, 150, `gradient of ${labels[name]}`)]));
  const delta = picture(204, 226, "ΔW, the product of the three factors");
  const step = () => {
    const found = mixerNumbers(piece.state, gradient);
    const clipped = (value) => Math.min(range[1], Math.max(range[0], value));
    const moved = FACTORS.map((name) => [name, piece.state[name].map((v, k) => clipped(v - rate * found[name][k]))]);
    piece.change(Object.fromEntries(moved));
  };
  const options = Object.entries(starts).map(([name, factors]) => [name, () => piece.change({ ...factors })]);
  piece.controls.append(buttons({ label: "training", options: [["One gradient step", step]] }), buttons({ label: "start with", options }));
  piece.pictures.append(...FACTORS.map((name) => editors[name].node), delta, ...FACTORS.map((name) => gradients[name]));

  return piece.start((state, colors) => {
    const found = mixerNumbers(state, gradient);
    const limit = Math.max(...FACTORS.flatMap((name) => found[name].map(Math.abs)), 0.5) * 1.1;
    FACTORS.forEach((name, i) => {
      editors[name].show(state[name], colors, colors.lines[i]);
      const box = { left: 40, top: 24, width: 180, height: 100, xRange: [-0.5, d - 0.5], yRange: [-limit, limit] };
      const chart = axes({ ...box, title: "its gradient", colors, xTicks: [0, d / 2, d - 1] });
      gradients[name].replaceChildren(chart.group, stems(found[name], chart, colors.lines[i]));
    });
    const largest = Math.max(...found.delta.flat().map(Math.abs));
    delta.replaceChildren(heatmap(found.delta, { left: 2, size: 200, title: "ΔW = A₃ C A₁", colors, limit: Math.max(1, largest) }));
    const zero = largest < 1e-12 ? "ΔW is zero. " : "";
    const read = readings(state, data);
    piece.say(`${zero}Entries with a gradient: ${read.live}.`, read);
  });
}
