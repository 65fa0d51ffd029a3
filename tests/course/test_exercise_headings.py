"""The heading of an exercise in a notebook says the same as the exercise's entry in the package."""

import re

import nbformat

from circpeft.course.exercise_sets import EXERCISES
from circpeft.places import clone

# Importance and allowed operations are optional:
# "Difficulty ★★☆, importance ●●○, about 10 minutes. Allowed: `rfft` and `irfft`."
HEADING = re.compile(
    r"^### Exercise (\d\d\.\d+): (.+)\n\nDifficulty (★+)☆*(?:, importance (●+)○*)?, about (\d+) minutes\."
    r"(?: Allowed: (.+)$)?",
    re.MULTILINE,
)


def notebooks():
    for path in sorted((clone() / "notebooks").glob("*.ipynb")):
        yield path, nbformat.read(path, as_version=4).cells


def test_headings_say_what_the_package_says_of_every_checked_exercise():
    found = {}
    for _, cells in notebooks():
        for id, title, stars, dots, minutes, allowed in HEADING.findall("\n\n".join(cell.source for cell in cells)):
            found[id] = (title[0].upper() + title[1:], len(stars), int(minutes), len(dots), allowed)
    assert found.keys() >= EXERCISES.keys()
    for id, item in EXERCISES.items():
        assert found[id][:3] == (item.title, item.difficulty, item.minutes), id
        if found[id][3]:
            assert found[id][3:] == (item.importance, item.allowed), id


def test_exercises_of_a_notebook_come_in_the_order_of_their_numbers():
    for path, cells in notebooks():
        ids = [id for cell in cells for id, *_ in HEADING.findall(cell.source)]
        assert ids == sorted(ids, key=lambda id: int(id.split(".")[1])), path.name
        assert all(id[:2] == path.name[:2] for id in ids)


def test_the_exercises_of_the_longest_notebook_take_the_time_that_it_names():
    text = next("\n\n".join(cell.source for cell in cells) for path, cells in notebooks() if path.name[:2] == "02")
    assert "its exercises take about three hours" in text
    assert 150 < sum(int(minutes) for *_, minutes, _ in HEADING.findall(text)) < 210
