"""The alternative text of a piece follows its controls, with the same numbers in the browser and in Python."""

import json

import pytest

from circpeft.course import pieces
from circpeft.course.pieces import cluster_run, clusters, kernel_lab, mixer, number_texts

from .javascript import calls, evaluate

# Changes of the state at the start, at least one for each control, and words that the text then has.
CHANGES = {
    "BlockDial": [({"b": 4}, "block size 4 "), ({"target": "random, rectangular", "b": 48}, "48 by 32")],
    "Clusters": [
        ({"middle": "C3A"}, "“C3A”"),
        ({"rate": 0.01}, "rate 0.01"),
        ({"seed": 3}, "seed 3"),
        ({"noise": 0.25}, "noise 0.25"),
    ],
    "FactorMixer": [(mixer.starts()["random"], "8 of 8 in a₁"), ({"c": [0.5] * 8}, "c is 8 times 0.5")],
    "KernelLab": [
        ({"kernel": kernel_lab.presets(16)["shift"]}, "of rank 16"),
        ({"kernel": [1 / 32] * 16}, "16 times 0.0313"),
        ({"layout": "row"}, "in row layout"),
        ({"signal": "bump"}, "“bump”"),
    ],
    "Phasors": [
        ({"kernel": "blur", "k": 4}, "each hand is 0 times as long"),
        ({"kernel": "five entries", "k": 7}, "turned by −"),
        ({"kernel": "difference"}, "turned by −67 degrees"),  # −67.5
        ({"terms": 1}, "1 of the kernel's 8 entries as turned arrows, head to tail. Their sum is 0;"),
    ],
    "SpectrumEraser": [({"erased": []}, "with no frequency erased"), ({"erased": list(range(1, 12))}, "of rank 1.")],
    "Switches": [
        ({"layout": "column"}, "column layout"),
        ({"conjugate": False}, "gradcheck passes"),
        ({"size": "2"}, "at most 0."),
    ],
    "TwoGradients": [
        ({"strength": 0.3}, "size 0.3"),
        ({"frozen": False}, "without frozen weights"),
        ({"frozen": False, "strength": 0.0}, "from the output down: +1.00, +0.00"),
        ({"printedKernel": True}, "as printed, too"),
    ],
}


def in_browser(piece: pieces.Piece, states: list[dict]) -> list[str]:
    """Return the text that the script writes, for each state."""
    known = [piece.data] * len(states)
    if isinstance(piece, pieces.Clusters):  # there the accuracy is that of a run
        runs = [cluster_run.train(**state, epochs=clusters.SHOWN)["accuracy"] for state in states]
        known = [{"epoch": clusters.SHOWN, "accuracy": accuracy} for accuracy in runs]
    function = f"((state, known) => withReadings({json.dumps(piece.description)}, readings(state, known)))"
    return calls(piece.script, function, list(zip(states, known, strict=True)))


@pytest.mark.parametrize("name", [name for name in pieces.__all__ if name != "Piece"])
def test_the_text_follows_every_control_in_the_browser_and_in_python(name):
    piece = getattr(pieces, name)()
    start = dict(piece.state) | ({"steps": 4} if name == "TwoGradients" else {})  # the static form shows all steps
    states, texts = [start], [piece.alt]
    for change, words in CHANGES[name]:
        piece.state = start | change
        assert words in piece.alt
        states.append(piece.state)
        texts.append(piece.alt)
    assert len(set(texts)) == len(texts)
    assert in_browser(piece, states) == texts


def test_the_static_form_carries_the_text_of_its_state():
    piece = pieces.SpectrumEraser()
    piece.state = {"erased": [0]}
    data, _ = piece._repr_mimebundle_()
    assert "with frequency 0 erased" in data["text/plain"] and piece.alt in data["text/html"].replace("&#x27;", "'")


def test_the_gradients_that_are_not_reached_yet_are_not_in_the_text():
    piece = pieces.TwoGradients()
    one_layer, output = in_browser(piece, [dict(piece.state), {**piece.state, "steps": 0}])
    assert "below 1 of 4 layers" in one_layer and one_layer.count("+") + one_layer.count("−") == 3
    assert "below 0 of 4 layers" in output and output.endswith("no layer passed yet.")


def test_numbers_are_written_alike_in_both_languages():
    numbers = [0.0, -1e-12, 1.0, -0.03125, 0.0625, 2.5, 1234.5, -99.95, 1e-4, 0.12355]
    lists = [numbers, [1.0, 1.0, 0.0, 0.0, 0.0, 1e-13], [], [0.5]]
    assert evaluate("kernel_lab", f"{json.dumps(lists)}.map(listed)") == [number_texts.listed(each) for each in lists]
    cosines = [0.0, 0.5, -0.254, 1.0]
    assert evaluate("gradients", f"{json.dumps(cosines)}.map(signed)") == list(map(number_texts.signed, cosines))


def test_a_missing_reading_is_named():
    missing = "(() => { try { withReadings('{d} and {rank}', { d: 3 }); } catch (error) { return error.message; } })()"
    assert evaluate("kernel_lab", missing) == "no reading rank; given: d"
