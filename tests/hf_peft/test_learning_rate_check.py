"""A rate that cannot train the adapters is told at the beginning, after a hundred steps, or when the loss is NaN."""

import json
import random
import re
import warnings

import peft
import pytest
import torch
from torch import nn
from transformers import Trainer, TrainerControl, TrainerState, TrainingArguments

from circpeft import C3AConfig, CDVFTConfig, LearningRateCheck, inject
from circpeft.hf_peft.learning_rate_check import _of_adam, peak_rate
from circpeft.hf_peft.loss_trend import STEPS, LossTrend
from circpeft.hf_peft.rate_warnings import layer_scales, rate_to_try, rate_warning, scale_text
from tests.versions import LOADS_OPTIMIZERS


def adapted(config, d_in=64, d_out=64):
    return inject(nn.Sequential(nn.Linear(d_in, d_out)), config)


def c3a(alpha="lora", **options):
    return C3AConfig(target_modules=["0"], alpha=alpha, **options)


WRONG = [
    (c3a("lora"), 0.3, 'too large for alpha="lora" .*try 0.001, or alpha="paper"'),
    (c3a("lora"), 0.1, "too large"),
    (c3a(64.0), 0.3, 'too large for alpha="lora"'),
    (c3a("paper"), 1e-4, 'too small for alpha="paper" .*d_in.*try 0.064, or alpha="lora", at which LoRA'),
    (c3a("paper", block_size=16), 1e-4, "try 0.032"),
    (c3a(1.0), 0.009, "too small"),
    (c3a(0.25), 0.02, "too small for alpha=0.25; try 0.26"),
    (c3a(6.4), 1e-3, "too small for alpha=6.4; try 0.01"),  # a tenth of "lora"
    (CDVFTConfig(target_modules=["0"]), 0.3, "too large for alpha=1.0 .'lora', 'paper'.; try 0.001$"),
]
RIGHT = [
    (c3a("lora"), 0.09),
    (c3a("lora"), 1e-7),
    (c3a("paper"), 0.01),
    (c3a("paper"), 3.0),
    (c3a(2.0), 0.15),
    (c3a(6.5), 1e-3),
    (CDVFTConfig(target_modules=["0"]), 2e-2),
    (CDVFTConfig(target_modules=["0"], alpha="paper"), 1e-4),
]


@pytest.mark.parametrize(("config", "rate", "words"), WRONG, ids=str)
def test_a_rate_of_another_scale_is_named_with_the_rate_to_try(config, rate, words):
    text = rate_warning(layer_scales(adapted(config)), rate)
    assert text is not None and text.startswith(f"learning_rate={rate:g} is ") and "\n" not in text
    with pytest.warns(UserWarning, match=words):
        warnings.warn(text, stacklevel=1)


@pytest.mark.parametrize(("config", "rate"), RIGHT, ids=str)
def test_a_rate_that_may_train_is_accepted(config, rate):
    assert rate_warning(layer_scales(adapted(config)), rate) is None


def test_the_rate_to_try_moves_the_change_as_far_as_loras_rate_does():
    for b in (64, 16):
        first, second = (layer_scales(adapted(c3a(alpha, block_size=b))) for alpha in ("lora", "paper"))
        # ΔW moves by alpha / d_in times the rate.
        assert rate_to_try(second) / rate_to_try(first) == pytest.approx((64 * b) ** 0.5)


def test_the_rate_to_try_does_not_give_the_same_warning_again():
    small = layer_scales(adapted(c3a("paper", block_size=2)))
    assert rate_warning(small, 1.5, usual=1.5).endswith("try 0.011")
    assert rate_warning(layer_scales(adapted(c3a(0.1))), 0.01, usual=0.01).split("; ")[1].startswith("try 0.64")
    layers = nn.Sequential(*(nn.Linear(64, 64) for _ in range(12)))
    far_apart = layer_scales(
        inject(layers, C3AConfig(target_modules=[str(i) for i in range(12)], alpha_pattern={"0": 640000.0}))
    )
    assert rate_warning(far_apart, 1e-3).endswith("try 1e-07")
    assert rate_warning(far_apart, 1e-7) is None


def test_only_adapters_that_train_count():
    model = adapted(c3a("paper"))
    model[0].adapters["default"].requires_grad_(False)
    assert layer_scales(model) == [] and rate_warning([], 0.3) is None


def trend_of(losses):
    trend = LossTrend()
    for loss in losses:
        trend.add(loss, warm=True)
    assert trend.complete
    return trend


def noisy(mean, deviation, seed):
    draw = random.Random(seed)
    return [max(1e-3, draw.gauss(mean(i), deviation)) for i in range(STEPS)]


def share(mean, deviation, verdict):
    return sum(trend_of(noisy(mean, deviation, seed)).verdict() == verdict for seed in range(200)) / 200


def test_a_loss_of_pure_noise_is_flat_and_a_falling_one_is_not():
    assert share(lambda i: 0.7, 0.05, "flat") > 0.75
    assert share(lambda i: 0.7 - 0.001 * i, 0.05, "") > 0.95  # slow: a tenth in a hundred steps
    assert share(lambda i: 2.0 * 0.97**i, 0.3, "") == 1.0


def test_a_loss_that_explodes_has_risen_and_uneven_batches_have_not():
    assert trend_of([0.7, *[3.0] * (STEPS - 1)]).verdict() == "risen"
    assert share(lambda i: 0.7 if i < 3 else 2.0, 0.1, "risen") > 0.9
    assert share(lambda i: 1.2, 0.4, "risen") < 0.02
    assert trend_of([-0.1, *[3.0] * (STEPS - 1)]).verdict() == "", "losses of reinforcement learning"


def test_a_loss_has_risen_from_one_and_a_half_times_its_start():
    assert [trend_of([1.0] * 20 + [end] * (STEPS - 20)).verdict() for end in (1.49, 1.51)] == ["flat", "risen"]


@pytest.mark.parametrize(
    ("end", "rate", "words"),
    [
        (1.0, 0.11, None),
        (1.0, 0.1, "not fallen .* 10 times below"),
        (1.0, 9.9, None),
        (1.0, 10.0, "not fallen .* 10 times above"),
        (2.0, 1.0, None),
        (2.0, 1.5, "risen .* 1.5 times above"),
        (0.5, 100.0, None),
    ],
)
def test_the_advice_begins_at_a_tenth_and_at_ten_times_the_usual_rate(end, rate, words):
    callback = LearningRateCheck(usual_rate=1.0)
    callback.trend = trend_of([1.0] * 20 + [end] * (STEPS - 20))
    callback._adam, callback._rate = True, rate
    advice = callback._advice()
    assert advice is None if words is None else re.search(words, advice)


@pytest.mark.parametrize(
    ("name", "expected"), [("AdamW8bit", True), ("Lion", True), ("SGD", False), ("DAdaptAdam", False)]
)
def test_the_relatives_of_adam_by_name(name, expected):
    optimizer = type(name, (), {})()
    wrapped = type("AcceleratedOptimizer", (), {"optimizer": optimizer})()
    assert _of_adam(optimizer) == _of_adam(wrapped) == expected


@pytest.mark.parametrize(
    ("pattern", "others"), [({}, ""), ({"0": 2.0}, " and 1 other"), ({"0": 2.0, "1": 3.0}, " and 2 others")]
)
def test_the_text_counts_the_other_scales(pattern, others):
    layers = nn.Sequential(*(nn.Linear(8, 8) for _ in range(3)))
    scales = layer_scales(inject(layers, C3AConfig(target_modules=["0", "1", "2"], alpha_pattern=pattern)))
    assert scale_text(scales) == ("alpha=2.0" + others if pattern else 'alpha="lora"')


class Net(nn.Module):
    """A layer, and a loss that the labels drive; an adapter of the layer can bring it to zero."""

    def __init__(self, width=16):
        super().__init__()
        self.layer = nn.Linear(width, width, bias=False)

    def forward(self, x, labels):
        y = self.layer(x)
        return {"loss": (y - labels).square().mean(), "logits": y}


def rows(count=64, width=16):
    torch.manual_seed(1)
    x = torch.randn(count, width)
    return [{"x": a, "labels": a.roll(1)} for a in x]


def train(tmp_path, config, rate, steps=8, callback=None, resume=None, **options):
    torch.manual_seed(0)
    model = peft.get_peft_model(Net(), config)
    arguments = TrainingArguments(
        output_dir=str(tmp_path), max_steps=steps, learning_rate=rate, per_device_train_batch_size=8, report_to="none",
        use_cpu=True, save_strategy=options.pop("save_strategy", "no"), disable_tqdm=True, label_names=["labels"],
        lr_scheduler_type="constant_with_warmup", remove_unused_columns=False, **options,
    )  # fmt: skip
    callback = callback or LearningRateCheck()
    trainer = Trainer(model, arguments, train_dataset=rows(), callbacks=[callback])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.train(resume_from_checkpoint=resume)
    return [str(w.message) for w in caught if "learning_rate=" in str(w.message)], trainer


def layer(alpha="lora", cls=C3AConfig):
    return cls(target_modules=["layer"], alpha=alpha)


def test_a_plain_trainer_warns_at_the_beginning_with_the_peak_of_its_schedule(tmp_path):
    [text], _ = train(tmp_path, layer(), 0.3, warmup_steps=4)
    assert text.startswith('learning_rate=0.3 is too large for alpha="lora"') and "try 0.001" in text
    [text], _ = train(tmp_path, layer("paper"), 1e-4)
    assert text.startswith('learning_rate=0.0001 is too small for alpha="paper"') and "try 0.016" in text


QUIET = [(layer(), 1e-3, {}), (layer(), 0.3, {"optim": "sgd"}), (peft.LoraConfig(target_modules=["layer"]), 0.3, {})]


@pytest.mark.parametrize(("config", "rate", "options"), QUIET, ids=["usual", "SGD", "LoRA"])
def test_other_rates_optimizers_and_methods_give_no_warning(config, rate, options, tmp_path):
    assert train(tmp_path, config, rate, **options)[0] == []


def test_a_loss_that_does_not_move_is_told_once_with_the_rate_to_try(tmp_path):
    [text], trainer = train(tmp_path, layer(), 1e-8, steps=STEPS + 20)
    assert f"the loss has not fallen in the first {STEPS} steps" in text
    assert 'learning_rate=1e-08 is 1e+05 times below the usual one with alpha="lora"; try 0.001' in text
    assert not trainer.model._forward_hooks, "the callback listens only while it trains"


def test_a_usual_rate_is_not_blamed_and_a_rate_that_learns_is_not_judged(tmp_path):
    assert train(tmp_path, layer(), 3e-9, steps=STEPS + 5, callback=LearningRateCheck(usual_rate=1e-8))[0] == []
    assert train(tmp_path, layer(), 1e-2, steps=STEPS + 5, callback=LearningRateCheck(usual_rate=10.0))[0] == []


def test_steps_of_the_warm_up_do_not_count(tmp_path):
    assert train(tmp_path, layer(), 1e-8, steps=STEPS + 20, warmup_steps=60)[0] == []
    assert len(train(tmp_path, layer(), 1e-8, steps=STEPS + 40, warmup_steps=60)[0]) == 1


@LOADS_OPTIMIZERS
def test_a_resumed_training_is_judged_once(tmp_path):
    saved = {"save_strategy": "steps", "save_steps": 60}
    assert train(tmp_path, layer(), 1e-8, steps=60, **saved)[0] == []
    state = json.loads((tmp_path / "checkpoint-60" / "trainer_state.json").read_text())
    assert state["stateful_callbacks"]["LearningRateCheck"]["attributes"]["kept"]["trend"]["counted"] == 60
    resumed = str(tmp_path / "checkpoint-60")
    [text], _ = train(tmp_path, layer(), 1e-8, steps=120, resume=resumed, **saved)
    assert "not fallen" in text
    assert train(tmp_path, layer(), 1e-8, steps=130, resume=str(tmp_path / "checkpoint-120"), **saved)[0] == []


@LOADS_OPTIMIZERS
def test_a_checkpoint_without_the_callback_can_be_resumed_and_is_not_judged(tmp_path):
    saved = {"save_strategy": "steps", "save_steps": 10}
    train(tmp_path, layer(), 1e-8, steps=10, **saved)
    file = tmp_path / "checkpoint-10" / "trainer_state.json"
    state = json.loads(file.read_text())
    del state["stateful_callbacks"]["LearningRateCheck"]
    file.write_text(json.dumps(state))
    resumed = str(tmp_path / "checkpoint-10")
    assert train(tmp_path, layer(), 1e-8, steps=STEPS + 20, resume=resumed, **saved)[0] == []


def test_only_the_first_process_warns(tmp_path):
    callback, model = LearningRateCheck(), adapted(c3a())
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.3)
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none")
    for first in (False, True):
        state = TrainerState(is_world_process_zero=first, stateful_callbacks=[callback])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            callback.on_train_begin(arguments, state, TrainerControl(), model=model, optimizer=optimizer)
        assert len(caught) == first


@pytest.mark.parametrize("alpha", ["lora", "paper"])
def test_a_diverged_training_stops_at_once_with_step_rate_scale_and_the_rate_to_try(alpha, tmp_path):
    callback = LearningRateCheck()
    with pytest.raises(FloatingPointError) as raised:
        train(tmp_path, layer(alpha), 1e30, steps=50, callback=callback)
    assert callback._hook is None, "the model is still listened to"
    text = str(raised.value)
    usual = "0.001" if alpha == "lora" else "0.016"
    assert re.search("the loss of step [2-4] is inf: the training diverged; lower its learning_rate", text)
    assert f'which is 1e+30 with alpha="{alpha}"; try {usual}' in text


class Gap(LearningRateCheck):
    """The callback, with losses that are not finite put in place of the model's at some steps."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step in self.steps:
            self._losses[:] = [torch.tensor(float("nan"))]
        super().on_step_end(args, state, control, **kwargs)


def test_a_single_batch_without_a_finite_loss_does_not_stop_a_healthy_training(tmp_path):
    """Such as a batch without labels, or a step that fp16 leaves out."""
    _, trainer = train(tmp_path, layer(), 1e-3, callback=Gap({2, 3, 5}))
    assert trainer.state.global_step == 8
    with pytest.raises(FloatingPointError, match="the loss of step 6 is nan"):
        train(tmp_path, layer(), 1e-3, callback=Gap({4, 5, 6}))


def test_the_peak_of_a_schedule_that_begins_far_below_it():
    model = adapted(c3a())
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.3, total_steps=10)
    assert optimizer.param_groups[0]["lr"] < 0.02 and peak_rate(optimizer, list(model.parameters())) == 0.3


def test_gradient_accumulation_counts_steps(tmp_path):
    callback = LearningRateCheck()
    train(tmp_path, layer(), 1e-3, steps=6, callback=callback, gradient_accumulation_steps=2)
    assert callback.trend.counted == 6 and len(callback.trend.first) == 6
