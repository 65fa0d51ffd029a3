/** Spectrum eraser: switch frequencies off; the kernel, its matrix, the rank and the common divisor follow. */
import { buttons, element } from "./controls.js";
import { axes, heatmap, picture, stems, svg } from "./draw.js";
import { frame } from "./frame.js";
import { circulant, dft, inverseDft, magnitudes } from "./numbers.js";
import { listed, short } from "./texts.js";

/**
 * Return { kernel, spectrum, rank, gcd } after the frequencies in `erased` are set to zero. `gcd` has the coefficients
 * of gcd(f, x^d - 1) from x^0 on: the product of (x - exp(-2πi k / d)) over all k where the spectrum is zero.
 */
export function eraserNumbers(kernel, erased) {
  const d = kernel.length;
  const full = dft(kernel);
  const keep = (values) => values.map((value, k) => (erased.includes(k) ? 0 : value));
  const spectrum = { re: keep(full.re), im: keep(full.im) };
  const sizes = magnitudes(spectrum);
  const largest = Math.max(...sizes);
  const zeros = sizes.flatMap((size, k) => (size <= 1e-9 * largest ? [k] : []));
  let gcd = { re: [1], im: [0] };
  for (const k of zeros) gcd = timesRoot(gcd, Math.cos((2 * Math.PI * k) / d), -Math.sin((2 * Math.PI * k) / d));
  return { kernel: inverseDft(spectrum), spectrum: sizes, rank: d - zeros.length, gcd: gcd.re };
}

/** Return a polynomial times (x - root). */
function timesRoot({ re, im }, rootRe, rootIm) {
  const shifted = (values) => [0, ...values];
  const padded = (values) => [...values, 0];
  const [pr, pi] = [padded(re), padded(im)];
  return {
    re: shifted(re).map((value, i) => value - (pr[i] * rootRe - pi[i] * rootIm)),
    im: shifted(im).map((value, i) => value - (pr[i] * rootIm + pi[i] * rootRe)),
  };
}

/** Return the readings of the alternative text. */
export function readings({ erased }, { kernel }) {
  const [d, found] = [kernel.length, eraserNumbers(kernel, erased)];
  const several = erased.length > 1 ? `the frequencies ${erased.join(", ")}` : `frequency ${erased[0]}`;
  const text = erased.length ? several : "no frequency";
  return { d, rank: found.rank, shared: d - found.rank, erased: text, kernel: listed(found.kernel) };
}

const raised = (n) => [...String(n)].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]).join("");

/** Return a polynomial as text, the highest power first. */
export function polynomialText(coefficients) {
  const terms = coefficients.flatMap((value, n) => {
    if (Math.abs(value) < 1e-9) return [];
    const size = short(Math.abs(value));
    const x = n === 0 ? "" : n === 1 ? "x" : `x${raised(n)}`;
    return [[value < 0, size === "1" && n > 0 ? x : `${size}${n ? " " : ""}${x}`]];
  });
  return terms.reverse().map(([negative, text], i) => (i ? (negative ? " − " : " + ") : negative ? "−" : "") + text).join("");
}

/** Draw the roots of x^d - 1; those that f shares are full. */
function circle(node, d, found, colors) {
  const [x0, y0, radius] = [117, 130, 84];
  const parts = [
    svg("text", { x: x0, y: 16, "text-anchor": "middle", "font-size": 13 }, "roots of xᵈ − 1; full: shared with f"),
    svg("circle", { cx: x0, cy: y0, r: radius, fill: "none", stroke: colors.grid, "stroke-width": 1.5 }),
  ];
  found.spectrum.forEach((size, k) => {
    const [c, s] = [Math.cos((2 * Math.PI * k) / d), -Math.sin((2 * Math.PI * k) / d)];
    const shared = size <= 1e-9 * Math.max(...found.spectrum);
    const [cx, cy] = [x0 + radius * c, y0 - radius * s];
    parts.push(svg("circle", { cx, cy, r: 7, fill: shared ? colors.lines[1] : colors.page, stroke: colors.lines[1], "stroke-width": 2 }));
    parts.push(svg("text", { x: x0 + 104 * c, y: y0 - 104 * s + 4, "text-anchor": "middle", "font-size": 11 }, String(k)));
  });
  node.replaceChildren(...parts);
}

export function render({ model, el }) {
  const data = model.get("data");
  const { kernel } = data;
  const d = kernel.length;
  const piece = frame(model, el, "Spectrum eraser");
  const spectrum = picture(250, 234, "absolute values of the kernel's spectrum");
  const roots = picture(234, 250, "the roots of x to the power d, minus 1, on the unit circle");
  const kernelChart = picture(250, 234, "the kernel that is left");
  const matrix = picture(202, 234, "the circulant matrix of the kernel that is left");
  const flip = (k) => {
    const pair = [k, (d - k) % d];
    const { erased } = piece.state;
    const rest = erased.filter((each) => !pair.includes(each));
    piece.change({ erased: erased.includes(k) ? rest : [...rest, ...new Set(pair)].sort((a, b) => a - b) });
  };
  const switches = [...Array(d).keys()].map((k) => {
    const node = element("button", { type: "button", textContent: String(k) });
    node.setAttribute("aria-label", `frequency ${k}`);
    node.addEventListener("click", () => flip(k));
    return node;
  });
  const box = element("fieldset", {}, element("legend", { textContent: "frequencies: press to erase or restore, with the mirror image" }));
  box.append(...switches);
  const sets = [
    ["Restore all", []],
    ["Erase odd ones", [...Array(d).keys()].filter((k) => k % 2)],
    ["Keep only 0", [...Array(d).keys()].filter((k) => k)],
  ];
  const options = sets.map(([name, erased]) => [name, () => piece.change({ erased })]);
  piece.controls.append(box, buttons({ label: "all at once", options }));
  piece.pictures.append(spectrum, roots, kernelChart, matrix);
  spectrum.style.cursor = "pointer";
  spectrum.addEventListener("click", (event) => {
    const area = spectrum.getBoundingClientRect();
    const k = Math.floor((((event.clientX - area.left) / area.width) * 250 - 40) / (204 / d));
    if (k >= 0 && k < d) flip(k);
  });
  const highest = Math.max(...magnitudes(dft(kernel))) * 1.1;
  const limit = Math.max(...kernel.map(Math.abs)) * 1.1;

  return piece.start(({ erased }, colors) => {
    const found = eraserNumbers(kernel, erased);
    const area = { left: 40, top: 24, width: 204, height: 168, xRange: [-0.5, d - 0.5], colors };
    const chart = axes({ ...area, yRange: [0, highest], title: "absolute spectrum", xTitle: "frequency k", xTicks: [...Array(d).keys()] });
    spectrum.replaceChildren(chart.group, stems(found.spectrum, chart, colors.lines[2]));
    const left = axes({ ...area, yRange: [-limit, limit], title: "kernel that is left", xTitle: "entry" });
    kernelChart.replaceChildren(left.group, stems(found.kernel, left, colors.lines[0]));
    matrix.replaceChildren(heatmap(circulant(found.kernel), { left: 1, size: 200, title: `matrix, rank ${found.rank}`, colors, limit }));
    circle(roots, d, found, colors);
    switches.forEach((node, k) => node.setAttribute("aria-pressed", String(erased.includes(k))));
    const divisor = `gcd(f, x${raised(d)} − 1) = ${polynomialText(found.gcd)}, of degree ${d - found.rank}`;
    piece.say(`Rank ${found.rank} = ${d} − ${d - found.rank}. ${divisor}.`, readings({ erased }, data));
  });
}
