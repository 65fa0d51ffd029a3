"""The section of a model card that others need to use a saved adapter: what to import, what it is, what to cite."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

TAGS = ("circpeft", "circulant")
WRITTEN_BY_PEFT = re.compile(r"^library_name: peft$", re.MULTILINE)

AUTO_CLASSES = {
    "SEQ_CLS": "AutoModelForSequenceClassification",
    "SEQ_2_SEQ_LM": "AutoModelForSeq2SeqLM",
    "CAUSAL_LM": "AutoModelForCausalLM",
    "TOKEN_CLS": "AutoModelForTokenClassification",
    "QUESTION_ANS": "AutoModelForQuestionAnswering",
}
PAPERS = {
    "CIRCONV": ("C3A", "Parameter-Efficient Fine-Tuning via Circular Convolution", "2407.19342"),
    "CDVFT": ("CDVFT", "Parameter-Efficient Fine-Tuning with Circulant and Diagonal Vectors", "2505.00580"),
}


def section(config: Any, adapter: str = "") -> str:
    """Return the section on an adapter, between its markers. ``adapter`` is its subfolder, if it has one."""
    name, title, arxiv = PAPERS[config.method]
    targets = config.target_modules
    targets = ", ".join(sorted(targets)) if isinstance(targets, (set, list, tuple)) else targets
    auto = AUTO_CLASSES.get(config.task_type, "AutoModel")
    # The number of labels belongs to the task, not to the base model, so it has to be given when the model is loaded.
    labels = ", num_labels=NUM_LABELS" if config.task_type in ("SEQ_CLS", "TOKEN_CLS") else ""
    where = f', subfolder="{adapter}"' if adapter else ""
    return "\n".join(
        [
            f"<!-- circpeft {adapter}-->",
            f"## {name} adapter{f' in {adapter}' if adapter else ''}",
            "",
            "Made with circpeft, which adds the method to PEFT. Import circpeft before you load the adapter; without "
            f"it, PEFT raises `KeyError: '{config.method}'`. For a program that you do not want to change, put "
            "`circpeft exec` before its command.",
            "",
            f"- method: {name} ([{title}](https://arxiv.org/abs/{arxiv}))",
            f"- block size: {config.block_size}",
            f"- alpha: {config.alpha}",
            f"- adapted layers: {targets}",
            "",
            "```python",
            "import circpeft  # registers the method with PEFT",
            "from peft import PeftModel",
            f"from transformers import {auto}",
            "",
            f'base = {auto}.from_pretrained("{config.base_model_name_or_path or "BASE_MODEL"}"{labels})',
            f'model = PeftModel.from_pretrained(base, "THIS_REPOSITORY_OR_FOLDER"{where})',
            "```",
            f"<!-- /circpeft {adapter}-->",
        ]
    )


def complete(folder: Path, config: Any) -> None:
    """Add the section and the tags to the model card that PEFT wrote.

    The card is in the folder itself, or in the one above for an adapter with a name. A section of an earlier save is
    replaced. Any other README.md is left unchanged.
    """
    files = {"": folder / "README.md", folder.name: folder.parent / "README.md"}
    cards = [(name, file) for name, file in files.items() if file.is_file()]
    cards = [(name, file) for name, file in cards if WRITTEN_BY_PEFT.search(file.read_text(encoding="utf-8"))]
    if not cards:
        return
    adapter, file = cards[0]
    card = ModelCard.load(file)
    card.data["tags"] = sorted({*(card.data.get("tags") or []), *TAGS, PAPERS[config.method][0].lower()})
    name = re.escape(adapter)
    earlier = re.compile(rf"\n*<!-- circpeft {name}-->\n.*?<!-- /circpeft {name}-->\n?", re.DOTALL)
    card.text = f"{earlier.sub('', card.text).rstrip()}\n\n{section(config, adapter)}\n"
    card.save(file)
