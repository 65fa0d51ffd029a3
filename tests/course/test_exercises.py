"""Exercises: right answers pass, wrong ones are rejected with a reason, and the notebook always continues."""

import dataclasses
import math

import pytest
import torch
from torch.fft import irfft, rfft

import circpeft
from circpeft.course import exercises
from circpeft.course.exercise_sets import EXERCISES
from circpeft.course.exercise_sets.matrices import column, row
from circpeft.course.exercise_sets.nb02 import block_forward
from circpeft.course.exercise_sets.nb03 import cdvft_forward
from circpeft.course.exercises import check, exercise


@pytest.fixture
def pictures(monkeypatch):
    """Return the list of figures that a check shows."""
    shown = []
    monkeypatch.setattr(exercises.plots, "show", shown.append)
    return shown


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def fast_cdvft_gradients(a1, c, a3, x, g):
    b = len(c)
    dv = rfft(a3 * g)
    du = irfft(rfft(c).conj() * dv, n=b)
    dc = irfft(rfft(a1 * x).conj() * dv, n=b)
    return du * x, dc, g * irfft(rfft(c) * rfft(a1 * x), n=b), du * a1


def fast_blocks(w, x):
    m, n, b = w.shape
    return irfft((rfft(w).conj() * rfft(x.view(n, b))).sum(1), n=b).flatten()


def rank(c):
    sizes = torch.fft.fft(c).abs()
    return (sizes > 1e-10 * sizes.max().clamp_min(1e-300)).sum()


# Answers as a learner would write them: with FFTs, not with the dense matrices of the reference answers.
SOLUTIONS = {
    "01.1": lambda c: torch.stack([c.roll(k) for k in range(len(c))], dim=1),
    "01.2": lambda c, x: irfft(rfft(c) * rfft(x), n=len(c)),
    "01.3": rank,
    "02.1": lambda w, x: irfft(rfft(w).conj() * rfft(x), n=len(w)),
    "02.2": lambda w, g: irfft(rfft(w) * rfft(g), n=len(w)),
    "02.3": lambda g, x: irfft(rfft(g).conj() * rfft(x), n=len(g)),
    "02.4": fast_blocks,
    "02.5": lambda w, x, g: tuple(irfft(rfft(v).conj() * rfft(g), n=len(g)) for v in (x, w)),
    "02.6": lambda s, rate, d_in, d_out, b: s * rate * math.sqrt(d_in * d_out),
    "02.7": lambda d, b: math.sqrt(b / d),
    "02.8": lambda rate, d_in, d_out, b: rate / d_in * math.sqrt(min(d_in, d_out) // b),
    "03.1": lambda a1, c, a3, x: a3 * irfft(rfft(c) * rfft(a1 * x), n=len(c)),
    "03.2": fast_cdvft_gradients,
    "03.3": lambda d_in, d_out, b: d_in + d_out + ((d_in + b - 1) // b) * ((d_out + b - 1) // b) * b,
    "05.1": lambda d_in, d_out, p: d_in + d_out + math.ceil(max(d_in, d_out) / p) ** 2 * p,
    "05.2": lambda once, each, other_once, other_each: (once - other_once) // (other_each - each) + 1,
    "06.1": lambda u, v, x: (x @ v)[:, None] * u,
    "07.1": lambda weight, w, alpha: weight + alpha / weight.shape[1] * circpeft.block_circulant(w, layout="row"),
    "07.2": lambda first, second, s, t: s * first + t * second.flip(-1).roll(1, -1),
    "08.1": lambda layers, b: sum(d_in * d_out // b for d_in, d_out in layers),
    "09.1": lambda image, p: torch.nn.functional.unfold(image[None], p, stride=p)[0].T,
    "10.1": lambda ids, prompt: torch.where(torch.arange(len(ids)) < prompt, -100.0, ids),
    "11.1": lambda c: c.repeat(len(c)).as_strided((len(c), len(c)), (len(c) - 1, 1)),
    "11.2": lambda tokens, d_in, d_out, size: tokens * size * (4 * d_in + 3 * d_out),
    "11.3": lambda tokens, d_in, d_out, r: 4 * tokens * d_in * d_out * (r - 1) // r**2,
}

# Exercises whose answer is a number, which needs no picture.
NUMBERS = ("01.3", "02.6", "02.7", "02.8", "03.3", "05.1", "05.2", "08.1", "11.2", "11.3")

# Typical mistakes. Those of 02.2 and 02.3 are the gradients that the C3A paper prints, without the transpose.
MISTAKES = {
    "01.1": row,
    "01.2": lambda c, x: irfft(rfft(c) * rfft(x)),  # an odd length becomes even
    "01.3": len,
    "02.1": lambda w, x: column(w) @ x,
    "02.2": lambda w, g: row(w) @ g,
    "02.3": lambda g, x: row(x) @ g,
    "02.4": lambda w, x: block_forward(w.flip(-1).roll(1, -1), x),
    "02.5": lambda w, x, g: (row(g) @ x, column(w).T @ g),  # gradients of the row layout
    "02.6": lambda s, rate, d_in, d_out, b: s * rate * b,  # the norm of one block
    "02.7": lambda d, b: b / d,  # as if the sums did not cancel
    "02.8": lambda rate, d_in, d_out, b: rate / math.sqrt(d_in * b),  # wrong where the layer narrows
    "03.1": lambda a1, c, a3, x: a1 * (column(c) @ (a3 * x)),
    "03.2": lambda a1, c, a3, x, g: fast_cdvft_gradients(a1, c, a3, x, g)[::-1],
    "03.3": lambda d_in, d_out, b: d_in + d_out + (d_in // b) * (d_out // b) * b,
    "05.1": lambda d_in, d_out, p: d_in + d_out + math.ceil(d_in / p) * math.ceil(d_out / p) * p,
    "05.2": lambda once, each, other_once, other_each: (once - other_once) // (other_each - each),
    "06.1": lambda u, v, x: (x @ v)[:, None] * u * 2,
    "07.1": lambda weight, w, alpha: weight + alpha * circpeft.block_circulant(w, layout="row"),  # no 1 / d_in
    "07.2": lambda first, second, s, t: s * first + t * second,  # ignores that the layouts differ
    "08.1": lambda layers, b: sum(d_in * d_out for d_in, d_out in layers),
    "09.1": lambda image, p: image.reshape(-1, image.shape[0] * p * p),  # rows of pixels, not patches
    "10.1": lambda ids, prompt: torch.where(torch.arange(len(ids)) <= prompt, -100.0, ids),
    "11.1": lambda c: c.repeat(len(c) + 2).as_strided((len(c), len(c)), (len(c) + 1, 1)),  # shifted the other way
    "11.2": lambda tokens, d_in, d_out, size: tokens * size * 2 * (d_in + 2 * d_out),
    "11.3": lambda tokens, d_in, d_out, r: 4 * tokens * d_in * d_out // r,  # the zeros of the first matrix as well
}


@pytest.mark.parametrize("item", EXERCISES.values(), ids=list(EXERCISES))
def test_every_field_of_an_exercise_is_filled(item):
    assert EXERCISES[item.id] is item
    assert item.difficulty in (1, 2, 3) and 0 < item.minutes <= 30 and item.title and len(item.hint) > 20
    cases = item.inputs(torch.Generator().manual_seed(0))
    assert len(cases) >= 4
    tensors = [value for case in cases for value in case if isinstance(value, torch.Tensor)]
    assert all(value.dtype == torch.float64 for value in tensors)


@pytest.mark.parametrize("id", EXERCISES)
def test_the_reference_passes_its_own_check(id, capsys, pictures):
    reference = EXERCISES[id].reference
    assert exercise(id)(reference) is reference
    assert capsys.readouterr().out.startswith(f"[OK] Exercise {id}")
    assert not pictures


@pytest.mark.parametrize("id", EXERCISES)
def test_a_right_answer_is_used(id, capsys, pictures):
    answer = SOLUTIONS[id]
    assert exercise(id)(answer) is answer
    assert "[OK]" in capsys.readouterr().out


@pytest.mark.parametrize("id", EXERCISES)
def test_a_wrong_answer_is_reported_and_the_reference_used(id, capsys, pictures):
    assert exercise(id)(MISTAKES[id]) is EXERCISES[id].reference
    said = capsys.readouterr().out
    assert said.startswith(f"[NOT YET] Exercise {id}") and EXERCISES[id].hint in said
    assert len(pictures) == (id not in NUMBERS)


@pytest.mark.parametrize("id", EXERCISES)
def test_an_exercise_not_attempted_prints_one_line(id, capsys, pictures):
    @exercise(id)
    def answer(*arguments):
        raise NotImplementedError

    assert answer is EXERCISES[id].reference and not pictures
    assert capsys.readouterr().out == f"Exercise {id} not attempted; the cells below use the reference answer.\n"


def test_the_papers_gradient_is_shown_beside_the_true_one(capsys, pictures):
    exercise("02.2")(MISTAKES["02.2"])
    said = capsys.readouterr().out
    assert "(3,), (3,)" in said and "largest difference" in said
    expected, yours, difference = (trace.z for trace in pictures[0].data)
    w, g = EXERCISES["02.2"].inputs(torch.Generator().manual_seed(exercises.SEED))[0]
    assert torch.allclose(torch.tensor(expected[0]).double(), row(w).T @ g, atol=1e-6)
    assert torch.allclose(torch.tensor(yours - expected), torch.tensor(difference), atol=1e-6)
    assert abs(difference).max() > 0.1


def test_gradients_of_the_references_are_those_of_autograd():
    w, x, g = random(7), random(7, seed=1), random(7, seed=2)
    w.requires_grad_(), x.requires_grad_()
    dw, dx = torch.autograd.grad(row(w) @ x, (w, x), g)
    assert torch.allclose(EXERCISES["02.2"].reference(w.detach(), g), dx)
    assert torch.allclose(EXERCISES["02.3"].reference(g, x.detach()), dw)
    truth = torch.autograd.grad(column(w) @ x, (w, x), g)
    answer = EXERCISES["02.5"].reference(w.detach(), x.detach(), g)
    assert all(torch.allclose(one, right) for one, right in zip(answer, truth, strict=True))
    inputs = [random(6, seed=s).requires_grad_() for s in range(4)]
    g = random(6, seed=4)
    truth = torch.autograd.grad(cdvft_forward(*inputs), inputs, g)
    answer = EXERCISES["03.2"].reference(*(value.detach() for value in inputs), g)
    assert all(torch.allclose(one, right) for one, right in zip(answer, truth, strict=True))


def test_ranks_cover_full_and_deficient():
    ranks = [EXERCISES["01.3"].reference(c) for (c,) in EXERCISES["01.3"].inputs(torch.Generator().manual_seed(0))]
    assert ranks == [1, 5, 1, 2, 0, 3, 4, 5, 7, 12]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda w, x: (row(w) @ x).float(), "dtype torch.float32, expected torch.float64"),
        (lambda w, x: torch.fft.ifft(torch.fft.fft(w).conj() * torch.fft.fft(x)), "take the real part"),
        (lambda w, x: (row(w) @ x)[None], "shape (1, 3), expected (3,)"),
        (lambda w, x: (row(w) @ x).numpy(), "returned a ndarray, expected a torch.Tensor"),
        (lambda w, x: (row(w) @ x,), "returned a tuple"),
        (lambda w, x: None, "is a `return` missing"),
        (lambda w, x: row(w) @ x / 0, "not finite"),
        (lambda w, x: (row(w) @ x).roll(1), "Rolled by 2 it is the right answer"),
        (lambda w, x: row(w) @ x / len(w), "0.3333 times the right answer"),
        (lambda w, x: (row(w) @ x).flip(0).roll(1), "index reversed"),
        (lambda w, x: row(w) @ x + 1e-6, "largest difference is 1e-06, at ["),
        (lambda w, x: w.missing, "it raised AttributeError"),
    ],
)
def test_the_mistake_is_named(answer, words, capsys, pictures):
    assert exercise("02.1")(answer) is EXERCISES["02.1"].reference
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("id", "answer", "words"),
    [
        ("01.1", row, "transpose"),
        ("03.2", lambda a1, c, a3, x, g: x, "one Tensor, expected a tuple of 4"),
        ("03.2", lambda *a: fast_cdvft_gradients(*a)[:2], "2 values, expected a tuple of 4"),
        ("03.3", lambda d_in, d_out, b: 22.0, "22.0 (float), expected an int"),
        ("03.3", lambda d_in, d_out, b: True, "True (bool), expected an int"),
        ("02.7", lambda d, b: 0.5 * math.sqrt(b / d), "yours is 0.5 times as large"),
        ("02.7", lambda d, b: torch.ones(3), "(Tensor), expected a number"),
        ("02.7", lambda d, b: math.nan, "returned nan, expected 1"),
        ("08.1", lambda layers, b: 5, "returned 5, expected 4; they differ by 1"),
    ],
)
def test_mistakes_in_matrices_tuples_and_numbers_are_named(id, answer, words, capsys, pictures):
    assert check(EXERCISES[id], answer) is EXERCISES[id].reference
    assert words in capsys.readouterr().out


def test_of_several_values_only_the_wrong_one_is_drawn(capsys, pictures):
    def answer(*arguments):
        da1, dc, da3, dx = fast_cdvft_gradients(*arguments)
        return da1, dc.flip(0), da3, dx

    exercise("03.2")(answer)
    assert "value 2 of 4" in capsys.readouterr().out and "value 2 of 4" in pictures[0].layout.title.text


def test_an_answer_that_changes_its_arguments_is_judged_by_what_it_returns(capsys, pictures):
    def answer(w, x):
        x *= 2
        return row(w) @ (x / 2)

    assert exercise("02.1")(answer) is answer


def test_an_unknown_id_raises_with_the_nearest():
    with pytest.raises(ValueError, match=r"unknown exercise '2\.1'; did you mean '02\.1'\?"):
        exercise("2.1")


def test_exercises_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        EXERCISES["01.1"].tolerance = 1.0
