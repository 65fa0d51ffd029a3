"""The rate that is advised when a training has diverged."""

import pytest
import torch
from torch import nn
from transformers import TrainerControl, TrainerState, TrainingArguments

from circpeft import C3AConfig, LearningRateCheck, inject


class Broken(nn.Module):
    """A model without a finite loss."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return {"loss": self.layer(x).sum() * torch.nan}


@pytest.mark.parametrize(
    ("kind", "rate", "usual", "advice"),
    [
        ("AdamW", 0.3, 0.02, 'lower its learning_rate, which is 0.3 with alpha="lora"; try 0.02'),
        ("AdamW", 0.3, 0.3, 'lower its learning_rate, which is 0.3 with alpha="lora"; try 0.1'),
        ("AdamW", 0.3, 0.6, 'lower its learning_rate, which is 0.3 with alpha="lora"; try 0.1'),
        ("SGD", 0.3, 0.02, 'lower its learning_rate, which is 0.3 with alpha="lora"; try 0.1'),
        (None, None, 0.02, "lower its learning_rate"),
    ],
)
def test_the_advice_is_the_usual_rate_if_that_is_lower_for_adam_and_else_a_third(kind, rate, usual, advice, tmp_path):
    model = inject(Broken(), C3AConfig(target_modules=["layer"]))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = getattr(torch.optim, kind)(trained, lr=rate) if kind else None
    callback = LearningRateCheck(usual_rate=usual, at_start=False)
    state = TrainerState(global_step=0, stateful_callbacks=[callback])
    given = (TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none"), state, TrainerControl())
    callback.on_train_begin(*given, model=model, optimizer=optimizer)
    model.train()
    for state.global_step in (1, 2):
        model(torch.ones(1, 4))
        callback.on_step_end(*given, model=model, optimizer=optimizer)
    model(torch.ones(1, 4))
    with pytest.raises(FloatingPointError) as raised:
        callback.on_step_end(*given, model=model, optimizer=optimizer)
    assert str(raised.value) == f"the loss of step 2 is nan: the training diverged; {advice}"
