r"""Peak memory and tokens per second of training, every method of the papers' tables, on models of their sizes.

    .venv/bin/python benchmarks/training_memory.py --device cuda
    .venv/bin/python benchmarks/training_memory.py --models roberta-base --layers 2 --batch 4 --tokens 32     # a trial

The models have random weights: nothing is downloaded, and no score is measured. RoBERTa-base trains on 64 x 256 tokens,
beside the memory column of C3A Table 2; ViT-base on 64 images; LLaMA2-7B in bfloat16 on 2 x 1,024 tokens. Rows are
added to benchmarks/results/training_memory_DEVICE.json as they come, and a row that is there is not measured again.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
)

from circpeft import costs, memory, methods, recipes, results
from circpeft.papers import printed
from circpeft.training import device_name
from circpeft.training.quiet import quiet

RECORDS = results.ROOT / "benchmarks" / "results"
# Model -> tables whose rows are tried, transformers class, batch, tokens, number format.
MODELS = {
    "roberta-base": (("c3a-2", "cdvft-1"), AutoModelForSequenceClassification, 64, 256, torch.float32),
    "vit-base": (("c3a-4", "cdvft-2"), AutoModelForImageClassification, 64, 197, torch.float32),
    "llama2-7b": (("c3a-3", "cdvft-3"), AutoModelForCausalLM, 2, 1024, torch.bfloat16),
}
WARM = 2


def rows_of(model: str) -> list[recipes.CellRecipe]:
    """The rows of a model's tables, one cell each; rows that are the same run once."""
    hub, _ = recipes.tables.MODELS[model]
    cells = [cell for name in MODELS[model][0] for cell in recipes.table(name) if cell.model == hub]
    return list({(cell.label, cell.target_modules): cell for cell in reversed(cells)}.values())[::-1]


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


def measured(cell: recipes.CellRecipe, model: str, sizes: argparse.Namespace, device: torch.device) -> dict:
    """Train some steps; peak memory of all of it, and the speed of the steps behind the first ones."""
    torch.manual_seed(0)
    batch, tokens = sizes.batch or MODELS[model][2], sizes.tokens or MODELS[model][3]
    memory.reset_peak()
    row = {"model": model, "row": cell.row, "table": cell.table, "label": cell.label, "batch": batch, "tokens": tokens}
    row |= {"layers": sizes.layers, "steps": sizes.steps, "printed_gb": printed_memory(cell, sizes)}
    try:
        made = methods.apply(
            built(model, sizes.layers, device), cell.method, target_modules=cell.target_modules or None, **cell.options
        ).train()
    except ValueError as error:  # such as BOFT's factors where PEFT cannot make them: no number, and the reason
        return row | {"error": str(error)}
    inputs = inputs_of(model, batch, tokens, device)
    trained = [p for p in made.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5)
    for step in range(WARM + sizes.steps):
        if step == WARM:
            synchronize(device)
            started = time.perf_counter()
        made(**inputs).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    synchronize(device)
    seconds = time.perf_counter() - started
    count = batch * (197 if model == "vit-base" else tokens)
    row |= {"tokens_per_second": round(count * sizes.steps / seconds, 1), "peak_bytes": memory.peak_bytes()}
    return row | {"trainable_parameters": sum(p.numel() for p in trained)}


def synchronize(device: torch.device) -> None:
    """Wait for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def printed_memory(cell: recipes.CellRecipe, sizes: argparse.Namespace) -> str:
    """What C3A Table 2 prints for a row, where the measurement is at its sizes."""
    if sizes.batch or sizes.tokens or sizes.layers:
        return ""
    key = ("c3a", "2", cell.row, "Memory Cost (GB)")
    return next((c.printed for c in printed.cells() if (c.paper, c.table, c.row, c.column) == key), "")


def main(argv: list[str] | None = None, folder: Path = RECORDS) -> Path:
    """Measure what is asked for; returns the record's path."""
    parser = argparse.ArgumentParser(description="Peak memory and speed of training with every method.")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--methods", default="", help="only these, with commas between them")
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=0)
    parser.add_argument("--layers", type=int, default=0, help="fewer layers than the model has")
    parser.add_argument("--steps", type=int, default=5)
    sizes = parser.parse_args(argv)
    quiet()
    device, path = torch.device(sizes.device), folder / f"training_memory_{sizes.device}.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    key = ("model", "label", "row", "batch", "tokens", "layers")
    plan = [(model, cell) for model in sizes.models.split(",") for cell in rows_of(model)]
    if sizes.methods:
        plan = [(model, cell) for model, cell in plan if cell.method in sizes.methods.split(",")]
    for model, cell in tqdm(plan, desc="training memory"):
        row = {"model": model, "label": cell.label, "row": cell.row, "layers": sizes.layers}
        row |= {"batch": sizes.batch or MODELS[model][2], "tokens": sizes.tokens or MODELS[model][3]}
        if any(all(known[name] == row[name] for name in key) for known in rows):
            continue
        rows.append(measured(cell, model, sizes, device))
        told = f"{rows[-1].get('peak_bytes', 0) / 1e9:.2f} GB, {rows[-1].get('tokens_per_second', 0):,.0f} tokens/s"
        tqdm.write(f"{model} | {cell.row} | {rows[-1].get('error', told)}")
        made = {"rows": rows, **results.environment(device_name())}
        results.write_atomically(path, json.dumps(made, indent=1) + "\n")
    return path


if __name__ == "__main__":
    main()
