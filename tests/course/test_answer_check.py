"""The check of an answer: what a learner's code may do to it, and a sentence for each; the notebook goes on."""

import functools
import sys
import threading
import time

import nbformat
import pytest
import torch
from nbclient import NotebookClient

import circpeft
from circpeft.course.exercise_sets.matrices import row
from circpeft.course.exercise_type import Exercise, Twin
from circpeft.course.exercises import attempts
from circpeft.course.exercises.check import check
from circpeft.course.exercises.forbidden_calls import forbid
from circpeft.course.exercises.time_limit import OutOfTime, call_within


def item(**fields):
    """Return an exercise that asks for the product of a circulant (first row w) with x."""
    inputs = [(torch.arange(1.0, b + 1).double(), torch.ones(b).double().cumsum(0) ** 2) for b in (7, 4, 5)]
    return Exercise("99.1", "A product", 1, 5, "A hint.", lambda w, x: row(w) @ x, lambda g: inputs, **fields)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr(circpeft.plots, "show", lambda figure: None)


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(attempts, "SECONDS", 0.3)


def rejected(answer, capsys, **fields):
    """Return what the check prints about a wrong answer."""
    assert not check(item(**fields), answer)
    return capsys.readouterr().out


def endless(w, x):
    while True:
        pass


def endless_and_deaf(w, x):
    while True:
        try:
            w + x
        except:  # noqa: E722 - what a learner may write
            pass


def asleep(w, x):
    time.sleep(60)


@pytest.mark.parametrize("answer", [endless, endless_and_deaf, asleep])
def test_an_endless_answer_is_stopped(answer, capsys, short):
    start = time.monotonic()
    assert "is there a loop that never ends?" in rejected(answer, capsys)
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("answer", [endless, endless_and_deaf])
def test_an_endless_answer_is_stopped_on_another_thread(answer, capsys, short):
    said = []
    thread = threading.Thread(target=lambda: said.append(rejected(answer, capsys)))
    thread.start()
    thread.join(timeout=20)
    assert said and "is there a loop that never ends?" in said[0]


def test_a_function_that_ends_in_time_is_not_interrupted_afterwards():
    assert call_within(0.3, lambda: 3) == 3
    time.sleep(0.4)
    with pytest.raises(OutOfTime):
        call_within(0.05, time.sleep, 5)
    time.sleep(0.25)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_an_answer_that_would_end_the_program_is_reported(error, capsys):
    def answer(w, x):
        raise error

    assert f"it raised {error.__name__} at `raise error`, which would end the program" in rejected(answer, capsys)
    assert "SystemExit" in rejected(lambda w, x: sys.exit(1), capsys)


def test_an_answer_that_changes_its_arguments_is_refused_and_the_argument_named(capsys):
    def one(w, x):
        x *= 2
        return row(w) @ (x / 2)

    def both(w, x):
        result = row(w) @ x
        w.zero_(), x.add_(1)
        return result

    assert "it changed its argument `x` in place" in rejected(one, capsys)
    assert "it changed its arguments `w` and `x` in place" in rejected(both, capsys)
    assert "its argument number 2 in place" in rejected(lambda *a: a[1].zero_(), capsys)


def test_a_list_that_is_changed_is_noticed(capsys):
    asks = Exercise("99.2", "A sum", 1, 5, "A hint.", sum, lambda g: [([3, 4],), ([5],)])

    def answer(numbers):
        total = 0
        while numbers:
            total += numbers.pop()
        return total

    assert not check(asks, answer) and "it changed its argument `numbers` in place" in capsys.readouterr().out


def test_a_forgotten_raise_or_return_is_noticed(capsys):
    def bare(w, x):
        NotImplementedError  # noqa: B018 - the learner forgot `raise`

    def returned(w, x):
        return NotImplementedError

    assert "`NotImplementedError` does nothing without `raise`" in rejected(bare, capsys)
    assert "it returned NotImplementedError instead of raising it" in rejected(returned, capsys)
    assert "is a `return` missing?" in rejected(lambda w, x: None, capsys)


def test_an_answer_for_some_inputs_only_counts_as_an_attempt(capsys):
    def answer(w, x):
        if len(w) % 2 == 0:
            raise NotImplementedError
        return row(w) @ x

    assert "input (4,), (4,): it raised NotImplementedError, but for other inputs it did not" in rejected(
        answer, capsys
    )


def test_torchs_own_not_implemented_is_an_error_and_not_a_missing_attempt(capsys):
    def answer(w, x):
        raise NotImplementedError('"product" not implemented for Bool')

    assert "it raised NotImplementedError at" in rejected(answer, capsys)


product = circpeft.block_circular_matmul
transform = torch.fft.rfft
partial = functools.partial(torch.fft.rfft)


@pytest.mark.parametrize(
    ("forbidden", "answer", "name"),
    [
        ("torch.fft", lambda w, x: transform(w), "torch.fft.rfft"),
        ("torch.fft", lambda w, x: partial(w), "torch.fft.rfft"),
        ("torch.fft", lambda w, x: next(map(transform, [w])), "torch.fft.rfft"),
        ("torch.Tensor.matmul", lambda w, x: row(w) @ x, "torch.Tensor.matmul"),
        ("torch.Tensor.__getitem__", lambda w, x: w[0], "torch.Tensor.__getitem__"),
        ("torch.Tensor.T", lambda w, x: w[None].T, "torch.Tensor.T"),
        ("torch.Tensor.roll", lambda w, x: w.roll(1), "torch.Tensor.roll"),
        ("circpeft.block_circular_matmul", lambda w, x: product(w[None, None], x), "circpeft.block_circular_matmul"),
        ("circpeft.ops", lambda w, x: product(w[None, None], x), "circpeft.ops.block_circular_matmul"),
        ("circpeft", lambda w, x: circpeft.ops.circulant(w) @ x, "circpeft"),
        ("torch.nn.Linear", lambda w, x: torch.nn.Linear(2, 2), "torch.nn.Linear.__init__"),
        ("numpy.fft", lambda w, x: __import__("numpy").fft.fft(w.numpy()), "numpy.fft"),
    ],
)
def test_a_forbidden_function_is_refused_under_any_name(forbidden, answer, name, capsys):
    said = rejected(answer, capsys, forbidden=(forbidden,), allowed="sums of entries.")
    assert f"it calls {name}" in said and ", which this exercise does not allow. Allowed: sums of entries.\n" in said


def test_a_forbidden_call_cannot_be_hidden_in_a_try(capsys):
    def answer(w, x):
        try:
            return transform(w)
        except Exception:
            return row(w) @ x

    assert "it calls torch.fft.rfft" in rejected(answer, capsys, forbidden=("torch.fft",))


def by_fft(w, x):
    return torch.fft.irfft(torch.fft.rfft(w).conj() * torch.fft.rfft(x), n=len(x))


def test_what_is_not_forbidden_passes_and_nothing_stays_forbidden(capsys):
    profile = sys.getprofile()
    fields = {"forbidden": ("circpeft", "torch.Tensor.matmul", "torch.roll"), "no_matrix": square}
    assert check(item(**fields), by_fft)
    assert sys.getprofile() is profile and torch.equal(torch.ones(2) @ torch.ones(2), torch.tensor(2.0))


def square(w, x):
    return [(len(w), len(w))]


@pytest.mark.parametrize(
    "answer",
    [
        lambda w, x: row(w) @ x,
        lambda w, x: (w[:, None] * x).sum(0),
        lambda w, x: torch.stack([w.roll(k) for k in range(len(w))])[None] @ x,
        lambda w, x: w.repeat(len(w)).as_strided((len(w), len(w)), (len(w) - 1, 1)) @ x,
    ],
)
def test_a_matrix_is_refused_where_the_exercise_asks_to_do_without(answer, capsys):
    said = rejected(answer, capsys, no_matrix=square, allowed="sums of entries.")
    assert (
        "it builds a matrix (a tensor of shape (7, 7)), and the exercise asks to do without. Allowed: sums of" in said
    )


def test_of_an_answer_with_a_matrix_one_learns_whether_its_values_are_right(capsys):
    twin = Twin("exchanged", "Rows and columns.", lambda w, x: row(w).T @ x)
    right = rejected(lambda w, x: row(w) @ x, capsys, no_matrix=square, twins=(twin,))
    wrong = rejected(lambda w, x: row(w).T @ x, capsys, no_matrix=square, twins=(twin,))
    assert "the values are right, but it builds a matrix" in right and "largest difference" not in right
    assert "largest difference" in wrong and 'a known mistake ("exchanged")' in wrong
    assert "Also, it builds a matrix (a tensor of shape (7, 7))" in wrong


def test_an_answer_that_calls_a_function_which_is_not_written_yet_counts_as_attempted(capsys):
    def first_step(w):
        raise NotImplementedError

    said = rejected(lambda w, x: first_step(w) * x, capsys)
    assert "it calls `first_step`, which raises NotImplementedError: write that one first" in said


def test_a_forbidden_name_that_does_not_exist_is_an_error():
    with pytest.raises(ValueError, match=r"nothing is called 'torch\.fft\.nothing'"), forbid(("torch.fft.nothing",)):
        pass


def test_a_kernel_survives_what_an_answer_may_do():
    """On the main thread of a Jupyter kernel, where a notebook's cells run."""
    cells = [
        "from circpeft.course import exercise, right_answer\nfrom circpeft.course.exercises import attempts\n"
        "import circpeft\ncircpeft.plots.show = lambda figure: None\nattempts.SECONDS = 2",
        "@exercise('08.1')\ndef mine(layers, b):\n    while True:\n        pass",
        "@exercise('08.1')\ndef mine(layers, b):\n    import sys\n    sys.exit()",
        "@exercise('08.1')\ndef mine(layers, b):\n    raise KeyboardInterrupt",
        "@exercise('08.1')\ndef mine(layers, b):\n    import sys\n    sys.stdout.close()\n    sys.stdout = None",
        "print(right_answer('08.1')([(4, 4)], 4))",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    said = ["".join(output.get("text", "") for output in cell.outputs) for cell in notebook.cells]
    assert "a loop that never ends" in said[1] and "SystemExit" in said[2] and "KeyboardInterrupt" in said[3]
    assert "is a `return` missing?" in said[4] and said[5] == "4\n"
