// Draw each figure of the page from its data when it comes into view, in the colours of the page's theme.
// Without this script, readers see the picture that the figure contains.
(function () {
  "use strict";
  const styles = getComputedStyle(document.documentElement);
  const colour = (name) => styles.getPropertyValue(name).trim();

  // A colour of a figure on white, as a colour on a dark page: "#rrggbb", "rgb(...)", "rgba(...)" or a name.
  function dark(color) {
    const [, rgb, rest] = /^rgba?\((\d+, ?\d+, ?\d+)(.*)\)$/.exec(color) || [];
    const hex = (numbers) => `#${numbers.map((value) => Number(value).toString(16).padStart(2, "0")).join("")}`;
    const found = DARK_OF[rgb ? hex(rgb.split(",")) : color.toLowerCase()];
    if (!found || !rgb) return found || color;
    const numbers = [1, 3, 5].map((i) => parseInt(found.slice(i, i + 2), 16));
    return `rgba(${numbers.join(",")}${rest || ",1"})`;
  }

  // Data, frames or a layout with all colours as they are on a dark page; numbers and other texts do not change.
  function darkened(value) {
    if (typeof value === "string") return dark(value);
    if (Array.isArray(value)) return typeof value[0] === "number" ? value : value.map(darkened);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, darkened(part)]));
  }

  // The colours that a figure shares with the page.
  function themed(layout) {
    const ink = colour("--pst-color-text-base");
    const rule = colour("--pst-color-border");
    const changed = { ...layout, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)" };
    changed.font = { ...layout.font, color: ink };
    for (const name of Object.keys({ xaxis: 0, yaxis: 0, ...layout })) {
      if (/^[xy]axis\d*$/.test(name)) {
        changed[name] = { gridcolor: rule, zerolinecolor: rule, ...layout[name] };
      }
    }
    return changed;
  }

  function draw(figure) {
    const content = JSON.parse(figure.querySelector("script").textContent);
    let place = figure.querySelector(".js-plotly-plot");
    if (!place) {
      place = document.createElement("div");
      place.setAttribute("role", "img");
      place.setAttribute("aria-label", figure.getAttribute("aria-label"));
      figure.append(place);
    }
    const options = { displaylogo: false };
    const inTheme = document.documentElement.dataset.theme === "dark" ? darkened : (value) => value;
    content.frames = inTheme(content.frames);
    return Plotly.newPlot(place, inTheme(content.data), themed(inTheme(content.layout)), options)
      .then(() => content.frames && Plotly.addFrames(place, content.frames))
      .then(() => fit(figure, place))
      .then(() => figure.classList.add("ready"));
  }

  // Shrink a figure that is wider than the page's text; plotly finds the pointer in a scaled element, too.
  function fit(figure, place) {
    const { width, height } = place._fullLayout;
    const scale = Math.min(1, figure.clientWidth / width);
    Object.assign(place.style, { width: `${width}px`, transformOrigin: "0 0", transform: `scale(${scale})` });
    figure.style.height = `${Math.ceil(height * scale)}px`;
  }

  const figures = [...document.querySelectorAll("figure.drawn")];
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        seen.unobserve(entry.target);
        draw(entry.target);
      }
    }
  }, { rootMargin: "400px" });
  figures.forEach((figure) => seen.observe(figure));
  // The theme is an attribute of the page; figures that are drawn already follow it.
  new MutationObserver(() => figures.filter((f) => f.classList.contains("ready")).forEach(draw))
    .observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
})();
