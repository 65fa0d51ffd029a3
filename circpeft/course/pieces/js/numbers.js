/** Numbers: the DFT, circulant matrices, and their ranks. Complex vectors are { re, im }, two lists. */

/** Return the discrete Fourier transform of a real list, F x with F_jk = exp(-2πi jk / d). */
export function dft(values) {
  const d = values.length;
  const re = new Array(d).fill(0);
  const im = new Array(d).fill(0);
  for (let k = 0; k < d; k += 1) {
    for (let j = 0; j < d; j += 1) {
      const angle = (-2 * Math.PI * ((j * k) % d)) / d;
      re[k] += values[j] * Math.cos(angle);
      im[k] += values[j] * Math.sin(angle);
    }
  }
  return { re, im };
}

/** Return the real part of the inverse transform of a complex vector. */
export function inverseDft({ re, im }) {
  const d = re.length;
  return re.map((_, j) => {
    let sum = 0;
    for (let k = 0; k < d; k += 1) {
      const angle = (2 * Math.PI * ((j * k) % d)) / d;
      sum += re[k] * Math.cos(angle) - im[k] * Math.sin(angle);
    }
    return sum / d;
  });
}

/** Return the absolute values of a complex vector. */
export function magnitudes({ re, im }) {
  return re.map((value, k) => Math.hypot(value, im[k]));
}

/** Return the circulant matrix: the kernel is its first column (layout "column") or its first row ("row"). */
export function circulant(kernel, layout = "column") {
  const d = kernel.length;
  const at = (i, j) => (layout === "column" ? i - j : j - i);
  return kernel.map((_, i) => kernel.map((_, j) => kernel[(at(i, j) + d) % d]));
}

/** Return the product of a matrix (a list of rows) with a vector. */
export function product(matrix, vector) {
  return matrix.map((row) => row.reduce((sum, value, j) => sum + value * vector[j], 0));
}

/** Return the number of frequencies that are not zero: above 1e-9 of the largest. */
export function rank(kernel) {
  const sizes = magnitudes(dft(kernel));
  const largest = Math.max(...sizes);
  return sizes.filter((size) => size > 1e-9 * largest).length;
}
