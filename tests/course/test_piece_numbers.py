"""The numbers that the pieces compute in JavaScript are those that circpeft computes."""

import json

import numpy as np
import pytest
import torch

import circpeft
from circpeft.course import pieces
from circpeft.course.pieces import cluster_run, eraser, gradients, kernel_lab, mixer, phasors, switches

from .javascript import calls, evaluate

KERNELS = {
    "random, odd": np.random.default_rng(0).normal(size=7).tolist(),
    "random": np.random.default_rng(1).normal(size=16).tolist(),
    "zero": [0.0] * 5,
    **kernel_lab.presets(12),
}


def agree(computed, expected, tolerance: float = 1e-9) -> None:
    if not isinstance(expected, dict):
        computed, expected = {"": computed}, {"": expected}
    assert computed.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(computed[name], value, atol=tolerance, rtol=tolerance, err_msg=name)


@pytest.mark.parametrize("layout", ["row", "column"])
def test_kernel_lab(layout):
    signal = torch.randn(32, generator=torch.Generator().manual_seed(2)).tolist()
    cases = [(kernel, signal[: len(kernel)], layout) for kernel in KERNELS.values()]
    for case, computed in zip(cases, calls("kernel_lab", "kernelNumbers", cases), strict=True):
        agree(computed, kernel_lab.kernel_numbers(*case))


def test_phasors():
    cases = [(kernel, k) for kernel in (*phasors.KERNELS.values(), KERNELS["random, odd"]) for k in (0, 1, 4, 6)]
    for case, computed in zip(cases, calls("phasors", "phasorNumbers", cases), strict=True):
        expected = phasors.phasor_numbers(*case)
        agree(computed.pop("eigenvalue"), expected.pop("eigenvalue"))
        for name, vector in expected.items():
            agree(computed[name], vector)
        # The image is the eigenvalue times the wave.
        wave, image = (
            np.array(computed[name]["re"]) + 1j * np.array(computed[name]["im"]) for name in ("wave", "image")
        )
        np.testing.assert_allclose(image, phasors_eigenvalue(case) * wave, atol=1e-9)


def phasors_eigenvalue(case) -> complex:
    return complex(np.fft.fft(case[0])[-case[1] % len(case[0])])


def test_spectrum_eraser():
    cases = [(eraser.KERNEL, erased) for erased in ([], [0], [3, 9], [1, 2, 6, 10, 11], list(range(1, 12)))]
    cases += [(KERNELS["random, odd"], [2, 5]), (KERNELS["difference"], [])]
    for case, computed in zip(cases, calls("eraser", "eraserNumbers", cases), strict=True):
        agree(computed, eraser.eraser_numbers(*case))
        d, kernel = len(case[0]), torch.tensor(computed["kernel"], dtype=torch.float64)
        assert computed["rank"] == torch.linalg.matrix_rank(circpeft.circulant(kernel), rtol=1e-9)
        # The divisor divides both polynomials, and has the degree that the rank says.
        divisor = np.array(computed["gcd"][::-1])
        assert len(divisor) - 1 == d - computed["rank"]
        for polynomial in ([1.0, *[0.0] * (d - 1), -1.0], computed["kernel"][::-1]):
            np.testing.assert_allclose(np.polydiv(np.array(polynomial), divisor)[1], 0, atol=1e-9)


def test_layout_and_conjugate():
    kernels = switches.kernels()
    cases = [(kernels[b], layout, conjugate) for b in kernels for layout in ("row", "column") for conjugate in (0, 1)]
    for (kernel, layout, conjugate), computed in zip(cases, calls("switches", "switchNumbers", cases), strict=True):
        agree(computed, switches.switch_numbers(kernel, layout, bool(conjugate)))
        # Sizes 1 and 2 hide the mistake; in the others, the row layout must not conjugate, and the column layout must.
        right = len(kernel) <= 2 or (layout == "column") == bool(conjugate)
        assert switches.verdict(kernel, layout, bool(conjugate)) == right == (computed["error"] < 1e-9)


def test_factor_mixer():
    gradient = pieces.FactorMixer().data["gradient"]
    starts = mixer.starts()
    cases = [(factors, gradient) for factors in starts.values()]
    results = calls("mixer", "mixerNumbers", cases)
    for case, computed in zip(cases, results, strict=True):
        agree(computed, mixer.mixer_numbers(*case))
    live = {
        name: [factor for factor in mixer.FACTORS if np.any(computed[factor])]
        for name, computed in zip(starts, results, strict=True)
    }
    assert list(live.values()) == [["c"], ["a1"], [], ["a1", "c", "a3"]]


def test_two_gradients():
    data = gradients.network()
    cases = [(data, s, frozen, kernel) for s, frozen, kernel in ((1.0, 1, 0), (0.3, 1, 1), (2.0, 0, 0), (0.0, 1, 1))]
    for case, computed in zip(cases, calls("gradients", "gradientNumbers", cases), strict=True):
        expected = gradients.gradient_numbers(case[0], case[1], bool(case[2]), bool(case[3]))
        agree(computed, expected)
    right = gradients.gradient_numbers(data, 0.0, True, False)
    assert min(right["cosines"] + right["kernelCosines"]) > 1 - 1e-9, "without kernels both gradients are the same"
    assert max(gradients.gradient_numbers(data, 1.0, True, False)["cosines"][1:]) < 0.9


@pytest.mark.parametrize("middle", list(cluster_run.MIDDLE))
def test_clusters_train_as_in_pytorch(middle):
    settings = {"middle": middle, "rate": 0.01, "seed": 3, "noise": 0.2}
    training = f"""(() => {{
        const settings = {json.dumps(settings)};
        const run = newRun(settings);
        const found = Array.from({{ length: 15 }}, () => trainEpoch(run, settings.rate));
        const regions = Array.from(answers(forward(run, planePoints()).logits));
        return {{ points: Array.from(run.points), regions, loss: found.map((each) => each.loss),
          accuracy: found.map((each) => each.accuracy) }};
    }})()"""
    computed, expected = evaluate("clusters", training), cluster_run.train(**settings, epochs=15)
    agree(computed["points"], np.ravel(expected["points"]), 1e-12)
    agree(computed["loss"], expected["loss"])
    agree(computed["accuracy"], expected["accuracy"])
    same = np.mean(np.array(computed["regions"]) == np.ravel(expected["regions"]))
    assert same > 0.999 and len(set(computed["regions"])) > 1
