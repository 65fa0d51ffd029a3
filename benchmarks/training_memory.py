r"""Measure peak memory and tokens per second of training with every method, on models of the papers' sizes.

    .venv/bin/python benchmarks/training_memory.py --device cuda
    .venv/bin/python benchmarks/training_memory.py --device cuda --backends fold,leaf     # ours, with other backends
    .venv/bin/python benchmarks/training_memory.py --models roberta-base --layers 2 --batch 4 --tokens 32     # a trial

The models have random weights: nothing is downloaded, and no score is measured. RoBERTa-base trains on 64 x 256 tokens
as in the memory column of C3A Table 2, ViT-base on 64 images, LLaMA2-7B in bfloat16 on 2 x 1,024 tokens. Each row is
added to benchmarks/results/training_memory_DEVICE.json and .md when it is measured; known rows are not measured again.
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
# Model -> (tables whose rows are measured, transformers class, batch, tokens, dtype).
MODELS = {
    "roberta-base": (("c3a-2", "cdvft-1"), AutoModelForSequenceClassification, 64, 256, torch.float32),
    "vit-base": (("c3a-4", "cdvft-2"), AutoModelForImageClassification, 64, 197, torch.float32),
    "llama2-7b": (("c3a-3", "cdvft-3"), AutoModelForCausalLM, 2, 1024, torch.bfloat16),
}
WARM_UP_STEPS = 2
LIBRARIES = ("torch", "transformers", "peft")
# What other backends than "auto" do. Records have rows of removed ones.
BACKENDS = {
    "fold": "`fold` adds ΔW of C3A to the weight",
    "leaf": "`leaf` multiplies small real transforms by dense matrices",
    "dft": "`dft`, now removed, multiplied by DFT matrices",
    "triton": "`triton`, now removed, was one fused kernel",
}


def rows_of(model: str) -> list[recipes.CellRecipe]:
    """Return one cell per row of a model's tables, equal runs once; then PEFT's C3A and the methods without a row."""
    hub, hidden = recipes.tables.MODELS[model]
    cells = [_without_dropout(c) for name in MODELS[model][0] for c in recipes.table(name, seeds=1) if c.model == hub]
    rows = list({(cell.label, cell.target_modules): cell for cell in reversed(cells)}.values())[::-1]
    peft_c3a = [replace(cell, method="c3a-peft", table="", row="PEFT's C3A") for cell in rows if cell.method == "c3a"]
    known = {cell.method for cell in [*rows, *peft_c3a]}
    others = [name for name in methods.METHODS if name not in known]
    return [*rows, *peft_c3a, *(replace(rows[0], method=m, hyperparameters={}, table="", row=m) for m in others)]


def _without_dropout(cell: recipes.CellRecipe) -> recipes.CellRecipe:
    """Return a cell without the dropout of its adapter, and without alpha, which costs nothing."""
    kept = {name: value for name, value in cell.hyperparameters.items() if name not in ("dropout", "alpha")}
    return replace(cell, hyperparameters=kept)


def random_model(model: str, layers: int, device: torch.device) -> nn.Module:
    """Return a model of the published size, or with fewer layers, with random weights."""
    _, auto, _, _, dtype = MODELS[model]
    kind, fields = costs.models.MODELS[model]
    config = AutoConfig.for_model(kind, **fields | ({"num_hidden_layers": layers} if layers else {}))
    with torch.device(device):
        return auto.from_config(config, dtype=dtype)


def inputs_of(model: str, batch: int, tokens: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Return one batch of random inputs."""
    labels = torch.zeros(batch, dtype=torch.long, device=device)
    if model == "vit-base":
        return {"pixel_values": torch.randn(batch, 3, 224, 224, device=device), "labels": labels}
    ids = torch.randint(5, 1000, (batch, tokens), device=device)
    return {"input_ids": ids, "labels": ids if model == "llama2-7b" else labels}


def measure(row: dict, cell: recipes.CellRecipe, sizes: argparse.Namespace, device: torch.device) -> dict:
    """Train some steps; return the row with the peak memory, and the speed after the warm-up steps.

    If training fails (too little memory, or BOFT's factors without PEFT's extension), the row has the error instead.
    """
    torch.manual_seed(0)
    memory.reset_peak(device)
    model, batch, tokens = row["model"], row["batch"], row["tokens"]
    try:
        adapted = methods.apply(
            random_model(model, sizes.layers, device),
            cell.method,
            target_modules=cell.target_modules or None,
            **cell.options,
        ).train()
        trained = [p for p in adapted.parameters() if p.requires_grad]
        with use_backend(row["backend"]):
            seconds = seconds_of(adapted, trained, inputs_of(model, batch, tokens, device), sizes.steps, device)
    except (ValueError, RuntimeError) as error:
        return row | {"error": str(error).splitlines()[0]}
    count = batch * (197 if model == "vit-base" else tokens)
    row |= {"tokens_per_second": round(count * sizes.steps / seconds, 1), "peak_bytes": memory.peak_bytes(device)}
    return row | {"trainable_parameters": sum(p.numel() for p in trained)}


def seconds_of(model: nn.Module, trained: list, inputs: dict, steps: int, device: torch.device) -> float:
    """Return the seconds of some training steps, after `WARM_UP_STEPS` that do not count."""
    optimizer = torch.optim.AdamW(trained, lr=1e-5)
    for step in range(WARM_UP_STEPS + steps):
        if step == WARM_UP_STEPS:
            synchronize(device)
            started = time.perf_counter()
        model(**inputs).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    synchronize(device)
    return time.perf_counter() - started


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def printed_memory(cell: recipes.CellRecipe, sizes: argparse.Namespace) -> str:
    """Return the memory that C3A Table 2 prints for a row; "" if the row is measured at other sizes."""
    if cell.table != "c3a-2" or sizes.batch or sizes.tokens or sizes.layers:
        return ""
    return printed_gb(cell.row)


def full_size(row: dict) -> bool:
    """Return whether a row was measured at the sizes of `MODELS`, not in a trial."""
    return not row["layers"] and (row["batch"], row["tokens"]) == MODELS[row["model"]][2:4]


def markdown(rows: list[dict]) -> str:
    """Return one table per model of the rows at full size."""
    rows = [row for row in rows if full_size(row)]
    environments = {(row["device"], *(f"{name} {row['versions'][name]}" for name in LIBRARIES)) for row in rows}
    others = "; ".join(words for name, words in BACKENDS.items() if name in {row["backend"] for row in rows})
    lines = [
        "# Memory and speed of training, every method",
        "",
        f"{' and '.join(', '.join(names) for names in sorted(environments))}. Random weights, AdamW, "
        "adapters without dropout, torch's fused attention. GB (10⁹ bytes) are the peak of the memory that torch "
        f"allocated. Tokens per second are measured after {WARM_UP_STEPS} warm-up steps. In these runs `auto` used "
        f"transforms. C3A and CDVFT also have rows with other backends: {others}. CDVFT cannot fold, so its `fold` "
        "rows repeat `auto`.",
    ]
    for model in dict.fromkeys(row["model"] for row in rows):
        _, _, batch, tokens, dtype = MODELS[model]
        size = f"{batch} images" if model == "vit-base" else f"{batch} x {tokens} tokens"
        lines += ["", f"## {model}, {size}, {str(dtype).removeprefix('torch.')}", ""]
        lines += [
            "| method | adapted layers | backend | trainable parameters | GB | tokens per second |",
            "|---" * 6 + "|",
        ]
        for row in (row for row in rows if row["model"] == model):
            method, targets = row["label"].split(":")[0], row["target_modules"]
            targets = f"`{targets}`".replace("|", "&#124;") if isinstance(targets, str) else ", ".join(targets)
            layers = "" if method in ("full", "head", "bitfit") else targets
            backend = row["backend"] if method in ("c3a", "cdvft") else ""
            if "error" in row:
                cells = f" | | {row['error']}"
            else:
                peak, speed = row["peak_bytes"] / 1e9, row["tokens_per_second"]
                cells = f"{row['trainable_parameters']:,} | {peak:.2f} | {speed:,.0f}"
            lines.append(f"| {row['label']} | {layers} | {backend} | {cells} |")
    return "\n".join([*lines, ""])


def plan(sizes: argparse.Namespace) -> list[tuple[dict, recipes.CellRecipe]]:
    """Return what to measure: the start of each row of the record, and its cell. Only our methods have backends."""
    planned = []
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
                planned.append((row, cell))
    return planned


def main(argv: list[str] | None = None, folder: Path | None = None) -> Path:
    """Measure and return the path of the record. A trial, at other sizes, has its record under runs/."""
    parser = argparse.ArgumentParser(description="Measure peak memory and speed of training with every method.")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--models", default=",".join(MODELS), help="separated by commas")
    parser.add_argument("--methods", default="", help="only these methods, separated by commas")
    parser.add_argument(
        "--backends", default="auto", help=f"for our methods, separated by commas, from {', '.join(choices())}"
    )
    parser.add_argument("--batch", type=int, default=0, help="batch size of a trial")
    parser.add_argument("--tokens", type=int, default=0, help="tokens per row of a trial")
    parser.add_argument("--layers", type=int, default=0, help="layers of a trial, fewer than the model has")
    parser.add_argument("--steps", type=int, default=5, help="steps to time")
    sizes = parser.parse_args(argv)
    if sizes.device == "cpu" and torch.cuda.is_available():
        parser.error(
            "this machine has a GPU, so its memory would be measured; to measure the CPU, set CUDA_VISIBLE_DEVICES="
        )
    quiet()
    trial = sizes.batch or sizes.tokens or sizes.layers
    folder = folder or (results.default_folder("training_memory") if trial else RECORDS)
    device, path = torch.device(sizes.device), folder / f"training_memory_{sizes.device}.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    key = ("model", "label", "target_modules", "backend", "batch", "tokens", "layers")

    def is_same(row: dict, other: dict) -> bool:
        return json.dumps([row[name] for name in key]) == json.dumps([other[name] for name in key])

    for row, cell in tqdm(plan(sizes), desc="training memory"):
        if any(is_same(row, known) and "error" not in known for known in rows):
            continue
        # A failed row is measured again: there may be more memory now, or another library.
        rows = [known for known in rows if not is_same(row, known)]
        rows.append(measure(row, cell, sizes, device) | results.environment(device_name()))
        summary = f"{rows[-1].get('peak_bytes', 0) / 1e9:.2f} GB, {rows[-1].get('tokens_per_second', 0):,.0f} tokens/s"
        tqdm.write(f"{row['model']} | {row['row']} | {row['backend']} | {rows[-1].get('error', summary)}")
        files.write_atomically(path, json.dumps({"rows": rows}, indent=1) + "\n")
        if not trial:
            files.write_atomically(path.with_suffix(".md"), markdown(rows))
    return path


if __name__ == "__main__":
    main()
