"""Products with a circulant by FFT, for answers that build no matrix."""

import torch


def convolve(c: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return C x (b,), where c (b,) is the first column of C.

    >>> convolve(torch.tensor([0.0, 1.0, 0.0]), torch.tensor([4.0, 5.0, 6.0]))
    tensor([6., 4., 5.])
    """
    return torch.fft.irfft(torch.fft.rfft(c) * torch.fft.rfft(x), n=len(x))


def correlate(c: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return C^T x (b,), where c (b,) is the first column of C.

    >>> correlate(torch.tensor([0.0, 1.0, 0.0]), torch.tensor([4.0, 5.0, 6.0]))
    tensor([5., 6., 4.])
    """
    return torch.fft.irfft(torch.fft.rfft(c).conj() * torch.fft.rfft(x), n=len(x))
