/** Controls with labels, made of the browser's own elements, so that keyboards and screen readers work. */

/** Return a new HTML element with properties and children. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/**
 * Return a labelled slider; `input(value)` is called at each move. Its method `show(value)` moves it from outside.
 * `format(value)` is the text beside the label, which a screen reader reads as well.
 */
export function slider({ label, min, max, step = 1, value, format = String, input }) {
  const shown = element("span", { className: "piece-number" });
  const range = element("input", { type: "range", min, max, step, value });
  const show = (now) => {
    range.value = now;
    shown.textContent = format(Number(now));
    range.setAttribute("aria-valuetext", `${format(Number(now))}`);
  };
  range.addEventListener("input", () => {
    show(range.value);
    input(Number(range.value));
  });
  range.setAttribute("aria-label", label);
  show(value);
  return Object.assign(element("label", {}, `${label}: `, shown, range), { show, range });
}

let groups = 0;

/** Return radio buttons; `options` is a list of [value, text]. `change(value)` is called with the chosen value. */
export function choice({ label, options, value, change }) {
  const name = `piece-choice-${(groups += 1)}-${Math.random().toString(36).slice(2)}`;
  const box = element("fieldset", {}, element("legend", { textContent: label }));
  const inputs = options.map(([key, text]) => {
    const input = element("input", { type: "radio", name, value: key, checked: key === value });
    input.addEventListener("change", () => change(key));
    box.append(element("label", { className: "piece-choice" }, input, text));
    return [key, input];
  });
  const show = (now) => inputs.forEach(([key, input]) => (input.checked = key === now));
  return Object.assign(box, { show });
}

/** Return a check box; `change(checked)` is called when it changes. */
export function toggle({ label, value, change }) {
  const input = element("input", { type: "checkbox", checked: value });
  input.addEventListener("change", () => change(input.checked));
  return Object.assign(element("label", {}, input, label), { show: (now) => (input.checked = now) });
}

/** Return buttons under one label; `options` is a list of [text, function called at a click]. */
export function buttons({ label, options }) {
  const box = element("fieldset", {}, element("legend", { textContent: label }));
  for (const [text, pressed] of options) {
    const button = element("button", { type: "button", textContent: text });
    button.addEventListener("click", pressed);
    box.append(button);
  }
  return box;
}
