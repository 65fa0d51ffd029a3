/** The network of the eight clusters: 2 → 64 → middle layer → 64 → 8, trained by Adam on all points at once. */

export const WIDTH = 64;
export const BLOCK = 32;
export const CLASSES = 8;
export const PER_CLASS = 30;

/** Return a function that gives uniform numbers in [0, 1), the same ones for a seed (mulberry32). */
export function uniformNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function filled(length, draw) {
  const values = new Float64Array(length);
  for (let i = 0; i < length; i += 1) values[i] = draw();
  return values;
}

/** Return the 240 points of a seed, x and y in turn. The class of point i is the integer part of i / 30. */
export function cloud(seed, noise) {
  const uniform = uniformNumbers(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  const points = new Float64Array(2 * CLASSES * PER_CLASS);
  for (let i = 0; i < CLASSES * PER_CLASS; i += 1) {
    const angle = (2 * Math.PI * Math.floor(i / PER_CLASS)) / CLASSES;
    points[2 * i] = Math.cos(angle) + noise * normal();
    points[2 * i + 1] = Math.sin(angle) + noise * normal();
  }
  return points;
}

/** The middle layers: the sizes of their parameters, their start, their matrix M, and the gradient of M folded back. */
const rankOf = (r) => ({
  start: (uniform, normal) => ({
    A: filled(r * WIDTH, () => normal() / Math.sqrt(3 * WIDTH)),
    B: filled(WIDTH * r, () => normal() / Math.sqrt(r)),
  }),
  matrix: ({ A, B }, M) => {
    for (let i = 0; i < WIDTH; i += 1)
      for (let j = 0; j < WIDTH; j += 1) {
        let sum = 0;
        for (let k = 0; k < r; k += 1) sum += B[i * r + k] * A[k * WIDTH + j];
        M[i * WIDTH + j] = sum;
      }
  },
  fold: (dM, { A, B }) => {
    const [dA, dB] = [new Float64Array(A.length), new Float64Array(B.length)];
    for (let i = 0; i < WIDTH; i += 1)
      for (let j = 0; j < WIDTH; j += 1)
        for (let k = 0; k < r; k += 1) {
          dA[k * WIDTH + j] += B[i * r + k] * dM[i * WIDTH + j];
          dB[i * r + k] += A[k * WIDTH + j] * dM[i * WIDTH + j];
        }
    return { A: dA, B: dB };
  },
});
// Entry (i, j) of a block-circulant matrix in row layout is entry (j - i) mod b of the kernel of its block.
const place = (i, j) => {
  const block = Math.floor(i / BLOCK) * (WIDTH / BLOCK) + Math.floor(j / BLOCK);
  return block * BLOCK + ((j - i + WIDTH) % BLOCK);
};
const cells = (use) => {
  for (let i = 0; i < WIDTH; i += 1) for (let j = 0; j < WIDTH; j += 1) use(i, j, i * WIDTH + j);
};
const bound = WIDTH ** -0.5;
const start = (length) => (uniform) => filled(length, () => bound * (2 * uniform() - 1));
export const MIDDLE = {
  dense: {
    start: (uniform) => ({ M: start(WIDTH * WIDTH)(uniform) }),
    matrix: (own, M) => M.set(own.M),
    fold: (dM) => ({ M: dM }),
  },
  C3A: {
    start: (uniform) => ({ kernel: start((WIDTH * WIDTH) / BLOCK)(uniform) }),
    matrix: ({ kernel }, M) => cells((i, j, ij) => (M[ij] = kernel[place(i, j)])),
    fold: (dM, { kernel }) => {
      const folded = new Float64Array(kernel.length);
      cells((i, j, ij) => (folded[place(i, j)] += dM[ij]));
      return { kernel: folded };
    },
  },
  "rank 1": rankOf(1),
  "rank 2": rankOf(2),
  identity: {
    start: () => ({}),
    matrix: (own, M) => cells((i, j, ij) => (M[ij] = i === j ? 1 : 0)),
    fold: () => ({}),
  },
};

/** Return a new run: { parameters, middle, points, epoch, M }, drawn from the seed. */
export function newRun({ seed, noise, middle }) {
  const uniform = uniformNumbers(1000 + seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  const outer = {
    W1: filled(2 * WIDTH, () => 2 ** -0.5 * (2 * uniform() - 1)),
    b1: filled(WIDTH, () => 2 ** -0.5 * (2 * uniform() - 1)),
    b2: start(WIDTH)(uniform),
    W3: start(WIDTH * CLASSES)(uniform),
    b3: start(CLASSES)(uniform),
  };
  const parameters = { ...outer, ...MIDDLE[middle].start(uniform, normal) };
  const run = { parameters, middle, points: cloud(seed, noise), epoch: 0, M: new Float64Array(WIDTH * WIDTH) };
  run.moments = Object.fromEntries(
    Object.entries(parameters).map(([name, { length }]) => [name, [new Float64Array(length), new Float64Array(length)]]),
  );
  MIDDLE[middle].matrix(parameters, run.M);
  return run;
}

/** Return A B^T for A (n x k) and B (m x k), both stored by rows. */
function timesTransposed(A, B, n, m, k) {
  const C = new Float64Array(n * m);
  for (let i = 0; i < n; i += 1)
    for (let j = 0; j < m; j += 1) {
      let sum = 0;
      for (let l = 0, a = i * k, b = j * k; l < k; l += 1) sum += A[a + l] * B[b + l];
      C[i * m + j] = sum;
    }
  return C;
}

/** Return A^T B for A (k x n) and B (k x m), both stored by rows. */
function transposedTimes(A, B, n, m, k) {
  const C = new Float64Array(n * m);
  for (let l = 0; l < k; l += 1)
    for (let i = 0; i < n; i += 1) {
      const a = A[l * n + i];
      if (a !== 0) for (let j = 0, b = l * m, c = i * m; j < m; j += 1) C[c + j] += a * B[b + j];
    }
  return C;
}

const transposed = (A, n, m) => Float64Array.from({ length: n * m }, (_, i) => A[(i % n) * m + Math.floor(i / n)]);

function addAndCut(Z, bias, cut) {
  for (let i = 0; i < Z.length; i += 1) {
    Z[i] += bias[i % bias.length];
    if (cut && Z[i] < 0) Z[i] = 0;
  }
  return Z;
}

/** Return { h1, h2, logits } for points stored as x and y in turn. */
export function forward({ parameters: { W1, b1, b2, W3, b3 }, M }, points) {
  const n = points.length / 2;
  const h1 = addAndCut(timesTransposed(points, transposed(W1, 2, WIDTH), n, WIDTH, 2), b1, true);
  const h2 = addAndCut(timesTransposed(h1, M, n, WIDTH, WIDTH), b2, true);
  const logits = addAndCut(timesTransposed(h2, transposed(W3, WIDTH, CLASSES), n, CLASSES, WIDTH), b3, false);
  return { h1, h2, logits };
}

/** Return the class with the largest logit of each point. */
export function answers(logits) {
  const found = new Uint8Array(logits.length / CLASSES);
  for (let i = 0; i < found.length; i += 1)
    for (let k = 1; k < CLASSES; k += 1) if (logits[i * CLASSES + k] > logits[i * CLASSES + found[i]]) found[i] = k;
  return found;
}

/** Train one epoch with Adam. Return { loss, accuracy } before the step: mean cross-entropy, and a share. */
export function trainEpoch(run, rate) {
  const { parameters, points, M } = run;
  const n = points.length / 2;
  const { h1, h2, logits } = forward(run, points);
  const right = answers(logits).filter((answer, i) => answer === Math.floor(i / PER_CLASS)).length;
  const d3 = new Float64Array(logits.length);
  let loss = 0;
  for (let i = 0; i < n; i += 1) {
    const row = logits.subarray(i * CLASSES, (i + 1) * CLASSES);
    const largest = Math.max(...row);
    const total = row.reduce((sum, value) => sum + Math.exp(value - largest), 0);
    const label = Math.floor(i / PER_CLASS);
    loss += (Math.log(total) + largest - row[label]) / n;
    for (let k = 0; k < CLASSES; k += 1) d3[i * CLASSES + k] = (Math.exp(row[k] - largest) / total - (k === label)) / n;
  }
  const masked = (values, h) => values.map((value, i) => (h[i] > 0 ? value : 0));
  const sums = (values, m) => {
    const total = new Float64Array(m);
    values.forEach((value, i) => (total[i % m] += value));
    return total;
  };
  const d2 = masked(timesTransposed(d3, parameters.W3, n, WIDTH, CLASSES), h2);
  const d1 = masked(timesTransposed(d2, transposed(M, WIDTH, WIDTH), n, WIDTH, WIDTH), h1);
  const gradients = {
    W3: transposedTimes(h2, d3, WIDTH, CLASSES, n),
    b3: sums(d3, CLASSES),
    b2: sums(d2, WIDTH),
    W1: transposedTimes(points, d1, 2, WIDTH, n),
    b1: sums(d1, WIDTH),
    ...MIDDLE[run.middle].fold(transposedTimes(d2, h1, WIDTH, WIDTH, n), parameters),
  };
  run.epoch += 1;
  for (const [name, gradient] of Object.entries(gradients)) adam(parameters[name], gradient, run.moments[name], rate, run.epoch);
  MIDDLE[run.middle].matrix(parameters, M);
  return { loss, accuracy: right / n };
}

function adam(values, gradient, [first, second], rate, epoch) {
  const [c1, c2] = [1 - 0.9 ** epoch, 1 - 0.999 ** epoch];
  for (let i = 0; i < values.length; i += 1) {
    first[i] += 0.1 * (gradient[i] - first[i]);
    second[i] += 0.001 * (gradient[i] ** 2 - second[i]);
    values[i] -= (rate * (first[i] / c1)) / (Math.sqrt(second[i] / c2) + 1e-8);
  }
}
