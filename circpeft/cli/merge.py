"""The `merge` command: write a plain model from a saved adapter."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

from circpeft.course.parameters import RequestError
from circpeft.escaping import print_text
from circpeft.files import expanded

DTYPES = ("float32", "bfloat16", "float16")


def add(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to a parser."""
    parser = add_command(
        "merge",
        "Merge a saved adapter into its base model, and write a plain model.",
        "circpeft merge runs/train/adapters/NAME merged\n  "
        "circpeft merge ADAPTER merged --base FacebookAI/roberta-base --dtype float32",
        "transformers loads the result without PEFT and without circpeft. The command prints the share of each "
        "layer's change that is left after rounding: in bfloat16, small changes are lost in part.",
    )
    parser.add_argument("adapter", metavar="ADAPTER", help="folder of a saved adapter")
    parser.add_argument("out", metavar="OUT", help="folder of the plain model; it must not exist, or be empty")
    parser.add_argument("--base", default="", metavar="MODEL", help="base model (default: the one the adapter names)")
    parser.add_argument(
        "--dtype", default="", metavar="NAME", help=f"{', '.join(DTYPES)} (default: that of the base model's files)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as one line of JSON")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Merge, and print where the model is and what the rounding keeps.

    Raises: RequestError for a folder that is not an adapter, an unknown base model or dtype, or an occupied OUT.
    """
    if options.dtype and options.dtype not in DTYPES:
        from circpeft.suggest import nearest

        raise RequestError(f"unknown dtype {options.dtype!r}; {nearest(options.dtype, DTYPES)}")
    from circpeft.export import merge_folder
    from circpeft.training.logging_filters import quiet

    quiet()
    try:
        done = merge_folder(expanded(options.adapter), expanded(options.out), options.base, options.dtype)
    except (OSError, ValueError) as error:
        raise RequestError(" ".join(str(error).split())) from error
    if options.json:
        row = {"folder": str(done.folder), "dtype": done.dtype, "layers": done.layers}
        print_text(json.dumps({**row, "kept": done.kept, "worst_layer": done.worst}))
        return 0
    print_text(f"{done.folder}: {done.layers} layers merged, in {done.dtype}")
    if done.worst and abs(done.kept - 1) > 5e-4:
        print_text(f"the rounding keeps {done.kept:.1%} of ΔW in {done.worst}, and more in the other layers")
    return 0
