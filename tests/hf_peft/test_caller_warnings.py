"""A warning names the line of the program that called, however many libraries lie between."""

import re
import sys
import warnings
from pathlib import Path

import pytest
import torch
from peft import get_peft_model
from torch import nn
from transformers import TrainerControl, TrainerState, TrainingArguments

from circpeft import C3AConfig, LearningRateCheck, inject, merge
from circpeft.hf_peft import caller_warnings, prepare_model_for_compiled_hotswap

from .moe_models import adapted, layers, moe


def linear(apply=inject, dtype=torch.float32, **options):
    return apply(nn.Sequential(nn.Linear(8, 8)).to(dtype), C3AConfig(target_modules=["0"], **options))


def rounded(apply=inject):
    """A model whose change is below the precision of its weight."""
    return linear(apply, torch.bfloat16, init_weights=False, alpha=1e-3)


def scale_a_merged_layer():
    [layer] = linear()
    layer.merge()
    layer.scale_layer(2.0)


def begin_with_a_large_rate():
    model, callback = linear(), LearningRateCheck()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.3)
    arguments = TrainingArguments("unused", use_cpu=True, report_to="none")
    state = TrainerState(stateful_callbacks=[callback])
    callback.on_train_begin(arguments, state, TrainerControl(), model=model, optimizer=optimizer)


def prepare_a_compiled_model():
    compiled = nn.Module()
    compiled._orig_mod = linear(get_peft_model)
    prepare_model_for_compiled_hotswap(compiled, check_compiled="warn")


CALLS = {
    "merge of a layer": ("merging into", lambda: rounded()[0].merge()),
    "merge": ("merging into", lambda: merge(rounded())),
    "merge_adapter": ("merging into", lambda: rounded(get_peft_model).merge_adapter()),
    "unmerge": ("Already unmerged", lambda: linear()[0].unmerge()),
    "unmerge of experts": ("Already unmerged", lambda: [*layers(adapted(moe("mixtral"), "c3a")).values()][0].unmerge()),
    "scale": ("is merged; its new scale", scale_a_merged_layer),
    "key of a pattern": ("matches no adapted layer", lambda: linear(alpha_pattern={"0": 1.0, "1": 1.0})),
    "key, through PEFT": ("matches no adapted layer", lambda: linear(get_peft_model, alpha_pattern={"0": 1, "1": 1})),
    "exclude_modules": ("excludes nothing", lambda: linear(get_peft_model, exclude_modules=["1"])),
    "experts": ("adapts only linear", lambda: inject(moe("mixtral"), C3AConfig(target_modules="all-linear"))),
    "hot-swapping": ("before the model is compiled", prepare_a_compiled_model),
    "learning rate": ("learning_rate=0.3 is too large", begin_with_a_large_rate),
}


def caught(call):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        call()
    return seen


@pytest.mark.parametrize("name", CALLS)
def test_a_warning_names_the_file_that_calls(name):
    text, call = CALLS[name]
    seen = [warning for warning in caught(call) if re.search(text, str(warning.message))]
    assert seen and {Path(warning.filename) for warning in seen} == {Path(__file__)}


@pytest.mark.parametrize(
    ("module", "passed"),
    [(f"{name}.inner", True) for name in ("accelerate", "circpeft", "peft", "torch", "transformers", "trl")]
    + [("torch", True), ("torchvision.inner", False), ("__main__", False), ("mine.torch", False)],
)
def test_the_lines_of_these_libraries_are_passed_over(module, passed):
    place = {"__name__": module, "warn": caller_warnings.warn_caller}
    exec(compile("def call():\n    warn('it')", "library.py", "exec"), place)
    [warning] = caught(place["call"])
    assert warning.filename == (__file__ if passed else "library.py")


def test_a_warning_has_the_line_and_is_shown_once_for_a_line_as_pythons_own():
    lines = []
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        for _ in range(3):
            lines.append(sys._getframe().f_lineno + 1)
            caller_warnings.warn_caller("it")
    assert [(warning.category, warning.lineno) for warning in seen] == [(UserWarning, lines[0])]


def test_all_warnings_of_this_part_name_the_caller():
    folder = Path(caller_warnings.__file__).parent
    others = [file.name for file in sorted(folder.glob("*.py")) if "warnings.warn(" in file.read_text(encoding="utf-8")]
    assert others == []
