"""The fastest backend by dtype, width, tokens and block size, and where `auto` takes another one.

The rule of `auto` is in `circpeft.ops.dispatch`. Its thresholds for GPUs should follow this table.
"""

from gpu_cases import OURS, Size

from circpeft.ops.dispatch import NARROW

# A slower choice costs less than this share of the time of frozen layer and adapter: the spread of a measurement.
TOLERANCE = 0.03
# With fewer tokens, the GPU waits for the host, and for the thresholds a layer does not count.
FEW_TOKENS = 2048
# The sizes that are measured for the rule, the most informative first.
SIZES = [
    *(Size(2048, d, d, 64, "bfloat16") for d in (768, 1536, 1024, 2048, 3072)),
    *(Size(t, 768, 768, 768, "float32") for t in (16384, 2048)),
    *(Size(2048, d, d, 64, "float32") for d in (1024, 2048, 4096)),
    *(Size(t, 4096, 4096, 64, "bfloat16") for t in (512, 16384)),
    *(Size(2048, 4096, 4096, b, "bfloat16") for b in (16, 512, 1024)),
    *(Size(t, 768, 768, 48, "autocast") for t in (2048, 16384)),
    *(Size(t, d, d, 64, "bfloat16") for d in (768, 2048) for t in (512, 16384)),
    *(Size(t, 1024, 1024, 1024, "float32") for t in (2048, 16384)),
    *(Size(8192, d, d, 64, "tf32") for d in (768, 1536, 3072)),
]


def rule_rows(rows: list[dict]) -> list[dict]:
    """Return the fastest of our ways for each method and measured layer, with what `auto` took and its cost.

    Forced numbers of leaves ("c3a leaf R=16") take part. "slower" is what "auto" takes beyond the fastest way, as a
    share of the time of frozen layer and fastest way; None where "auto" was not measured.

    >>> ms = {"c3a": 0.5, "c3a rfft": 0.5, "c3a leaf": 0.2, "lora r=8": 0.1}
    >>> row = {"tokens": 9, "d_in": 64, "d_out": 64, "block_size": 8, "precision": "float32", "auto": {"c3a": "rfft"}}
    >>> row |= {"frozen_ms": {"both": [1.0] * 3}, "beyond_frozen_ms": {n: {"both": [t] * 3} for n, t in ms.items()}}
    >>> [(r["fastest"], r["auto"], r["slower"]) for r in rule_rows([row])]
    [('leaf', 'rfft', 0.25)]
    """
    found = []
    for row in rows:
        added = {name: times["both"][1] for name, times in row["beyond_frozen_ms"].items()}
        for method in OURS:
            ways = {name: ms for name, ms in added.items() if name.startswith(f"{method} ")}
            if not ways:
                continue
            best = min(ways, key=ways.get)
            whole = row["frozen_ms"]["both"][1] + ways[best]
            slower = round((added[method] - ways[best]) / whole, 3) if method in added and whole > 0 else None
            found.append({
                "precision": row["precision"], "d_in": row["d_in"], "d_out": row["d_out"], "tokens": row["tokens"],
                "b": row["block_size"], "method": method, "fastest": best.removeprefix(f"{method} "),
                "us": {name.removeprefix(f"{method} "): round(1000 * ms, 1) for name, ms in ways.items()},
                "auto": row["auto"].get(method), "slower": slower,
            })  # fmt: skip
    keys = ("method", "precision", "d_in", "d_out", "tokens", "b")
    return sorted(found, key=lambda r: [r[key] for key in keys])


def narrow_limit(rows: list[dict], precisions: tuple[str, ...], way: str) -> int | None:
    """Return the largest width up to which a way was the fastest for every square layer of C3A.

    Args:
        rows: of `rule_rows`, of which those with at least `FEW_TOKENS` tokens count.
        precisions: those that count.
        way: "dense" or "fold".

    Returns: 0 if it was not the fastest for the narrowest layer; None if no layer was measured.

    >>> row = {"method": "c3a", "precision": "bfloat16", "tokens": 2048}
    >>> fastest = {768: "dense", 1024: "dense", 1536: "leaf", 2048: "dense"}
    >>> rows = [row | {"d_in": width, "d_out": width, "fastest": name} for width, name in fastest.items()]
    >>> narrow_limit(rows, ("bfloat16",), "dense")
    1024
    """
    of_c3a = [r for r in rows if r["method"] == "c3a" and r["precision"] in precisions and r["tokens"] >= FEW_TOKENS]
    square = [r for r in of_c3a if r["d_in"] == r["d_out"]]
    slower = min((r["d_in"] for r in square if r["fastest"] != way), default=None)
    if not square:
        return None
    return max((r["d_in"] for r in square if slower is None or r["d_in"] < slower), default=0)


def limit_lines(rows: list[dict]) -> list[str]:
    """Return the widths up to which "dense" and "fold" were the fastest, beside the threshold in use, to print."""
    found = {
        "half precision and TF32: dense": narrow_limit(rows, ("bfloat16", "autocast", "tf32"), "dense"),
        "float32: fold": narrow_limit(rows, ("float32",), "fold"),
    }
    words = {None: "was not measured", 0: "was the fastest at no width"}
    return [
        f"{name} {words.get(limit, f'was the fastest up to width {limit}')}; NARROW is {NARROW}"
        for name, limit in found.items()
    ]


def lines(rows: list[dict]) -> list[str]:
    """Return the rows of `rule_rows` as a table to print. The last column says where `auto` should take another way."""
    printed = [f"{'':28s} {'tokens':>6s} {'b':>5s}  {'fastest':12s} {'auto':8s}  microseconds beyond the frozen layer"]
    for row in rows:
        layer = f"{row['method']} {row['precision']} {row['d_in']} to {row['d_out']}"
        choice = f"{row['tokens']:6d} {row['b']:5d}  {row['fastest']:12s} {row['auto'] or '':8s}"
        times = ", ".join(f"{name} {us:.0f}" for name, us in sorted(row["us"].items(), key=lambda item: item[1]))
        slow = row["fastest"] != row["auto"] and (row["slower"] or 0) > TOLERANCE
        verdict = f"; AUTO IS {100 * row['slower']:.0f} % SLOWER" if slow else ""
        printed.append(f"{layer:28s} {choice}  {times}{verdict}")
    return printed
