"""The first notebook, the dashboard and the chat in JupyterLab, used as a learner would, in headless Chromium."""

import os
import shutil
import time

import nbformat

from circpeft import recipes, training
from circpeft.places import clone

from .jupyterlab import TIMEOUT_MS, run_all

# The course promises a minute on an idle machine; a build machine may be busy.
LIMIT = 180 if os.environ.get("CI") else 60

# Whether a node ends where its output ends, and whether all of it can be seen without scrolling to the right.
ROOM = """(node) => [
  node.getBoundingClientRect().right <= node.closest(".jp-OutputArea-output").getBoundingClientRect().right + 1,
  node.scrollWidth <= node.clientWidth,
]"""


def test_the_first_animation_appears_within_a_minute(lab, page, tmp_path):
    folder, address = lab
    shutil.copy(clone() / "notebooks" / "00_start.ipynb", folder)
    animation = '.jp-OutputArea-output img[src^="data:image/gif"]'
    seconds = run_all(page, address("00_start.ipynb"), animation)
    assert page.locator(animation).first.evaluate("image => image.naturalWidth") > 200
    assert seconds < LIMIT, f"{seconds:.0f} s from opening the notebook to its first animation"
    page.locator(".jp-OutputArea-output", has_text="no check failed").first.wait_for(timeout=TIMEOUT_MS)
    page.screenshot(path=os.environ.get("CIRCPEFT_SCREENSHOT", tmp_path / "lab.png"))
    assert page.locator(".jp-OutputArea-output", has_text="Traceback").count() == 0
    print(f"{seconds:.1f} s to the first animation")


def test_the_dashboard_follows_its_controls(lab, page, tmp_path):
    """Two short runs are trained first, so that the dashboard shows real records."""
    folder, address = lab
    few = {"max_train": 16, "max_eval": 16}
    planned = recipes.table("cdvft-1", "smoke", rows=["LoRA", "CDVFT p=768"], output_dir=tmp_path / "runs", **few)
    for recipe in planned:
        training.run(recipe)
    code = f"""
from circpeft import report
from circpeft.course.dashboard import Dashboard
dashboard = Dashboard(report.scan({str(tmp_path / "runs")!r}))
dashboard"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbformat.write(notebook, folder / "dashboard.ipynb")
    run_all(page, address("dashboard.ipynb"), ".jp-OutputArea-output .js-plotly-plot .main-svg")
    page.locator(".widget-html", has_text="2 of 2 runs").first.wait_for(timeout=TIMEOUT_MS)
    title = page.locator(".js-plotly-plot .xtitle").first
    assert "parameters" in title.text_content()
    page.locator(".widget-dropdown", has_text="x axis").locator("select").select_option("seconds")
    page.locator(".js-plotly-plot .xtitle", has_text="seconds").first.wait_for(timeout=TIMEOUT_MS)
    page.locator(".widget-select-multiple", has_text="method").locator("select").select_option("lora")
    page.locator(".widget-html", has_text="1 of 2 runs").first.wait_for(timeout=TIMEOUT_MS)
    assert page.get_by_role("region", name="table").evaluate(ROOM) == [True, True], (
        "the table fits, or scrolls in itself"
    )
    page.screenshot(path=os.environ.get("CIRCPEFT_SCREENSHOT", tmp_path / "dashboard.png"))
    assert page.locator(".jp-OutputArea-output", has_text="Traceback").count() == 0


CHAT = """
from peft import get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
import circpeft
from circpeft import models, tasks
from circpeft.course.chat import Answerer, Chat
folder = models.resolve("small-llama")
config = circpeft.C3AConfig(target_modules="all-linear", init_weights=False, alpha=2000.0, task_type="CAUSAL_LM")
model = get_peft_model(AutoModelForCausalLM.from_pretrained(folder), config)
answerer = Answerer(model, AutoTokenizer.from_pretrained(folder), tasks.get("word_problems"), False, 24)
Chat(answerer, note="At most 24 tokens.")"""


def test_a_typed_question_is_answered_without_and_with_the_adapter(lab, page, tmp_path):
    folder, address = lab
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CHAT)]), folder / "chat.ipynb")
    run_all(page, address("chat.ipynb"), ".jp-OutputArea-output .widget-textarea textarea")
    ask = page.locator(".jp-OutputArea-output button", has_text="Ask")
    ask.click()
    page.locator("[role=status]", has_text="Type a question first.").first.wait_for(timeout=TIMEOUT_MS)
    page.get_by_label("Question").fill("<b id=markup>Mia</b> has 3 apples and buys 4 more. How many?")
    ask.click()
    cells = page.locator(".jp-OutputArea-output tbody td")
    cells.nth(2).wait_for(timeout=TIMEOUT_MS)
    question, before, after = cells.all_text_contents()
    assert question.startswith("<b id=markup>Mia</b> has 3") and before != after
    page.locator("[role=status]", has_text="At most 24 tokens.").first.wait_for(timeout=TIMEOUT_MS)
    assert ask.is_enabled() and page.locator("#markup").count() == 0
    page.screenshot(path=os.environ.get("CIRCPEFT_SCREENSHOT", tmp_path / "chat.png"))
    assert page.locator(".jp-OutputArea-output", has_text="Traceback").count() == 0


PIECE = """
from pathlib import Path
from circpeft.course import pieces
lab = pieces.KernelLab()
lab.observe(lambda change: Path("kernel.txt").write_text(str(change["new"]["kernel"][:3])), "state")
lab"""


def test_an_interactive_piece_tells_the_kernel_what_the_learner_set(lab, page):
    folder, address = lab
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(PIECE)]), folder / "piece.ipynb")
    run_all(page, address("piece.ipynb"), ".circpeft-piece svg")
    status = page.locator(".circpeft-piece [role=status]")
    assert "Rank 15 of 16" in status.text_content()
    page.locator(".circpeft-piece button", has_text="shift").click()
    page.locator(".circpeft-piece [role=status]", has_text="Rank 16 of 16").wait_for(timeout=TIMEOUT_MS)
    for _ in range(600):
        if (folder / "kernel.txt").exists():
            break
        time.sleep(0.1)
    assert (folder / "kernel.txt").read_text() == "[0, 1, 0]"
    assert page.locator(".jp-OutputArea-output", has_text="Traceback").count() == 0
