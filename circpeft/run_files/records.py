"""The record of a run: what each field holds, for a run that finished and for one that failed."""

from __future__ import annotations

from dataclasses import dataclass, field

from .json_files import Count, Name, Number, Positive, Text
from .record_parts import Computation, Epoch, FailedSettings, Loss, Settings, WeightFile

SCHEMA = 3


@dataclass
class Result:
    """The record of one run.

    A record is read instead of repeating its run only if ``code`` and ``data`` are those of the present code and rows,
    and ``computation`` does not differ from what this process would compute.

    Attributes:
        task: name of the task.
        method: name of the method.
        label: the method with its hyperparameters, as `recipes.parse_method` reads it.
        seed: the seed.
        metric: name of the task's metric; higher is better.
        score: score on validation of the epoch that was tested; None without a validation split.
        test_score: score of that epoch on the test split.
        start_score: score of the model on the test split before it was trained.
        best_epoch: number of the epoch that was tested, from 1: the one with the best score, or the last one if the
            settings have ``tested_epoch`` "last".
        trainable_parameters: parameters that the method trains, without the head.
        head_parameters: trainable parameters of the head.
        seconds: duration of the training with its evaluations.
        tokens_per_second: speed of the training steps only. Padding does not count. A token of an image is a patch.
        flops_per_token: FLOPs of one forward pass over a batch, divided by that batch's tokens (padding included). None
            for a quantised base model, because torch cannot count its products.
        base_flops_per_token: the same without the adapter.
        peak_bytes: peak of allocated device memory on a GPU, of the process's resident memory on a CPU; 0 if the system
            does not report it. The largest of several processes.
        rows: number of rows of each split.
        split: how the data was split, and what was left out.
        settings: everything in the recipe that decides the outcome.
        device: name of the device.
        versions: versions of Python and of the packages that a run uses.
        commit: commit of the code, with "+" if the files differ from it; "unknown" outside a git checkout.
        code: fingerprint of the code that training executes.
        data: fingerprint of the rows.
        finished: time when the run ended, in UTC.
        epochs: number, validation score and validation loss of each epoch; empty without a validation split.
        losses: training loss over the run, each with its (fractional) epoch.
        groups: test score within each value of the task's group column.
        spectra: singular values of ``ΔW`` in two watched layers.
        kernel_ranks: ranks of all learnt circulants by block size, beside those of random kernels; see
            `training.kernel_ranks`. Empty for methods without kernels, and in records of earlier versions.
        weight_changes: path, from the output folder, of the file that shows ``ΔW`` after each epoch; see
            `training.weight_changes`. "" without one, and in records of earlier versions.
        predictions: predictions on the test split; of generated answers only the first 200.
        start_predictions: the first predictions on the test split before training.
        computation: how the run was computed, read from what ran: see `training.computed`. Empty in records of earlier
            versions.
        unadapted: weights of fused experts that the method left frozen, as target_parameters names them, each with its
            number of elements over all layers. Empty for methods without targets.
        chat_template: whether the prompts are in the model's chat template. None for tasks without prompts, and in
            records of earlier versions.
        other_scores: test scores of the same answers by other rules, such as "math_verify" for MATH. Empty for tasks
            without one, without that package, and in records of earlier versions.
        weights: size and SHA-256 of each file of the trained weights, by its name. Empty if none were saved on this
            machine, and in records of earlier versions.
        state: how the run ended: "finished". A run that failed has a `Failure`.
        schema: version of this list of fields.
    """

    task: Name
    method: Name
    label: Name
    seed: Count
    metric: Name
    score: Number | None
    test_score: Number
    start_score: Number
    best_epoch: Count
    trainable_parameters: Count
    head_parameters: Count
    seconds: Positive
    tokens_per_second: Positive
    flops_per_token: Positive | None
    base_flops_per_token: Positive | None
    peak_bytes: Count
    rows: dict[str, Count]
    split: Text
    settings: Settings
    device: Name
    versions: dict[str, str]
    commit: Name
    code: Name
    data: Name
    finished: Name
    epochs: list[Epoch] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    groups: dict[str, Number] = field(default_factory=dict)
    spectra: dict[str, list[Positive]] = field(default_factory=dict)
    predictions: list = field(default_factory=list)
    start_predictions: list = field(default_factory=list)
    computation: Computation = field(default_factory=dict)
    unadapted: dict[str, Count] = field(default_factory=dict)
    kernel_ranks: dict[str, dict] = field(default_factory=dict)
    chat_template: bool | None = None
    weight_changes: Text = ""
    other_scores: dict[str, Number] = field(default_factory=dict)
    weights: dict[str, WeightFile] = field(default_factory=dict)
    state: Name = "finished"
    schema: int = SCHEMA

    @property
    def hyperparameters(self) -> dict:
        """The method's hyperparameters."""
        return self.settings["hyperparameters"]


@dataclass
class Failure:
    """The record of a run that ended in an error.

    Attributes:
        name: name of the run.
        settings: everything in the recipe that decides the outcome.
        error: message of the error.
        traceback: its traceback.
        device, versions, commit, code, finished: as in `Result`.
        state: "failed".
        schema: version of this list of fields.
    """

    name: Text
    settings: FailedSettings
    error: str
    traceback: str
    device: Name
    versions: dict[str, str]
    commit: Name
    code: Name
    finished: Name
    state: Name = "failed"
    schema: int = SCHEMA
