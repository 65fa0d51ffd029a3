r"""TRL's SFTTrainer with its defaults: LoRA, C3A and CDVFT on small-llama and the word problems.

    .venv/bin/python benchmarks/sft.py [--rates 2e-5 1e-3 1e-2] [--seeds 0 1 2] [--methods lora c3a cdvft] [--float32]
        [--beta2 0.95]
    .venv/bin/python benchmarks/sft.py --max-steps 5 --record /tmp/sft.json        (a quick check)

Only the adapter and the learning rate differ between runs; 2e-5 is TRL's default. Everything else is SFTConfig's:
three epochs, batches of 8, the completion's loss, bf16 autocast (float32 with --float32, where bf16 is slow). Scores
are exact matches of greedy answers to the test problems, by the model after the last step. Writes a row per run to
benchmarks/results/sft.json as soon as it ends, and repeats no run that is there; then the part of
docs/learning-rate-runs.md between the markers "sft".
"""

import argparse
import contextlib
import json
import time
from functools import partial
from pathlib import Path
from statistics import mean

import torch
from page_parts import Part, device_text
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

from circpeft import C3AConfig, CDVFTConfig, files, models, results, tasks
from circpeft.training import device_name
from circpeft.training.generation import write_answers
from circpeft.training.logging_filters import quiet

RECORD = results.ROOT / "benchmarks" / "results" / "sft.json"
FOLDER = results.default_folder("sft")
PART = Part("sft", "docs/learning-rate-runs.md")
TASK, MODEL = "word_problems", "small-llama"
RATES = (2e-5, 1e-3, 1e-2)  # the first is SFTConfig's default
BETA2 = 0.999  # the default of torch, and so of SFTConfig; rows without the field have it
ALL = {"target_modules": "all-linear", "task_type": "CAUSAL_LM"}
# PEFT's defaults are r=8 and lora_alpha=8; those of TRL's command line are 16 and 32.
CONFIGS = {
    "lora": partial(LoraConfig, r=8, lora_alpha=8, **ALL),
    "lora:r=16:lora_alpha=32": partial(LoraConfig, r=16, lora_alpha=32, **ALL),
    "c3a": partial(C3AConfig, **ALL),
    "c3a:block_size=32": partial(C3AConfig, block_size=32, **ALL),
    "cdvft": partial(CDVFTConfig, **ALL),
}


def train_and_score(method: str, rate: float, seed: int, max_steps: int, float32: bool, beta2: float) -> dict:
    """Train one adapter with SFTTrainer, and return the row of the run."""
    import trl

    task, (data, _), folder = tasks.get(TASK), tasks.load(TASK), models.resolve(MODEL)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    columns = data["train"].column_names
    pairs = data.map(
        lambda row: {"prompt": task.prompt(row), "completion": row[task.answer_column].strip()}, remove_columns=columns
    )
    on_cpu = not torch.cuda.is_available()
    arguments = trl.SFTConfig(
        output_dir=str(FOLDER / "checkpoints"),
        learning_rate=rate,
        adam_beta2=beta2,
        seed=seed,
        max_steps=max_steps,
        bf16=False if float32 else None,
        use_cpu=on_cpu,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    set_seed(seed)
    trainer = trl.SFTTrainer(
        AutoModelForCausalLM.from_pretrained(folder),
        args=arguments,
        train_dataset=pairs["train"],
        eval_dataset=pairs["validation"],
        processing_class=tokenizer,
        peft_config=CONFIGS[method](),
    )
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    loss = trainer.evaluate()["eval_loss"]
    model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    prompts = [tokenizer(task.prompt(row))["input_ids"] for row in data["test"]]
    answers = write_answers(model, tokenizer, prompts, task.max_new_tokens, progress=False)
    return {
        "method": method,
        "learning_rate": rate,
        "seed": seed,
        "max_steps": max_steps,
        "float32": float32,
        "adam_beta2": beta2,
        "exact_match": task.score(data["test"][task.answer_column], answers),
        "eval_loss": loss,
        "train_loss": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        "steps": trainer.state.global_step,
        "batch_size": arguments.per_device_train_batch_size,
        "trainable_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "seconds": round(seconds, 1),
        "trl": trl.__version__,
        **results.environment(device_name()),
    }


def sort_key(row: dict) -> tuple:
    """Return the identity of a row, which is also its place in the record."""
    method = list(CONFIGS).index(row["method"])
    return row["float32"], row["max_steps"], method, -row.get("adam_beta2", BETA2), row["learning_rate"], row["seed"]


def on_record(record: Path) -> dict[tuple, dict]:
    """Return the rows that a record has, by their identity."""
    rows = json.loads(record.read_text(encoding="utf-8")) if record.exists() else []
    return {sort_key(row): row for row in rows}


def part_text(rows: list[dict]) -> str:
    """Return a table with a row per method, and the mean score and evaluation loss at each learning rate."""
    rates = sorted({row["learning_rate"] for row in rows})
    names = [f"{rate:g}" + (", TRL's default" if rate == RATES[0] else "") for rate in rates]
    lines = [f"| method | parameters | {' | '.join(names)} |", "|---" * (len(rates) + 2) + "|"]
    for method, beta2 in dict.fromkeys((row["method"], row.get("adam_beta2", BETA2)) for row in rows):
        of = [row for row in rows if (row["method"], row.get("adam_beta2", BETA2)) == (method, beta2)]
        cells = []
        for rate in rates:
            here = [row for row in of if row["learning_rate"] == rate]
            scores = ", ".join(f"{row['exact_match']:.3f}" for row in here)
            cells.append(f"{scores} (loss {mean(row['eval_loss'] for row in here):.3f})" if here else "")
        name = method if beta2 == BETA2 else f"{method}, adam_beta2={beta2:g}"
        lines.append(f"| {name} | {of[0]['trainable_parameters']:,} | {' | '.join(cells)} |")
    first = rows[0]
    precisions = sorted({"float32" if row["float32"] else "bf16 autocast" for row in rows})
    devices = " and ".join(sorted({device_text(row["device"]) for row in rows}))
    return "\n".join(
        [
            *lines,
            "",
            f"Exact match on the test problems per seed, mean loss on validation. SFTTrainer of TRL {first['trl']}, "
            f"{first['steps']} steps of {first['batch_size']} rows, all linear layers, {' and '.join(precisions)}. "
            f"{devices}; torch {first['versions']['torch']}. Record: `benchmarks/results/sft.json`, by "
            "`benchmarks/sft.py`.",
            "",
        ]
    )


def main(argv: list[str] | None = None) -> None:
    """Run what the record lacks, and write the record and the table."""
    parser = argparse.ArgumentParser(description="Fine-tune small-llama with TRL's SFTTrainer and its defaults.")
    parser.add_argument("--methods", nargs="+", default=list(CONFIGS), choices=CONFIGS)
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--max-steps", type=int, default=-1, help="-1 takes SFTConfig's three epochs")
    parser.add_argument("--beta2", type=float, default=BETA2, help="Adam's beta2; SFTConfig's is 0.999")
    parser.add_argument("--float32", action="store_true", help="without TRL's default bf16 autocast")
    parser.add_argument("--record", type=Path, default=RECORD)
    arguments = parser.parse_args(argv)
    if arguments.max_steps != -1 and arguments.record == RECORD:
        parser.error("a run with --max-steps does not belong in the record of full runs: give --record FILE")
    quiet()
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows = on_record(arguments.record)
    wanted = [(m, r, s) for s in arguments.seeds for r in arguments.rates for m in arguments.methods]
    rest = arguments.max_steps, arguments.float32, arguments.beta2
    names = ("method", "learning_rate", "seed", "max_steps", "float32", "adam_beta2")
    at = {sort_key(dict(zip(names, (*cell, *rest), strict=True))): cell for cell in wanted}
    missing = [cell for key, cell in at.items() if key not in rows]
    print(f"{len(wanted)} runs, {len(wanted) - len(missing)} of them on record", flush=True)
    started = time.perf_counter()
    for number, cell in enumerate(missing, 1):
        with (FOLDER / "training.log").open("a", encoding="utf-8") as log, contextlib.redirect_stdout(log):
            row = train_and_score(*cell, *rest)
        rows[sort_key(row)] = row
        in_order = [rows[key] for key in sorted(rows)]
        files.write_atomically(arguments.record, json.dumps(in_order, indent=1) + "\n")
        minutes = (time.perf_counter() - started) / number * (len(missing) - number) / 60
        score = f"exact match {row['exact_match']:.3f}, loss {row['eval_loss']:.3f}, {row['seconds']:.0f} s"
        print(f"{cell[0]} at {cell[1]:g}, seed {cell[2]}: {score}; about {minutes:.0f} minutes left", flush=True)
    text = part_text([rows[key] for key in sorted(rows)])
    print(text)
    if arguments.record == RECORD:
        PART.write(text)


if __name__ == "__main__":
    main()
