"""Exercises: right answers pass, wrong ones are rejected with a reason, and the notebook always continues."""

import dataclasses
import inspect
import math

import pytest
import torch
from torch.fft import irfft, rfft

import circpeft
from circpeft.course.exercise_sets import EXERCISES
from circpeft.course.exercise_sets.cdvft_product import cdvft_forward
from circpeft.course.exercise_sets.matrices import column, row
from circpeft.course.exercises import exercise, hint, right_answer, solution


@pytest.fixture(autouse=True)
def pictures(monkeypatch):
    """Return the list of figures that a check shows."""
    shown = []
    monkeypatch.setattr(circpeft.plots, "show", shown.append)
    return shown


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradients(a1, c, a3, x, g):
    """Return the right answer to exercise 03.6."""
    b = len(c)
    dv = rfft(a3 * g)
    du = irfft(rfft(c).conj() * dv, n=b)
    dc = irfft(rfft(a1 * x).conj() * dv, n=b)
    return du * x, dc, g * irfft(rfft(c) * rfft(a1 * x), n=b), du * a1


@pytest.mark.parametrize("item", EXERCISES.values(), ids=list(EXERCISES))
def test_every_field_of_an_exercise_is_filled(item):
    assert EXERCISES[item.id] is item
    assert item.difficulty in (1, 2, 3) and 0 < item.minutes <= 30 and item.title and len(item.hint) > 20
    assert item.importance in (1, 2, 3)
    cases = item.inputs(torch.Generator().manual_seed(0))
    assert len(cases) >= 4
    tensors = [value for case in cases for value in case if isinstance(value, torch.Tensor)]
    assert all(value.dtype == torch.float64 for value in tensors if value.is_floating_point())


@pytest.mark.parametrize("id", EXERCISES)
def test_a_right_answer_is_used(id, capsys, pictures):
    answer = EXERCISES[id].solution or (lambda *arguments: EXERCISES[id].reference(*arguments))
    assert exercise(id)(answer) is answer
    assert capsys.readouterr().out.startswith(f"[OK] Exercise {id}")
    assert right_answer(id) is answer and not pictures


@pytest.mark.parametrize("id", EXERCISES)
def test_an_exercise_not_attempted_prints_one_line(id, capsys, pictures):
    @exercise(id)
    def answer(*arguments):
        raise NotImplementedError

    assert right_answer(id) is EXERCISES[id].reference and not pictures
    assert capsys.readouterr().out == f"Exercise {id} not attempted; the cells below use the reference answer.\n"
    with pytest.raises(NotImplementedError):
        answer()


def test_after_a_rejection_the_name_is_the_learners_function_and_the_reference_has_another(capsys, pictures):
    @exercise("02.2")
    def mine(w, x):
        return column(w) @ x

    w, x = random(7), random(7, seed=1)
    assert torch.equal(mine(w, x), column(w) @ x)
    assert torch.allclose(right_answer("02.2")(w, x), row(w) @ x)
    said = capsys.readouterr().out
    assert said.startswith("[NOT YET] Exercise 02.2 (C3A's forward pass for one block), input (7,), (7,): ")
    assert EXERCISES["02.2"].hint not in said, "a hint is given on request"
    assert 'Hint: circpeft.course.hint("02.2"). Code: circpeft.course.solution("02.2").' in said
    assert "the cells below use the reference answer" in said.lower() and len(pictures) == 1


def test_a_right_answer_is_forgotten_when_a_wrong_one_replaces_it():
    def right(w, x):
        return irfft(rfft(w).conj() * rfft(x), n=len(x))

    exercise("02.2")(right)
    assert right_answer("02.2") is right
    exercise("02.2")(lambda w, x: w)
    assert right_answer("02.2") is EXERCISES["02.2"].reference


def test_hints_and_solutions_are_printed_on_request(capsys):
    hint("02.2")
    assert capsys.readouterr().out == EXERCISES["02.2"].hint + "\n"
    solution("07.1")
    assert capsys.readouterr().out == inspect.getsource(EXERCISES["07.1"].solution)


def test_the_papers_gradient_is_shown_beside_the_true_one(capsys, pictures):
    exercise("02.4")(lambda w, g: row(w) @ g)  # as the C3A paper prints it, without the transpose
    assert "(7,), (7,)" in capsys.readouterr().out
    expected, yours, difference = (trace.z for trace in pictures[0].data)
    w, g = EXERCISES["02.4"].inputs(torch.Generator().manual_seed(0))[0]
    assert torch.allclose(torch.tensor(expected[0]).double(), row(w).T @ g, atol=1e-6)
    assert torch.allclose(torch.tensor(yours - expected), torch.tensor(difference), atol=1e-6)
    assert abs(difference).max() > 0.1


def test_gradients_of_the_references_are_those_of_autograd():
    w, x, g = random(7), random(7, seed=1), random(7, seed=2)
    w.requires_grad_(), x.requires_grad_()
    dw, dx = torch.autograd.grad(row(w) @ x, (w, x), g)
    assert torch.allclose(EXERCISES["02.4"].reference(w.detach(), g), dx)
    assert torch.allclose(EXERCISES["02.6"].reference(g, x.detach()), dw)
    truth = torch.autograd.grad(column(w) @ x, (w, x), g)
    answer = EXERCISES["02.14"].reference(w.detach(), x.detach(), g)
    assert all(torch.allclose(one, right) for one, right in zip(answer, truth, strict=True))
    inputs = [random(6, seed=s).requires_grad_() for s in range(4)]
    g = random(6, seed=4)
    truth = torch.autograd.grad(cdvft_forward(*inputs), inputs, g)
    answer = EXERCISES["03.6"].reference(*(value.detach() for value in inputs), g)
    assert all(torch.allclose(one, right) for one, right in zip(answer, truth, strict=True))


def test_ranks_cover_full_deficient_and_scaled_kernels():
    inputs = EXERCISES["01.9"].inputs(torch.Generator().manual_seed(0))
    assert [EXERCISES["01.9"].reference(c) for (c,) in inputs] == [2, 5, 1, 1, 0, 2, 6, 4, 5, 7, 4, 5, 12, 3]


@pytest.mark.parametrize("threshold", [1e-15, 1e-10, 1e-6])
def test_a_threshold_for_the_rank_must_be_relative(threshold, capsys):
    exercise("01.9")(lambda c: int((torch.fft.fft(c).abs() > threshold).sum()))
    exercise("01.9")(lambda c: int((torch.fft.fft(c).abs() > 1e-10 * torch.fft.fft(c).abs().max()).sum()))
    absolute, relative = capsys.readouterr().out.strip().split("[OK]")
    assert "[NOT YET]" in absolute and "right on all 14 inputs" in relative


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda w, x: (row(w) @ x).float(), "dtype torch.float32, expected torch.float64"),
        (lambda w, x: torch.fft.ifft(torch.fft.fft(w).conj() * torch.fft.fft(x)), "take the real part"),
        (lambda w, x: (row(w) @ x)[None], "shape (1, 7), expected (7,)"),
        (lambda w, x: (row(w) @ x).numpy(), "returned a ndarray, expected a torch.Tensor"),
        (lambda w, x: (row(w) @ x,), "returned a tuple"),
        (lambda w, x: (row(w) @ x).to_sparse(), "torch.sparse_coo"),
        (lambda w, x: row(w) @ x / 0, "not finite (inf)"),
        (lambda w, x: row(w) @ x * math.nan, "not finite (nan"),
        (lambda w, x: row(w) @ x + 1e-6, "largest difference is 1e-06, at ["),
        (lambda w, x: w.missing, "it raised AttributeError"),
        (lambda w: w, "it raised TypeError"),
    ],
)
def test_the_mistake_is_described(answer, words, capsys):
    assert exercise("02.2")(answer) is answer
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("id", "answer", "words"),
    [
        ("03.6", lambda a1, c, a3, x, g: x, "one Tensor, expected a tuple of 4"),
        ("03.6", lambda *a: gradients(*a)[:2], "2 values, expected a tuple of 4"),
        ("03.9", lambda d_in, d_out, b: 22.0, "22.0 (float), expected an int"),
        ("03.9", lambda d_in, d_out, b: True, "True (bool), expected an int"),
        ("02.16", lambda d, b: 0.5 * math.sqrt(b / d), "yours is 0.5 times as large"),
        ("02.16", lambda d, b: -math.sqrt(b / d), "yours has the other sign"),
        ("02.16", lambda d, b: torch.ones(3), "(Tensor), expected a number"),
        ("02.16", lambda d, b: math.nan, "returned nan (not a number), expected 1"),
        ("08.1", lambda layers, b: 5, "returned 5, expected 3456; they differ by 3451"),
    ],
)
def test_mistakes_in_tuples_and_numbers_are_described(id, answer, words, capsys, pictures):
    exercise(id)(answer)
    assert words in capsys.readouterr().out and not pictures


def test_of_several_values_only_the_wrong_one_is_drawn(capsys, pictures):
    def answer(*arguments):
        da1, dc, da3, dx = gradients(*arguments)
        return da1, dc.flip(0), da3, dx

    exercise("03.6")(answer)
    assert "value 2 of 4" in capsys.readouterr().out and "value 2 of 4" in pictures[0].layout.title.text


@pytest.mark.parametrize("ask", [exercise, hint, right_answer, solution])
def test_an_unknown_id_raises_with_the_nearest(ask):
    with pytest.raises(ValueError, match=r"unknown exercise '2\.1'; did you mean '02\.1'\?"):
        ask("2.1")


def test_exercises_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        EXERCISES["01.1"].tolerance = 1.0
