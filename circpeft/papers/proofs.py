"""The computations behind the errata: each returns its figures, and asserts that they prove the mistake."""

from __future__ import annotations

from math import log2

import torch
from torch import Tensor

from .. import costs
from ..ops import circulant
from . import accounting, claims, formulas
from .numbers import agrees


def _vectors(count: int, d: int = 768) -> Tensor:
    return torch.randn(count, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def _relative(a: Tensor, b: Tensor) -> float:
    return float((torch.linalg.norm(a - b) / torch.linalg.norm(b)).detach())


def _gradients(w: Tensor, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """True gradients of ``<g, C(w) x>`` for x and w, by autograd through the dense matrix."""
    w, x = w.clone().requires_grad_(), x.clone().requires_grad_()
    return torch.autograd.grad(circulant(w, "row") @ x, (x, w), g)


def transpose() -> dict[str, float]:
    """C3A's printed input gradient against autograd's."""
    w, x, g = _vectors(3)
    true, _ = _gradients(w, x, g)
    printed = circulant(w, "row") @ g
    error = _relative(printed, true)
    cosine = float(torch.cosine_similarity(printed, true, dim=0))
    assert error > 1 and abs(cosine) < 0.2 and _relative(circulant(w, "row").T @ g, true) < 1e-12
    return {"relative error": error, "cosine with the truth": cosine}


def kernel_gradient() -> dict[str, float]:
    """C3A's printed kernel gradient: the true one with its index reversed."""
    w, x, g = _vectors(3)
    _, true = _gradients(w, x, g)
    printed = circulant(x, "row") @ g
    reversed_error = _relative(printed.flip(0).roll(1), true)
    assert _relative(printed, true) > 1 and reversed_error < 1e-12 and _relative(circulant(g, "row") @ x, true) < 1e-12
    return {"relative error": _relative(printed, true), "after reversing the index": reversed_error}


def commutativity() -> dict[str, float]:
    """d = 3, w = (1, 2, 0), x = (1, 0, 0)."""
    w, x = torch.tensor([[1.0, 2.0, 0.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    gap = (circulant(w, "row") @ x - circulant(x, "row") @ w).abs().max()
    assert gap > 0 and torch.equal(circulant(w, "column") @ x, circulant(x, "column") @ w)
    return {"largest difference": float(gap)}


def eigendecomposition() -> dict[str, float]:
    """The printed decomposition with the Fourier matrix F."""
    (w,) = _vectors(1, 12)
    d = len(w)
    fourier = torch.fft.fft(torch.eye(d, dtype=torch.complex128))
    inverse, spectrum = torch.linalg.inv(fourier), torch.diag(fourier @ w.to(torch.complex128))
    dense = circulant(w, "row").to(torch.complex128)
    printed = fourier @ (spectrum / d) @ inverse
    assert _relative(fourier @ spectrum @ inverse, dense) < 1e-12 and _relative(d * printed, dense) < 1e-12
    return {"factor missing": float((dense.abs().sum() / printed.abs().sum()).real), "d": float(d)}


def two_meanings_of_b() -> dict[str, float]:
    """Parameters at d = 768 and "b = 128", read with either version's b."""
    d, b = 768, 128
    size, count = costs.parameters("c3a", d, d, block_size=b), b * d
    assert count / size > 20
    return {"as block size": float(size), "as number of blocks": float(count), "ratio": count / size}


def kernel_transforms() -> dict[str, float]:
    """The missing term over C3A's whole formula, at 4096 with b = 128."""
    share = formulas.kernel_transforms(4096, 4096, 128)
    once = costs.flops("c3a", 4096, 4096, tokens=0, block_size=128)
    assert share > 4 and once > 0
    return {"missing over stated": share, "exact FLOPs once a step": float(once)}


def full_rank() -> dict[str, float]:
    """Ranks of 100 circulants with random kernels."""
    kernels = _vectors(100, 64)
    ranks = torch.linalg.matrix_rank(circulant(kernels, "row"))
    assert (ranks == 64).all()
    return {"random kernels": 100.0, "of full rank": float((ranks == 64).sum())}


def less_than_half() -> dict[str, float]:
    """C3A's parameters over LoRA's, b and r of C3A Table 3."""
    found = {row["column"]: row["computed"] for row in claims.rows() if row["printed"] == "less than half"}
    assert sum(share == 0.5 for share in found.values()) == 2
    return found


def surpasses() -> dict[str, float]:
    """Scores of C3A Table 3 in which C3A is ahead."""
    (wins, of), (wins13, of13) = claims.wins(), claims.wins("LLaMA2-13B")
    assert wins13 < of13 / 2
    return {
        "C3A ahead": float(wins),
        "of": float(of),
        "LLaMA2-13B: ahead": float(wins13),
        "LLaMA2-13B: of": float(of13),
    }


def factor_of_ten() -> dict[str, float]:
    """FourierFT's FLOPs over CDVFT's on a layer of 768, and the tokens a step at which they are equal."""
    ratio = costs.flops("fourierft", 768, 768, "paper") / costs.flops("cdvft", 768, 768, "paper")
    assert not agrees("51.9x", ratio) and agrees("51.9x", ratio / 10)
    assert agrees("51.89x", ratio / 10) and not agrees("51.81x", ratio / 10)
    kernel = 5 * 768 * log2(768)  # its transform, once a step instead of once a token
    shared = (costs.flops("fourierft", 768, 768, "paper") - kernel) / (costs.flops("cdvft", 768, 768, "paper") - kernel)
    return {
        "FLOPs(FourierFT) / FLOPs(CDVFT)": ratio,
        "tokens a step where they are equal": ratio,
        "with the kernel's transform shared": shared,
    }


def diagonal_gradient() -> dict[str, float]:
    """Gradient of a diagonal factor, printed and true, for y1 = a * y0 and L = <g, C y1>."""
    a, c, y0, g = _vectors(4, 32)
    a = a.requires_grad_()
    y0 = y0.requires_grad_()
    (true,) = torch.autograd.grad(g @ circulant(c) @ (a * y0), a, retain_graph=True)
    dy1 = circulant(c).T @ g
    dy0 = a * dy1
    right, printed = dy1 * y0, dy0 * y0
    (true_dy0,) = torch.autograd.grad(g @ circulant(c) @ (a * y0), y0)
    assert _relative(dy0, true_dy0) < 1e-12  # what the paper leaves out beside it
    assert _relative(right, true) < 1e-12 and _relative(printed, true) > 0.1
    return {"relative error of Eq. 9": _relative(printed, true), "with y_{2j-1}": _relative(right, true)}


def shift_is_conjugate() -> dict[str, float]:
    """FFT of (x_0, x_{d-1}, ..., x_1) against the conjugate of FFT(x), for a real and for a complex vector."""
    real, imaginary = _vectors(2, 32)
    mixed = torch.complex(real, imaginary)

    def error(x: Tensor) -> float:
        return _relative(torch.fft.fft(x.flip(0).roll(1)), torch.fft.fft(x).conj())

    assert error(real.to(torch.complex128)) < 1e-12 and error(mixed) > 0.1
    return {"real": error(real.to(torch.complex128)), "complex": error(mixed)}


def number_of_factors() -> dict[str, float]:
    """2 m - 1 factors: parameters over d of CDVFT with m = 1 and m = 2."""
    one, three = (costs.parameters("cdvft", 768, 768, num_factors=k) / 768 for k in (1, 3))
    assert one == 1 and three == 3
    return {"vectors with m = 1": one, "vectors with m = 2": three}


def _entries(*columns: str) -> dict[str, tuple[float, float]]:
    """Column of CDVFT Table 3 -> what reproduces LoRA's print, and what the text's rank gives."""
    found = {}
    for row, column in (name.split(": ") for name in columns):
        entry = accounting.entry("cdvft", "3", row, column)
        quantity = "flops" if "FLOPs" in column else "parameters"
        found[column] = float(entry.total(entry.reproduces, quantity)), float(entry.total(entry.stated, quantity))
    return found


def ranks() -> dict[str, float]:
    """LoRA's parameters in CDVFT Table 3: reproduced, and by the text's ranks."""
    found = _entries("LoRA: MT-Bench Param.", "LoRA: GSM8K Param.")
    (alpaca, alpaca_text), (gsm, gsm_text) = found.values()
    assert agrees("33.55M", alpaca) and agrees("28.05M", gsm)
    assert not agrees("33.55M", alpaca_text) and not agrees("28.05M", gsm_text)
    ((flops, flops_text),) = _entries("LoRA: GSM8K FLOPs").values()
    eight = accounting.Count("lora", "llama2-7b", accounting.NO_GATE, {"r": 8}).value("flops")
    assert flops == eight and agrees("0.01G", eight) and not agrees("0.01G", flops_text)
    return {"Alpaca": alpaca, "Alpaca by the text": alpaca_text, "GSM8K": gsm, "GSM8K by the text": gsm_text}


def vera_layers() -> dict[str, float]:
    """VeRA's parameters in CDVFT Table 3, without and with the attention's output projection."""
    ((without, with_output),) = _entries("VeRA: MT-Bench Param.").values()
    assert agrees("1.65M", without) and not agrees("1.65M", with_output)
    return {"without": without, "all layers": with_output}


def padded_squares() -> dict[str, float]:
    """Share of the reported parameters that Eq. 12 has, for both block sizes of CDVFT Table 3."""
    found = _entries("CDVFT p=2048: GSM8K Param.") | {"4096": _entries("CDVFT p=4096: GSM8K Param.")["GSM8K Param."]}
    shares = [exact / printed for printed, exact in found.values()]
    assert max(shares) < 0.66
    return {"p = 2048": shares[0], "p = 4096": shares[1]}


def vera_comparison() -> dict[str, float]:
    """CDVFT over VeRA in CDVFT Table 2, as printed."""
    parameters, flops = claims.against_vera()
    assert parameters > 1 > flops
    return {"parameters": parameters, "FLOPs": flops}


def mixed_units() -> dict[str, float]:
    """CDVFT over LoRA r = 16 at d = 768: by the paper's units, and in multiplies and adds, for one token and many."""
    paper = costs.flops("cdvft", 768, 768, "paper") / costs.flops("lora", 768, 768, "paper", r=16)
    one, many = (
        costs.flops("cdvft", 768, 768, tokens=t) / costs.flops("lora", 768, 768, tokens=t, r=16) for t in (1, 10_000)
    )
    assert paper > 4 and one < 0.5 * paper and many < one
    return {"paper's units": paper, "exact, one token": one, "exact, 10,000 tokens": many}


def gauges() -> dict[str, float]:
    """Rank of the Jacobian of (a1, c, a3) -> A3 C A1 at a random point."""
    d = 6
    point = _vectors(1, 3 * d)[0]

    def product(p: Tensor) -> Tensor:
        a1, c, a3 = p.view(3, d)
        return a3[:, None] * circulant(c) * a1

    jacobian = torch.autograd.functional.jacobian(product, point).reshape(d * d, -1)
    rank = int(torch.linalg.matrix_rank(jacobian))
    assert rank == 3 * d - 2
    return {"d": float(d), "parameters": 3.0 * d, "degrees of freedom": float(rank)}


def auxiliary_numbers() -> dict[str, float]:
    """C3A's "other" numbers at b = 128, by both versions of the paper."""
    later, first = formulas.PRINTED["C3A", "# Other"](4096, 4096, 128, 0, 0), 0
    assert later != first
    return {"later version": float(later), "first version": float(first)}


def rounding_of_blocks() -> dict[str, float]:
    """CDVFT's FLOPs on GSM8K at p = 2048: as printed, and with the whole blocks that its parameters count."""
    ((printed, whole),) = _entries("CDVFT p=2048: GSM8K FLOPs").values()
    assert agrees("0.22G", printed) and not agrees("0.22G", whole)
    return {"fractions of blocks": printed, "whole blocks": whole}


def padding() -> dict[str, float]:
    """A circulant of 8 times a vector of 5, padded with zeros, around, or by its last entry."""
    c, x = _vectors(2, 8)
    short = x[:5]
    ways = {
        "zeros": torch.cat([short, short.new_zeros(3)]),
        "circular": torch.cat([short, short[:3]]),
        "edge": torch.cat([short, short[-1:].expand(3)]),
    }
    outputs = [circulant(c) @ padded for padded in ways.values()]
    gaps = {f"{name} against zeros": _relative(y, outputs[0]) for name, y in zip(ways, outputs, strict=True)}
    del gaps["zeros against zeros"]
    assert min(gaps.values()) > 0.1
    return gaps


def submatrices() -> dict[str, float]:
    """A circulant times a vector against the entry by entry product: of the numbers, and of their transforms."""
    c, x = _vectors(2, 16)
    true, fft, ifft = circulant(c) @ x, torch.fft.fft, torch.fft.ifft
    assert _relative(c * x, true) > 0.1 and _relative(ifft(fft(c) * fft(x)).real, true) < 1e-12
    return {"of the numbers": _relative(c * x, true), "of the transforms": _relative(ifft(fft(c) * fft(x)).real, true)}


def zero_start() -> dict[str, float]:
    """How many of a CDVFT's factors have a gradient, with one and with two factors started at zero."""
    found = {}
    for name, zeros in (("one zero factor", (1,)), ("two zero factors", (1, 2))):
        factors = [v.requires_grad_() for v in _vectors(3, 8)]
        with torch.no_grad():
            for k in zeros:
                factors[k].zero_()
        a1, c, a3 = factors
        (a3 * (circulant(c) @ (a1 * _vectors(4, 8)[3]))).square().add(a3 * (circulant(c) @ a1)).sum().backward()
        found[name] = float(sum(bool(v.grad.count_nonzero()) for v in factors))
    assert list(found.values()) == [1, 0]
    return found
