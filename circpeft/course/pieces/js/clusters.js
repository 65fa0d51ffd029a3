/** Clusters live: a small network is trained in the page, and its decision regions move. */
import { buttons, choice, element, slider } from "./controls.js";
import { axes, path, picture, svg } from "./draw.js";
import { frame } from "./frame.js";
import { MIDDLE, PER_CLASS, answers, forward, newRun, trainEpoch } from "./network.js";

const SIDE = 40; // cells of the plane
const REACH = 1.7; // the plane goes from -REACH to REACH
const FRAME_MS = 30; // training between two pictures

/** Return the centres of the cells, x and y in turn, from the bottom left, row by row. */
export function planePoints() {
  const at = (k) => -REACH + ((k + 0.5) * 2 * REACH) / SIDE;
  return Float64Array.from({ length: 2 * SIDE * SIDE }, (_, i) => {
    const cell = Math.floor(i / 2);
    return i % 2 ? at(Math.floor(cell / SIDE)) : at(cell % SIDE);
  });
}

const PLANE = planePoints();

/** Return the readings of the alternative text; `run` has the epochs that it trained and the accuracy of each. */
export function readings({ middle, rate, seed, noise }, { epoch, accuracy }) {
  const right = accuracy.length ? `${Math.round(100 * accuracy.at(-1))} % of the points right` : "not trained yet";
  return { middle, rate: String(rate), seed, noise: noise.toFixed(2), epoch, right };
}

function rgb(color) {
  return [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));
}

/** Draw the regions as pale cells, and the points in the colour of their true class; wrong ones have a ring. */
function drawPlane(canvas, run, classColors, colors) {
  const size = canvas.width;
  const context = canvas.getContext("2d");
  const cells = new ImageData(SIDE, SIDE);
  const page = rgb(colors.page);
  const pale = classColors.map((color) => rgb(color).map((value, i) => 0.42 * value + 0.58 * page[i]));
  answers(forward(run, PLANE).logits).forEach((answer, cell) => {
    const row = SIDE - 1 - Math.floor(cell / SIDE); // the first row of the plane is at the bottom
    cells.data.set([...pale[answer], 255], 4 * (row * SIDE + (cell % SIDE)));
  });
  const small = element("canvas", { width: SIDE, height: SIDE });
  small.getContext("2d").putImageData(cells, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, size, size);
  const at = (value) => ((value + REACH) / (2 * REACH)) * size;
  const found = answers(forward(run, run.points).logits);
  found.forEach((answer, i) => {
    const label = Math.floor(i / PER_CLASS);
    const [x, y] = [at(run.points[2 * i]), size - at(run.points[2 * i + 1])];
    const dot = (radius, fill) => {
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fillStyle = fill;
      context.fill();
    };
    if (answer !== label) dot(7, colors.ink);
    dot(5, colors.page);
    dot(4, classColors[label]);
  });
  context.font = `bold ${size / 24}px sans-serif`;
  context.fillStyle = colors.ink;
  context.textAlign = "center";
  for (let k = 0; k < classColors.length; k += 1) {
    const angle = (2 * Math.PI * k) / classColors.length;
    context.fillText(String(k), at(1.52 * Math.cos(angle)), size - at(1.52 * Math.sin(angle)) + size / 60);
  }
}

/** Draw the training accuracy of this run over its epochs, and of earlier runs in grey. */
function drawCurves(node, run, earlier, epochs, colors) {
  const box = { left: 44, top: 24, width: 380, height: 270, xRange: [0, epochs], yRange: [0, 100] };
  const { group, x, y } = axes({ ...box, title: "training accuracy, %", xTitle: "epoch", colors });
  const line = (accuracy, color, width) => path(accuracy.map((value, k) => [x(k), y(100 * value)]), color, { "stroke-width": width });
  for (const { name, accuracy } of earlier) {
    group.append(line(accuracy, colors.muted, 1.2));
    const [k, last] = [accuracy.length - 1, accuracy.at(-1)];
    group.append(svg("text", { x: Math.min(x(k), 420), y: y(100 * last) - 4, "text-anchor": "end", "font-size": 11, fill: colors.muted }, name));
  }
  if (run.accuracy.length) group.append(line(run.accuracy, colors.lines[0], 2.6));
  node.replaceChildren(group);
}

export function render({ model, el }) {
  const { classColors, rates, epochs } = model.get("data");
  const piece = frame(model, el, "Clusters live");
  const canvas = element("canvas", { width: 720, height: 720 });
  canvas.style.width = "360px";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "the plane, coloured by the predicted class, with the points in the colour of their true class");
  const curves = picture(440, 340, "training accuracy over epochs, for this run and earlier ones");
  let [run, key, running, colors] = [null, "", false, null];
  const earlier = [];

  const middle = choice({ label: "middle layer", options: Object.keys(MIDDLE).map((name) => [name, name]), value: piece.state.middle, change: (value) => piece.change({ middle: value }) });
  const rate = choice({ label: "learning rate", options: rates.map((value) => [value, String(value)]), value: piece.state.rate, change: (value) => piece.change({ rate: value }) });
  const seed = slider({ label: "seed", min: 0, max: 9, value: piece.state.seed, input: (value) => piece.change({ seed: value }) });
  const noise = slider({ label: "noise", min: 0.05, max: 0.4, step: 0.05, value: piece.state.noise, format: (value) => value.toFixed(2), input: (value) => piece.change({ noise: value }) });

  const restart = () => {
    if (run && run.accuracy.length > 20) {
      earlier.push({ name: run.name, accuracy: run.accuracy });
      if (earlier.length > 5) earlier.shift();
    }
    run = { ...newRun(piece.state), accuracy: [], name: `${piece.state.middle}, ${piece.state.rate}` };
  };
  const paint = () => {
    drawPlane(canvas, run, classColors, colors);
    drawCurves(curves, run, earlier, epochs, colors);
    const read = readings(piece.state, run);
    piece.say(`Epoch ${run.epoch} of ${epochs}, ${piece.state.middle}, rate ${piece.state.rate}: ${read.right}.`, read);
  };
  const advance = () => {
    if (run.epoch < epochs) run.accuracy.push(trainEpoch(run, piece.state.rate).accuracy);
  };
  const set = (on) => {
    running = on;
    train.textContent = on ? "Pause" : "Train";
  };
  const tick = () => {
    if (!running || !piece.root.isConnected) return;
    const end = performance.now() + FRAME_MS;
    do advance();
    while (performance.now() < end && run.epoch < epochs);
    paint();
    if (run.epoch < epochs) requestAnimationFrame(tick);
    else set(false);
  };
  const begin = () => {
    if (run.epoch >= epochs) restart();
    set(!running);
    tick();
  };
  const one = () => {
    set(false);
    advance();
    paint();
  };
  const again = () => {
    set(false);
    restart();
    paint();
  };
  const group = buttons({ label: "training", options: [["Train", begin], ["One epoch", one], ["Start again", again]] });
  const train = group.querySelector("button");
  piece.controls.append(group, middle, rate, seed, noise);
  piece.pictures.append(canvas, curves);

  const stop = piece.start((state, now) => {
    colors = now;
    const { middle: kind, rate: speed, seed: drawn, noise: spread } = state;
    if (key !== JSON.stringify([kind, speed, drawn, spread])) restart();
    key = JSON.stringify([kind, speed, drawn, spread]);
    middle.show(kind);
    rate.show(speed);
    seed.show(drawn);
    noise.show(spread);
    paint();
  });
  return () => {
    running = false;
    stop();
  };
}
