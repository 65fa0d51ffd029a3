"""Import parts of circpeft when torch or PEFT is imported, so that `import circpeft` itself loads neither.

torch must know this package's operators before `torch.export.load` reads a program that calls them. PEFT must know
C3A and CDVFT before `PeftModel.from_pretrained` reads an adapter of theirs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.abc import Loader

# A library, and the part of this package to import directly after it.
FOLLOWERS = {"torch": "circpeft.ops", "peft": "circpeft.hf_peft"}


class FollowerFinder:
    """An entry of `sys.meta_path` that lets the other entries find a library, and adds the import of its follower.

    It needs no lock of its own: Python's lock on the library is held until the follower is imported. An error of the
    follower is an error of the library's import, and the next import of the library tries again.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that the entries after this one find, or None for a module without a follower."""
        if fullname not in FOLLOWERS or self not in sys.meta_path:  # a tool may have replaced the list
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            find = getattr(finder, "find_spec", None)  # Python 3.11 still allows finders without one
            spec = find(fullname, path, target) if find is not None else None
            if spec is not None:
                _import_follower_after(spec)
                return spec
        return None


def _import_follower_after(spec: ModuleSpec) -> None:
    """Make the loader of a library import the follower as soon as it has executed the library.

    The loader keeps its type, on which `inspect` and `importlib.resources` depend; only this one object changes. A
    loader that cannot be changed is put into another. One of the old kind, without ``exec_module``, stays as it is: the
    follower is then imported when it is first used.
    """
    loader: Any = spec.loader
    execute = getattr(loader, "exec_module", None)
    if execute is None or getattr(execute, "imports_followers", False):
        return

    def exec_module(module: ModuleType) -> None:
        execute(module)
        if module.__name__ in FOLLOWERS:  # a zip file and pytest have one loader for many modules
            _import_follower(FOLLOWERS[module.__name__])

    exec_module.__dict__["imports_followers"] = True  # a shared loader is met again by every search for a library
    try:
        loader.exec_module = exec_module
    except (AttributeError, TypeError):  # a class with slots, or a class of C
        changed: Any = _ChangedLoader(loader, exec_module)
        spec.loader = changed


class _ChangedLoader:
    """A loader with another ``exec_module``; everything else is as in the original."""

    def __init__(self, original: Loader, exec_module: Callable[[ModuleType], None]) -> None:
        self.original, self.exec_module = original, exec_module

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)


def _import_follower(name: str) -> None:
    try:
        import_module(name)
    except RuntimeError:
        # Python's deadlock error: another thread is importing the follower and waits for the library that this thread
        # holds. It goes on as soon as the library is released. A follower that fails is not in sys.modules.
        if name not in sys.modules:
            raise


def follow_imports() -> None:
    """Import the follower of every library that is imported already, and of the others when they are."""
    # By name: after a reload of this module, the finder in the list is of the earlier class, and works as well.
    if not any((type(f).__module__, type(f).__name__) == (__name__, FollowerFinder.__name__) for f in sys.meta_path):
        sys.meta_path.insert(0, FollowerFinder())
    for library, follower in FOLLOWERS.items():
        if library in sys.modules:
            _import_follower(follower)
