"""Write the word problems: train.jsonl, validation.jsonl and test.jsonl in this folder.

    python data/word_problems/generate.py            write the three files
    python data/word_problems/generate.py --check    compare the files with the generated ones; exit code 1 if different

A problem is a short story with two or three numbers and a question. Its answer has one sum per line and ends as in
GSM8K (Cobbe et al. 2021): "#### " and the number. Slots are in capitals: A and B are names, T is a thing, X Y Z P Q are
numbers.
"""

import argparse
import json
import random
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROBLEMS = {"train": 2000, "validation": 200, "test": 400}
SEEDS = {"train": 1, "validation": 2, "test": 3}

# One lexicon per split: validation and test share no name or thing with train.
NAMES = {
    "train": """Anna Ben Carla David Emma Felix Greta Henry Iris Jonas Karen Leo Mona Nils Olga Paul Rosa Simon Tina Uwe
        Vera Willy""",
    "validation": "Ada Bruno Cora Dirk Elsa Fritz",
    "test": "Alma Boris Clara Erik Frida Gustav Hanna Ivan",
}
THINGS = {
    "train": """apples pears books pens stamps coins cards balls shells stones cakes plums nuts eggs cups keys dolls
        roses kites bells""",
    "validation": "lemons buttons candles ribbons spoons tickets",
    "test": "cherries marbles pencils stickers cookies flowers beads boats",
}

# kind: (story, question, sums). R is the result of the sum before.
FRAMES = {
    "more": ("A has X T. B gives A Y more.", "How many T does A have now?", ["X + Y"]),
    "bought": ("A had X T and then bought Y T.", "How many T does A have?", ["X + Y"]),
    "together": ("A has X T and B has Y T.", "How many T do they have together?", ["X + Y"]),
    "fewer": ("A has X T. A gives B Y of them.", "How many T does A have left?", ["X - Y"]),
    "lost": ("A had X T and lost Y.", "How many T are left?", ["X - Y"]),
    "difference": ("A has X T. B has Y fewer T than A.", "How many T does B have?", ["X - Y"]),
    "boxes": ("A has P boxes with Q T in each.", "How many T does A have in all?", ["P * Q"]),
    "days": ("Every day A finds P T.", "How many T does A find in Q days?", ["P * Q"]),
    "more_and_fewer": (
        "A has X T. B gives A Y more, and then A loses Z of them.",
        "How many T does A have in the end?",
        ["X + Y", "R - Z"],
    ),
    "boxes_and_more": (
        "A has P boxes with Q T in each, and Y more T on the table.",
        "How many T does A have in all?",
        ["P * Q", "R + Y"],
    ),
    "compared_and_together": (
        "A has X T. B has Y more T than A.",
        "How many T do they have together?",
        ["X + Y", "X + R"],
    ),
}
OPERATIONS = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}


def worked(sums: list[str], numbers: dict[str, int]) -> tuple[list[str], list[int]]:
    """Return the lines of the sums, with numbers and results, and the results."""
    lines, results = [], []
    for formula in sums:
        left, sign, right = formula.split()
        a, b = (results[-1] if slot == "R" else numbers[slot] for slot in (left, right))
        results.append(OPERATIONS[sign](a, b))
        lines.append(f"{a} {sign} {b} = {results[-1]}")
    return lines, results


def filled(text: str, slots: dict[str, object]) -> str:
    """Return a frame with its slots filled."""
    return re.sub(r"\b[ABTXYZPQ]\b", lambda match: str(slots[match[0]]), text)


def problem(draw: random.Random, split: str, kind: str) -> dict:
    """Return one problem; its numbers are drawn until every result is from 1 to 99."""
    story, question, sums = FRAMES[kind]
    a, b = draw.sample(NAMES[split].split(), 2)
    while True:
        numbers = {slot: draw.randint(2, 60) for slot in "XYZ"} | {slot: draw.randint(2, 9) for slot in "PQ"}
        lines, results = worked(sums, numbers)
        if all(1 <= result <= 99 for result in results):
            break
    slots = {"A": a, "B": b, "T": draw.choice(THINGS[split].split()), **numbers}
    answer = "\n".join([*lines, f"#### {results[-1]}"])
    return {"question": filled(f"{story} {question}", slots), "answer": answer, "kind": kind}


def problems(split: str) -> list[dict]:
    """Return the shuffled problems of a split; each question occurs once."""
    draw, seen, rows = random.Random(SEEDS[split]), set(), []
    kinds = list(FRAMES)
    while len(rows) < PROBLEMS[split]:
        row = problem(draw, split, kinds[len(rows) % len(kinds)])
        if row["question"] not in seen:
            seen.add(row["question"])
            rows.append(row)
    draw.shuffle(rows)
    return rows


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the word problems, or check them.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file differs")
    check, different = parser.parse_args(argv).check, []
    for split in PROBLEMS:
        path, content = HERE / f"{split}.jsonl", "".join(json.dumps(row) + "\n" for row in problems(split)).encode()
        if not check:
            path.write_bytes(content)
        elif not path.is_file() or path.read_bytes() != content:
            different.append(path.name)
    if different:
        print(f"{', '.join(different)}: not as generate.py writes; run it without --check", file=sys.stderr)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
