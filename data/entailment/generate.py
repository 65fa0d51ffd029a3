"""Write the entailment data set: train.jsonl, validation.jsonl and test.jsonl in this folder.

    python data/entailment/generate.py            write the three files
    python data/entailment/generate.py --check    compare the files with the generated ones; exit code 1 if they differ

A template has a premise, a hypothesis that follows from it and one that does not. Both pairs are written, with the same
words, so the premise does not reveal the label. Within a phenomenon every form of hypothesis is entailed half of the
time, so the hypothesis does not reveal it either. The style is that of HANS (McCoy, Pavlick and Linzen, 2019).

Slots are in capitals: A B C are nouns (As, Bs plurals); V is the past tense of a transitive verb (Ven the participle);
I and J are past tenses of intransitive verbs; ONCE, WHO and NEAR are from SHARED.
"""

import argparse
import json
import random
import re
import sys
from itertools import cycle
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENTAILMENT, NOT_ENTAILMENT = 0, 1  # the label order of GLUE's RTE
PAIRS = {"train": 500, "validation": 100, "test": 100}  # per phenomenon
SEEDS = {"train": 1, "validation": 2, "test": 3}

# One lexicon per split. Irregular verbs are written base/past/participle and irregular nouns singular/plural; the
# functions `inflected` and `plural` give the regular forms. Each noun or verb lemma is in only one lexicon.
LEXICON = {
    "train": {
        "noun": """doctor lawyer farmer teacher student soldier sailor banker priest prince king president
            senator manager scientist professor journalist reporter driver waiter plumber carpenter barber librarian
            secretary clerk chef musician dentist surgeon architect athlete detective sheriff thief/thieves prisoner
            tourist visitor stranger neighbor boy woman/women knight captain colonel minister governor merchant
            hunter gardener cowboy programmer historian customer worker agent actor artist singer tailor bishop monk
            pirate""",
        "transitive": """help thank follow visit call watch admire blame praise warn greet avoid advise accuse amuse
            insult ignore invite hire rescue encourage attack push chase pay/paid/paid recommend recognize interview
            convince surprise scare support protect respect arrest defend describe see/saw/seen find/found/found
            choose/chose/chosen forget/forgot/forgotten catch/caught/caught hear/heard/heard leave/left/left
            beat/beat/beaten""",
        "intransitive": """sleep/slept arrive laugh shout escape wait fall/fell resign disappear cough nod/nodded
            hesitate kneel/knelt complain panic/panicked swim/swam""",
    },
    "validation": {
        "noun": """baker poet queen director engineer editor pianist chemist runner boxer officer criminal
            traveler mayor diplomat accountant publisher photographer shepherd astronaut philosopher client wizard
            emperor""",
        "transitive": """trust annoy welcome kick contact impress comfort challenge examine observe tease punish
            applaud mention bite/bit/bitten hit/hit/hit forgive/forgave/forgiven feed/fed/fed lead/led/led""",
        "intransitive": "smile cry vanish faint whisper pray rise/rose stumble",
    },
    "test": {
        "noun": """painter writer pilot guitarist therapist wrestler golfer duke ambassador economist investor
            producer designer composer fisherman/fishermen miner explorer researcher physicist psychologist nun
            sergeant inspector mechanic""",
        "transitive": """envy inspire deceive disturb threaten frighten bother confuse reward assist approach touch
            persuade question betray strike/struck/struck overhear/overheard/overheard hurt/hurt/hurt interrupt""",
        "intransitive": "sneeze apologize jump yawn scream speak/spoke blink sit/sat",
    },
}

# Words of all splits: function words and adverbs of time, never a noun or a verb of the lexicon.
SHARED = {
    "ONCE": ("yesterday", "recently", "today", "later", "earlier"),
    "WHO": ("who", "that"),
    "NEAR": ("near", "behind", "beside", "next to", "opposite"),
}

# The templates of each phenomenon, below its name: premise | hypothesis that follows | hypothesis that does not
TEMPLATES = """
role_reversal
    ONCE the A V the B | the A V the B | the B V the A
passive
    the A was Ven by the B | the B V the A | the A V the B
relative_clause
    the A WHO V the B I | the A I | the B I
    the A WHO the B V I | the A I | the B I
prepositional_phrase
    the A NEAR the B I | the A I | the B I
    the A NEAR the B V the C | the A V the C | the B V the C
conjunction
    the A I and the B J | the A I | the B I
disjunction
    the A I, and the B or the C J | the A I | the B J
negation
    the A V the B but not the C | the A V the B | the A V the C
    the A, unlike the B, V the C | the A V the C | the B V the C
quantifier
    some As but no Bs I | some As I | some Bs I
"""


def plural(entry):
    """Return singular and plural of a noun of the lexicon.

    >>> plural("boss"), plural("secretary"), plural("thief/thieves")
    (('boss', 'bosses'), ('secretary', 'secretaries'), ('thief', 'thieves'))
    """
    singular, _, irregular = entry.partition("/")
    if irregular:
        return singular, irregular
    if singular.endswith("y") and singular[-2] not in "aeiou":
        return singular, singular[:-1] + "ies"
    return singular, singular + ("es" if singular.endswith(("s", "x", "ch", "sh")) else "s")


def inflected(entry):
    """Return base form, past tense and participle of a verb of the lexicon (base/past: the participle is the past).

    >>> inflected("envy"), inflected("enjoy"), inflected("see/saw/seen")
    (('envy', 'envied', 'envied'), ('enjoy', 'enjoyed', 'enjoyed'), ('see', 'saw', 'seen'))
    """
    base, *rest = entry.split("/")
    if rest:
        return base, rest[0], rest[-1]
    if base.endswith("y") and base[-2] not in "aeiou":
        return base, base[:-1] + "ied", base[:-1] + "ied"
    past = base + ("d" if base.endswith("e") else "ed")
    return base, past, past


def forms(split):
    """Return every word form in the lexicon of a split, mapped to its lemma: ``{"saw": "see", ...}``."""
    lemma_of = {}
    for kind, entries in LEXICON[split].items():
        for entry in entries.split():
            words = plural(entry) if kind == "noun" else inflected(entry)
            lemma_of |= dict.fromkeys(words, words[0])
    return lemma_of


def templates():
    """Return ``{phenomenon: [[premise, entailed hypothesis, other hypothesis], ...]}``."""
    blocks = (block.splitlines() for block in re.split(r"\n(?=\w)", TEMPLATES.strip()))
    return {name: [[part.strip() for part in line.split("|")] for line in lines] for name, *lines in blocks}


def draw(rng, items, k=1):
    """Draw k different items with only `random.Random.random`, which Python promises to keep stable across versions."""
    items = list(items)
    return [items.pop(int(rng.random() * len(items))) for _ in range(k)]


def draw_slots(rng, split):
    """Draw words for every slot, ``{"A": "doctor", "As": "doctors", ...}``, none of them twice."""
    words = {kind: entries.split() for kind, entries in LEXICON[split].items()}
    slots = {slot: draw(rng, choices)[0] for slot, choices in SHARED.items()}
    for slot, entry in zip("ABC", draw(rng, words["noun"], 3), strict=True):
        slots[slot], slots[slot + "s"] = plural(entry)
    slots["V"], slots["Ven"] = inflected(draw(rng, words["transitive"])[0])[1:]
    for slot, entry in zip("IJ", draw(rng, words["intransitive"], 2), strict=True):
        slots[slot] = inflected(entry)[1]
    return slots


def fill(template, slots):
    """Return a sentence from a template.

    >>> fill("NEAR the B, the A I", {"NEAR": "beside", "A": "doctor", "B": "king", "I": "slept"})
    'Beside the king, the doctor slept.'
    """
    text = re.sub(r"\w+", lambda word: slots.get(word[0], word[0]), template)
    return text[0].upper() + text[1:] + "."


def rows(split):
    """Return the shuffled rows of a split: dicts of sentence1, sentence2, label, phenomenon and idx."""
    rng, seen, pairs = random.Random(SEEDS[split]), set(), []
    for phenomenon, choices in templates().items():
        goal = len(pairs) + PAIRS[split]
        next_template = cycle(choices)
        while len(pairs) < goal:
            slots = draw_slots(rng, split)
            premise, *hypotheses = (fill(part, slots) for part in next(next_template))
            if premise in seen:  # each premise is used once
                continue
            seen.add(premise)
            for label, hypothesis in zip((ENTAILMENT, NOT_ENTAILMENT), hypotheses, strict=True):
                pairs.append({"sentence1": premise, "sentence2": hypothesis, "label": label, "phenomenon": phenomenon})
    return [row | {"idx": idx} for idx, row in enumerate(draw(rng, pairs, len(pairs)))]


def render(split):
    """Return the bytes of the file of a split."""
    return "".join(json.dumps(row) + "\n" for row in rows(split)).encode()


def main(argv=None):
    parser = argparse.ArgumentParser(description="Write the entailment data set, or check it.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file differs")
    check = parser.parse_args(argv).check
    different = []
    for split in PAIRS:
        path, content = HERE / f"{split}.jsonl", render(split)
        if not check:
            path.write_bytes(content)
        elif not path.is_file() or path.read_bytes() != content:
            different.append(path.name)
    if different:
        print(f"{', '.join(different)}: not as generate.py writes; run it without --check", file=sys.stderr)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
