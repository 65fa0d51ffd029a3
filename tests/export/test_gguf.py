"""`circpeft export --to gguf`: a folder for llama.cpp's converter, whose file is read back and compared."""

import pytest

from circpeft.cli import main
from circpeft.export import export_gguf

# Stands for llama.cpp's converter, which these tests do not have: it writes weights that gguf can read, or fails.
CONVERTER = """
import sys
if {fails}:
    sys.exit("Model LlamaForCausalLM is not supported")
open(sys.argv[sys.argv.index("--outfile") + 1], "wb").write(b"GGUF")
"""


def test_without_a_converter_the_folder_and_the_command_are_given(base, saved, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    adapter = saved("c3a", base)
    assert main(["export", adapter.folder, str(tmp_path / "out"), "--to", "gguf", "--dtype", "bfloat16"]) == 0
    printed = capsys.readouterr().out
    assert f"python convert_hf_to_gguf.py {tmp_path}/out --outfile {tmp_path}/out/model.gguf --outtype bf16" in printed
    assert {"model.safetensors", "tokenizer.json", "config.json"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }


@pytest.mark.parametrize(
    ("fails", "message"),
    [(True, "converter '.*convert.py' failed: Model LlamaForCausalLM is not supported"), (False, "is not a GGUF file")],
)
def test_a_failed_conversion_leaves_nothing_behind(fails, message, base, saved, tmp_path, monkeypatch):
    """The folder's name is a part of the option --outfile, which stays as it is."""
    pytest.importorskip("gguf")
    (tmp_path / "convert.py").write_text(CONVERTER.format(fails=fails))
    monkeypatch.chdir(tmp_path)
    adapter = saved("c3a", base)
    with pytest.raises(ValueError, match=message):
        export_gguf(adapter.folder, "out", converter=str(tmp_path / "convert.py"))
    assert not (tmp_path / "out").exists()


def test_only_language_models_with_a_tokenizer_are_exported(base, saved, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    adapter = saved("c3a", base)
    for path in base.glob("tokenizer*"):
        path.unlink()
    assert main(["export", adapter.folder, str(tmp_path / "out"), "--to", "gguf"]) == 2
    assert "has no tokenizer that llama.cpp's converter reads" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
