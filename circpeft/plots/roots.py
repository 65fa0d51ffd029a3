"""The roots of unity on the unit circle, coloured by the factor of z^b - 1 that they belong to."""

import numpy as np
from markupsafe import Markup

from .charts import scatter


def roots_of_leaves(b, r):
    """Draw the ``b``-th roots of unity; those of the factor ``z^e - u_k`` share a colour, where ``b = r * e``.

    Args:
        b: the number of roots.
        r: the number of factors, a divisor of ``b``.
    Raises:
        ValueError: if ``r`` does not divide ``b``.

    >>> [len(trace.x) for trace in roots_of_leaves(12, 4).data]
    [3, 3, 3, 3]
    """
    if r < 1 or b % r:
        raise ValueError(f"r={r} does not divide b={b}; expected a divisor of b")
    # The roots of z^e = exp(-2 pi i k / r) are exp(-2 pi i (k + r j) / b), with j = 0 ... e-1.
    series = {}
    for k in range(r):
        angle = -2 * np.pi * np.arange(k, b, r) / b
        series[f"k = {k}"] = (np.cos(angle), np.sin(angle))
    title = Markup(f"The {b} roots of z<sup>{b}</sup> = 1, by the factor z<sup>{b // r}</sup> \u2212 u<sub>k</sub>")
    figure = scatter(series, title, "real part", "imaginary part")
    figure.update_layout(width=560, height=470, showlegend=True)
    for axis in (figure.layout.xaxis, figure.layout.yaxis):
        axis.range = [-1.25, 1.25]
    figure.layout.yaxis.scaleanchor, figure.layout.yaxis.constrain = "x", "domain"
    figure.layout.xaxis.constrain = "domain"
    return figure
