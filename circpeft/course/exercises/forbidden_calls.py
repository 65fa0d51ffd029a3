"""Refuse calls that an exercise forbids, and matrices that it asks to do without, under whatever name they are called.

A call is recognised by the function itself, not by its name. So aliases, `from ... import`, and calls inside other
functions are found as well.
"""

import inspect
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import CodeType, ModuleType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

OWN = "circpeft.course"  # the printed solutions are defined here; a forbidden "circpeft" does not mean them


class Forbidden(BaseException):
    """The answer did what its exercise forbids. Not an Exception: `except Exception` in it must not catch this."""


class MatrixBuilt(Forbidden):
    """The answer built a matrix that its exercise asks to do without."""


def _functions(name: str) -> dict[str, Any]:
    """Return the function with a dotted name, or the public functions of a class or module, by their dotted names.

    Raises: ValueError if there is nothing of this name.
    """
    try:
        found = pkgutil.resolve_name(name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"nothing is called {name!r} ({error}); forbid a dotted name such as 'torch.fft'") from error
    if isinstance(found, ModuleType):
        # What a module loads only on demand is not loaded for this: `profile` knows Python functions by their module.
        members = {f"{name}.{key}": value for key, value in vars(found).items() if not key.startswith("_")}
        return {key: value for key, value in members.items() if callable(value) and not isinstance(value, type)}
    if isinstance(found, type):
        return {f"{name}.{key}": value for key, value in vars(found).items() if callable(value)}
    return {name: found}


class _Calls:
    """The forbidden functions: by their code if they are Python, by themselves if they are not."""

    def __init__(self, names: Iterable[str]):
        self.codes: dict[CodeType, str] = {}
        self.objects: dict[Any, str] = {}
        for name in names:
            for known_as, function in _functions(name).items():
                code = getattr(inspect.unwrap(function), "__code__", None)
                if code is not None:
                    self.codes[code] = known_as
                self.objects[function.__get__ if inspect.isgetsetdescriptor(function) else function] = known_as
        self.packages = tuple(name for name in names if isinstance(pkgutil.resolve_name(name), ModuleType))

    def refuse(self, name: str | None) -> None:
        if name is not None:
            raise Forbidden(f"it calls {name}, which this exercise does not allow")

    def profile(self, frame, event, argument) -> None:
        """Refuse a call that Python reports to a profile function."""
        if event == "c_call":
            self.refuse(self.objects.get(argument))
        elif event == "call":
            self.refuse(self.codes.get(frame.f_code))
            module = frame.f_globals.get("__name__", "")
            if not f"{module}.".startswith(f"{OWN}."):
                self.refuse(next((p for p in self.packages if f"{module}.".startswith(f"{p}.")), None))


class _TorchCalls(TorchFunctionMode):
    """Refuse forbidden functions of torch, also where no Python code calls them (operators, partial, map)."""

    def __init__(self, calls: _Calls):
        super().__init__()
        self.calls = calls

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.calls.refuse(self.calls.objects.get(function))
        return function(*args, **(kwargs or {}))


class _Matrices(TorchDispatchMode):
    """Refuse an operation whose result, or each of whose last two dimensions, has the shape of a matrix."""

    def __init__(self, shapes: set[tuple[int, ...]]):
        super().__init__()
        self.shapes = shapes

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor) and tuple(leaf.shape[-2:]) in self.shapes:
                shape = tuple(leaf.shape)
                raise MatrixBuilt(
                    f"it builds a matrix (a tensor of shape {shape}), and the exercise asks to do without"
                )
        return result


@contextmanager
def forbid(names: tuple[str, ...], matrices: Iterable[tuple[int, int]] = ()) -> Iterator[None]:
    """Refuse calls of the named functions, or of any function of a named class or module, in the `with` block.

    Args:
        names: dotted names, such as "torch.roll", "torch.Tensor.roll" (the method), "torch.fft" or "circpeft".
        matrices: shapes (rows, columns) that no result of an operation may have, also transposed or as a batch.

    Raises:
        Forbidden: in the block, at such a call; the message names it. For a matrix it is a MatrixBuilt.
        ValueError: if there is no function, class or module of a name.

    >>> with forbid(("torch.fft",)):
    ...     torch.fft.rfft(torch.ones(3))
    Traceback (most recent call last):
    circpeft.course.exercises.forbidden_calls.Forbidden: it calls torch.fft.rfft, ...
    """
    shapes: set[tuple[int, ...]] = {shape for rows, columns in matrices for shape in ((rows, columns), (columns, rows))}
    with ExitStack() as stack:
        if shapes:
            stack.enter_context(_Matrices(shapes))
        if names:
            calls = _Calls(names)
            stack.enter_context(_TorchCalls(calls))
            stack.callback(sys.setprofile, sys.getprofile())
            sys.setprofile(calls.profile)
        yield
