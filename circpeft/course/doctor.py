"""Is this machine ready for the course? One line a check, and what to do about each that fails."""

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

from circpeft import models

from .parameters import repository

GIB = 1 << 30
SETUP = "run `make setup` in the clone and use its `.venv/bin/python`"
LAB_EXTENSIONS = {"anywidget": "widgets of plotly", "jupyterlab-plotly": "figures of plotly"}


@dataclass(frozen=True)
class Check:
    """One line of the report. `status` is OK, WARN (slower or less, but it runs), FAIL, or INFO."""

    status: str
    title: str
    advice: str = ""

    def __str__(self) -> str:
        line = f"[{self.status}]".ljust(7) + self.title
        return f"{line}\n       -> {self.advice}" if self.advice else line


def checks(hub: bool = False) -> list[Check]:
    """Every check, in order; `hub=True` also asks the model hub whether it answers (no request is made otherwise)."""
    found = [_python(), *_packages("circpeft"), _device(), _data(), _model()]
    return [*found, _disk(), _memory(), _kernel(), *_lab_extensions(), _hub(hub)]


def print_report(hub: bool = False) -> bool:
    """Print every check; True if none failed."""
    found = checks(hub)
    failed = sum(check.status == "FAIL" for check in found)
    for check in found:
        print(check)
    print(f"\n{failed} of {len(found)} checks failed." if failed else "\nReady: no check failed.")
    return not failed


def device() -> str:
    """The device that torch computes on by default here, in words, such as "CPU, 2 threads"."""
    if torch.cuda.is_available():
        return f"CUDA, {torch.cuda.get_device_name()}"
    return f"CPU, {torch.get_num_threads()} threads"


def _python() -> Check:
    wanted = SpecifierSet(importlib.metadata.metadata("circpeft")["Requires-Python"])
    version = sys.version.split()[0]
    if wanted.contains(version, prereleases=True):
        return Check("OK", f"Python {version} ({sys.executable})")
    return Check("FAIL", f"Python {version}, needs {wanted}", "make the environment with a Python in that range")


def _packages(distribution: str, extras: tuple[str, ...] = ("", "train", "course")) -> Iterator[Check]:
    """The requirements of the package and of its extras, as its own metadata states them, against what is installed."""
    for line in importlib.metadata.requires(distribution) or []:
        requirement = Requirement(line)
        applies = requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras)
        if requirement.name == distribution or not applies:
            continue
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
    return Check("OK", f"torch computes on {device()}{memory}")


def _data(folder: Path | None = None) -> Check:
    folder = repository() / "data" / "entailment" if folder is None else folder
    lacking = [split for split in ("train", "validation", "test") if not (folder / f"{split}.jsonl").is_file()]
    if lacking:
        names = ", ".join(f"{split}.jsonl" for split in lacking)
        return Check("FAIL", f"the entailment task lacks {names} in {folder}", "restore it: `git checkout -- data`")
    return Check("OK", f"the entailment task is in {folder}")


def _model() -> Check:
    try:
        return Check("OK", f"the MiniLM model is in {models.resolve('minilm')}")
    except FileNotFoundError as error:
        return Check("FAIL", "the MiniLM model is missing", str(error))


def _disk(need: float = 2 * GIB) -> Check:
    free = shutil.disk_usage(repository()).free
    title = f"{free / GIB:.1f} GiB of disk free at {repository()}"
    if free >= need:
        return Check("OK", title)
    return Check("WARN", title, f"the course wants {need / GIB:.0f} GiB: delete old folders under runs/")


def _memory(need: float = 3 * GIB) -> Check:
    import psutil

    free = psutil.virtual_memory().available
    title = f"{free / GIB:.1f} GiB of memory free"
    if free >= need:
        return Check("OK", title)
    return Check("WARN", title, f"fine-tuning wants {need / GIB:.0f} GiB: close other programs, or use profile smoke")


def _kernel() -> Check:
    if find_spec("jupyter_client") is None:
        return Check("FAIL", "no kernel can be started: jupyter_client is not installed", SETUP)
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        program = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        return Check("FAIL", "Jupyter knows no kernel python3", SETUP)
    # Jupyter starts a bare "python" as the interpreter it runs on itself. Links are not followed:
    # the python of a virtual environment is a link to the python it was made with.
    bare = program in ("python", "python3", "python{}.{}".format(*sys.version_info[:2]))
    if bare or os.path.abspath(program) == os.path.abspath(sys.executable):
        return Check("OK", "the kernel python3 is this Python")
    advice = "in JupyterLab, start it with `make lab`, or remove that kernel: `jupyter kernelspec remove python3`"
    return Check("WARN", f"the kernel python3 is another Python: {program}", advice)


def _lab_extensions() -> Iterator[Check]:
    # JupyterLab's own search also covers the user's folder; the course installs into the environment.
    folder = Path(sys.prefix, "share", "jupyter", "labextensions")
    for name, purpose in LAB_EXTENSIONS.items():
        if (folder / name).is_dir():
            yield Check("OK", f"JupyterLab shows {purpose} ({name})")
        else:
            yield Check("WARN", f"JupyterLab lacks {name}: {purpose} show as still pictures", SETUP)


def _hub(ask: bool) -> Check:
    if not ask:
        return Check("INFO", "the model hub was not asked; only the profile `paper` needs it (`circpeft doctor --hub`)")
    from huggingface_hub import HfApi

    try:
        HfApi().model_info("FacebookAI/roberta-base", timeout=5)
    except Exception as error:  # whatever the network does, this is information and no failure
        reason = type(error).__name__
        return Check("INFO", f"the model hub does not answer ({reason}): give profile `paper` local folders")
    return Check("INFO", "the model hub answers")
