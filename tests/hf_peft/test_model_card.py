"""The model card of a saved adapter tells how to load it. Other files are unchanged."""

import re

import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from peft import get_peft_model

from circpeft.hf_peft.model_card import complete
from tests import planted


def test_card_tells_how_to_load_and_what_it_is(method, tiny, tmp_path):
    base = tiny.bert()
    base.name_or_path = "someone/base"
    model = get_peft_model(base, method(target_modules=["value"], block_size=4, task_type="SEQ_CLS"))
    for _ in range(2):  # a second save replaces the section
        model.save_pretrained(tmp_path)
    card = ModelCard.load(tmp_path / "README.md")
    assert {"circpeft", "circulant"} <= set(card.data["tags"]) and card.data["library_name"] == "peft"
    assert card.text.count("import circpeft") == 1
    assert f"`KeyError: '{method.name}'`" in card.text and "`circpeft exec`" in card.text
    for line in ("- block size: 4", "- adapted layers: value", "arxiv.org/abs/"):
        assert line in card.text
    assert 'AutoModelForSequenceClassification.from_pretrained("someone/base", num_labels=NUM_LABELS)' in card.text
    assert "### Framework versions" in card.text, "PEFT's own part stays"


def test_the_code_in_the_card_loads_the_adapter(methods, tiny, tmp_path, run_python):
    script = ""
    for method in methods:
        base = tiny.bert()
        base.save_pretrained(tmp_path / "base")
        base.name_or_path = str(tmp_path / "base")
        model = get_peft_model(base, method(target_modules=["value"], task_type="SEQ_CLS"), adapter_name="mine")
        model.save_pretrained(tmp_path / method.name)
        text = (tmp_path / method.name / "README.md").read_text()
        assert "<!-- circpeft mine-->" in text
        code = re.search(r"```python\n(.*?)```", text[text.index("<!-- circpeft mine-->") :], re.DOTALL)[1]
        code = code.replace("THIS_REPOSITORY_OR_FOLDER", str(tmp_path / method.name)).replace("NUM_LABELS", "2")
        script += f"{code}\nprint(model.active_adapters)\ndel model\n"
    assert run_python(script).splitlines() == ["['default']"] * len(methods)


@pytest.mark.parametrize("content", ["# My project\n", "---\nlibrary_name: transformers\n---\n# A model\n"])
def test_any_other_readme_is_unchanged(method, tmp_path, content):
    (tmp_path / "README.md").write_text(content)
    method(target_modules=["value"]).save_pretrained(str(tmp_path))
    method(target_modules=["value"]).save_pretrained(str(tmp_path / "adapter"))
    assert (tmp_path / "README.md").read_text() == content


def test_names_from_others_are_text_in_the_card(method, tiny, tmp_path):
    base, name = tiny.bert(), "x--><script>planted()<\u2215script>\x1b[2J"
    base.name_or_path = f"planted\n```\n---\n{planted.TEXT}"
    model = get_peft_model(base, method(target_modules=["value"], block_size=4, alpha=0.5))
    config = model.peft_config["default"]
    config.target_modules, config.alpha_pattern = {planted.TEXT}, {"<script>planted()</script>": 0.5}
    for _ in range(2):
        complete(_with_card(tmp_path, name), config)
    card = ModelCard.load(tmp_path / "README.md")
    assert card.text.count("import circpeft  #") == 1 and {"circpeft", "circulant"} <= set(card.data["tags"])
    text = card.text.replace(f"<!-- circpeft {name}-->", "")
    code = text[text.index("```python") : text.rindex("```")]
    compile(code.removeprefix("```python\n"), "card", "exec")
    planted.check_terminal(text)
    planted.check_html(MarkdownIt("commonmark", {"html": True}).render(text))


def _with_card(folder, name):
    """Write a card as PEFT does, unless there is one; return the folder of the adapter."""
    if not (folder / "README.md").exists():
        (folder / "README.md").write_text("---\nlibrary_name: peft\n---\n# Card\n")
    (folder / name).mkdir(exist_ok=True)
    return folder / name
