"""Name the extra that installs a missing package."""

from __future__ import annotations

import re
from importlib import metadata

# Modules whose distribution has another name.
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+).*?;\s*extra\s*==\s*['\"](?P<extra>[\w-]+)['\"]")


def extra_of(module: str, requirements: list[str] | None = None) -> str | None:
    """Return the extra of circpeft that installs a module, or None if it is not one of an extra.

    Of several extras, the first one in pyproject.toml is returned: it is the smallest.

    Args:
        module: the module that could not be imported, such as "sklearn.metrics".
        requirements: those of the distribution; by default those of the installed one.

    >>> extra_of("datasets", ["torch>=2", 'datasets>=4.0; extra == "train"'])
    'train'
    >>> extra_of("torch", ["torch>=2"]) is None
    True
    """
    if requirements is None:
        try:
            requirements = metadata.requires("circpeft") or []
        except metadata.PackageNotFoundError:  # a clone that is not installed
            return None
    top = module.partition(".")[0]
    wanted = _normalized(DISTRIBUTIONS.get(top, top))
    found = (REQUIREMENT.match(requirement) for requirement in requirements)
    return next((match["extra"] for match in found if match and _normalized(match["name"]) == wanted), None)


def advice(error: ModuleNotFoundError) -> str | None:
    """Return what is missing and how to install it, or None if no extra installs it.

    >>> advice(ModuleNotFoundError("No module named 'tqdm'", name="tqdm"))
    "the package 'tqdm' is missing; install it with: pip install 'circpeft[train]'"
    """
    extra = extra_of(error.name) if error.name else None
    return extra and f"the package {error.name!r} is missing; install it with: pip install 'circpeft[{extra}]'"


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
