"""The one training path: a recipe goes in, a record comes out, on transformers' Trainer."""

from __future__ import annotations

import shutil
from copy import deepcopy
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch
from datasets import DatasetDict
from peft import PeftModel
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PretrainedConfig,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import EvalPrediction

from . import memory, methods, models, results, tasks
from .recipes import Recipe
from .results import Result
from .resume import Clock, last_checkpoint

# Files that a tokenizer's vocabulary is kept in; one has to be beside a local model's weights.
VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)


def check(recipes: list[Recipe]) -> None:
    """Raise for anything wrong with any of the recipes before the first one trains.

    The data is read and checked, the model folder looked into, and every method applied to the model's architecture
    without its weights (on torch's meta device), which tries hyperparameters, target modules and block sizes.

    Raises: ValueError, TypeError or FileNotFoundError that names the value and the nearest valid choice.
    """
    seen = set()
    for recipe in recipes:
        methods.check(recipe.method, recipe.options)
        tasks.get(recipe.task)
        models.resolve(recipe.model)
    for recipe in recipes:
        if (recipe.task, recipe.data_dir) not in seen:
            tasks.load(recipe.task, recipe.data_dir, recipe.max_train)
        if (recipe.model, recipe.label, recipe.target_modules) not in seen:
            folder = models.resolve(recipe.model)
            _tokenizer(folder)
            config = _config(recipe, folder)
            with torch.device("meta"):
                model = AutoModelForSequenceClassification.from_config(config)
            with torch.random.fork_rng():  # some methods draw projections, and BOFT cannot on the meta device
                methods.apply(model, **_method(recipe))
        seen |= {(recipe.task, recipe.data_dir), (recipe.model, recipe.label, recipe.target_modules)}


def run(recipe: Recipe) -> Result:
    """Train by a recipe, choose the best epoch on validation, and record it.

    A run whose record exists under the same settings, code and data is read, not repeated; an interrupted one goes on
    from its last finished epoch. The adapter is saved under ``<output_dir>/adapters``.

    Raises: whatever `check` raises, before any training.

    >>> run(Recipe("entailment", "c3a", epochs=0))
    Traceback (most recent call last):
    ...
    ValueError: epochs must be an integer of at least 1, got 0
    """
    path = results.path_of(recipe.name, recipe.output_dir)
    task = tasks.get(recipe.task)
    data, split = tasks.load(recipe.task, recipe.data_dir, recipe.max_train)
    for part in ("validation", "test"):
        data[part] = tasks.splits.first_rows(data[part], recipe.max_eval)
    code, rows = results.code_version(), tasks.splits.digest(data)
    if path.exists() and (known := results.read(path)) and (known.code, known.data) == (code, rows):
        return known
    check([recipe])
    folder = models.resolve(recipe.model)
    tokenizer = _tokenizer(folder)
    encoded = _encode(data, task, tokenizer, min(recipe.max_length, tokenizer.model_max_length))

    memory.reset_peak()
    set_seed(recipe.seed)
    config = _config(recipe, folder)
    base = AutoModelForSequenceClassification.from_pretrained(folder, config=config, dtype=torch.float32)
    if base.config.pad_token_id is None:
        base.config.pad_token_id = tokenizer.pad_token_id
    head = methods.head_names(base)
    watched = {name: base.get_submodule(name).weight.detach().clone() for name in _watched(base, recipe)}
    model = methods.apply(base, **_method(recipe))
    trained = methods.trainable_parameters(model, head)  # LaMDA freezes some of them on its way

    checkpoints = Path(recipe.output_dir) / "checkpoints" / f"{recipe.name}-{code}-{rows}"
    trainer = _trainer(recipe, model, head, encoded, tokenizer, checkpoints)
    clock = Clock()
    trainer.add_callback(clock)
    if recipe.method == "lamda":
        trainer.add_callback(methods.FreezeSecondProjections(model))
    trainer.train(resume_from_checkpoint=last_checkpoint(checkpoints))
    seconds = clock.seconds

    prediction = trainer.predict(encoded["test"], metric_key_prefix="test")
    log = trainer.state.log_history
    ends = [entry for entry in log if "eval_score" in entry]
    epochs = [{"epoch": round(e["epoch"]), "score": e["eval_score"], "loss": e["eval_loss"]} for e in ends]
    best = max(epochs, key=lambda epoch: epoch["score"])
    result = Result(
        task=recipe.task,
        method=recipe.method,
        label=recipe.label,
        seed=recipe.seed,
        metric=task.metric,
        score=best["score"],
        test_score=prediction.metrics["test_score"],
        best_epoch=best["epoch"],
        trainable_parameters=trained,
        head_parameters=sum(methods.trainable_parameters(base.get_submodule(name)) for name in head),
        seconds=seconds,
        peak_bytes=memory.peak_bytes(),
        rows={name: len(part) for name, part in data.items()},
        split=split,
        settings=recipe.settings,
        data=rows,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        epochs=epochs,
        losses=[{"epoch": e["epoch"], "loss": e["loss"]} for e in log if "loss" in e],
        groups=_group_scores(task, data["test"], prediction.predictions),
        spectra={name: _spectrum(model, name, before) for name, before in watched.items()},
        **results.environment(_device_name()),
    )
    if isinstance(model, PeftModel):
        methods.finish(model).save_pretrained(Path(recipe.output_dir) / "adapters" / recipe.name)
    results.write(result, path)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return result


def _config(recipe: Recipe, folder: str) -> PretrainedConfig:
    config = AutoConfig.from_pretrained(folder, num_labels=tasks.get(recipe.task).num_labels)
    if recipe.base_dropout is not None:
        for name, value in vars(config).items():
            if isinstance(value, float) and ("dropout" in name or name.endswith("_pdrop")):
                setattr(config, name, recipe.base_dropout)
    return config


def _method(recipe: Recipe) -> dict:
    return {"method": recipe.method, "target_modules": recipe.target_modules or None, **recipe.options}


def _tokenizer(folder: str) -> PreTrainedTokenizerBase:
    local = Path(folder)
    # From a folder without a vocabulary transformers makes a tokenizer of special tokens alone, to which every word is
    # unknown, or complains of a package that it does not need.
    if local.is_dir() and not any((local / name).exists() for name in VOCABULARIES):
        raise FileNotFoundError(f"model {folder!r} has no tokenizer; expected one of: {', '.join(VOCABULARIES)}")
    return AutoTokenizer.from_pretrained(folder)


def _encode(data: DatasetDict, task: tasks.Task, tokenizer: PreTrainedTokenizerBase, max_length: int) -> DatasetDict:
    def tokens(rows: dict) -> dict:
        encoded = tokenizer(*(rows[column] for column in task.columns), truncation=True, max_length=max_length)
        # The model takes its loss from the labels' type: integers for classes, floating point for a single output.
        encoded["labels"] = [int(value) if task.labels else float(value) for value in rows["label"]]
        return encoded

    return data.map(tokens, batched=True, remove_columns=data["train"].column_names, desc=f"Tokenizing {task.name}")


def _score(prediction: EvalPrediction, task: tasks.Task) -> dict[str, float]:
    return {"score": task.score(prediction.label_ids, task.predictions(prediction.predictions))}


def _group_scores(task: tasks.Task, rows, logits) -> dict[str, float]:
    if not task.group:
        return {}
    predictions, labels, groups = task.predictions(logits), rows["label"], rows[task.group]
    members = {name: [i for i, g in enumerate(groups) if g == name] for name in sorted(set(groups))}
    return {name: task.score([labels[i] for i in at], predictions[at]) for name, at in members.items()}


def _optimizer(recipe: Recipe, model: nn.Module, head: list[str]) -> torch.optim.Optimizer:
    rate, head_rate = recipe.rates
    trained = [(name.split("."), p) for name, p in model.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for parts, p in trained if not set(head) & set(parts)], "lr": rate},
        {"params": [p for parts, p in trained if set(head) & set(parts)], "lr": head_rate},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=recipe.weight_decay)


def _trainer(
    recipe: Recipe,
    model: nn.Module,
    head: list[str],
    data: DatasetDict,
    tokenizer: PreTrainedTokenizerBase,
    checkpoints: Path,
) -> Trainer:
    steps = -(-len(data["train"]) // recipe.batch_size) * recipe.epochs
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=4 * recipe.batch_size,
        warmup_steps=round(recipe.warmup * steps),
        lr_scheduler_type="linear",
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="score",
        greater_is_better=True,
        logging_steps=max(1, steps // 50),
        seed=recipe.seed,
        report_to="none",
        label_names=["labels"],
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    return Trainer(
        model=model,
        args=arguments,
        train_dataset=data["train"],
        eval_dataset=data["validation"],
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=partial(_score, task=tasks.get(recipe.task)),
        optimizers=(_optimizer(recipe, model, head), None),
    )


def _watched(base: nn.Module, recipe: Recipe) -> list[str]:
    """Two layers whose learnt ``ΔW`` is looked at: of the targets, the deepest square and the deepest other one."""
    targets = recipe.target_modules if isinstance(recipe.target_modules, tuple) else ()
    square, rectangular = "", ""
    for name, layer in base.named_modules():
        inside = any(part.isdigit() for part in name.split("."))  # of the stack of layers, not a pooler or head
        if isinstance(layer, nn.Linear) and inside and (not targets or name.rsplit(".", 1)[-1] in targets):
            if layer.in_features == layer.out_features:
                square = name
            else:
                rectangular = name
    return [name for name in (square, rectangular) if name]


def _spectrum(model: nn.Module, name: str, before: Tensor) -> list[float]:
    """Singular values of the layer's ``ΔW``: of what the layer does to the unit vectors, whatever the method."""
    layer = (model.get_base_model() if isinstance(model, PeftModel) else model).get_submodule(name)
    layer = deepcopy(layer).eval().cpu().double()
    units = torch.eye(before.shape[1], dtype=torch.float64)
    with torch.no_grad():
        weight = (layer(units) - layer(torch.zeros_like(units[:1]))).T
    return torch.linalg.svdvals(weight - before.cpu().double()).tolist()


def _device_name() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
