/** Numbers as texts, and the alternative text of a piece. */

/** Return a number with three digits; what rounding left of a zero is "0". */
export function short(value) {
  if (Math.abs(value) < 1e-9) return "0";
  return String(Number(value.toPrecision(3))).replace("-", "−");
}

/** Return a number with its sign and two decimals. */
export function signed(value) {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
}

/** Return numbers as a list, where three or more equal ones in a row are counted: "1, −1, 3 times 0". */
export function listed(values) {
  const runs = [];
  for (const text of values.map(short)) {
    const last = runs.at(-1);
    if (last && last[0] === text) last[1] += 1;
    else runs.push([text, 1]);
  }
  return runs.map(([text, count]) => (count > 2 ? `${count} times ${text}` : Array(count).fill(text).join(", "))).join(", ");
}

/** Return a text with the readings in place of their names in braces. */
export function withReadings(text, readings) {
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    if (!(name in readings)) throw new Error(`no reading ${name}; given: ${Object.keys(readings).join(", ")}`);
    return readings[name];
  });
}
