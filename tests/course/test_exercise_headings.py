"""The heading of an exercise in a notebook says the same as the exercise's entry in the package."""

import re

import nbformat

from circpeft.course.exercise_sets import EXERCISES
from circpeft.course.parameters import repository

HEADING = re.compile(r"^### Exercise (\d\d\.\d): (.+)\n\nDifficulty (★+)☆*, about (\d+) minutes", re.MULTILINE)


def test_headings_give_the_title_the_difficulty_and_the_minutes_of_every_checked_exercise():
    found = {}
    for path in sorted((repository() / "notebooks").glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        for id, title, stars, minutes in HEADING.findall("\n\n".join(cell.source for cell in cells)):
            found[id] = (title[0].upper() + title[1:], len(stars), int(minutes))
    assert found.keys() >= EXERCISES.keys()
    for id, item in EXERCISES.items():
        assert found[id] == (item.title, item.difficulty, item.minutes), id
