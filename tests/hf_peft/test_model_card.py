"""The model card of a saved adapter tells how to load it. Other files are unchanged."""

import re

import pytest
from huggingface_hub import ModelCard
from peft import get_peft_model


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
