/** A vector that is drawn by hand: with the pointer, or with the arrow keys. */
import { axes, picture, stems, svg } from "./draw.js";
import { short } from "./texts.js";

/**
 * Return { node, show }: a chart with one stem per entry. `change(values)` is called with a new list at each stroke.
 *
 * Pointer: draw across the chart. Keyboard: left and right choose an entry, up and down change it (Page Up and Page
 * Down by ten steps), Home and End choose the first and the last, 0 sets it to zero.
 */
export function vectorEditor({ label, range = [-1, 1], step = 0.1, width = 300, height = 190, change }) {
  const node = picture(width, height, label);
  node.setAttribute("role", "slider");
  node.setAttribute("tabindex", "0");
  node.setAttribute("aria-valuemin", range[0]);
  node.setAttribute("aria-valuemax", range[1]);
  node.style.touchAction = "none";
  node.style.cursor = "crosshair";
  const box = { left: 40, top: 24, width: width - 52, height: height - 66 };
  let values = [];
  let chosen = 0;
  let last = null;
  let places = null;

  const rounded = (value) => {
    const clipped = Math.min(range[1], Math.max(range[0], value));
    return Number((Math.round(clipped / step) * step).toFixed(6)) + 0;
  };
  const set = (k, value) => {
    values = values.map((old, i) => (i === k ? rounded(value) : old));
  };
  const at = (event) => {
    const area = node.getBoundingClientRect();
    const x = ((event.clientX - area.left) / area.width) * width;
    const y = ((event.clientY - area.top) / area.height) * height;
    const k = Math.round(((x - box.left) / box.width) * values.length - 0.5);
    const value = range[0] + ((box.top + box.height - y) / box.height) * (range[1] - range[0]);
    return [Math.min(values.length - 1, Math.max(0, k)), value];
  };
  const stroke = (event) => {
    const [k, value] = at(event);
    // A fast pointer skips entries: fill those between the last event and this one.
    const [from, before] = last || [k, value];
    const distance = Math.max(1, Math.abs(k - from));
    for (let i = 0; i <= distance; i += 1) {
      const share = i / distance;
      set(Math.round(from + share * (k - from)), before + share * (value - before));
    }
    last = [k, value];
    chosen = k;
    change(values);
  };
  node.addEventListener("pointerdown", (event) => {
    node.setPointerCapture(event.pointerId);
    last = null;
    stroke(event);
  });
  node.addEventListener("pointermove", (event) => {
    if (event.buttons & 1 && last) stroke(event);
  });
  node.addEventListener("pointerup", () => (last = null));
  node.addEventListener("keydown", (event) => {
    const d = values.length;
    const moves = { ArrowLeft: (chosen + d - 1) % d, ArrowRight: (chosen + 1) % d, Home: 0, End: d - 1 };
    const steps = { ArrowUp: step, ArrowDown: -step, PageUp: 10 * step, PageDown: -10 * step, 0: -values[chosen] };
    if (event.key in moves) chosen = moves[event.key];
    else if (event.key in steps) set(chosen, values[chosen] + steps[event.key]);
    else return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab has keys of its own
    change(values);
  });

  const show = (given, colors, color = colors.lines[0]) => {
    values = [...given];
    chosen = Math.min(chosen, values.length - 1);
    const [xRange, xTicks] = [[-0.5, values.length - 0.5], [0, Math.floor(values.length / 2), values.length - 1]];
    places = axes({ ...box, xRange, yRange: range, title: label, colors, xTicks, yTicks: [range[0], 0, range[1]] });
    const band = { x: places.x(chosen - 0.5), y: box.top, width: places.x(1) - places.x(0), height: box.height };
    const mark = svg("rect", { ...band, fill: colors.panel });
    node.replaceChildren(mark, places.group, stems(values, places, color));
    node.setAttribute("aria-valuenow", values[chosen]);
    node.setAttribute("aria-valuetext", `entry ${chosen} is ${short(values[chosen])}`);
  };
  return { node, show };
}
