/** Two gradients: the right and the printed one, going down through four layers. */
import { buttons, choice, slider, toggle } from "./controls.js";
import { axes, picture, stems, svg } from "./draw.js";
import { frame } from "./frame.js";
import { circulant, product } from "./numbers.js";
import { signed } from "./texts.js";

const transpose = (matrix) => matrix[0].map((_, j) => matrix.map((row) => row[j]));
const sum = (a, b) => a.map((value, k) => value + b[k]);
const dot = (a, b) => a.reduce((total, value, k) => total + value * b[k], 0);
const cosine = (a, b) => dot(a, b) / Math.max(1e-16, Math.sqrt(dot(a, a) * dot(b, b))); // 0 if one of them is zero

/**
 * Return { right, printed, cosines, kernelCosines } for h ← relu(W h + s C(w) h), four times, the last without relu.
 * `right` and `printed` have the gradient at the output and below each layer, from the top; the printed one takes
 * C(w) for its transpose. With `printedKernel`, the kernels' gradients are C(x) g, as printed, instead of C(g) x.
 */
export function gradientNumbers({ weights, kernels, x, g }, strength, frozen, printedKernel) {
  const zero = (matrix) => matrix.map((row) => row.map(() => 0));
  const W = weights.map((matrix) => (frozen ? matrix : zero(matrix)));
  const C = kernels.map((kernel) => circulant(kernel.map((value) => strength * value), "row"));
  const inputs = [];
  const masks = [];
  let h = x;
  for (let l = 0; l < W.length; l += 1) {
    inputs.push(h);
    const z = sum(product(W[l], h), product(C[l], h));
    const last = l === W.length - 1;
    masks.push(z.map((value) => (last || value > 0 ? 1 : 0)));
    h = z.map((value, k) => value * masks[l][k]);
  }
  const [right, printed, kernelCosines] = [[g], [g], []];
  for (let l = W.length - 1; l >= 0; l -= 1) {
    const masked = (values) => values.map((value, k) => value * masks[l][k]);
    const [ours, theirs] = [masked(right.at(-1)), masked(printed.at(-1))];
    const forKernel = product(circulant(ours, "row"), inputs[l]);
    const theirKernel = printedKernel ? product(circulant(inputs[l], "row"), theirs) : product(circulant(theirs, "row"), inputs[l]);
    kernelCosines.push(cosine(forKernel, theirKernel));
    right.push(sum(product(transpose(W[l]), ours), product(transpose(C[l]), ours)));
    printed.push(sum(product(transpose(W[l]), theirs), product(C[l], theirs)));
  }
  return { right, printed, cosines: right.map((values, k) => cosine(values, printed[k])), kernelCosines };
}

const HEIGHT = 82;

/** Return the readings of the alternative text. */
export function readings({ steps, strength, frozen, printedKernel }, data) {
  const found = gradientNumbers(data, strength, frozen, printedKernel);
  return {
    d: data.x.length,
    layers: data.kernels.length,
    steps,
    strength: strength.toFixed(1),
    frozen: frozen ? "with" : "without",
    kernel: printedKernel ? "as printed, too" : "right",
    cosines: found.cosines.slice(0, steps + 1).map(signed).join(", "),
    kernelCosines: found.kernelCosines.slice(0, steps).map(signed).join(", ") || "no layer passed yet",
  };
}

export function render({ model, el }) {
  const data = model.get("data");
  const [d, layers] = [data.x.length, data.kernels.length];
  const piece = frame(model, el, "Two gradients");
  const flow = picture(900, HEIGHT * (layers + 1) + 30, "the right and the printed gradient, at the output and below each layer");
  const steps = slider({ label: "layers passed", min: 0, max: layers, value: piece.state.steps, input: (value) => piece.change({ steps: value }) });
  const strength = slider({
    label: "size of the kernels",
    min: 0,
    max: 2,
    step: 0.1,
    value: piece.state.strength,
    format: (value) => value.toFixed(1),
    input: (value) => piece.change({ strength: value }),
  });
  const frozen = toggle({ label: "with the frozen weight W₀", value: piece.state.frozen, change: (value) => piece.change({ frozen: value }) });
  const kernel = choice({
    label: "kernel gradient beside the printed ∂L/∂x",
    options: [["right", "right"], ["printed", "as printed, too"]],
    value: piece.state.printedKernel ? "printed" : "right",
    change: (value) => piece.change({ printedKernel: value === "printed" }),
  });
  const down = () => piece.change({ steps: (piece.state.steps + 1) % (layers + 1) });
  piece.controls.append(buttons({ label: "step by step", options: [["One layer down", down]] }), steps, strength, kernel, frozen);
  piece.pictures.append(flow);

  return piece.start((state, colors) => {
    const found = gradientNumbers(data, state.strength, state.frozen, state.printedKernel);
    const parts = [
      svg("text", { x: 270, y: 16, "font-size": 13, fill: colors.lines[0] }, "● right"),
      svg("text", { x: 350, y: 16, "font-size": 13, fill: colors.lines[1] }, "● printed"),
    ];
    for (let k = 0; k <= layers; k += 1) {
      const top = 30 + k * HEIGHT;
      const name = k === 0 ? "at the output" : `below layer ${layers + 1 - k}`;
      const reached = k <= state.steps;
      parts.push(svg("text", { x: 0, y: top + 36, "font-size": 13, opacity: reached ? 1 : 0.4 }, name));
      if (!reached) continue;
      const largest = Math.max(...found.right[k].concat(found.printed[k]).map(Math.abs), 1e-9) * 1.1;
      const box = { left: 150, top, width: 440, height: HEIGHT - 18, xRange: [-0.5, d - 0.5], yRange: [-largest, largest] };
      const { group, x, y } = axes({ ...box, colors, xTicks: [], yTicks: [0] });
      const beside = (shift) => ({ x: (value) => x(value + shift), y });
      parts.push(group, stems(found.right[k], beside(-0.15), colors.lines[0]), stems(found.printed[k], beside(0.15), colors.lines[1]));
      parts.push(svg("text", { x: 610, y: top + 26, "font-size": 13 }, `cosine ${signed(found.cosines[k])}`));
      const below = k ? `kernel of layer ${layers + 1 - k}: cosine ${signed(found.kernelCosines[k - 1])}` : "the same for both";
      parts.push(svg("text", { x: 610, y: top + 46, "font-size": 13, fill: colors.muted }, below));
    }
    flow.replaceChildren(...parts);
    steps.show(state.steps);
    strength.show(state.strength);
    kernel.show(state.printedKernel ? "printed" : "right");
    frozen.show(state.frozen);
    const place = state.steps === 0 ? "At the output" : `Below layer ${layers + 1 - state.steps}`;
    const cosine = signed(found.cosines[state.steps]);
    piece.say(`${place}, the cosine of the printed gradient with the right one is ${cosine}.`, readings(state, data));
  });
}
