"""A callback for any Trainer that tells at once of a learning rate that cannot train the model's adapters."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from .caller_warnings import warn_caller
from .loss_trend import STEPS, LossTrend
from .rate_warnings import layer_scales, rate_to_try, rate_warning, scale_text

FAR = 10  # a rate that is this many times the usual one, or less than it by this factor, is far from it
NOT_FINITE = 3  # losses in a row that are not finite end a training whose weights still are


def _of_adam(optimizer: Any) -> bool:
    """Return whether a learning rate is the size of a step, as in Adam and its relatives."""
    name = type(getattr(optimizer, "optimizer", optimizer)).__name__.lower()
    return ("adam" in name or "lion" in name) and "dadapt" not in name


def _peak(group: dict[str, Any]) -> float:
    """Return the highest rate that the schedule of a group reaches."""
    # Schedules keep their peak as the initial rate; torch's OneCycleLR and CyclicLR begin far below theirs.
    return float(group.get("max_lr", group.get("initial_lr", group["lr"])))


def peak_rate(optimizer: Any, parameters: list[nn.Parameter]) -> float | None:
    """Return the highest rate that an optimizer's schedule reaches for the parameters, or for its first group."""
    groups, wanted = getattr(optimizer, "param_groups", None) or [], {id(p) for p in parameters}
    of_parameters = [g for g in groups if any(id(p) in wanted for p in g["params"])] or groups[:1]
    return max(map(_peak, of_parameters), default=None)


def _weights_are_finite(model: nn.Module) -> bool:
    """Return whether all trainable weights of this process are finite. A gathered look would wait for the others."""
    trained = [p for p in model.parameters() if p.requires_grad]
    own = [p.to_local() if hasattr(p, "to_local") else p for p in trained]
    return all(bool(p.isfinite().all()) for p in own)


class LearningRateCheck(TrainerCallback, ExportableState):
    """A Trainer callback that warns of a learning rate which does not suit the scale of the model's C3A or CDVFT.

    It reads the scales from the model's layers and the rates from the optimizer, and tells three things, each with the
    rate to try:

    - at the beginning, a warning for a rate of another scale, such as 0.3 with ``alpha="lora"``, or 1e-4 with "paper";
    - after a hundred steps, one warning if the loss has not fallen and the rate is ten times off the usual one, or if
      the loss is far above its start and the rate is too large;
    - `FloatingPointError` as soon as the training has diverged, instead of epochs of NaN.

    With an optimizer that is not a relative of Adam, only the last one. A resumed training is judged once, too.

    The loss is the one that the model returns. If the Trainer computes it instead, as with label smoothing, only the
    first warning is given.

    Args:
        usual_rate: the usual rate of the method on this model; by default LoRA's 1e-3, converted to the layers' scale.
        at_start: whether to give the first warning.

    >>> LearningRateCheck().usual_rate is None  # Trainer(..., callbacks=[LearningRateCheck()])
    True
    """

    def __init__(self, usual_rate: float | None = None, at_start: bool = True) -> None:
        self.usual_rate, self.at_start = usual_rate, at_start
        self.trend, self.judged = LossTrend(), False
        self._usual, self._text, self._adam = usual_rate, "", False
        self._rate: float | None = None
        self._losses: list[Tensor] = []
        self._not_finite, self._warm = 0, False
        self._hook: RemovableHandle | None = None

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint has to keep. The losses of the first steps are gone after a resume otherwise."""
        arguments = {"usual_rate": self.usual_rate, "at_start": self.at_start}
        return {"args": arguments, "attributes": {"kept": {"trend": self.trend.state(), "judged": self.judged}}}

    @property
    def kept(self) -> dict[str, Any]:
        """The part of `state` that changes."""
        kept: dict[str, Any] = self.state()["attributes"]["kept"]
        return kept

    @kept.setter
    def kept(self, kept: dict[str, Any]) -> None:
        self.trend, self.judged = LossTrend(**kept["trend"]), kept["judged"]

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        optimizer: Any = None,
        **kwargs: Any,
    ) -> None:
        """Compare the rates with the scales, and begin to listen to the model's losses."""
        scales = layer_scales(model)
        adapters = [p for name, p in model.named_parameters() if p.requires_grad and "_adapters." in name]
        self._rate, self._adam = peak_rate(optimizer, adapters if scales else []), _of_adam(optimizer)
        self._usual = rate_to_try(scales) if self.usual_rate is None and scales else self.usual_rate
        self._not_finite, self._warm = 0, False
        self._text = f" with {scale_text(scales)}" if scales else ""
        self._resume(state)
        if self.at_start and self._adam and self._rate and state.is_world_process_zero:
            if (text := rate_warning(scales, self._rate, self._usual)) is not None:
                warn_caller(text)
        self._stop_listening()
        self._hook = model.register_forward_hook(self._listen)

    def _resume(self, state: TrainerState) -> None:
        if not state.global_step:
            self.trend, self.judged = LossTrend(), False
            return
        saved = state.stateful_callbacks.get(type(self).__name__)
        if isinstance(saved, dict):
            self.kept = saved["attributes"]["kept"]
        else:
            self.judged = True  # the losses of the first steps are not known
            state.stateful_callbacks[type(self).__name__] = self.state()  # the Trainer updates it when it saves

    def _listen(self, model: nn.Module, inputs: Any, outputs: Any) -> None:
        loss = outputs.get("loss") if isinstance(outputs, dict) else None
        if model.training and isinstance(loss, Tensor) and loss.numel() == 1:
            self._losses.append(loss.detach())

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        optimizer: Any = None,
        **kwargs: Any,
    ) -> None:
        """Stop a training that has diverged, and judge the loss after the first hundred steps.

        Raises: FloatingPointError if the loss is not finite and the weights are not, either, or for the third step in a
        row. One batch without labels has no finite loss, and fp16 leaves out a step that overflows.
        """
        if not self._losses:
            return
        # Of accumulated batches; under nn.DataParallel every device has its own.
        device = self._losses[0].device
        loss = float(torch.stack([part.to(device).float().reshape(()) for part in self._losses]).sum())
        self._losses.clear()
        if not math.isfinite(loss):
            self._not_finite += 1
            if self._not_finite >= NOT_FINITE or not _weights_are_finite(model):
                self._stop_listening()  # the Trainer does not call on_train_end after an error
                raise FloatingPointError(self._diverged(state.global_step, loss))
            return
        self._not_finite = 0
        if not self.judged:
            groups = getattr(optimizer, "param_groups", ())
            self._warm = self._warm or any(2 * g["lr"] >= _peak(g) > 0 for g in groups)
            self.trend.add(loss, self._warm)
            if self.trend.complete:
                self.judged = True
                if (text := self._advice()) is not None and state.is_world_process_zero:
                    warn_caller(text)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop listening to the model."""
        self._stop_listening()

    def _stop_listening(self) -> None:
        self._losses.clear()
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def _diverged(self, step: int, loss: float) -> str:
        text = f"the loss of step {step} is {loss}: the training diverged; lower its learning_rate"
        if not self._rate:
            return text
        lower = self._usual if self._adam and self._usual and self._usual < self._rate else self._rate / 3
        return f"{text}, which is {self._rate:g}{self._text}; try {lower:.2g}"

    def _advice(self) -> str | None:
        """Return what to say after the first hundred steps, or None."""
        verdict = self.trend.verdict()
        if not (verdict and self._adam and self._rate and self._usual):
            return None
        ratio = self._rate / self._usual
        large = ratio > 1 if verdict == "risen" else ratio >= FAR
        if not large and (verdict == "risen" or ratio > 1.001 / FAR):
            return None
        seen = "risen" if verdict == "risen" else "not fallen"
        times = f"{max(ratio, 1 / ratio):.2g} times {'above' if large else 'below'} the usual one"
        return (
            f"the loss has {seen} in the first {STEPS} steps ({self.trend.summary()}), and "
            f"learning_rate={self._rate:g} is {times}{self._text}; try {self._usual:.2g}"
        )
