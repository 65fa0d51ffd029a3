/** The script of LiveFigure: draws the figure, and draws it again when Python replaces it. */

/** Return Plotly from the text of its script. All figures of a page share it. */
export function plotly(source) {
  const known = (globalThis.circpeftPlotly ??= new Map());
  if (!known.has(source)) {
    const module = { exports: {} };  // otherwise the script would put itself where other scripts look for modules
    new Function("module", source)(module);
    known.set(source, module.exports);
  }
  return known.get(source);
}

/** Return a function that draws the newest value, one drawing at a time: values that come meanwhile are skipped. */
export function redrawing(newest, draw) {
  let drawing = null, stale = false;
  const drawAll = async () => {
    try {
      while (stale) {
        stale = false;
        await draw(newest());
      }
    } finally {
      drawing = null;
    }
  };
  return () => {
    stale = true;
    drawing ??= drawAll();
    return drawing;
  };
}

export async function render({ model, el }) {
  const Plotly = plotly(model.get("_plotly"));
  const redraw = redrawing(() => model.get("content"), async (content) => {
    const { data, layout, alt } = structuredClone(content);  // Plotly writes into what it draws
    // With the same uirevision, what the reader zoomed or hid stays as it is.
    await Plotly.react(el, data, { uirevision: "same", ...layout }, { displaylogo: false });
    el.setAttribute("role", "figure");
    el.setAttribute("aria-label", alt);
  });
  model.on("change:content", redraw);
  await redraw();
  return () => { model.off("change:content", redraw); Plotly.purge(el); };
}
