"""The parser's answers, `--help` and errors about wrong arguments, appear without loading PyTorch or Jupyter."""

import pytest

from circpeft import cli

HEAVY = ["torch", "transformers", "peft", "datasets", "papermill", "jupyter_client", "ipykernel", "pandas", "plotly"]
SCRIPT = f"""
import sys
from circpeft.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as stop:
    code = stop.code
print(f"\\n{{code}} {{[name for name in {HEAVY} if name in sys.modules]}}")
"""


@pytest.mark.parametrize("command", ["", *cli.build_parser().commands])
def test_help_loads_nothing_heavy(run_python, command):
    printed = run_python(SCRIPT, *([command] if command else []), "--help")
    assert printed.startswith(f"usage: circpeft {command}".rstrip())
    assert printed.splitlines()[-1] == "0 []"


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "corse",
        "run",
        "run --fast 08",
        "run 08_langage_understanding",
        "course --profile smok",
        "course --cell-timeout soon",
        "train",
        "train c3a --epochs 3",
        "train c3a --set epoch 3",
        "train --row LoRA",
        "sweep",
        "sweep cdvtf-1",
        "sweep cdvft-1 --profile smoek",
        "report nowhere",
        "report . --output x.pdf",
        "list modls",
        "predict run",
        "predict run --text a --to a.csv",
        "merge a b --dtype bf16",
        "export a b",
        "export a b --to onxn",
        "export a b --to onnx --rank 3",
        "completion fish",
        "exec",
        "exec --quiet lm_eval",
    ],
)
def test_wrong_arguments_load_nothing_heavy(run_python, arguments):
    assert run_python(SCRIPT, *arguments.split()).splitlines()[-1] == "2 []"
