"""The computations that prove CDVFT's errata: each returns its figures and asserts that they prove the mistake."""

from __future__ import annotations

from math import log2

import torch
from torch import Tensor

from .. import costs
from ..ops import circulant
from . import accounting, cdvft_claims
from .numbers import agrees
from .proof_helpers import random_vectors, relative_error


def factor_of_ten() -> dict[str, float]:
    """Compute FourierFT's FLOPs over CDVFT's on a layer of 768, and the tokens per step at which they are equal."""
    ratio = costs.flops("fourierft", 768, 768, "paper") / costs.flops("cdvft", 768, 768, "paper")
    assert not agrees("51.9x", ratio) and agrees("51.9x", ratio / 10)
    assert agrees("51.89x", ratio / 10) and not agrees("51.81x", ratio / 10)
    kernel = 5 * 768 * log2(768)  # the kernel's transform, needed once per step and not per token
    shared = (costs.flops("fourierft", 768, 768, "paper") - kernel) / (costs.flops("cdvft", 768, 768, "paper") - kernel)
    return {
        "FLOPs(FourierFT) / FLOPs(CDVFT)": ratio,
        "tokens per step where they are equal": ratio,
        "with the kernel's transform shared": shared,
    }


def diagonal_gradient() -> dict[str, float]:
    """Compare the printed gradient of a diagonal factor with the true one, for y1 = a * y0 and L = <g, C y1>."""
    a, c, y0, g = random_vectors(4, 32)
    a = a.requires_grad_()
    y0 = y0.requires_grad_()
    (true,) = torch.autograd.grad(g @ circulant(c) @ (a * y0), a, retain_graph=True)
    dy1 = circulant(c).T @ g
    dy0 = a * dy1
    right, printed = dy1 * y0, dy0 * y0
    (true_dy0,) = torch.autograd.grad(g @ circulant(c) @ (a * y0), y0)
    assert relative_error(dy0, true_dy0) < 1e-12  # the paper omits this gradient
    assert relative_error(right, true) < 1e-12 and relative_error(printed, true) > 0.1
    return {"relative error of Eq. 9": relative_error(printed, true), "with y_{2j-1}": relative_error(right, true)}


def shift_is_conjugate() -> dict[str, float]:
    """Compare FFT(x_0, x_{d-1}, ..., x_1) with the conjugate of FFT(x), for a real and for a complex vector."""
    real, imaginary = random_vectors(2, 32)
    complex_vector = torch.complex(real, imaginary)

    def error(x: Tensor) -> float:
        return relative_error(torch.fft.fft(x.flip(0).roll(1)), torch.fft.fft(x).conj())

    assert error(real.to(torch.complex128)) < 1e-12 and error(complex_vector) > 0.1
    return {"real": error(real.to(torch.complex128)), "complex": error(complex_vector)}


def number_of_factors() -> dict[str, float]:
    """Compute CDVFT's parameters over d, its 2 m - 1 factors, for m = 1 and m = 2."""
    one, three = (costs.parameters("cdvft", 768, 768, num_factors=k) / 768 for k in (1, 3))
    assert one == 1 and three == 3
    return {"vectors with m = 1": one, "vectors with m = 2": three}


def _reproduced_and_stated(*cells: str) -> dict[str, tuple[float, float]]:
    """Return (value that reproduces the printed one, value that the text's settings give) for cells of CDVFT Table 3.

    A cell is named "row: column"; the keys of the result are the columns.
    """
    values = {}
    for row, column in (name.split(": ") for name in cells):
        entry = accounting.entry("cdvft", "3", row, column)
        quantity = "flops" if "FLOPs" in column else "parameters"
        values[column] = float(entry.total(entry.reproduces, quantity)), float(entry.total(entry.stated, quantity))
    return values


def ranks() -> dict[str, float]:
    """Compute LoRA's parameters in CDVFT Table 3, with the ranks that reproduce them and with the text's ranks."""
    values = _reproduced_and_stated("LoRA: MT-Bench Param.", "LoRA: GSM8K Param.")
    (alpaca, alpaca_text), (gsm, gsm_text) = values.values()
    assert agrees("33.55M", alpaca) and agrees("28.05M", gsm)
    assert not agrees("33.55M", alpaca_text) and not agrees("28.05M", gsm_text)
    ((flops, flops_text),) = _reproduced_and_stated("LoRA: GSM8K FLOPs").values()
    rank_8 = accounting.Count("lora", "llama2-7b", accounting.NO_GATE, {"r": 8}).value("flops")
    assert flops == rank_8 and agrees("0.01G", rank_8) and not agrees("0.01G", flops_text)
    return {"Alpaca": alpaca, "Alpaca by the text": alpaca_text, "GSM8K": gsm, "GSM8K by the text": gsm_text}


def vera_layers() -> dict[str, float]:
    """Compute VeRA's parameters in CDVFT Table 3, without and with the attention's output projection."""
    ((without, with_output),) = _reproduced_and_stated("VeRA: MT-Bench Param.").values()
    assert agrees("1.65M", without) and not agrees("1.65M", with_output)
    return {"without": without, "all layers": with_output}


def padded_squares() -> dict[str, float]:
    """Compute which share of the printed parameters Eq. 12 has, for both block sizes of CDVFT Table 3."""
    values = [_reproduced_and_stated(f"CDVFT p={p}: GSM8K Param.")["GSM8K Param."] for p in (2048, 4096)]
    shares = [exact / printed for printed, exact in values]
    assert max(shares) < 0.66
    return {"p = 2048": shares[0], "p = 4096": shares[1]}


def vera_comparison() -> dict[str, float]:
    """Return CDVFT over VeRA in CDVFT Table 2, as printed."""
    parameters, flops = cdvft_claims.against_vera()
    assert parameters > 1 > flops
    return {"parameters": parameters, "FLOPs": flops}


def mixed_units() -> dict[str, float]:
    """Compute CDVFT's FLOPs over LoRA's (r = 16, d = 768) in the paper's units, and exactly for one token and many."""
    paper = costs.flops("cdvft", 768, 768, "paper") / costs.flops("lora", 768, 768, "paper", r=16)
    one, many = (
        costs.flops("cdvft", 768, 768, tokens=t) / costs.flops("lora", 768, 768, tokens=t, r=16) for t in (1, 10_000)
    )
    assert paper > 4 and one < 0.5 * paper and many < one
    return {"paper's units": paper, "exact, one token": one, "exact, 10,000 tokens": many}


def gauges() -> dict[str, float]:
    """Compute the rank of the Jacobian of (a1, c, a3) -> A3 C A1 at a random point."""
    d = 6
    point = random_vectors(1, 3 * d)[0]

    def product(p: Tensor) -> Tensor:
        a1, c, a3 = p.view(3, d)
        return a3[:, None] * circulant(c) * a1

    jacobian = torch.autograd.functional.jacobian(product, point).reshape(d * d, -1)
    rank = int(torch.linalg.matrix_rank(jacobian))
    assert rank == 3 * d - 2
    return {"d": float(d), "parameters": 3.0 * d, "degrees of freedom": float(rank)}


def rounding_of_blocks() -> dict[str, float]:
    """Compute CDVFT's FLOPs on GSM8K at p = 2048: with fractions of blocks, and with the whole blocks of the text."""
    ((fractions, whole),) = _reproduced_and_stated("CDVFT p=2048: GSM8K FLOPs").values()
    assert agrees("0.22G", fractions) and not agrees("0.22G", whole)
    return {"fractions of blocks": fractions, "whole blocks": whole}


def padding() -> dict[str, float]:
    """Multiply a circulant of size 8 by a vector of 5 that is padded by zeros, circularly, or by its last entry."""
    c, x = random_vectors(2, 8)
    short = x[:5]
    paddings = {
        "zeros": torch.cat([short, short.new_zeros(3)]),
        "circular": torch.cat([short, short[:3]]),
        "edge": torch.cat([short, short[-1:].expand(3)]),
    }
    outputs = [circulant(c) @ padded for padded in paddings.values()]
    gaps = {f"{name} against zeros": relative_error(y, outputs[0]) for name, y in zip(paddings, outputs, strict=True)}
    del gaps["zeros against zeros"]
    assert min(gaps.values()) > 0.1
    return gaps


def submatrices() -> dict[str, float]:
    """Compare a circulant product with the element-wise products of the vectors and of their transforms."""
    c, x = random_vectors(2, 16)
    true, fft, ifft = circulant(c) @ x, torch.fft.fft, torch.fft.ifft
    assert relative_error(c * x, true) > 0.1 and relative_error(ifft(fft(c) * fft(x)).real, true) < 1e-12
    return {
        "of the numbers": relative_error(c * x, true),
        "of the transforms": relative_error(ifft(fft(c) * fft(x)).real, true),
    }


def zero_start() -> dict[str, float]:
    """Count the factors of CDVFT that have a gradient, with one and with two factors zero at the start."""
    counts = {}
    for name, zeros in (("one zero factor", (1,)), ("two zero factors", (1, 2))):
        factors = [v.requires_grad_() for v in random_vectors(3, 8)]
        with torch.no_grad():
            for k in zeros:
                factors[k].zero_()
        a1, c, a3 = factors
        (a3 * (circulant(c) @ (a1 * random_vectors(4, 8)[3]))).square().add(a3 * (circulant(c) @ a1)).sum().backward()
        counts[name] = float(sum(bool(v.grad.count_nonzero()) for v in factors))
    assert list(counts.values()) == [1, 0]
    return counts
