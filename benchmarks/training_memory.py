r"""Peak memory and tokens per second of training, every method of the papers' tables, on models of their sizes.

    .venv/bin/python benchmarks/training_memory.py --device cuda
    .venv/bin/python benchmarks/training_memory.py --device cuda --backends fold,dft,triton     # ours, in other ways
    .venv/bin/python benchmarks/training_memory.py --models roberta-base --layers 2 --batch 4 --tokens 32     # a trial

The models have random weights: nothing is downloaded, and no score is measured. RoBERTa-base trains on 64 x 256 tokens,
beside the memory column of C3A Table 2; ViT-base on 64 images; LLaMA2-7B in bfloat16 on 2 x 1,024 tokens. Rows are
added to benchmarks/results/training_memory_DEVICE.json and .md as they come; one that is there is not measured again.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import torch
from memory_column import printed_gb
from torch import nn
from tqdm import tqdm
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
)

from circpeft import costs, files, memory, methods, recipes, results, use_backend
from circpeft.ops.dispatch import choices
from circpeft.training import device_name
from circpeft.training.logging_filters import quiet

RECORDS = results.ROOT / "benchmarks" / "results"
# Model -> tables whose rows are tried, transformers class, batch, tokens, number format.
MODELS = {
    "roberta-base": (("c3a-2", "cdvft-1"), AutoModelForSequenceClassification, 64, 256, torch.float32),
    "vit-base": (("c3a-4", "cdvft-2"), AutoModelForImageClassification, 64, 197, torch.float32),
    "llama2-7b": (("c3a-3", "cdvft-3"), AutoModelForCausalLM, 2, 1024, torch.bfloat16),
}
WARM = 2
LIBRARIES = ("torch", "transformers", "peft")


def rows_of(model: str) -> list[recipes.CellRecipe]:
    """The rows of a model's tables, one cell each, rows that are the same run once; then the methods without a row."""
    hub, hidden = recipes.tables.MODELS[model]
    cells = [cell for name in MODELS[model][0] for cell in recipes.table(name) if cell.model == hub]
    rows = list({(cell.label, cell.target_modules): cell for cell in reversed(cells)}.values())[::-1]
    theirs = [replace(cell, method="c3a-peft", table="", row="PEFT's C3A") for cell in rows if cell.method == "c3a"]
    known = {cell.method for cell in [*rows, *theirs]}
    others = [name for name in methods.METHODS if name not in known]
    return [*rows, *theirs, *(replace(rows[0], method=m, hyperparameters={}, table="", row=m) for m in others)]


def built(model: str, layers: int, device: torch.device) -> nn.Module:
    """A model of the published size, or with fewer layers, its weights random."""
    _, auto, _, _, dtype = MODELS[model]
    kind, fields = costs.models.MODELS[model]
    config = AutoConfig.for_model(kind, **fields | ({"num_hidden_layers": layers} if layers else {}))
    with torch.device(device):
        return auto.from_config(config, dtype=dtype)


def inputs_of(model: str, batch: int, tokens: int, device: torch.device) -> dict[str, torch.Tensor]:
    """One batch of random inputs."""
    labels = torch.zeros(batch, dtype=torch.long, device=device)
    if model == "vit-base":
        return {"pixel_values": torch.randn(batch, 3, 224, 224, device=device), "labels": labels}
    ids = torch.randint(5, 1000, (batch, tokens), device=device)
    return {"input_ids": ids, "labels": ids if model == "llama2-7b" else labels}


def measured(row: dict, cell: recipes.CellRecipe, sizes: argparse.Namespace, device: torch.device) -> dict:
    """Train some steps; peak memory of all of it, and the speed of the steps behind the first ones.

    Where that cannot be (too little memory, or BOFT's factors where PEFT cannot make them), the reason in its place.
    """
    torch.manual_seed(0)
    memory.reset_peak()
    model, batch, tokens = row["model"], row["batch"], row["tokens"]
    try:
        made = methods.apply(
            built(model, sizes.layers, device), cell.method, target_modules=cell.target_modules or None, **cell.options
        ).train()
        trained = [p for p in made.parameters() if p.requires_grad]
        with use_backend(row["backend"]):
            seconds = seconds_of(made, trained, inputs_of(model, batch, tokens, device), sizes.steps, device)
    except (ValueError, RuntimeError) as error:
        return row | {"error": str(error).splitlines()[0]}
    count = batch * (197 if model == "vit-base" else tokens)
    row |= {"tokens_per_second": round(count * sizes.steps / seconds, 1), "peak_bytes": memory.peak_bytes()}
    return row | {"trainable_parameters": sum(p.numel() for p in trained)}


def seconds_of(model: nn.Module, trained: list, inputs: dict, steps: int, device: torch.device) -> float:
    """Seconds of so many training steps, after `WARM` that do not count."""
    optimizer = torch.optim.AdamW(trained, lr=1e-5)
    for step in range(WARM + steps):
        if step == WARM:
            synchronize(device)
            started = time.perf_counter()
        model(**inputs).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    synchronize(device)
    return time.perf_counter() - started


def synchronize(device: torch.device) -> None:
    """Wait for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def printed_memory(cell: recipes.CellRecipe, sizes: argparse.Namespace) -> str:
    """What C3A Table 2 prints for a row, where the measurement is at its sizes."""
    if cell.table != "c3a-2" or sizes.batch or sizes.tokens or sizes.layers:
        return ""
    return printed_gb(cell.row)


def whole_size(row: dict) -> bool:
    """Whether a row was measured at the sizes of `MODELS`, and not as a trial."""
    return not row["layers"] and (row["batch"], row["tokens"]) == MODELS[row["model"]][2:4]


def written(rows: list[dict]) -> str:
    """The rows of whole size as a table a model, for reading."""
    rows = [row for row in rows if whole_size(row)]
    where = {(row["device"], *(f"{name} {row['versions'][name]}" for name in LIBRARIES)) for row in rows}
    lines = [
        "# Memory and speed of training, every method",
        "",
        f"{' and '.join(', '.join(one) for one in sorted(where))}. Random weights, AdamW, no dropout of the adapters' "
        "own, torch's fused attention. GB are 10⁹ bytes, the peak of what torch has allocated; tokens a second after "
        "two steps. C3A and CDVFT also in other ways than `auto` took when this was measured (transforms): `fold` adds "
        "ΔW of C3A to the weight (CDVFT has no such way: its rows repeat `auto`), `dft` multiplies by DFT matrices, "
        "`triton` is one kernel.",
    ]
    for model in dict.fromkeys(row["model"] for row in rows):
        _, _, batch, tokens, dtype = MODELS[model]
        size = f"{batch} images" if model == "vit-base" else f"{batch} x {tokens} tokens"
        lines += ["", f"## {model}, {size}, {str(dtype).removeprefix('torch.')}", ""]
        lines += ["| method | adapted layers | way | trainable parameters | GB | tokens a second |", "|---" * 6 + "|"]
        for row in (row for row in rows if row["model"] == model):
            method, targets = row["label"].split(":")[0], row["target_modules"]
            targets = f"`{targets}`".replace("|", "&#124;") if isinstance(targets, str) else ", ".join(targets)
            layers = "" if method in ("full", "head", "bitfit") else targets
            way = row["backend"] if method in ("c3a", "cdvft") else ""
            if "error" in row:
                told = f" | | {row['error']}"
            else:
                peak, speed = row["peak_bytes"] / 1e9, row["tokens_per_second"]
                told = f"{row['trainable_parameters']:,} | {peak:.2f} | {speed:,.0f}"
            lines.append(f"| {row['label']} | {layers} | {way} | {told} |")
    return "\n".join([*lines, ""])


def plan(sizes: argparse.Namespace) -> list[tuple[dict, recipes.CellRecipe]]:
    """What is asked for: how a row of the record begins, and its cell. Ways to compute are those of our methods."""
    found = []
    for backend in sizes.backends.split(","):
        for model in sizes.models.split(","):
            for cell in rows_of(model):
                if sizes.methods and cell.method not in sizes.methods.split(","):
                    continue
                if backend != "auto" and cell.method not in (("c3a",) if backend == "fold" else ("c3a", "cdvft")):
                    continue
                row = {"model": model, "row": cell.row, "table": cell.table, "label": cell.label}
                row |= {"target_modules": cell.target_modules, "backend": backend, "layers": sizes.layers}
                row |= {"batch": sizes.batch or MODELS[model][2], "tokens": sizes.tokens or MODELS[model][3]}
                row |= {"steps": sizes.steps, "printed_gb": printed_memory(cell, sizes)}
                found.append((row, cell))
    return found


def main(argv: list[str] | None = None, folder: Path | None = None) -> Path:
    """Measure what is asked for; returns the record's path. A trial's, at other sizes, lies under runs/."""
    parser = argparse.ArgumentParser(description="Peak memory and speed of training with every method.")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--methods", default="", help="only these, with commas between them")
    parser.add_argument("--backends", default="auto", help=f"ways that ours are computed, of {', '.join(choices())}")
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=0)
    parser.add_argument("--layers", type=int, default=0, help="fewer layers than the model has")
    parser.add_argument("--steps", type=int, default=5)
    sizes = parser.parse_args(argv)
    if sizes.device == "cpu" and torch.cuda.is_available():
        parser.error("memory is that of the GPU where there is one; to measure the CPU, set CUDA_VISIBLE_DEVICES=")
    quiet()
    trial = sizes.batch or sizes.tokens or sizes.layers
    folder = folder or (results.default_folder("training_memory") if trial else RECORDS)
    device, path = torch.device(sizes.device), folder / f"training_memory_{sizes.device}.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    key = ("model", "label", "target_modules", "backend", "batch", "tokens", "layers")

    def same(one: dict, other: dict) -> bool:
        return json.dumps([one[name] for name in key]) == json.dumps([other[name] for name in key])

    for row, cell in tqdm(plan(sizes), desc="training memory"):
        if any(same(row, known) and "error" not in known for known in rows):
            continue
        # What has failed is tried again: there may be more memory, or another library.
        rows = [known for known in rows if not same(row, known)]
        rows.append(measured(row, cell, sizes, device) | results.environment(device_name()))
        told = f"{rows[-1].get('peak_bytes', 0) / 1e9:.2f} GB, {rows[-1].get('tokens_per_second', 0):,.0f} tokens/s"
        tqdm.write(f"{row['model']} | {row['row']} | {row['backend']} | {rows[-1].get('error', told)}")
        files.write_atomically(path, json.dumps({"rows": rows}, indent=1) + "\n")
        if not trial:
            files.write_atomically(path.with_suffix(".md"), written(rows))
    return path


if __name__ == "__main__":
    main()
