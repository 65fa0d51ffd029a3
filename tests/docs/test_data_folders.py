"""The columns and the labels in docs/data-folders.md are those of the tasks."""

import re

from circpeft import results, tasks

PAGE = (results.ROOT / "docs" / "data-folders.md").read_text(encoding="utf-8")


def rows(heading: str) -> dict[str, list[str]]:
    """Return the second and third cells of a section's first table, by each name in its first cells."""
    section = PAGE[PAGE.index(f"## {heading}") :].partition("\n\n| task")[2].partition("\n\n")[0]
    cells = [line.strip("| ").split(" | ") for line in section.splitlines()[2:]]
    return {name: rest for first, *rest in cells for name in re.findall("`([^`]+)`", first)}


def code(cell: str) -> tuple[str, ...]:
    return tuple(re.findall("`([^`]+)`", cell))


def test_the_columns_and_labels_of_text_tasks():
    table, texts = rows("Texts"), {task.name: task for task in tasks.TASKS.values() if task.kind == "text"}
    assert table.keys() == texts.keys()
    for name, (columns, label) in table.items():
        assert code(columns) == texts[name].columns and code(label) == texts[name].labels
        assert not texts[name].label_range or label == "a number from {:.0f} to {:.0f}".format(*texts[name].label_range)


def test_the_columns_of_instruction_tasks():
    table = rows("Instructions")
    assert table.keys() == {task.name for task in tasks.TASKS.values() if task.kind == "instructions"}
    for name, (columns, _) in table.items():
        task = tasks.TASKS[name]
        assert code(columns) == (*task.columns, *([task.optional] if task.optional else []))
