"""Regexes in adapter files: those that people write are accepted, and every accepted one is fast."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circpeft.hf_peft.file_regexes import slow

NAME = "base_model.model.model.layers.10.self_attention.q_proj" + "a" * 20

USUAL = [
    r".*\.(q|v)_proj",
    r"model\.layers\.([0-9]|1[0-9])\..*_proj",
    r"(?:model\.)?layers\.\d+\.(self_attn|mlp)\.(gate|up|down)_proj$",
    r"^(?!.*lm_head).*\.dense$",
    r".*vision.*(q_proj|k_proj|v_proj|fc1)",
    r"(?:.*?(?:vision|image).*?(?:self_attn|mlp).*?(?:q_proj|v_proj).*?)|(?:\bmodel\.layers\.[\d]{1,}\.mlp)",
    "|".join(f"model.layers.{k}.q_proj" for k in range(200)),
]
SLOW = [
    "(a+)+$",
    "(a*)*b",
    "(a|a)*b",
    "(a|aa)+$",
    "([a-z]+)*X",
    r"(.*)(.*)*X",
    r"((a)\2?)*b",
    ".*a" * 8,
    "(?:a{1,99}){1,99}b",
]


@pytest.mark.parametrize("regex", USUAL)
def test_usual_regexes_are_accepted(regex):
    assert slow(regex) == ""


@pytest.mark.parametrize("regex", SLOW)
def test_slow_regexes_are_refused(regex):
    assert slow(regex)


def test_a_regex_has_at_most_20000_characters():
    assert slow("a" * 20_000) == "" and slow("a" * 20_001) == "of 20001 characters"


PIECES = [
    "a",
    "a+",
    "a*",
    ".*",
    "(a|b)",
    "(a+)+",
    "(.*a)*",
    "[a-z]*?",
    "(a|a)*",
    "b{2,}",
    r"\.",
    "(?:a?){9}",
    "X",
    "(",
    "?",
]


@settings(max_examples=150)
@given(st.lists(st.sampled_from(PIECES), max_size=7).map("".join))
def test_accepted_regexes_are_fast(regex):
    if slow(regex) == "":
        start = time.perf_counter()
        re.fullmatch(regex, "a" * 60)
        re.fullmatch(rf".*\.{regex}$", NAME)
        assert time.perf_counter() - start < 10
