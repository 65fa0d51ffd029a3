"""Print the lowest version of everything that pyproject.toml asks for, as constraints for pip (make test-lowest)."""

import re
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def lowest() -> dict[str, str]:
    """Return the lowest version of each library of the package and of its extra ``train``."""
    lines = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["train"]]
    return dict(re.fullmatch(r"([\w.-]+)>=([\d.]+)", line).groups() for line in lines)


if __name__ == "__main__":
    for name, version in lowest().items():
        print(f"{name}=={version}")
