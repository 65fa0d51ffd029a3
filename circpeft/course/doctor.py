"""The check that a machine is ready for the course: one line per item, and advice for each that fails."""

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from circpeft import places
from circpeft.escaping import print_text

from . import lab_extensions

GIB = 1 << 30
if places.clone():
    SETUP = "run `make setup` in the clone and use its .venv/bin/python"
else:
    SETUP = "run: pip install 'circpeft[course]'"


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Args:
        status: OK, WARN (the course runs, but more slowly or with less), FAIL or INFO.
        title: what was found.
        advice: what to do about it; "" if nothing.
    """

    status: str
    title: str
    advice: str = ""

    def __str__(self) -> str:
        line = f"[{self.status}]".ljust(7) + self.title
        return f"{line}\n       -> {self.advice}" if self.advice else line


def checks(hub: bool = False) -> list[Check]:
    """Run every check and return the results in order.

    Args:
        hub: also check that the model hub can be reached. Without it, no network request is made.
    """
    software = [_python(), *_packages("circpeft"), _device(), _data(), _model()]
    return [*software, _disk(), _memory(), _kernel(), *_lab_extensions(), _hub(hub)]


def print_report(hub: bool = False) -> bool:
    """Print the result of every check; return True if none failed."""
    results = checks(hub)
    failed = sum(check.status == "FAIL" for check in results)
    for check in results:
        print_text(check)
    print_text(f"\n{failed} of {len(results)} checks failed." if failed else "\nReady: no check failed.")
    return not failed


def device() -> str:
    """Return a description of the device that torch uses by default, such as "CPU, 2 threads"."""
    if torch.cuda.is_available():
        return f"CUDA, {torch.cuda.get_device_name()}"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads != 1 else ''}"


def _python() -> Check:
    wanted = SpecifierSet(importlib.metadata.metadata("circpeft")["Requires-Python"])
    version = sys.version.split()[0]
    if wanted.contains(version, prereleases=True):
        return Check("OK", f"Python {version} ({sys.executable})")
    return Check("FAIL", f"Python {version}, needs {wanted}", "create the environment with a Python in that range")


def _packages(distribution: str, extras: tuple[str, ...] = ("", "train", "course")) -> Iterator[Check]:
    """Yield a check for each requirement of the package and of its extras, from the package's metadata."""
    seen = set()
    for line in importlib.metadata.requires(distribution) or []:
        requirement = Requirement(line)
        applies = requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras)
        if requirement.name == distribution or not applies or requirement.name in seen:
            continue
        seen.add(requirement.name)  # an extra that contains another one repeats its requirements
        wanted = f", needs {requirement.specifier}" if requirement.specifier else ""
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield Check("FAIL", f"{requirement.name} is not installed{wanted}", SETUP)
            continue
        if requirement.specifier.contains(version, prereleases=True):
            yield Check("OK", f"{requirement.name} {version}")
        else:
            yield Check("FAIL", f"{requirement.name} {version}{wanted}", SETUP)


def _device() -> Check:
    memory = ""
    if torch.cuda.is_available():
        memory = f", {torch.cuda.get_device_properties(0).total_memory / GIB:.0f} GiB"
    return Check("OK", f"torch uses {device()}{memory}")


def _data(folder: Path | None = None) -> Check:
    folder = places.shipped() / "data" / "entailment" if folder is None else folder
    missing = [split for split in ("train", "validation", "test") if not (folder / f"{split}.jsonl").is_file()]
    if missing:
        names = ", ".join(f"{split}.jsonl" for split in missing)
        return Check(
            "FAIL",
            f"the entailment data lack {names} in {folder}",
            "install circpeft again; in a clone: `git checkout -- data`",
        )
    return Check("OK", f"the entailment data are in {folder}")


def _model() -> Check:
    if find_spec("datasets") is None:
        return Check("FAIL", "the embedded models need the package datasets", SETUP)
    from circpeft import models

    try:
        return Check("OK", f"the MiniLM model is in {models.resolve('minilm')}")
    except FileNotFoundError as error:
        return Check("FAIL", "the MiniLM model is missing", str(error))


def _disk(need: float = 2 * GIB) -> Check:
    folder = places.outputs().parent
    free = shutil.disk_usage(folder).free
    title = f"{free / GIB:.1f} GiB of disk space free at {folder}"
    if free >= need:
        return Check("OK", title)
    return Check("WARN", title, f"the course needs {need / GIB:.0f} GiB; delete old folders in runs/")


def _memory(need: float = 3 * GIB) -> Check:
    import psutil

    free = psutil.virtual_memory().available
    title = f"{free / GIB:.1f} GiB of memory free"
    if free >= need:
        return Check("OK", title)
    return Check(
        "WARN", title, f"fine-tuning needs {need / GIB:.0f} GiB; close other programs, or use the profile smoke"
    )


def _kernel() -> Check:
    if find_spec("jupyter_client") is None:
        return Check("FAIL", "cannot start a kernel: jupyter_client is not installed", SETUP)
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        program = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        return Check("FAIL", "Jupyter has no kernel named python3", SETUP)
    # Jupyter replaces a plain "python" by its own interpreter. Links are not followed, because the python of a virtual
    # environment is a link to the python that created it.
    is_plain_name = program in ("python", "python3", "python{}.{}".format(*sys.version_info[:2]))
    if is_plain_name or os.path.abspath(program) == os.path.abspath(sys.executable):
        return Check("OK", "the kernel python3 runs this Python")
    advice = "start JupyterLab with `circpeft lab`, or remove that kernel with `jupyter kernelspec remove python3`"
    return Check("WARN", f"the kernel python3 runs another Python: {program}", advice)


def _lab_extensions() -> Iterator[Check]:
    missing = lab_extensions.missing()
    for name, purpose in lab_extensions.NEEDED.items():
        if name in missing:
            yield Check("WARN", f"JupyterLab lacks {name}; without it, {purpose} do not work", SETUP)
        else:
            yield Check("OK", f"JupyterLab shows {purpose} ({name})")


def _hub(ask: bool) -> Check:
    if not ask:
        return Check(
            "INFO", "the model hub was not checked (`circpeft doctor --hub` does); only the profile paper needs it"
        )
    from huggingface_hub import HfApi

    try:
        HfApi().model_info("FacebookAI/roberta-base", timeout=5)
    except Exception as error:  # a missing network is information, not a failure
        reason = type(error).__name__
        return Check("INFO", f"the model hub cannot be reached ({reason}); use local folders with the profile paper")
    return Check("INFO", "the model hub can be reached")
