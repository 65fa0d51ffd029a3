"""Name the extra that installs a missing package."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from importlib import metadata

# Modules whose distribution has another name.
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+).*?;\s*extra\s*==\s*['\"](?P<extra>[\w-]+)['\"]")
# Commands that need all packages of an extra, and not only the first one that they miss.
NEEDED = {"course": "course", "run": "course", "lab": "course"}


def extra_of(module: str, requirements: list[str] | None = None) -> str | None:
    """Return the extra of circpeft that installs a module, or None if it is not one of an extra.

    Of several extras, the one with the fewest packages is returned.

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
    found = [match for match in map(REQUIREMENT.match, requirements) if match]
    sizes = Counter(match["extra"] for match in found)
    extras = {match["extra"] for match in found if _normalized(match["name"]) == wanted}
    return min(extras, key=lambda extra: (sizes[extra], extra), default=None)


def advice(error: ModuleNotFoundError, options: argparse.Namespace) -> str | None:
    """Return what is missing and how to install it, or None if no extra installs it.

    >>> advice(ModuleNotFoundError("No module named 'tqdm'", name="tqdm"), argparse.Namespace(command="train"))
    "the package 'tqdm' is missing; install it with: pip install 'circpeft[train]'"
    >>> advice(ModuleNotFoundError("No module named 'tqdm'", name="tqdm"), argparse.Namespace(command="lab"))
    "the package 'tqdm' is missing; install it with: pip install 'circpeft[course]'"
    """
    extra = extra_of(error.name) if error.name else None
    if extra is None:
        return None
    extra = "cluster" if getattr(options, "ray", "") else NEEDED.get(options.command, extra)
    return f"the package {error.name!r} is missing; install it with: pip install 'circpeft[{extra}]'"


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
