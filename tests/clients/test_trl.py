"""TRL: DPO, GRPO and reward models with a config of circpeft as peft_config, and DPO that continues an adapter."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch import nn
from torch.nn.functional import log_softmax
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")

TARGETS = ["q_proj", "v_proj", "down_proj"]
QUIET = {"use_cpu": True, "bf16": False, "disable_tqdm": True, "report_to": "none", "logging_steps": 1}
PAIRS = {"chosen": [" turns once", " moves along"] * 2, "rejected": [" stops", " falls back now"] * 2}
PROMPTS = ["the circle", "a row"] * 2


def settings(kind: type, folder: Path, **options: Any) -> Any:
    steps = {"per_device_train_batch_size": 2, "max_steps": 2, "learning_rate": 1e-2, "save_strategy": "no"}
    return kind(output_dir=str(folder), **{**steps, **QUIET, **options})


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def changed(trainer: Any, before: dict[str, torch.Tensor]) -> set[str]:
    model = trainer.accelerator.unwrap_model(trainer.model)
    return {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}


def losses(trainer: Any) -> list[float]:
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


def train(trainer: Any, method: Any, *others: str) -> dict[str, torch.Tensor]:
    """Train, and check that the losses are finite and only the adapter and these other parts change."""
    before = state(trainer.model)
    trainer.train()
    assert len(losses(trainer)) == 2 and all(math.isfinite(loss) for loss in losses(trainer))
    names = changed(trainer, before)
    assert {name for name, p in trainer.model.named_parameters() if p.requires_grad} == names
    assert any(method.prefix in name for name in names)
    assert all(method.prefix in name or any(other in name for other in others) for name in names)
    return before


@pytest.fixture(scope="module")
def tokenizer(llama_folder):
    return AutoTokenizer.from_pretrained(llama_folder)


def causal(folder: str) -> nn.Module:
    return AutoModelForCausalLM.from_pretrained(folder).eval()


@torch.no_grad()
def log_probabilities(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return each row's log-probability of its completion."""
    model = model.eval()
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    each = log_softmax(logits.float(), -1).gather(-1, batch["input_ids"][:, 1:, None])[..., 0]
    return (each * batch["completion_mask"][:, 1:]).sum(1)


def dpo(model: nn.Module, tokenizer: Any, folder: Path, config: Any = None) -> Any:
    rows = datasets.Dataset.from_dict({"prompt": PROMPTS, **PAIRS})
    arguments = settings(trl.DPOConfig, folder, gradient_checkpointing=False)
    return trl.DPOTrainer(model, args=arguments, train_dataset=rows, processing_class=tokenizer, peft_config=config)


def test_dpo_takes_the_model_without_adapter_as_its_reference(llama_folder, tokenizer, method, tmp_path):
    config = method(target_modules=TARGETS, task_type="CAUSAL_LM")
    trainer = dpo(causal(llama_folder), tokenizer, tmp_path, config)
    batch = next(iter(trainer.get_train_dataloader()))
    reference = torch.cat(trainer.compute_ref_log_probs(trainer.model, batch))
    torch.testing.assert_close(reference, log_probabilities(causal(llama_folder), batch), rtol=1e-5, atol=1e-4)
    policy = log_probabilities(trainer.model, batch)
    assert (policy - reference).abs().min() > 1e-2
    train(trainer, method)
    assert torch.equal(torch.cat(trainer.compute_ref_log_probs(trainer.model, batch)), reference)
    after = log_probabilities(trainer.model, batch)
    assert not torch.allclose(after, policy)
    trainer.save_model(str(tmp_path / "saved"))
    loaded = PeftModel.from_pretrained(causal(llama_folder), tmp_path / "saved")
    assert torch.equal(log_probabilities(loaded, batch), after)


def test_dpo_from_no_change_starts_at_log_two(llama_folder, tokenizer, method, tmp_path):
    config = method(target_modules=TARGETS, task_type="CAUSAL_LM", init_weights=True)
    trainer = dpo(causal(llama_folder), tokenizer, tmp_path, config)
    trainer.train()
    assert losses(trainer)[0] == pytest.approx(math.log(2), abs=1e-6)


def test_dpo_that_continues_an_adapter_refers_to_its_copy(llama_folder, tokenizer, method, tmp_path):
    model = get_peft_model(causal(llama_folder), method(target_modules=TARGETS, task_type="CAUSAL_LM"))
    trainer = dpo(model, tokenizer, tmp_path)
    batch = next(iter(trainer.get_train_dataloader()))
    start = log_probabilities(trainer.model, batch)
    before = train(trainer, method)
    for name, value in state(trainer.model).items():
        if ".ref." in name:
            assert torch.equal(value, before[name.replace(".ref.", ".default.")])
    reference = torch.cat(trainer.compute_ref_log_probs(trainer.model, batch))
    torch.testing.assert_close(reference, start, rtol=1e-5, atol=1e-4)
    assert trainer.model.active_adapter == "default" and losses(trainer)[0] == pytest.approx(math.log(2), abs=1e-5)


def test_the_head_of_a_language_model_is_refused(llama_folder, tokenizer, method, tmp_path):
    """TRL reads its weight without calling it, so an adapter would not train."""
    with pytest.raises(ValueError, match="adapter to `lm_head` is not supported"):
        dpo(causal(llama_folder), tokenizer, tmp_path, method(target_modules=["lm_head"], task_type="CAUSAL_LM"))


def grpo(model: nn.Module, tokenizer: Any, folder: Path, config: Any, **options: Any) -> tuple[Any, list[str]]:
    """Return a trainer that rewards the later completion of two, and the list that receives all completions."""
    written: list[str] = []

    def reward(completions: list[str], **_: Any) -> list[float]:
        written.extend(completions)
        return [float(i) for i, _ in enumerate(completions)]

    group = {"num_generations": 2, "max_completion_length": 6, "beta": 0.1, "gradient_checkpointing": False}
    arguments = settings(trl.GRPOConfig, folder, **group, **options)
    rows = datasets.Dataset.from_dict({"prompt": PROMPTS[:1] * 4})
    options = {"args": arguments, "train_dataset": rows, "processing_class": tokenizer, "peft_config": config}
    return trl.GRPOTrainer(model, reward_funcs=reward, **options), written


def test_grpo_trains_only_the_adapter(llama_folder, tokenizer, method, tmp_path):
    config = method(target_modules=TARGETS, task_type="CAUSAL_LM")
    trainer, written = grpo(causal(llama_folder), tokenizer, tmp_path, config)
    train(trainer, method)
    assert len(written) == 4
    trainer.save_model(str(tmp_path / "saved"))
    loaded = PeftModel.from_pretrained(causal(llama_folder), tmp_path / "saved")
    ids = tokenizer(PROMPTS[:1], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        assert torch.equal(loaded(ids).logits, trainer.model.eval()(ids).logits)


def test_grpo_generates_with_the_adapter(llama_folder, tokenizer, method, tmp_path):
    config = method(target_modules=TARGETS, task_type="CAUSAL_LM")
    trainer, written = grpo(causal(llama_folder), tokenizer, tmp_path, config, temperature=1e-4, max_steps=1)
    inputs = tokenizer(PROMPTS[:1], return_tensors="pt")

    def greedy(model: nn.Module) -> str:
        tokens = model.eval().generate(**inputs, max_new_tokens=6, do_sample=False)
        return tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)

    adapted = greedy(trainer.model)
    assert adapted != greedy(causal(llama_folder))
    trainer.train()
    assert set(written) == {adapted}


def test_a_reward_model_trains_the_adapter_and_its_head(llama_folder, tokenizer, method, tmp_path):
    def scorer() -> nn.Module:
        torch.manual_seed(3)
        return AutoModelForSequenceClassification.from_pretrained(llama_folder, num_labels=1)

    config = method(target_modules=TARGETS, task_type="SEQ_CLS", init_weights=True)
    rows = datasets.Dataset.from_dict(PAIRS)
    trainer = trl.RewardTrainer(
        scorer(),
        args=settings(trl.RewardConfig, tmp_path, gradient_checkpointing=False),
        train_dataset=rows,
        processing_class=tokenizer,
        peft_config=config,
    )
    train(trainer, method, "score.modules_to_save.default")
    inputs = tokenizer([" turns once", " stops"], return_tensors="pt", padding=True)
    with torch.no_grad():
        rewards = trainer.model.eval()(**inputs).logits
        trainer.save_model(str(tmp_path / "saved"))
        loaded = PeftModel.from_pretrained(scorer(), tmp_path / "saved").eval()
        assert rewards.shape == (2, 1) and torch.equal(loaded(**inputs).logits, rewards)
        assert not torch.allclose(scorer().eval()(**inputs).logits, rewards, atol=1e-3)
