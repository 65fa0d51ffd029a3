/** The frame of a piece: controls above, pictures, a line of text below, and the alternative text. */
import { element } from "./controls.js";
import { withReadings } from "./texts.js";
import { applyTheme, watchTheme } from "./theme.js";

/**
 * Build the frame in `el`. Return { state, controls, pictures, change, say, start }.
 *
 * `start(draw)` draws at once and again after each change: `draw(state, colors)`. `change({ name: value })` changes
 * the state, draws, and sends the state to Python a little later. `say(text, readings)` belongs to every drawing: it
 * writes the line below the pictures, and the readings into the alternative text.
 */
export function frame(model, el, title) {
  const root = element("section", { className: "circpeft-piece" });
  root.setAttribute("aria-label", title);
  const controls = element("div", { className: "piece-controls" });
  const pictures = element("div", { className: "piece-pictures" });
  const status = element("p", { className: "piece-status" });
  status.setAttribute("role", "status");
  const id = `piece-alt-${Math.random().toString(36).slice(2)}`; // the same piece may be shown twice on a page
  const summary = element("p", { hidden: true, id });
  root.setAttribute("aria-describedby", id);
  root.append(controls, pictures, status, summary);
  el.append(root);

  let draw = () => {};
  let sending = 0;
  const piece = { root, controls, pictures, state: { ...model.get("state") } };
  const redraw = () => draw(piece.state, applyTheme(root, model.get("palette")));
  const send = () => {
    model.set("state", { ...piece.state });
    model.save_changes();
  };
  const received = () => {
    const given = model.get("state");
    if (JSON.stringify(given) === JSON.stringify(piece.state)) return;
    piece.state = { ...given };
    redraw();
  };
  piece.change = (values) => {
    Object.assign(piece.state, values);
    redraw();
    clearTimeout(sending);
    sending = setTimeout(send, 200);
  };
  piece.say = (text, readings) => {
    if (status.textContent !== text) status.textContent = text;
    summary.textContent = withReadings(model.get("description"), readings);
  };
  piece.start = (drawing) => {
    draw = drawing;
    redraw();
    const unwatch = watchTheme(redraw);
    model.on("change:state", received);
    return () => {
      unwatch();
      clearTimeout(sending);
      model.off("change:state", received);
    };
  };
  return piece;
}
