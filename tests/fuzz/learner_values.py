"""Values that a learner's function may return, and an answer to a question may be, from usual to odd ones."""

import math
from fractions import Fraction

import numpy as np
import torch
from hypothesis import strategies as st


class Odd:
    """A value that raises an error at whatever is done with it."""

    shape = ()

    def fail(self, *arguments):
        raise ValueError("odd")

    __eq__ = __repr__ = __len__ = __iter__ = __bool__ = __float__ = item = fail
    __hash__ = None


class OddTuple(tuple):
    def __len__(self):
        raise RuntimeError("odd")


VALUES = {
    "an odd object": Odd,
    "a list of odd objects": lambda: [Odd(), Odd()],
    "an odd tuple": lambda: OddTuple([torch.ones(7), 7]),
    "an int of thousands of digits": lambda: 2**50_000,
    "an int beyond floats": lambda: -(10**400),
    "a fraction": lambda: Fraction(10**400, 3),
    "nan": lambda: math.nan,
    "inf": lambda: -math.inf,
    "a complex number": lambda: 1 + 2j,
    "a long text": lambda: "a" * 10**6,
    "control characters": lambda: "\x1b[2J\ud800\0",
    "a long list": lambda: [0] * 10**5,
    "a generator": lambda: (x for x in range(3)),
    "a function": lambda: max,
    "a class": lambda: int,
    "an error": lambda: ValueError("a"),
    "an array": lambda: np.ones((7, 7)),
    "an array of objects": lambda: np.array([None, "a"], dtype=object),
    "a time that is missing": lambda: np.datetime64("NaT"),
    "numbers and an array": lambda: [1, np.ones(3)],
    "a meta tensor": lambda: torch.empty((), device="meta"),
    "a meta vector": lambda: torch.empty(7, dtype=torch.float64, device="meta"),
    "a sparse tensor": lambda: torch.eye(7, dtype=torch.float64).to_sparse(),
    "a nested tensor": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    "a quantised tensor": lambda: torch.quantize_per_tensor(torch.ones(7), 0.1, 0, torch.qint8),
    "a parameter": lambda: torch.nn.Parameter(torch.ones(7, dtype=torch.float64)),
    "no dimensions": lambda: torch.tensor(3),
    "eight bits": lambda: torch.ones(7).to(torch.float8_e4m3fn),
    "a conjugate": lambda: torch.ones(7, dtype=torch.complex128).conj(),
    "a dictionary": lambda: {1: torch.ones(2)},
    "a pair of odd ones": lambda: (Odd(), 7),
}
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.complex128]
TENSORS = st.builds(
    lambda shape, dtype, value: lambda: torch.full(shape, value, dtype=torch.float64).to(dtype),
    st.lists(st.sampled_from([0, 1, 4, 5, 7]), max_size=4),
    st.sampled_from(DTYPES),
    st.sampled_from([0.0, 1.0, 1e300, math.inf, math.nan]),
)
NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner),
    max_leaves=4,
).map(lambda value: lambda: value)
