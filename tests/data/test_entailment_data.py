"""The entailment data: the claims of its card, checked on the files and the generator."""

import importlib.util
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FOLDER = Path(__file__).resolve().parents[2] / "data" / "entailment"
SPLITS = {"train": 500, "validation": 100, "test": 100}  # pairs per phenomenon
PHENOMENA = (
    "role_reversal passive relative_clause prepositional_phrase conjunction disjunction negation quantifier".split()
)

# The words that the splits may share, written out independently of the generator: no nouns and no main verbs.
SHARED_WORDS = set(
    """the was that who not some no and or but by unlike near behind beside next to opposite
    yesterday recently today later earlier""".split()
)


def load_generator():
    spec = importlib.util.spec_from_file_location("entailment_generate", FOLDER / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load_generator()
DATA = {split: [json.loads(line) for line in (FOLDER / f"{split}.jsonl").open()] for split in SPLITS}


def words(sentence):
    return re.findall(r"[a-z]+", sentence.lower())


def labels(rows):
    return np.array([row["label"] for row in rows])


def overlap_features(row):
    """Return measures that ignore the roles of words: shared words, shared bigrams, kept order, lengths."""
    premise, hypothesis = words(row["sentence1"]), words(row["sentence2"])
    shared = set(premise) & set(hypothesis)
    bigrams = set(zip(hypothesis, hypothesis[1:], strict=False))
    remaining = iter(premise)
    return [
        len(shared) / len(set(hypothesis)),
        len(shared) / len(set(premise) | set(hypothesis)),
        set(hypothesis) <= set(premise),
        all(word in remaining for word in hypothesis),  # subsequence
        f" {' '.join(hypothesis)} " in f" {' '.join(premise)} ",  # substring
        len(bigrams & set(zip(premise, premise[1:], strict=False))) / len(bigrams),
        len(premise),
        len(hypothesis),
        len(hypothesis) / len(premise),
    ]


def test_regenerating_gives_the_same_bytes():
    assert generate.main(["--check"]) == 0


def test_check_notices_a_changed_and_a_missing_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(generate, "HERE", tmp_path)
    assert generate.main(["--check"]) == 1
    assert generate.main([]) == 0 and generate.main(["--check"]) == 0
    for split in SPLITS:
        assert (tmp_path / f"{split}.jsonl").read_bytes() == (FOLDER / f"{split}.jsonl").read_bytes()
    changed = tmp_path / "test.jsonl"
    changed.write_bytes(changed.read_bytes().replace(b'"label": 1', b'"label": 0', 1))
    assert generate.main(["--check"]) == 1
    assert "test.jsonl" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("split", SPLITS)
def test_schema(split):
    rows = DATA[split]
    for idx, row in enumerate(rows):
        assert list(row) == ["sentence1", "sentence2", "label", "phenomenon", "idx"]
        assert row["idx"] == idx and row["label"] in (0, 1) and row["phenomenon"] in PHENOMENA
        for sentence in (row["sentence1"], row["sentence2"]):
            assert re.fullmatch(r"[A-Z][a-z]*(,? [a-z]+)*\.", sentence), sentence
        assert len(words(row["sentence1"]) + words(row["sentence2"])) <= 28


@pytest.mark.parametrize("split", SPLITS)
def test_every_phenomenon_is_balanced(split):
    counts = Counter((row["phenomenon"], row["label"]) for row in DATA[split])
    assert counts == {(name, label): SPLITS[split] // 2 for name in PHENOMENA for label in (0, 1)}


def test_no_pair_occurs_twice():
    pairs = [(row["sentence1"], row["sentence2"]) for rows in DATA.values() for row in rows]
    assert len(set(pairs)) == len(pairs)


def test_premises_do_not_reveal_the_label():
    """Every premise occurs exactly twice, once with each label."""
    for rows in DATA.values():
        labels_of = {}
        for row in rows:
            labels_of.setdefault(row["sentence1"], []).append(row["label"])
        assert all(sorted(pair) == [0, 1] for pair in labels_of.values())


def test_no_noun_or_verb_is_in_two_splits():
    used = {split: {w for row in rows for key in ("sentence1", "sentence2") for w in words(row[key])} - SHARED_WORDS
           for split, rows in DATA.items()}  # fmt: skip
    lemmas = {split: {generate.forms(split)[word] for word in used[split]} for split in SPLITS}
    for split in SPLITS:
        assert not SHARED_WORDS & set(generate.forms(split))
        assert len(lemmas[split]) >= 40  # the check is not empty
        for other in set(SPLITS) - {split}:
            assert not used[split] & used[other]
            assert not lemmas[split] & lemmas[other]
            assert not set(generate.forms(split).values()) & set(generate.forms(other).values())


@pytest.mark.parametrize("phenomenon", PHENOMENA)
@pytest.mark.parametrize("split", SPLITS)
def test_function_words_and_lengths_do_not_depend_on_the_label(split, phenomenon):
    counts, lengths = (Counter(), Counter()), (Counter(), Counter())
    for row in DATA[split]:
        if row["phenomenon"] == phenomenon:
            hypothesis = words(row["sentence2"])
            counts[row["label"]].update(word for word in hypothesis if word in SHARED_WORDS)
            lengths[row["label"]][len(hypothesis)] += 1
    assert counts[0] == counts[1]
    assert lengths[0] == lengths[1]


def test_hypotheses_do_not_reveal_the_label():
    model = make_pipeline(CountVectorizer(ngram_range=(1, 2)), LogisticRegression(max_iter=1000))
    model.fit([row["sentence2"] for row in DATA["train"]], labels(DATA["train"]))
    for split in ("validation", "test"):
        assert model.score([row["sentence2"] for row in DATA[split]], labels(DATA[split])) <= 0.55


def test_overlap_reveals_little_of_the_label():
    table = {split: np.array([overlap_features(row) for row in rows], dtype=float) for split, rows in DATA.items()}
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(table["train"], labels(DATA["train"]))
    for split in ("validation", "test"):
        assert model.score(table[split], labels(DATA[split])) <= 0.60


def test_every_word_of_a_hypothesis_is_in_its_premise():
    """Up to the form of the verb; so the set of words does not reveal the label."""
    for split, rows in DATA.items():
        lemma = generate.forms(split)
        for row in rows:
            premise, hypothesis = ({lemma.get(w, w) for w in words(row[key])} for key in ("sentence1", "sentence2"))
            assert hypothesis <= premise


@pytest.mark.parametrize("split", SPLITS)
def test_nouns_and_verbs_do_not_depend_on_the_label(split):
    """Each word occurs about equally often in entailed and in other hypotheses (up to four standard deviations)."""
    counts = (Counter(), Counter())
    for row in DATA[split]:
        counts[row["label"]].update(set(words(row["sentence2"])) - SHARED_WORDS)
    for word in set(counts[0]) | set(counts[1]):
        total = counts[0][word] + counts[1][word]
        assert abs(counts[0][word] - counts[1][word]) <= 4 * total**0.5 + 1, word
