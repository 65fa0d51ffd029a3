r"""Compute the memory column of C3A Table 2: what a training step of 64 x 256 tokens keeps, without running it.

    .venv/bin/python benchmarks/memory_column.py

The count is made on tensors without values: weights, Adam's two moments, and every tensor that the forward pass keeps
for the backward pass. Attention is eager, as in transformers' RoBERTa in July 2024. Dropout keeps a mask
of one byte per number, as on a GPU. LoRA is counted with and without its own dropout.

Writes benchmarks/results/memory_column.json and memory_column.md. The table also has what an H100 measured with fused
attention, from training_memory_cuda.json, if that file exists.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn import functional
from tqdm import tqdm
from transformers import AutoConfig, AutoModelForSequenceClassification

from circpeft import costs, files, methods, recipes, results
from circpeft.papers import printed

RECORD = results.ROOT / "benchmarks" / "results" / "memory_column.json"
MEASURED = RECORD.with_name("training_memory_cuda.json")
BATCH, TOKENS = 64, 256
LORA_DROPOUT = 0.1


@contextmanager
def dropout_of_a_gpu() -> Iterator[None]:
    """Make dropout keep a mask of one byte per number; on a CPU, and without values, it would keep four bytes."""

    def dropout(x: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
        return torch.native_dropout(x, p, True)[0] if training and p else x

    original, functional.dropout = functional.dropout, dropout
    try:
        yield
    finally:
        functional.dropout = original


def kept_bytes(cell: recipes.CellRecipe, layers: int = 0, **options: float) -> dict:
    """Return the bytes of the weights, of Adam's moments, and of what a forward pass keeps for the backward pass."""
    kind, fields = costs.models.MODELS[f"roberta-{cell.row.split()[0]}"]
    fields = fields | ({"num_hidden_layers": layers} if layers else {})
    config = AutoConfig.for_model(kind, **fields, attn_implementation="eager")
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(config)
        options |= cell.options
        adapted = methods.apply(model, cell.method, target_modules=cell.target_modules or None, **options).train()
        ids, labels = torch.zeros(BATCH, TOKENS, dtype=torch.long), torch.zeros(BATCH, dtype=torch.long)
    weights = {t.untyped_storage()._cdata for t in [*adapted.parameters(), *adapted.buffers()]}
    kept: dict[int, torch.UntypedStorage] = {}  # holding the storages keeps their addresses unique

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage
        return tensor

    with dropout_of_a_gpu(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        adapted(input_ids=ids, labels=labels)
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    return {
        "weights": 4 * sum(p.numel() for p in adapted.parameters()),
        "adam": 8 * trained,
        "kept": sum(storage.nbytes() for address, storage in kept.items() if address not in weights),
    }


def rows_of_table() -> list[recipes.CellRecipe]:
    """Return one cell per row of C3A Table 2."""
    return list({cell.row: cell for cell in recipes.table("c3a-2", seeds=1)}.values())


def printed_gb(row: str) -> str:
    """Return the printed memory of a row."""
    key = ("c3a", "2", row, "Memory Cost (GB)")
    return next(c.printed for c in printed.cells() if (c.paper, c.table, c.row, c.column) == key)


def measured_gb(row: str) -> float | None:
    """Return the memory that a GPU measured for a row, or None."""
    rows = json.loads(MEASURED.read_text(encoding="utf-8"))["rows"] if MEASURED.exists() else []
    wanted = {"table": "c3a-2", "row": row, "backend": "auto", "layers": 0, "batch": BATCH, "tokens": TOKENS}
    peaks = [r["peak_bytes"] for r in rows if "peak_bytes" in r and all(r[k] == v for k, v in wanted.items())]
    return round(peaks[0] / 1e9, 2) if peaks else None


def computed(progress: bool = True) -> list[dict]:
    """Return one row of the record per row of the table; LoRA has two, without and with dropout."""
    rows = []
    for cell in tqdm(rows_of_table(), desc="memory column", disable=not progress):
        row = {"row": cell.row, "label": cell.label, "printed_gb": float(printed_gb(cell.row))}
        for dropout in (0.0, LORA_DROPOUT) if cell.method == "lora" else (0.0,):
            try:
                parts = kept_bytes(cell, **({"dropout": dropout} if dropout else {}))
            except (ValueError, RuntimeError) as error:  # BOFT needs values and PEFT's compiled extension
                rows.append(row | {"adapter_dropout": dropout, "error": str(error).splitlines()[0]})
                continue
            rows.append(row | {"adapter_dropout": dropout, **parts, "gb": round(sum(parts.values()) / 1e9, 2)})
    return rows


def markdown(rows: list[dict]) -> str:
    """Return the table."""
    lines = [
        "# The memory column of C3A Table 2",
        "",
        f"GB (10⁹ bytes), {BATCH} x {TOKENS} tokens, float32. The computed memory is the sum of the weights, Adam's "
        "moments, and what the forward pass keeps for the backward pass, with eager attention "
        "(`benchmarks/memory_column.py`). The measured memory is the peak on one H100 with fused attention "
        "([record](training_memory_cuda.json)).",
        "",
        "| row | printed | computed, eager attention | difference | measured, fused attention |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        name = row["row"] + (f", dropout {row['adapter_dropout']}" if row["adapter_dropout"] else "")
        gb = row.get("gb")
        cells = f"{gb:.2f} | {100 * (gb / row['printed_gb'] - 1):+.1f} %" if gb else " | "
        peak = None if row["adapter_dropout"] else measured_gb(row["row"])
        lines.append(f"| {name} | {row['printed_gb']:.2f} | {cells} | {'' if peak is None else f'{peak:.2f}'} |")
    return "\n".join([*lines, "", "BOFT has no computed memory: it cannot be built on tensors without values.", ""])


def main() -> None:
    rows = computed()
    record = {"batch": BATCH, "tokens": TOKENS, "rows": rows}
    record |= results.environment("no device: tensors without values")
    files.write_atomically(RECORD, json.dumps(record, indent=1) + "\n")
    files.write_atomically(RECORD.with_suffix(".md"), markdown(rows))
    print(markdown(rows))


if __name__ == "__main__":
    main()
