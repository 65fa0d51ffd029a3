"""`circpeft completion`: the script completes commands, options and names in a shell."""

import shutil
import subprocess

import pytest

from circpeft.cli import build_parser, completion, main
from circpeft.recipes import SETTINGS, TABLES
from circpeft.tasks import TASKS

# What a shell does when the key is pressed after these words.
PRESS = """
source {script}
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_LINE="${{COMP_WORDS[*]}}"
_shtab_circpeft
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """Return the path of the script for bash."""
    pytest.importorskip("shtab")
    path = tmp_path_factory.mktemp("completion") / "circpeft"
    with pytest.MonkeyPatch.context() as patch:
        printed = []
        patch.setattr("builtins.print", lambda text, **options: printed.append(text))
        assert main(["completion", "bash"]) == 0
    path.write_text(printed[0])
    return path


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("circpeft ''", {*build_parser().commands}),
        ("circpeft list mo", {"models"}),
        ("circpeft sweep cdvft", {name for name in TABLES if name.startswith("cdvft")}),
        ("circpeft train c3a --task st", {name for name in TASKS if name.startswith("st")}),
        ("circpeft train c3a --set max_t", {name for name in SETTINGS if name.startswith("max_t")}),
        ("circpeft export a b --to ", {"lora", "peft-c3a", "onnx", "gguf"}),
        ("circpeft export --rank", {"--rank"}),
    ],
)
def test_bash_completes(words, found, script):
    words = words if not words.endswith(" ") else f"{words}''"
    done = subprocess.run(
        ["bash", "-c", PRESS.format(script=script, words=words)], capture_output=True, text=True, check=True
    )
    assert {word.strip() for word in done.stdout.split()} == found


def test_every_name_belongs_to_an_option():
    """An option that is renamed would silently lose its names."""
    parsers = build_parser().commands
    for command, option in completion.known_names():
        actions = [a for name, p in parsers.items() if command in ("", name) for a in p._actions]
        assert any(option in (*action.option_strings, action.metavar) for action in actions), (command, option)


def test_an_unknown_shell_gets_the_nearest(capsys):
    assert main(["completion", "bsh"]) == 2
    assert "unknown shell 'bsh'; did you mean 'bash'" in capsys.readouterr().err
