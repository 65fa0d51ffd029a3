"""A live figure is complete in its first message, and the browser draws its newest value."""

import json

import comm
import plotly.graph_objects as go
import pytest

from circpeft.course.live_figure import LiveFigure
from circpeft.course.pieces import bundle
from tests.course.javascript import evaluate
from tests.course.live_figures import shown

LINE = go.Figure(go.Scatter(x=[1, 2], y=[3, 4], name="a"), layout={"title": {"text": "one"}})


def test_the_first_message_holds_the_data_and_a_small_script(monkeypatch):
    """anywidget drops every later message of a widget whose script is not ready within two seconds."""
    opened, create = [], comm.create_comm
    monkeypatch.setattr(comm, "create_comm", lambda **options: opened.append(options) or create(**options))
    LiveFigure(LINE)
    state = next(each["data"]["state"] for each in opened if "content" in each["data"]["state"])
    assert state["content"]["data"][0]["y"] == [3, 4] and state["content"]["layout"]["title"]["text"] == "one"
    assert state["_esm"] == bundle.module("live_figure") and len(state["_esm"]) < 10_000 < len(state["_plotly"])


def test_values_and_title_change_and_the_rest_stays():
    live = LiveFigure(LINE)
    live.change([{"y": [5, 6]}], "two", "Two points")
    figure = shown(live)
    assert list(figure.data[0].y) == [5, 6] and figure.data[0].name == "a" and figure.layout.title.text == "two"
    assert live.content["alt"] == "Two points"
    with pytest.raises(ValueError, match="argument 2 is longer"):
        live.change([{}, {}], "three", "")


def test_the_browser_skips_figures_that_come_while_it_draws():
    drawn = evaluate(
        "live_figure",
        """await (async () => {
          const drawn = [], value = { now: 0 };
          const redraw = redrawing(() => value.now, async (figure) => { await null; await null; drawn.push(figure); });
          const all = [0, 1, 2, 3].map((figure) => { value.now = figure; return redraw(); });
          await Promise.all(all);
          value.now = 4;
          await redraw();
          return drawn;
        })()""",
    )
    assert drawn == [0, 3, 4]


def test_a_figure_that_cannot_be_drawn_does_not_stop_the_next():
    drawn = evaluate(
        "live_figure",
        """await (async () => {
          const drawn = [], value = { now: "bad" };
          const redraw = redrawing(() => value.now, async (figure) => {
            if (figure === "bad") throw new Error(figure);
            drawn.push(figure);
          });
          await redraw().catch((error) => drawn.push(error.message));
          value.now = "good";
          await redraw();
          return drawn;
        })()""",
    )
    assert drawn == ["bad", "good"]


def test_the_alternative_text_comes_with_each_figure():
    live = LiveFigure(LINE)
    assert live.content["alt"] == "Figure: one"
    live.draw(go.Figure(layout={"title": {"text": "ΔW &lt; <b>1</b>"}}))
    assert live.content["alt"] == "Figure: ΔW < 1".replace("< ", "<  ")
    live.draw(go.Figure(layout={"meta": {"alt": "A line"}, "title": {"text": "t"}}))
    assert live.content["alt"] == "A line"
    live.draw(LINE, "A rising line")
    assert live.content["alt"] == "A rising line"


def test_the_browser_names_the_figure_by_its_newest_text():
    contents = json.dumps([{"data": [], "layout": {}, "alt": text} for text in ("a line", "another line")])
    named = evaluate(
        "live_figure",
        f"""await (async () => {{
          const contents = {contents}, heard = {{}}, named = [];
          const script = "module.exports = {{ react() {{}} }};";
          const get = (name) => (name === "_plotly" ? script : contents[0]);
          const model = {{ get, on: (event, f) => (heard[event] = f) }};
          const el = {{ setAttribute: (name, value) => name === "aria-label" && named.push(value) }};
          await render({{ model, el }});
          contents.shift();
          await heard["change:content"]();
          return named;
        }})()""",
    )
    assert named == ["a line", "another line"]


def test_plotly_is_read_once_for_all_figures_of_a_page():
    script = "globalThis.reads = (globalThis.reads ?? 0) + 1; module.exports = { react() {} };"
    text = json.dumps(script)
    expression = f"[plotly({text}) === plotly({text}), globalThis.reads]"
    assert evaluate("live_figure", expression) == [True, 1]
