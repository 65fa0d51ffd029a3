/** The colours of the page: light or dark, and following its changes. */

/** Return whether the page is dark: as JupyterLab says, then as the site says, then as the system says. */
export function isDark() {
  const lab = document.body.dataset.jpThemeLight;
  if (lab !== undefined) return lab === "false";
  const site = document.documentElement.dataset.theme;
  if (site === "dark" || site === "light") return site === "dark";
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Return the colours for the page as it is now, and set them as CSS variables of `el`. */
export function applyTheme(el, palette) {
  const colors = palette[isDark() ? "dark" : "light"];
  for (const name of ["ink", "muted", "grid", "panel", "page"]) el.style.setProperty(`--${name}`, colors[name]);
  el.style.setProperty("--accent", colors.lines[0]);
  el.style.colorScheme = isDark() ? "dark" : "light";
  return colors;
}

/** Call `changed` when the page turns light or dark; return a function that ends this. */
export function watchTheme(changed) {
  const observer = new MutationObserver(changed);
  observer.observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  const query = matchMedia("(prefers-color-scheme: dark)");
  query.addEventListener("change", changed);
  return () => {
    observer.disconnect();
    query.removeEventListener("change", changed);
  };
}

/** Return the colour of `t` in [0, 1] on a scale of [position, "#rrggbb"] pairs; values outside are clipped. */
export function colorAt(scale, t) {
  const place = Math.min(1, Math.max(0, Number.isFinite(t) ? t : 0.5));
  const next = Math.max(1, scale.findIndex(([position]) => position >= place));
  const [[low, from], [high, to]] = [scale[next - 1], scale[next]];
  const share = (place - low) / (high - low);
  const mix = [1, 3, 5].map((i) => {
    const [a, b] = [parseInt(from.slice(i, i + 2), 16), parseInt(to.slice(i, i + 2), 16)];
    return Math.round(a + share * (b - a));
  });
  return `rgb(${mix.join(",")})`;
}
