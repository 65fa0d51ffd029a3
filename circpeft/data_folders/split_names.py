"""Names of splits, and what is called like one and is none: to be refused, or renamed."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

SPLITS = {
    "train": ("train",),
    "validation": ("validation", "dev", "valid", "val", "eval", "evaluation"),
    "test": ("test",),
}
SPLIT_OF = {name: split for split, names in SPLITS.items() for name in names}


def alike(name: str, split: str) -> bool:
    """Whether a name is, or has in it, one like the split's.

    >>> alike("in_domain_train", "train"), alike("testing", "test"), alike("notes", "test")
    (True, True, False)
    """
    words = re.findall("[a-z]+", name.lower())
    held_out = split != "train" and bool({"held", "heldout", "holdout"} & {*words})
    return held_out or any(word.startswith(split) or get_close_matches(word, SPLITS[split], 1, 0.81) for word in words)


def renamed(names: Iterable[str]) -> dict[str, str]:
    """Names that are each the only one like a split's, and what to call them.

    >>> renamed(["sst2_train", "sst2_dev", "test_a", "test_b", "notes"])
    {'sst2_train': 'train', 'sst2_dev': 'validation'}
    """
    names = list(names)
    like = {split: [name for name in names if alike(name, split)] for split in SPLITS}
    once = {split: found[0] for split, found in like.items() if len(found) == 1}
    return {name: split for split, name in once.items() if [*once.values()].count(name) == 1}


def plain(name: str) -> str:
    """A name by its small letters and digits alone: publishers' folders are called SST-2 and STS-B.

    >>> plain("SST-2"), plain("rte")
    ('sst2', 'rte')
    """
    return re.sub(r"[\W_]", "", name.lower())
