"""How a run was computed: the facts that its record keeps beside the recipe, and whether two runs can be compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

T = TypeVar("T")
# These change no number beyond rounding and the draws of dropout, so runs that differ in them are comparable.
ONLY_RECORDED = {"threads", "processes", "sharded", "circulant_products"}
# These are properties of a device. A machine may read a record from another kind of device.
OF_DEVICE = {"float32_products", "float32_convolutions", "switches"}
# The settings of a recipe and its model decide these, so runs of several recipes may differ in them.
OF_RECIPE = {"precision", "weights", "batch", "gradient_accumulation", "deterministic", "attention", "experts"}
WORDS = {
    "float32_products": "{} products in float32",
    "float32_convolutions": "{} convolutions in float32",
    "batch": "{} rows per step",
    "weights": "{} weights",
    "attention": "{} attention",
    "experts": "{} experts",
    "compiled": "compiled by {}",
    "backend": "backend {}",
    "deterministic": "deterministic",
}
ORDINARY = {"float32_products": "float32", "float32_convolutions": "float32", "backend": "auto"}


def differences(computations: Iterable[dict[str, Any]], ignored: Iterable[str] = ()) -> dict[str, list[Any]]:
    """Return the facts in which runs differ so that they cannot be compared, each with its values.

    A fact that a record does not have is unknown and differs from nothing: records of earlier versions lack some.

    Args:
        computations: the computations of the runs.
        ignored: further facts that do not count, such as `OF_RECIPE`.

    >>> differences([{"precision": "float32", "threads": 1}, {"precision": "bf16", "threads": 2}, {}])
    {'precision': ['float32', 'bf16']}
    """
    values: dict[str, dict[str, Any]] = {}
    for computation in computations:
        for name, value in comparable(computation).items():
            values.setdefault(name, {})[json.dumps(value, sort_keys=True)] = value
    return {name: list(found.values()) for name, found in values.items() if len(found) > 1 and name not in {*ignored}}


def comparable(computation: dict[str, Any]) -> dict[str, Any]:
    """Return the facts in which runs must agree to be compared.

    >>> comparable({"device": "cpu", "threads": 2})
    {'device': 'cpu'}
    """
    return {name: value for name, value in computation.items() if name not in ONLY_RECORDED}


def split(items: list[T], of: Callable[[T], dict[str, Any]]) -> list[tuple[str, list[T]]]:
    """Return groups of items that can be compared, each with the facts that set it apart from the others.

    Args:
        items: records, or what holds one.
        of: function that gives the computation of an item.

    >>> for facts, group in split([{"device": "cuda"}, {"device": "cpu"}, {"device": "cuda"}], dict):
    ...     print(facts, len(group))
    device: cuda 2
    device: cpu 1
    >>> split([{"precision": "bf16"}, {}], dict)
    [('', [{'precision': 'bf16'}, {}])]
    """
    differing = differences(map(of, items))
    groups: dict[str, list[T]] = {}
    for item in items:
        facts = {name: [of(item)[name]] for name in differing if name in of(item)}
        groups.setdefault(described(facts), []).append(item)
    return list(groups.items())


def is_same(recorded: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Return whether a record was computed as a process would compute it.

    Args:
        recorded: the facts of the record.
        expected: the facts of the process that are known before a run. Properties of a device count only if the record
            is from the same kind of device.

    >>> tf32 = {"device": "cuda", "float32_products": "tf32", "compiled": ""}
    >>> is_same(tf32, tf32 | {"float32_products": "float32"}), is_same(tf32, {"device": "cpu", "compiled": ""})
    (False, True)
    """
    same_device = recorded.get("device") == expected.get("device")
    ignored = {"device"} if same_device else {"device", *OF_DEVICE}
    shared = (recorded.keys() & expected.keys()) - ignored
    return not differences([{name: facts[name] for name in shared} for facts in (recorded, expected)])


def described(differing: dict[str, list[Any]]) -> str:
    """Return what `differences` found as a text.

    >>> described({"precision": ["float32", "bf16"], "compiled": ["", "inductor"], "gradient_accumulation": [1, 2]})
    'precision: float32, bf16; compiled: no, inductor; gradient_accumulation: 1, 2'
    """
    return "; ".join(f"{name}: {', '.join(map(_text, values))}" for name, values in differing.items())


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={_text(setting)}" for name, setting in value.items()) or "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) or "no"


def summary(computation: dict[str, Any]) -> str:
    """Return a run's facts as one line; "" if they are unknown. Ordinary facts are left out.

    >>> summary({"device": "cuda", "precision": "bf16", "float32_products": "float32", "attention": "sdpa"})
    'cuda, bf16, sdpa attention'
    >>> summary({"device": "cpu", "precision": "float32", "compiled": "inductor", "processes": 2})
    'cpu, float32, compiled by inductor, 2 processes'
    """
    parts = [str(computation[name]) for name in ("device", "precision") if name in computation]
    for name, words in WORDS.items():
        value = computation.get(name)
        if value and value != ORDINARY.get(name) and name not in ("batch", "weights"):
            parts.append(words.format(value))
    parts += [f"{name}={value}" for name, value in computation.get("switches", {}).items()]
    if computation.get("processes", 1) > 1:
        parts.append(f"{computation['processes']} processes{' (FSDP)' if computation.get('sharded') else ''}")
    return ", ".join(parts)
