"""How the tests use JupyterLab: open a notebook, run it, type into its cells, use its controls, and read its state."""

import re
import time

TIMEOUT_MS = 180_000  # for anything to appear

# What the notebook's model holds: its cells with the kinds of their outputs. Each cell's node gets its id as data-cell.
STATE = """() => {
  const panel = window.jupyterapp?.shell.currentWidget, notebook = panel?.content;
  if (!notebook?.model) return null;
  for (const widget of notebook.widgets) widget.node.dataset.cell = widget.model.id;
  const outputs = (cell) => Array.from({ length: cell.outputs.length }, (_, k) => cell.outputs.get(k));
  const described = (output) => ({ type: output.type, kinds: Object.keys(output.data),
    error: output.type === "error" ? JSON.stringify(output.data).slice(0, 2000) : "" });
  const cells = Array.from(notebook.model.cells).filter((cell) => cell.type === "code");
  return {
    idle: panel.sessionContext.session?.kernel?.status === "idle",
    cells: cells.map((cell) => ({ id: cell.id, source: cell.sharedModel.getSource(), ran: cell.executionCount !== null,
      outputs: outputs(cell).map(described) })),
  };
}"""
STARTED = "() => Array.from(window.jupyterapp.shell.currentWidget.content.model.cells).some((c) => c.executionCount)"
# Accept a dialog, such as the choice of a kernel. Without one, is the kernel ready?
READY = """() => {
  const accept = document.querySelector(".jp-Dialog button.jp-mod-accept");
  accept?.click();
  return !accept && window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === "idle";
}"""
# The pictures of an output, as text.
SHOWN = """(node) => [...node.querySelectorAll(".piece-pictures > *, .js-plotly-plot .cartesianlayer, table")]
  .flatMap((one) => [one, ...one.querySelectorAll("canvas")])
  .map((one) => one.tagName === "CANVAS" ? one.toDataURL() : one.outerHTML).join("")"""
# Watch the pictures of an output. After a key, a press or a choice, window.followed is the time until they differ.
WATCH = """(node) => {
  const shown = () => (SHOWN)(node);
  const before = shown();
  let start = null;
  window.followed = null;
  for (const kind of ["keydown", "pointerdown"])
    node.addEventListener(kind, () => { start = performance.now(); }, true);
  node.addEventListener("change", () => { start ??= performance.now(); }, true);  // a menu that a script opened
  const look = () => {
    if (start !== null && shown() !== before) window.followed = performance.now() - start;
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}""".replace("SHOWN", SHOWN)


def run_all(page, address: str, wanted: str) -> float:
    """Open a notebook, run all cells, wait for the selector `wanted`, and return the seconds until it appears."""
    return _run_until(page, address, lambda timeout: page.locator(wanted).first.wait_for(timeout=timeout))


def _wait_for_kernel(page) -> None:
    """Wait until the notebook has an idle kernel. A dialog that the page shows meanwhile is accepted."""
    for _ in range(TIMEOUT_MS // 200):
        if page.evaluate(READY):
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"after {TIMEOUT_MS // 1000} s, the notebook has no idle kernel")


def _run_until(page, address: str, wait) -> float:
    """Do the same with a function that waits, for so many milliseconds, and raises a TimeoutError after them."""
    from playwright.sync_api import TimeoutError

    started = time.monotonic()
    page.goto(address)
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=TIMEOUT_MS)
    _wait_for_kernel(page)
    for timeout in (15_000, 15_000, 30_000, TIMEOUT_MS):
        # If a dialog appeared in between, Run All Cells may have done nothing, so try again.
        try:  # a dialog that appears between the two clicks closes the menu
            page.locator(".lm-MenuBar-itemLabel", has_text=re.compile("^Run$")).click(timeout=10_000)
            page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Run All Cells$")).click(timeout=10_000)
            wait(timeout)
            break
        except TimeoutError:
            continue
    wait(1_000)
    return time.monotonic() - started


def errors(page) -> list[str]:
    """Return the outputs of cells that are errors."""
    return [output["error"] for cell in page.evaluate(STATE)["cells"] for output in cell["outputs"] if output["error"]]


def run_to_the_end(page, address: str, limit: float) -> list[dict]:
    """Open a notebook, run all cells, and return its code cells after the last has run; `limit` is in seconds."""
    _run_until(page, address, lambda timeout: page.wait_for_function(STARTED, timeout=timeout))
    end = time.monotonic() + limit
    while time.monotonic() < end:
        state = page.evaluate(STATE)
        assert errors(page) == []
        waiting = [cell["source"] for cell in state["cells"] if cell["source"].strip() and not cell["ran"]]
        if state["idle"] and not waiting:
            return state["cells"]
        page.wait_for_timeout(500)
    raise AssertionError(f"after {limit:.0f} s, {len(waiting)} cells have not run; the first is:\n{waiting[:1]}")


def shown_cell(page, id: str):
    """Return the locator of a cell that is scrolled into view."""
    cell = page.locator(f'[data-cell="{id}"]')
    cell.scroll_into_view_if_needed(timeout=TIMEOUT_MS)
    return cell


def run_as(page, id: str, code: str) -> None:
    """Type code in place of a cell's, and run it with Shift and Enter, as a learner would."""
    shown_cell(page, id).locator(".cm-content").first.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(code)
    page.keyboard.press("Shift+Enter")


def _follows(page, seconds: float) -> float | None:
    """Return the milliseconds from the use of a control to another picture, or None if it stays the same."""
    from playwright.sync_api import TimeoutError

    try:
        page.wait_for_function("() => window.followed !== null", timeout=1000 * seconds)
    except TimeoutError:
        return None
    return page.evaluate("window.followed")


def _drawn(page, output) -> None:
    """Wait until an output has pictures and they no longer change."""
    before = ""
    for _ in range(TIMEOUT_MS // 500):
        shown = output.evaluate(SHOWN)
        if shown and shown == before:
            return
        before = shown
        page.wait_for_timeout(500)
    raise AssertionError("an output with controls has no picture, or one that always changes")


def use_a_control(page, output) -> tuple[str, float] | None:
    """Use the first control of an output that changes its pictures. Return the control and the milliseconds.

    Sliders come first, then a question for a model, choices, menus, and buttons. None if nothing changes the pictures.
    """
    _drawn(page, output)
    output.evaluate(WATCH)
    if (slider := output.locator("input[type=range]:visible").first).count():
        width, height = (slider.bounding_box()[side] for side in ("width", "height"))
        for share in (0.75, 0.25):  # the second, if the slider was there
            slider.click(position={"x": share * width, "y": height / 2})
            if (milliseconds := _follows(page, 20)) is not None:
                return f"slider, at {share:.0%}", milliseconds
        return None
    if (slider := output.locator(".noUi-handle:visible").first).count():
        slider.focus()
        for key in ("ArrowRight", "ArrowLeft"):  # the second, if the slider is at its end
            page.keyboard.press(key)
            if (milliseconds := _follows(page, 20)) is not None:
                return f"slider, {key}", milliseconds
        return None
    if (question := output.locator("textarea:visible").first).count():
        question.fill("Mia has 3 apples and buys 4 more. How many?")
        output.locator("button", has_text="Ask").click()
        milliseconds = _follows(page, 180)
        return None if milliseconds is None else ("question", milliseconds)
    for choice in output.locator("input[type=radio]:not(:checked):visible").all():
        choice.click()
        if (milliseconds := _follows(page, 20)) is not None:
            return "choice", milliseconds
    for menu in output.locator("select:visible").all():
        last = menu.locator("option").count() - 1
        if last < 1:
            continue  # it has nothing else to choose
        menu.select_option(index=0 if menu.evaluate("menu => menu.selectedIndex") == last else last)
        if (milliseconds := _follows(page, 30)) is not None:
            return f"menu with {last + 1} choices", milliseconds
    for button in output.locator("button:enabled:visible").all()[:6]:
        button.click()
        if (milliseconds := _follows(page, 5)) is not None:
            return f"button {button.text_content()}", milliseconds
    return None
