"""The section of a model card that others need to use a saved adapter: what to import, what it is, what to cite."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from ..escaping import html, json_text, markdown, one_line

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


# What a named scale means for the learning rate, by method and name.
RATES = {
    ("CIRCONV", "lora"): "train it further with learning rates of LoRA, such as 1e-3",
    ("CIRCONV", "paper"): "the scale of PEFT's C3A; train it further with learning rates that are "
    "d_in / sqrt(min(d_in, d_out) / b) times those of LoRA, such as 0.3",
    ("CDVFT", "lora"): "train it further with learning rates of LoRA, such as 1e-3",
    (
        "CDVFT",
        "paper",
    ): "the scale of the paper; train it further with learning rates of LoRA, divided by sqrt(min(d_in, d_out) / b)",
}


def _formulas(config: Any) -> dict[str, str]:
    """Return ``ΔW`` with the named scales, and with a number."""
    if config.method == "CIRCONV":
        return {"lora": "C(w) / sqrt(min(d_in, d_out) / b)", "paper": "C(w) / d_in", "": "(alpha / d_in) * C(w)"}
    product = " ".join(f"{'AC'[k % 2 == 0]}{k}" for k in range(config.num_factors, 0, -1))
    return {"lora": f"{product} / sqrt(ceil(min(d_in, d_out) / b))", "paper": product, "": f"alpha * {product}"}


def scale(config: Any) -> str:
    """Return the scale of ``ΔW`` in a config as text: alpha, the formula, and the learning rates that suit it.

    >>> from circpeft import CDVFTConfig
    >>> scale(CDVFTConfig(alpha=0.5))
    'alpha=0.5, `ΔW = alpha * A3 C2 A1`; its learning rate is that of alpha=1 divided by alpha'
    """
    alpha = config.alpha
    name = "paper" if alpha == 1 else alpha if isinstance(alpha, str) else ""
    rate = RATES.get((config.method, name), "its learning rate is that of alpha=1 divided by alpha")
    text = f"alpha={alpha!r}, `ΔW = {_formulas(config)[name]}`; {rate}"
    others = ", ".join(f"{markdown(layer)}: {value!r}" for layer, value in config.alpha_pattern.items())
    return text + (f"; other alphas by layer: {others}" if others else "")


def section(config: Any, adapter: str = "") -> str:
    """Return the section on an adapter, between its markers. ``adapter`` is its subfolder, if it has one."""
    name, title, arxiv = PAPERS[config.method]
    targets = config.target_modules
    targets = ", ".join(sorted(targets)) if isinstance(targets, (set, list, tuple)) else targets
    auto = AUTO_CLASSES.get(config.task_type, "AutoModel")
    # The number of labels belongs to the task, not to the base model, so it has to be given when the model is loaded.
    labels = ", num_labels=NUM_LABELS" if config.task_type in ("SEQ_CLS", "TOKEN_CLS") else ""
    where = f", subfolder={json_text(adapter)}" if adapter else ""
    base = json_text(one_line(config.base_model_name_or_path or "BASE_MODEL"))
    return "\n".join(
        [
            f"<!-- circpeft {html(adapter)}-->",
            f"## {name} adapter{f' in {markdown(adapter)}' if adapter else ''}",
            "",
            "Made with circpeft, which adds the method to PEFT. Import circpeft before you load the adapter; without "
            f"it, PEFT raises `KeyError: '{config.method}'`. For a program that you do not want to change, put "
            "`circpeft exec` before its command.",
            "",
            f"- method: {name} ([{title}](https://arxiv.org/abs/{arxiv}))",
            f"- block size: {config.block_size}",
            f"- scale: {scale(config)}",
            f"- adapted layers: {markdown(targets)}",
            "",
            "```python",
            "import circpeft  # registers the method with PEFT",
            "from peft import PeftModel",
            f"from transformers import {auto}",
            "",
            f"base = {auto}.from_pretrained({base}{labels})",
            f'model = PeftModel.from_pretrained(base, "THIS_REPOSITORY_OR_FOLDER"{where})',
            "```",
            f"<!-- /circpeft {html(adapter)}-->",
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
    name = re.escape(html(adapter))
    earlier = re.compile(rf"\n*<!-- circpeft {name}-->\n.*?<!-- /circpeft {name}-->\n?", re.DOTALL)
    card.text = f"{earlier.sub('', card.text).rstrip()}\n\n{section(config, adapter)}\n"
    card.save(file)
