/** Phasors: a wave as clock hands, the wave times a circulant, and its eigenvalue as a sum of arrows. */
import { buttons, choice, slider } from "./controls.js";
import { arrow, picture, svg } from "./draw.js";
import { frame } from "./frame.js";
import { circulant, product } from "./numbers.js";
import { short } from "./texts.js";

/**
 * Return, for the wave f_k with entries exp(-2πi jk / d) and the matrix C with the kernel as its first column:
 * { wave, image, terms, eigenvalue }. `image` is C f_k, `terms` are c_j exp(2πi jk / d), and `eigenvalue` is their sum.
 */
export function phasorNumbers(kernel, k) {
  const d = kernel.length;
  const turn = (j) => (2 * Math.PI * ((j * k) % d)) / d;
  const wave = { re: kernel.map((_, j) => Math.cos(turn(j))), im: kernel.map((_, j) => -Math.sin(turn(j))) };
  const matrix = circulant(kernel);
  const image = { re: product(matrix, wave.re), im: product(matrix, wave.im) };
  const terms = { re: kernel.map((c, j) => c * Math.cos(turn(j))), im: kernel.map((c, j) => c * Math.sin(turn(j))) };
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  return { wave, image, terms, eigenvalue: [sum(terms.re), sum(terms.im)] };
}

/** Return the angle of a complex number in whole degrees; halves are rounded up, whatever rounding left of them. */
function degrees([re, im]) {
  if (Math.hypot(re, im) < 1e-9) return 0;
  return Math.round(Number(((Math.atan2(im, re) * 180) / Math.PI).toFixed(6)));
}

/** Return the readings of the alternative text. */
export function readings({ kernel, k, terms }, { kernels }) {
  const found = phasorNumbers(kernels[kernel], k);
  const sum = (values) => values.slice(0, terms).reduce((total, value) => total + value, 0);
  const [size, angle] = [short(Math.hypot(...found.eigenvalue)), String(degrees(found.eigenvalue)).replace("-", "−")];
  const sums = { eigenvalue: number(found.eigenvalue), sum: number([sum(found.terms.re), sum(found.terms.im)]) };
  return { d: kernels[kernel].length, kernel, k, terms, size, angle, ...sums };
}

function clocks(values, { top, width, left, radius, color, colors, title }) {
  const group = svg("g");
  const d = values.re.length;
  const gap = (width - left) / d;
  group.append(svg("text", { x: 0, y: top + 4, "font-size": 13 }, title));
  values.re.forEach((re, j) => {
    const x = left + gap * (j + 0.5);
    group.append(svg("circle", { cx: x, cy: top, r: radius, fill: "none", stroke: colors.grid, "stroke-width": 1.5 }));
    group.append(arrow(x, top, x + radius * re, top - radius * values.im[j], color));
  });
  return group;
}

/** Draw the terms head to tail, the first `count` of them in full, and their sum as one arrow. */
function walk(node, { terms }, count, colors) {
  const points = [[0, 0]];
  terms.re.forEach((re, j) => points.push([points[j][0] + re, points[j][1] + terms.im[j]]));
  const largest = Math.max(1, ...points.flat().map(Math.abs)) * 1.12;
  const [middle, scale] = [[130, 142], 112 / largest];
  const place = ([re, im]) => [middle[0] + re * scale, middle[1] - im * scale];
  const grid = { stroke: colors.grid, "stroke-width": 1.5, fill: "none" };
  const parts = [
    svg("text", { x: 130, y: 16, "text-anchor": "middle", "font-size": 13 }, "kernel entries, each turned, head to tail"),
    svg("circle", { cx: middle[0], cy: middle[1], r: scale, ...grid }),
    svg("line", { x1: 14, x2: 246, y1: middle[1], y2: middle[1], ...grid }),
    svg("line", { x1: middle[0], x2: middle[0], y1: 26, y2: 258, ...grid }),
  ];
  for (let j = 0; j < count; j += 1) parts.push(arrow(...place(points[j]), ...place(points[j + 1]), colors.lines[0]));
  parts.push(arrow(...place([0, 0]), ...place(points[count]), colors.lines[1], 3.5));
  node.replaceChildren(...parts);
}

export function render({ model, el }) {
  const data = model.get("data");
  const { kernels } = data;
  const piece = frame(model, el, "Rotating phasors");
  const d = Object.values(kernels)[0].length;
  const rows = picture(640, 264, "the wave as clock hands, and the matrix times the wave");
  const sum = picture(264, 264, "the turned kernel entries head to tail, and their sum");
  const k = slider({ label: "wave k", min: 0, max: d - 1, value: piece.state.k, input: (value) => piece.change({ k: value }) });
  const count = slider({
    label: "terms added",
    min: 0,
    max: d,
    value: piece.state.terms,
    input: (terms) => piece.change({ terms }),
  });
  const kernel = choice({
    label: "kernel",
    options: Object.keys(kernels).map((name) => [name, name]),
    value: piece.state.kernel,
    change: (name) => piece.change({ kernel: name }),
  });
  let timer = 0;
  const play = () => {
    clearInterval(timer);
    piece.change({ terms: 1 });
    timer = setInterval(() => {
      if (piece.state.terms >= d || !piece.root.isConnected) clearInterval(timer);
      else piece.change({ terms: piece.state.terms + 1 });
    }, 450);
  };
  const add = buttons({ label: "sum", options: [["Add one by one", play]] });
  piece.controls.append(k, kernel, count, add);
  piece.pictures.append(rows, sum);

  const stop = piece.start((state, colors) => {
    const found = phasorNumbers(kernels[state.kernel], state.k);
    const longest = Math.max(1, Math.hypot(...found.eigenvalue));
    const shared = { width: 636, left: 52, colors };
    rows.replaceChildren(
      svg("text", { x: 344, y: 16, "text-anchor": "middle", "font-size": 13 }, `entries 0 to ${d - 1} of the wave, and of the matrix times the wave`),
      clocks(found.wave, { ...shared, top: 80, radius: 32 / longest, color: colors.lines[0], title: `f${sub(state.k)}` }),
      clocks(found.image, { ...shared, top: 190, radius: 32 / longest, color: colors.lines[1], title: `C f${sub(state.k)}` }),
    );
    walk(sum, found, state.terms, colors);
    k.show(state.k);
    count.show(state.terms);
    kernel.show(state.kernel);
    const [size, angle] = [Math.hypot(...found.eigenvalue), degrees(found.eigenvalue)];
    const turned = size < 1e-9 ? "" : ` and turned by ${angle} degrees`.replace("-", "−");
    piece.say(
      `Every hand of C f${sub(state.k)} is that of f${sub(state.k)}, ${short(size)} times as long${turned}: the eigenvalue is ${number(found.eigenvalue)}.`,
      readings(state, data),
    );
  });
  return () => {
    clearInterval(timer);
    stop();
  };
}

const sub = (k) => [...String(k)].map((digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]).join("");

function number([re, im]) {
  if (Math.abs(im) < 1e-9) return short(re);
  return `${short(re)} ${im < 0 ? "−" : "+"} ${short(Math.abs(im))}i`;
}
