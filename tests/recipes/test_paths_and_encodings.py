"""Paths with "~" and variables, and sweep files as Windows saves them."""

import pytest

from circpeft import data_folders, models, recipes, tasks

TOML = 'tasks = ["sst2"]\nmethods = ["c3a:block_size=64"]\ndata = "{}"\n[settings]\nmodel = "{}"\n'


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Return the user's home, with a folder of data for sst2 and a model in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("SETS", str(tmp_path / "sets"))
    (tmp_path / "sets" / "sst2").mkdir(parents=True)
    for split in ("train", "validation", "test"):
        (tmp_path / "sets" / "sst2" / f"{split}.csv").write_text("sentence,label\na,0\nb,1\n")
    (tmp_path / "tiny").mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "tiny" / name).write_text("{}")
    return tmp_path


@pytest.mark.parametrize("data", ["~/sets", "$HOME/sets", "${SETS}", "../sets"])
def test_the_folders_of_a_sweep_file(home, data):
    (home / "plans").mkdir()
    (home / "plans" / "mine.toml").write_text(TOML.format(data, "~/tiny"))
    [cell] = recipes.plan_file("~/plans/mine.toml", output_dir="~/out").cells
    assert (cell.data_dir, cell.model) == (str(home / "sets" / "sst2"), str(home / "tiny"))
    assert cell.output_dir == str(home / "out")


def test_data_that_replaces_the_files_own_and_that_of_a_table(home):
    (home / "mine.toml").write_text(TOML.format("elsewhere", "minilm"))
    expected = str(home / "sets" / "sst2")
    assert recipes.plan_file(home / "mine.toml", data="~/sets", output_dir=home).cells[0].data_dir == expected
    plan = recipes.plan_table("cdvft-1", "cpu", data="$SETS", output_dir="~/out")
    assert {(cell.data_dir, cell.output_dir) for cell in plan.cells} == {(expected, str(home / "out"))}


def test_the_folders_of_a_recipe(home):
    written = recipes.Recipe("sst2", "c3a", model="$HOME/tiny", data_dir="~/sets/sst2", output_dir="~/out")
    plain = recipes.Recipe("sst2", "c3a", model=f"{home}/tiny", data_dir=f"{home}/sets/sst2", output_dir=f"{home}/out")
    assert written == plain and written.name == plain.name


def test_a_variable_that_is_not_set_stays_and_is_named(home):
    with pytest.raises(FileNotFoundError, match=r"\$NOT_SET/sets' is not a folder"):
        data_folders.scan("$NOT_SET/sets")
    with pytest.raises(FileNotFoundError, match=r"model folder '\$NOT_SET/tiny' does not exist"):
        models.resolve("$NOT_SET/tiny")
    assert len(tasks.load("sst2", "$SETS/sst2")[0]["train"]) == 2 and models.resolve("~/tiny") == str(home / "tiny")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_the_encoding_and_line_ends_of_a_sweep_file(home, encoding, ends):
    text = TOML.format("~/sets", "minilm") + 'report_to = """\nä"""\n'
    (home / "mine.toml").write_bytes(text.replace("\n", ends).encode(encoding))
    [cell] = recipes.plan_file(home / "mine.toml", output_dir=home).cells
    assert (cell.report_to, cell.data_dir) == ("ä", str(home / "sets" / "sst2"))


def test_another_encoding_is_named(home):
    (home / "mine.toml").write_bytes(TOML.format("ä", "minilm").encode("latin-1"))
    with pytest.raises(ValueError, match=r"mine\.toml is not TOML: 'utf-8' codec can't decode"):
        recipes.plan_file(home / "mine.toml")
