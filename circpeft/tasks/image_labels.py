"""Labels of images as numbers of train's classes, by the classes' names."""

from __future__ import annotations

from difflib import get_close_matches

from datasets import ClassLabel, Dataset

MOST = 1000  # classes, if there are more of them than rows


def numbered(task: str, split: str, rows: Dataset, classes: list[str] | None) -> Dataset:
    """The rows with the column "label" as class numbers; ``classes`` is None for train itself, whose are found.

    Class numbers without names are named by themselves, from 0 or, where train has all from 1 to its last, from 1;
    whole numbers such as 1.0 (pandas writes them so where some are missing) are class numbers.

    Raises: ValueError for labels that are not all numbers or all names, for numbers that would make more than 1,000
    classes of fewer rows, as ids do, for one class alone, for two whose names differ by blanks around them alone, or
    for a class that train has not.
    """
    feature, labels = rows.features["label"], rows["label"][:]
    if isinstance(feature, ClassLabel):
        for row, label in enumerate(labels):
            if label not in range(feature.num_classes):
                raise ValueError(f"{_has(task, split, row, label)}; expected 0 to {feature.num_classes - 1}")
        own, named = feature.names, [feature.names[label] for label in labels]
    else:
        own, named = _names(task, split, labels, classes)
    if classes is None:
        if len(set(named)) < 2:
            raise ValueError(f"train of task {task!r} has one class, {named[0]!r}; at least two are needed")
        if same := [name for name in own if name != name.strip() and name.strip() in own]:
            raise ValueError(
                f"train of task {task!r} has classes {same[0]!r} and {same[0].strip()!r}, which differ by blanks alone"
            )
        classes = own
    if other := sorted(set(named) - set(classes)):
        close = get_close_matches(other[0], classes, 3, 0)  # not all: they may be hundreds
        raise ValueError(
            f"split {split} of task {task!r} has other classes than train: {other[:5]}; train's nearest: {close}"
        )
    if isinstance(feature, ClassLabel) and own == classes:
        return rows
    numbers = {name: number for number, name in enumerate(classes)}
    made = [numbers[name] for name in named]
    return rows.remove_columns("label").add_column("label", made, feature=ClassLabel(names=classes))


def _names(task: str, split: str, labels: list, known: list[str] | None) -> tuple[list[str], list[str]]:
    """The classes that labels without a list of names speak of, where none are known yet, and each label's name."""
    first, found = None, []
    for row, label in enumerate(labels):
        if isinstance(label, float) and label.is_integer():
            label = int(label)
        if not isinstance(label, (int, str)) or isinstance(label, str) and not label.strip():
            raise ValueError(f"{_has(task, split, row, label)}; expected class numbers or class names")
        first = first or type(label)
        if not isinstance(label, first):
            raise ValueError(f"{_has(task, split, row, label)} and row 0 {labels[0]!r}; expected one kind of labels")
        if first is not str and label < 0:
            raise ValueError(f"{_has(task, split, row, label)}; expected numbers from 0")
        found.append(label if first is str else int(label))
    if known is not None:
        return known, [str(label) for label in found]
    if first is not str and max(found) >= max(MOST, len(found)):
        row = found.index(max(found))
        raise ValueError(
            f"{_has(task, split, row, labels[row])}, which makes {max(found) + 1} classes of {len(found)} rows; "
            f"expected numbers from 0 on, or names, such as 'id {max(found)}'"
        )
    # A number that train lacks may be a class of test's, but 0 where they are counted from 1 without a gap.
    own = sorted(set(found))
    if first is not str and own != [*range(1, len(own) + 1)]:
        own = range(max(found) + 1)
    return [str(name) for name in own], [str(label) for label in found]


def _has(task: str, split: str, row: int, label: object) -> str:
    return f"row {row} of split {split} of task {task!r} has label {label!r}"


__all__ = ["numbered"]
