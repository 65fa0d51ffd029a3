"""Tables and picture of the fits of benchmarks/evidence.py, computed from the record."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean

from evidence_stats import Comparisons, Estimate, difference_text, estimate
from page_parts import device_text

from circpeft import plots

UPDATE, GAUSSIAN, VALUES, PERMUTED = TARGETS = "update", "gaussian", "singular values", "permuted"
FORMS = {"circulant": "block-circulant", "product": "A3 C A1"}
LABELS = {UPDATE: "ΔW", **{control: f"control: {control}" for control in TARGETS[1:]}}


def over_layers(rows: list[dict], model: str, asked: int | str, value: Callable[[dict[str, dict]], float]) -> Estimate:
    """Return the mean over layers of a value of the four targets of each layer."""
    layers: dict[str, dict[str, dict]] = {}
    for row in rows:
        if (row["model"], row["asked"]) == (model, asked):
            layers.setdefault(row["layer"], {})[row["target"]] = row
    return estimate(value(targets) for targets in layers.values())


def excess(form: str, control: str) -> Callable[[dict[str, dict]], float]:
    """Return the function of a layer's targets that is the share of ΔW minus that of a control."""
    return lambda targets: targets[UPDATE][form] - targets[control][form]


def lead(form: str, target: str) -> Callable[[dict[str, dict]], float]:
    """Return the function of a layer's targets that is a form's share minus that of low rank at equal parameters."""
    return lambda targets: targets[target][form] - targets[target][f"low_rank_{form}"]


def settings_of(record: dict) -> list[tuple[str, int | str]]:
    """Return the models and block sizes of a record, in its order."""
    return list(dict.fromkeys((row["model"], row["asked"]) for row in record["rows"]))


def means(record: dict, model: str, asked: int | str, target: str) -> dict[str, float]:
    """Return the mean over layers of the share of a target that each form represents."""
    of = [row for row in record["rows"] if (row["model"], row["asked"], row["target"]) == (model, asked, target)]
    columns = [column for form in FORMS for column in (form, f"low_rank_{form}")]
    return {column: mean(row[column] for row in of) for column in columns}


def page_text(record: dict) -> str:
    """Return the mean shares over layers, how the fits converged, and what the models were trained on."""
    lines = [
        "| model | blocks | matrix | block-circulant | low rank, as many parameters | A3 C A1 | low rank, as many |",
        "|---|---|---|---|---|---|---|",
    ]
    for model, asked in settings_of(record):
        for target in TARGETS:
            cells = [f"{value:.4f}" for value in means(record, model, asked, target).values()]
            lines.append(f"| {model} | {_blocks(asked)} | {LABELS[target]} | {' | '.join(cells)} |")
    lines += ["", convergence(record), ""]
    for model, run in record["trained"].items():
        lines.append(
            f"{model}: full fine-tuning on {run['task']}, {run['rows']['train']:,} rows, test score "
            f"{run['start_score']:.3f} before and {run['test_score']:.3f} after. {device_text(run['device'])}; torch "
            f"{run['versions']['torch']}."
        )
    return "\n".join([*lines, ""])


def figure(record: dict):
    """Draw the share that each form represents, for ΔW and the controls, in the first model with the largest blocks."""
    model, asked = settings_of(record)[0]
    names = {"circulant": "block-circulant", "low_rank_circulant": "low rank, as many parameters"}
    names |= {"product": "A3 C A1", "low_rank_product": "low rank, as many as A3 C A1"}
    shares = {target: means(record, model, asked, target) for target in TARGETS}
    return plots.bars(
        {name: {LABELS[target]: of[column] for target, of in shares.items()} for column, name in names.items()},
        title=f"{model}, {_blocks(asked)} blocks: how much of ΔW each form represents",
        x_title="matrix",
        y_title="share of the squared norm, mean over layers",
    )


def comparisons(record: dict) -> Comparisons:
    """Compare, for each model, block size and form, the share of ΔW with those of the controls and of low rank."""
    lines = []
    for model, asked in settings_of(record):
        for form, name in FORMS.items():
            values = [excess(form, control) for control in TARGETS[1:]] + [lead(form, UPDATE), lead(form, GAUSSIAN)]
            means = (over_layers(record["rows"], model, asked, value) for value in values)
            cells = [difference_text(value, digits=4) for value in means]
            lines.append((model, _blocks(asked), name, *cells))
    heads = (
        *("model", "blocks", "form"),
        *(f"ΔW minus {control}" for control in TARGETS[1:]),
        "ΔW: form minus low rank",
        "gaussian: form minus low rank",
    )
    notes = [f"{model} was skipped: {reason}." for model, reason in record["skipped"].items()]
    return Comparisons(heads, lines, notes)


def convergence(record: dict) -> str:
    """Return how the fits of ``A3 C A1`` ended: which start was the best, and what the last sweep still added."""
    rows = [row for row in record["rows"] if row["target"] == UPDATE]
    names = list(rows[0]["starts"])
    best = [max(row["starts"], key=row["starts"].get) for row in rows]
    counts = ", ".join(f"{best.count(name)} from {name!r}" for name in names)
    gap = max(max(row["starts"].values()) - sorted(row["starts"].values())[-2] for row in rows)
    gain = max(row["last_gain"] / row["product"] for row in rows)
    return (
        f"Of {len(rows)} fits of ΔW by A3 C A1, the best start was: {counts}. The best start was at most {gap:.4f} "
        f"ahead of the second best. The last sweep added at most {gain:.1e} of the share."
    )


def _blocks(asked: int | str) -> str:
    return "largest" if asked == "auto" else f"{asked} x {asked}"
