r"""What adapters of C3A and CDVFT lose as a LoRA: relative error and test accuracy for every rank, on the digits.

    .venv/bin/python benchmarks/lora_error.py

Trains both adapters on small-vit (the settings of the cpu profile, seed 0) into runs/lora-error, unless they are there.
Then `peft.save_as_lora` converts each, PEFT loads the LoRA onto a new base model, and its test accuracy is computed.
Writes benchmarks/results/lora_error.json, and the part of docs/merging.md between the markers "lora-error".
"""

import json
import tempfile
from pathlib import Path

import peft
import torch
from page_parts import Part, device_text
from peft import PeftModel
from torch import nn
from transformers import AutoImageProcessor, AutoModelForImageClassification

import circpeft
from circpeft import files, models, recipes, results, tasks, training
from circpeft.training.recording import device_name
from circpeft.training.saving import weights_of

RECORD = results.ROOT / "benchmarks" / "results" / "lora_error.json"
PART = Part("lora-error", "docs/merging.md")
METHODS, RANKS = ("c3a", "cdvft"), (1, 4, 8, 16, 32, 64, 128)
TASK, MODEL = "digits", "small-vit"


def base_model(classes: int) -> nn.Module:
    torch.manual_seed(0)
    folder = models.resolve(MODEL)
    return AutoModelForImageClassification.from_pretrained(folder, num_labels=classes, ignore_mismatched_sizes=True)


@torch.no_grad()
def accuracy(model: nn.Module, pixels: torch.Tensor, labels: torch.Tensor) -> float:
    logits = torch.cat([model.eval()(pixel_values=part).logits for part in pixels.split(64)])
    return float((logits.argmax(-1) == labels).float().mean())


def lora_rows(method: str, folder: Path) -> list[dict]:
    """Return a row for the adapter itself, and one for its LoRA of each rank."""
    settings = recipes.settings_of("cpu", tasks.get(TASK).kind, {"model": MODEL})
    recipe = recipes.Recipe(TASK, method, output_dir=str(folder), **settings)
    result = training.run(recipe)
    test = tasks.load(TASK)[0]["test"]
    processor = AutoImageProcessor.from_pretrained(models.resolve(MODEL))
    pixels = processor([picture.convert("RGB") for picture in test["image"]], return_tensors="pt")["pixel_values"]
    labels, classes = torch.tensor(test["label"]), len(set(test["label"]))
    model = PeftModel.from_pretrained(base_model(classes), weights_of(recipe))
    score = accuracy(model, pixels, labels)
    assert abs(score - result.test_score) < 1e-6, (score, result.test_score)
    rows = [{"method": method, "rank": 0, "error": 0.0, "parameters": result.trainable_parameters, "score": score}]
    for rank in RANKS:
        with tempfile.TemporaryDirectory() as lora:
            peft.save_as_lora(lora, model, rank=rank)
            loaded = PeftModel.from_pretrained(base_model(classes), lora)
        parameters = sum(weight.numel() for name, weight in loaded.named_parameters() if ".lora_" in name)
        error = circpeft.lora_error(model, rank).overall
        score = accuracy(loaded, pixels, labels)
        rows.append({"method": method, "rank": rank, "error": error, "parameters": parameters, "score": score})
    return rows


def part_text(record: dict) -> str:
    """Return the table: a row per rank, with the error, the parameters and the test accuracy of both methods."""
    lines = [
        "| | parameters | error of C3A | accuracy of C3A | error of CDVFT | accuracy of CDVFT |",
        "|---|---|---|---|---|---|",
    ]
    of = {(row["method"], row["rank"]): row for row in record["rows"]}
    for rank in (0, *RANKS):
        c3a, cdvft = (of[method, rank] for method in METHODS)
        same = c3a["parameters"] == cdvft["parameters"]
        count = f"{c3a['parameters']:,}" if same else f"{c3a['parameters']:,}; {cdvft['parameters']:,}"
        cells = [cell for row in (c3a, cdvft) for cell in (f"{row['error']:.3f}", f"{row['score']:.3f}")]
        lines.append(f"| {f'LoRA, rank {rank}' if rank else 'the adapter'} | {count} | {' | '.join(cells)} |")
    versions = record["versions"]
    lines += [
        "",
        f"Digits 5 to 9 on small-vit, seed 0, {record['rows_of_test']} test images; all linear layers, of 128 or "
        f"512 features. {device_text(record['device'])}; torch {versions['torch']}, peft {versions['peft']}. "
        "`benchmarks/lora_error.py` makes the record, `benchmarks/results/lora_error.json`.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    folder = results.ROOT / "runs" / "lora-error"
    rows = [row for method in METHODS for row in lora_rows(method, folder)]
    versions = {"torch": torch.__version__, "peft": peft.__version__}
    count = len(tasks.load(TASK)[0]["test"])
    record = {"rows": rows, "rows_of_test": count, "device": device_name(), "versions": versions}
    files.write_atomically(RECORD, json.dumps(record | {"code": results.code_version()}, indent=1) + "\n")
    PART.write(part_text(record))
    print(part_text(record))


if __name__ == "__main__":
    main()
