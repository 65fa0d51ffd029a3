"""The modes of what the package writes: those of the user's umask, also where a library makes private files."""

import ast
import os
from pathlib import Path

import pytest
from peft import LoraConfig, get_peft_model
from torch import nn

import circpeft
from circpeft import C3AConfig
from circpeft.export.new_folder import new_folder
from circpeft.files import apply_umask, write_atomically

PACKAGE = Path(circpeft.__file__).parent
# Calls that make files or folders which only their owner can read.
PRIVATE = {"mkdtemp", "mkstemp", "NamedTemporaryFile", "save_file"}
# Modules with such calls whose files get their mode elsewhere, or are never seen by others.
ELSEWHERE = {
    "hf_peft/written_keys.py": "its file is still in the temporary folder of peft_model.py, which gives the mode",
}


@pytest.fixture(params=[0o022, 0o077, 0o027, 0o002], ids=oct)
def umask(request):
    """Set a umask for one test; return it."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}


def adapted(config) -> nn.Module:
    return get_peft_model(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4)), config)


def test_a_file_and_one_that_replaces_it(umask, tmp_path):
    path = tmp_path / "new" / "a.json"
    for text in ("one", "two"):
        write_atomically(path, text)
        assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    path.chmod(0o600)
    write_atomically(path, "three")
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_every_file_of_a_saved_adapter(umask, tmp_path):
    model = adapted(C3AConfig(target_modules=["0", "1"], block_size=4))
    model.save_pretrained(tmp_path / "own")
    circpeft.save_peft_c3a(model, tmp_path / "peft")
    for folder in ("own", "peft"):
        found = modes(tmp_path / folder)
        assert len(found) >= 2 and set(found.values()) == {0o666 & ~umask}, found


def test_every_file_of_a_new_folder(umask, tmp_path):
    with new_folder(tmp_path / "out") as folder:
        adapted(LoraConfig(target_modules=["0"])).save_pretrained(folder / "inner")
    assert set(modes(tmp_path / "out").values()) == {0o666 & ~umask}
    assert {p.stat().st_mode & 0o777 for p in (tmp_path / "out", tmp_path / "out/inner")} == {0o777 & ~umask}


def test_apply_umask_keeps_the_group_and_does_not_follow_links(tmp_path):
    folder, outside = tmp_path / "shared", tmp_path / "outside"
    folder.mkdir()
    folder.chmod(0o2700)
    outside.touch(0o600)
    (folder / "link").symlink_to(outside)
    inherits = folder.stat().st_mode & 0o2000
    apply_umask(folder)
    assert folder.stat().st_mode & 0o2000 == inherits and outside.stat().st_mode & 0o777 == 0o600


def test_private_files_get_their_mode():
    """A module that makes private files gives them the usual mode, or is in the list above."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        names = {node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "") for node in nodes}
        if names & PRIVATE:
            found[path.relative_to(PACKAGE).as_posix()] = bool(names & {"apply_umask", "new_folder", "move_files"})
    assert {name for name, given in found.items() if not given} == set(ELSEWHERE)
