"""The `export` command: write a saved adapter in the form that another program reads."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from circpeft.cli.merge import DTYPES
from circpeft.course.parameters import RequestError
from circpeft.escaping import print_text
from circpeft.files import expanded
from circpeft.suggest import nearest


class Form(NamedTuple):
    """A form of an export: what it is, the function of `circpeft.export`, and the options that it takes."""

    meaning: str
    function: str
    options: tuple[str, ...] = ()


FORMS = {
    "lora": Form("a LoRA of PEFT", "export_lora", ("rank", "tolerance")),
    "peft-c3a": Form("an adapter of PEFT's own C3A", "export_peft_c3a"),
    "onnx": Form("the merged model for onnxruntime", "export_onnx", ("tolerance",)),
    "gguf": Form("the merged model for llama.cpp", "export_gguf", ("dtype", "converter")),
}
OPTIONS = {"rank": 0, "tolerance": None, "dtype": "", "converter": ""}


def add(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to a parser."""
    parser = add_command(
        "export",
        "Write a saved adapter in the form that another program reads.",
        "circpeft export ADAPTER lora --to lora --tolerance 0.1\n  "
        "circpeft export ADAPTER c3a --to peft-c3a\n  "
        "circpeft export ADAPTER onnx --to onnx\n  "
        "circpeft export ADAPTER gguf --to gguf --converter llama.cpp/convert_hf_to_gguf.py",
        "The written files are compared with the adapter; OUT appears only if they agree. For a plain model, use "
        "`circpeft merge`.",
    )
    parser.add_argument("adapter", metavar="ADAPTER", help="folder of a saved adapter")
    parser.add_argument("out", metavar="OUT", help="folder to write; it must not exist, or be empty")
    parser.add_argument(
        "--to", default="", metavar="FORM", help="; ".join(f"{name}: {form.meaning}" for name, form in FORMS.items())
    )
    parser.add_argument("--base", default="", metavar="MODEL", help="base model (default: the one the adapter names)")
    parser.add_argument(
        "--rank", type=int, default=0, metavar="N", help="lora: the rank (default: the smallest within the tolerance)"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=None,
        metavar="X",
        help="lora: the largest relative error of ΔW (default: 0.1); onnx: the largest difference of an output "
        "(default: 0.001)",
    )
    parser.add_argument(
        "--dtype", default="", metavar="NAME", help=f"gguf: {', '.join(DTYPES)} (default: that of the base model)"
    )
    parser.add_argument(
        "--converter",
        default="",
        metavar="FILE",
        help="gguf: llama.cpp's convert_hf_to_gguf.py, or a command (default: the one on PATH; without one, only its "
        "input folder is written)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as one line of JSON")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Export, and print where the result is and how it differs from the adapter.

    Raises: RequestError for an unknown form, an option of another form, and whatever the export refuses.
    """
    form = _form(options)
    from circpeft import export
    from circpeft.training.logging_filters import quiet

    quiet()
    given = {name: getattr(options, name) for name in form.options if getattr(options, name) != OPTIONS[name]}
    try:
        done = getattr(export, form.function)(expanded(options.adapter), expanded(options.out), options.base, **given)
    except (OSError, ValueError, TypeError) as error:
        raise RequestError(" ".join(str(error).split())) from error
    print_text(json.dumps(asdict(done), default=str) if options.json else DESCRIBED[options.to](done))
    return 0


def _form(options: argparse.Namespace) -> Form:
    if not options.to:
        raise RequestError(f"no form given; add --to with one of: {', '.join(FORMS)}")
    if options.to not in FORMS:
        raise RequestError(f"unknown form {options.to!r}; {nearest(options.to, FORMS)}")
    for name, default in OPTIONS.items():
        if getattr(options, name) != default and name not in FORMS[options.to].options:
            others = " or ".join(other for other, form in FORMS.items() if name in form.options)
            raise RequestError(f"--{name} is for --to {others}, got --to {options.to}")
    if options.dtype and options.dtype not in DTYPES:
        raise RequestError(f"unknown dtype {options.dtype!r}; {nearest(options.dtype, DTYPES)}")
    return FORMS[options.to]


def _lora(done: Any) -> str:
    smallest, largest = min(done.ranks.values()), max(done.ranks.values())
    rank = str(largest) if smallest == largest else f"{smallest} to {largest}"
    errors = "  ".join(f"{rank}: {error:.3f}" for rank, error in done.errors.items())
    return (
        f"{done.folder}: LoRA of rank {rank}, relative error of ΔW {done.error:.3f} (largest in {done.worst})\n"
        f"relative error by rank: {errors}\n"
        f"{done.parameters:,} parameters; the adapter has {done.adapter_parameters:,}"
    )


def _peft_c3a(done: Any) -> str:
    return f"{done.folder}: PEFT's C3A in {done.layers} layers, relative error of ΔW at most {done.error:.1g}"


def _onnx(done: Any) -> str:
    file = Path(done.folder) / "model.onnx"
    return (
        f"{file}: {', '.join(done.inputs)} -> {', '.join(done.outputs)}\n"
        f"onnxruntime's outputs differ from torch's by at most {done.difference:.1g} (largest: {done.largest:.3g})"
    )


def _gguf(done: Any) -> str:
    if done.file is None:
        return f"{done.folder}: merged; no converter of llama.cpp was found. Convert it with:\n  {done.command}"
    return f"{done.file}: relative error of a weight at most {done.error:.1g}"


DESCRIBED: dict[str, Callable[[Any], str]] = {"lora": _lora, "peft-c3a": _peft_c3a, "onnx": _onnx, "gguf": _gguf}
