"""Split names, and detection of near misses."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

SPLITS = {
    "train": ("train",),
    "validation": ("validation", "dev", "valid", "val", "eval", "evaluation"),
    "test": ("test",),
}
SPLIT_OF = {name: split for split, names in SPLITS.items() for name in names}


def split_named(name: str) -> str | None:
    """Return the split that a name stands for, whatever its capital letters; None for any other name.

    >>> split_named("Dev"), split_named("testing")
    ('validation', None)
    """
    return SPLIT_OF.get(name.lower())


def resembles(name: str, split: str) -> bool:
    """Return whether a name is a split's, or contains a word similar to one.

    >>> resembles("in_domain_train", "train"), resembles("tets", "test"), resembles("notes", "test")
    (True, True, False)
    """
    words = re.findall("[a-z]+", name.lower())
    held_out = split != "train" and bool({"held", "heldout", "holdout"} & {*words})
    return held_out or any(word.startswith(split) or _is_similar(word, SPLITS[split]) for word in words)


def _is_similar(word: str, names: Iterable[str]) -> bool:
    """Return whether a word is almost one of the names, or has its letters in another order, as "trian" has."""
    return bool(get_close_matches(word, names, 1, 0.81)) or sorted(word) in [sorted(name) for name in names]


def suggested_splits(names: Iterable[str]) -> dict[str, str]:
    """Return the split that each name should be renamed to, where no other name resembles that split.

    >>> suggested_splits(["sst2_train", "sst2_dev", "test_a", "test_b", "notes"])
    {'sst2_train': 'train', 'sst2_dev': 'validation'}
    """
    names = list(names)
    similar = {split: [name for name in names if resembles(name, split)] for split in SPLITS}
    only = {split: candidates[0] for split, candidates in similar.items() if len(candidates) == 1}
    return {name: split for split, name in only.items() if [*only.values()].count(name) == 1}


def normalized(name: str) -> str:
    """Return a name in lower case, with only its letters and digits: publishers write SST-2 and STS-B.

    >>> normalized("SST-2"), normalized("rte")
    ('sst2', 'rte')
    """
    return re.sub(r"[\W_]", "", name.lower())
