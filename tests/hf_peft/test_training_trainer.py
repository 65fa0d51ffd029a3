"""The Trainer on a PeftModel: checkpoints hold only the adapter, and resumed runs end like uninterrupted ones."""

import pytest
import torch
from peft import get_peft_model
from safetensors.torch import load_file
from transformers import Trainer, TrainingArguments

from tests.versions import LOADS_OPTIMIZERS, needs

STEPS, HALF = 8, 4


@pytest.fixture
def trainer(tiny, method, tmp_path):
    """A function that makes a Trainer for a new model. The base and the adapter have dropout."""

    def make(folder, seed=0, model=None, compute_metrics=None, **options):
        torch.manual_seed(seed)
        if model is None:
            config = method(target_modules=["query", "value", "dense"], dropout=0.1, task_type="SEQ_CLS")
            model = get_peft_model(tiny.bert(), config)
        generator = torch.Generator().manual_seed(2)
        rows = [torch.randint(1, 30, (6,), generator=generator) for _ in range(4 * STEPS)]
        rows = [{"input_ids": row, "labels": int(row[0] < row[1])} for row in rows]
        defaults = {
            "per_device_train_batch_size": 4,
            "per_device_eval_batch_size": 32,
            "learning_rate": 1e-2,
            "lr_scheduler_type": "cosine",
            "max_steps": STEPS,
            "logging_steps": 1,
            "save_strategy": "steps",
            "save_steps": HALF,
            "use_cpu": True,
            "disable_tqdm": True,
            "report_to": "none",
        }
        arguments = TrainingArguments(output_dir=str(tmp_path / folder), **defaults | options)
        return Trainer(model, arguments, train_dataset=rows, eval_dataset=rows, compute_metrics=compute_metrics)

    return make


def losses(trainer):
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


def trained(model):
    return {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}


@LOADS_OPTIMIZERS
def test_a_resumed_run_has_the_losses_and_parameters_of_an_uninterrupted_one(trainer):
    uninterrupted = trainer("out")
    start = trained(uninterrupted.model)
    uninterrupted.train()
    resumed = trainer("again", seed=1)  # other start values, which the checkpoint has to replace
    assert any(not torch.equal(p, start[n]) for n, p in trained(resumed.model).items())
    resumed.train(resume_from_checkpoint=f"{uninterrupted.args.output_dir}/checkpoint-{HALF}")
    assert len(losses(uninterrupted)) == STEPS and len(set(losses(uninterrupted))) > HALF
    assert losses(resumed) == losses(uninterrupted)
    ends = trained(uninterrupted.model)
    assert all(torch.equal(p, ends[n]) and not torch.equal(p, start[n]) for n, p in trained(resumed.model).items())


def test_a_checkpoint_holds_only_the_adapter_and_the_head(trainer, method, tmp_path):
    run = trainer("out")
    run.train()
    folder = tmp_path / "out" / f"checkpoint-{STEPS}"
    weights = load_file(folder / "adapter_model.safetensors")
    assert weights and all(method.prefix in name or "classifier" in name for name in weights)
    assert sum(w.numel() for w in weights.values()) == sum(p.numel() for p in trained(run.model).values())
    assert not list(folder.glob("model*.safetensors")) and not list(folder.glob("pytorch_model*"))


def test_the_best_checkpoint_is_loaded_at_the_end(trainer, tmp_path):
    scores = iter((0.9, 0.1))
    run = trainer(
        "out",
        eval_strategy="steps",
        eval_steps=HALF,
        load_best_model_at_end=True,
        metric_for_best_model="score",
        compute_metrics=lambda _: {"score": next(scores)},
    )
    run.train()
    assert run.state.best_model_checkpoint == str(tmp_path / "out" / f"checkpoint-{HALF}")
    loaded = {n.replace(".default", ""): p for n, p in trained(run.model).items()}
    best, last = (load_file(tmp_path / "out" / f"checkpoint-{s}" / "adapter_model.safetensors") for s in (HALF, STEPS))
    loaded = {n.replace(".modules_to_save", ""): p for n, p in loaded.items()}
    assert loaded.keys() == best.keys()
    assert all(torch.equal(p, best[n]) and not torch.equal(p, last[n]) for n, p in loaded.items())


@pytest.mark.parametrize(
    "options",
    [
        {"bf16": True},
        {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}},
        pytest.param(
            {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": True}},
            marks=needs("transformers", "5", "older versions train no adapter inside a reentrant checkpoint"),
        ),
        {"gradient_accumulation_steps": 2, "max_grad_norm": 0.1},
        {"torch_compile": True, "torch_compile_backend": "aot_eager"},
    ],
    ids=lambda options: next(iter(options)),
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_options_train_the_adapter_and_leave_the_base_unchanged(trainer, options):
    run = trainer("out", save_strategy="no", max_steps=3 * STEPS, **options)
    start = {n: p.detach().clone() for n, p in run.model.named_parameters()}
    trains = set(trained(run.model))
    before = run.evaluate()["eval_loss"]
    run.train()
    assert run.evaluate()["eval_loss"] < before
    for name, p in run.model.named_parameters():
        assert p.dtype == torch.float32 and torch.equal(p, start[name]) == (name not in trains), name
