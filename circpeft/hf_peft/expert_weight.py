"""The weight that a module of experts sees during a call: its own weight plus the change of the active adapters.

Experts of all implementations read ``self.gate_up_proj`` (or the like), choose experts from it, and multiply. The
object in this module stands in for that weight. A product with it is the base product plus the adapters' products, so
no dense ``ΔW`` is built, and a change below the precision of a bfloat16 weight is not lost. Any other operation gets
the dense sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..adapters.experts import ExpertAdapters

# The products that implementations of experts use.
LINEAR = {functional.linear}
MATMUL = {torch.matmul, Tensor.matmul, Tensor.__matmul__}
BATCHED = {torch.bmm, Tensor.bmm}
GROUPED = {f for f in (getattr(functional, "grouped_mm", None), getattr(torch, "_grouped_mm", None)) if f is not None}
# The operator that transformers has for the systems on which torch's grouped product does not run.
OF_TRANSFORMERS = ("transformers.grouped_mm_fallback", "transformers.grouped_mm_fallback.default")


class ExpertWeight:
    """A stand-in for a fused weight of experts, or for a choice from it.

    Args:
        read: returns the base weight ``(E, d_out, d_in)``, or ``(E, d_in, d_out)`` if ``transposed``.
        adapters: the active adapters that change it.
        name: the weight's name in its module.
        transposed: whether the last dimension is ``d_out``.
        chosen: all experts (None), one expert, or one expert for each row (a tensor).
        flipped: whether the last two dimensions are swapped, compared with the base weight.
    """

    def __init__(
        self,
        read: Callable[[], Tensor],
        adapters: Sequence[ExpertAdapters],
        name: str,
        transposed: bool,
        chosen: int | Tensor | None = None,
        flipped: bool = False,
    ) -> None:
        self._read, self._adapters, self._name, self._transposed = read, adapters, name, transposed
        self._chosen, self._flipped = chosen, flipped

    def _base(self) -> Tensor:
        weight = self._read()
        weight = weight if self._chosen is None else weight[self._chosen]
        return weight.transpose(-2, -1) if self._flipped else weight

    def _dense(self) -> Tensor:
        """Return the dense sum of the base weight and every ``ΔW``, added in float32 or better."""
        for adapters in self._adapters:
            if adapters.training and adapters.dropout(self._name):
                raise RuntimeError(
                    f"the experts compute with {self._name!r} in a way in which the adapter has no input of its own, "
                    f"so dropout={adapters.dropout(self._name)} cannot be applied; use dropout=0.0"
                )
        base = self._base()
        sums = torch.promote_types(base.dtype, torch.float32)
        if isinstance(self._chosen, int):
            deltas = [adapters.expert(self._name, self._chosen).delta_weight() for adapters in self._adapters]
        else:
            deltas = [adapters.delta_weight(self._name) for adapters in self._adapters]
            deltas = deltas if self._chosen is None else [delta[self._chosen] for delta in deltas]
        total = base.to(sums)
        for delta in deltas:
            total = total + (delta.transpose(-2, -1) if self._columns_are_outputs else delta).to(sums)
        return total.to(base.dtype)

    @property
    def _columns_are_outputs(self) -> bool:
        return self._transposed != self._flipped

    def _add(self, expert: int, x: Tensor, y: Tensor) -> Tensor:
        """Return ``y + sum over adapters of x @ ΔW.T`` for one expert."""
        for adapters in self._adapters:
            y = adapters.expert(self._name, expert)(x, y)
        return y

    def _add_in_order(self, counts: Sequence[int], x: Tensor, y: Tensor) -> Tensor:
        """Do the same for rows that are sorted by expert; rows after the last expert's get nothing."""
        parts, start = [], 0
        for expert, count in enumerate(counts):
            rows = slice(start, start + count)
            if count:
                parts.append(self._add(expert, x[rows], y[rows]))
            start += count
        return torch.cat([*parts, y[start:]])

    def _add_by_row(self, x: Tensor, y: Tensor) -> Tensor:
        """Do the same for rows that each have an expert of their own."""
        if not isinstance(self._chosen, Tensor):
            return self._add_in_order([1] * len(x), x, y)
        order = torch.argsort(self._chosen, stable=True)
        counts = torch.bincount(self._chosen, minlength=len(self._read())).tolist()
        return self._add_in_order(counts, x[order], y[order])[torch.argsort(order)]

    # What experts ask of a weight before they multiply.

    def __getitem__(self, index: Any) -> ExpertWeight | Tensor:
        if self._chosen is None and not self._flipped:
            whole = isinstance(index, Tensor) and not index.is_floating_point() and index.dtype != torch.bool
            if isinstance(index, int) and not isinstance(index, bool) or (whole and index.dim() == 0):
                expert = range(len(self._read()))[int(index)]
                return self._with(chosen=expert)
            if whole and index.dim() == 1:
                return self._with(chosen=index)
        return self._dense()[index]

    def _with(self, **changed: Any) -> ExpertWeight:
        kept = {"chosen": self._chosen, "flipped": self._flipped}
        return ExpertWeight(self._read, self._adapters, self._name, self._transposed, **(kept | changed))

    def transpose(self, first: int, second: int) -> ExpertWeight | Tensor:
        """Swap two dimensions; the last two without building the dense sum."""
        if {first % self.ndim, second % self.ndim} == {self.ndim - 2, self.ndim - 1}:
            return self._with(flipped=not self._flipped)
        return self._dense().transpose(first, second)

    @property
    def mT(self) -> ExpertWeight:
        """The last two dimensions swapped."""
        return self._with(flipped=not self._flipped)

    @property
    def T(self) -> ExpertWeight | Tensor:
        """All dimensions reversed."""
        return self.mT if self.ndim == 2 else self._dense().T

    @property
    def shape(self) -> torch.Size:
        """The shape of the weight."""
        experts, *matrix = self._read().shape
        matrix = matrix[::-1] if self._flipped else matrix
        if isinstance(self._chosen, int):
            return torch.Size(matrix)
        # Not the shape of the chosen matrices themselves, because choosing copies them.
        return torch.Size([experts if self._chosen is None else len(self._chosen), *matrix])

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return 2 if isinstance(self._chosen, int) else 3

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the base weight."""
        return self._read().dtype

    @property
    def device(self) -> torch.device:
        """The device of the base weight."""
        return self._read().device

    def data_ptr(self) -> int:
        """Return the address of the base weight. Up to torch 2.10, transformers asks for it on a CPU."""
        return self._read().data_ptr()

    def __len__(self) -> int:
        return self.shape[0]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._dense(), name)

    def __rmatmul__(self, x: Tensor) -> Tensor:
        weight: Any = self  # __torch_function__ makes it an operand
        return torch.matmul(x, weight)

    # The products.

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = _product(func, args, kwargs)
        return func(*_dense(args), **_dense(kwargs)) if result is None else result


def _product(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """Return a product with a stand-in, or None if it is not one of those that need no dense sum."""
    if len(args) < 2 or isinstance(args[0], ExpertWeight) == isinstance(args[1], ExpertWeight):
        return None
    left, right = args[:2]
    if isinstance(left, ExpertWeight):  # a matrix times a column for each row, as batches of experts do
        if func not in BATCHED or left._columns_are_outputs or len(args) > 2 or kwargs:
            return None
        columns = func(left._base(), right)
        return left._add_by_row(right.transpose(1, 2), columns.transpose(1, 2)).transpose(1, 2)
    w: ExpertWeight = right
    if func in LINEAR and isinstance(w._chosen, int) and not w._columns_are_outputs:
        return w._add(w._chosen, left, func(left, w._base(), *args[2:], **kwargs))
    if not w._columns_are_outputs:
        return None
    if func in MATMUL and isinstance(w._chosen, int) and len(args) == 2 and not kwargs:
        return w._add(w._chosen, left, func(left, w._base()))
    rows = left.dim() == 3 and w.ndim == 3 and len(left) == len(w)  # otherwise, matmul broadcasts
    if func in MATMUL | BATCHED and rows and len(args) == 2 and not kwargs:
        return w._add_by_row(left, func(left, w._base()))
    if (func in GROUPED or str(func) in OF_TRANSFORMERS) and w._chosen is None and left.dim() == 2:
        ends = kwargs.get("offs", args[2] if len(args) > 2 else None)
        if ends is None:
            return None
        counts = torch.diff(ends, prepend=ends.new_zeros(1)).tolist()
        return w._add_in_order(counts, left, func(left, w._base(), *args[2:], **kwargs))
    return None


def _dense(value: Any) -> Any:
    """Return arguments with the dense sum in place of every stand-in."""
    if isinstance(value, ExpertWeight):
        return value._dense()
    if isinstance(value, (list, tuple)):
        return type(value)(map(_dense, value))
    return {key: _dense(v) for key, v in value.items()} if isinstance(value, dict) else value
