"""A polynomial fitted to a noisy sample: bias and variance, exactly, for every degree.

The points lie at the zeros of a Chebyshev polynomial, where Chebyshev polynomials are orthogonal
as vectors, so least squares has a closed form, and beyond the number of points so has the solution
of least norm (Trefethen, Approximation Theory and Approximation Practice, chapters 3 and 4).
"""

from __future__ import annotations

import math

import traitlets

from utils.explore.base import Explorable, source

DEGREES = 60  # of the largest fit, and of the truth
GRID = 121  # points of the drawn curve
DECAY, PLACE, SIZE = 0.8, 1.1, 0.25  # of the truth: a bump at cos(PLACE)


def weight(k: int) -> int:
    """1 over the mean of T_k² under the density that the points have in the limit."""
    return 2 if k else 1


TRUTH = [weight(k) * SIZE * DECAY**k * math.cos(k * PLACE) for k in range(DEGREES + 1)]


def alias(k: int, n: int) -> tuple[int, int]:
    """(j, s): T_k = s T_j on the n points, j from 0 to n; T_n is zero on all of them."""
    turns, rest = divmod(k, 2 * n)
    if rest > n:
        turns, rest = turns + 1, 2 * n - rest
    return rest, -1 if turns % 2 else 1


def normals(count: int, draw: int) -> list[float]:
    """Standard normal numbers: Box and Muller's transform of Park and Miller's generator."""
    state, uniform = 1 + 7919 * draw, []
    for _ in range(2 * count + 8):
        state = state * 48271 % 2147483647
        uniform.append(state / 2147483647)
    pairs = zip(uniform[8::2], uniform[9::2], strict=True)
    return [math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * v) for u, v in pairs]


def series(coefficients: list[float], angle: float) -> float:
    """The sum of c_k T_k(cos(angle))."""
    return sum(c * math.cos(k * angle) for k, c in enumerate(coefficients))


def expected_errors(noise: float, n: int) -> tuple[list[float], list[float]]:
    """Squared bias and variance of the fit of every degree, means over new x."""
    classes = [alias(k, n) for k in range(DEGREES + 1)]
    target = [0.0] * (n + 1)
    for t, (j, s) in zip(TRUTH, classes, strict=True):
        target[j] += s * t
    biases, variances, members = [], [], [0] * (n + 1)
    for degree in range(DEGREES + 1):
        members[classes[degree][0]] += 1
        bias = variance = 0.0
        for k, (j, s) in enumerate(classes):
            used = k <= degree and j < n
            mean = s * target[j] / members[j] if used else 0.0
            bias += (mean - TRUTH[k]) ** 2 / weight(k)
            if used:
                variance += weight(j) * noise * noise / n / members[j] ** 2 / weight(k)
        biases.append(bias)
        variances.append(variance)
    return biases, variances


def degree_noise(degree: int, noise: float, n: int, draw: int) -> dict:
    """The fit of least norm among the best ones to a drawn sample, and what to expect of it.

    Parameters: ``degree`` of the polynomial (0 to `DEGREES`); ``noise``, its standard deviation;
    ``n`` points; ``draw``, the number of the sample.

    Returns the sample ``y`` (n values, at x = cos(π (i + ½) / n)), the ``curve`` (`GRID` values,
    at x = cos(π g / (`GRID` - 1))), the ``train`` error (mean square on the sample) and ``error``
    (mean square on new points, noise included) of this draw, and for every degree the expected
    ``bias`` (squared) and ``variance``. Raises ValueError for values out of range.
    """
    if not (0 <= degree <= DEGREES and n >= 2 and draw >= 1 and noise >= 0):
        raise ValueError(
            f"degree, noise, n, draw are {degree}, {noise}, {n}, {draw}; expected a degree from 0 "
            f"to {DEGREES}, noise of at least 0, at least 2 points and a draw of at least 1"
        )
    angles = [math.pi * (i + 0.5) / n for i in range(n)]
    drawn = zip(angles, normals(n, draw), strict=True)
    y = [series(TRUTH, angle) + noise * z for angle, z in drawn]
    classes = [alias(k, n) for k in range(degree + 1)]
    fitted = []
    for j, s in classes:
        pairs = zip(y, angles, strict=True)
        whole = weight(j) / n * sum(v * math.cos(j * angle) for v, angle in pairs) if j < n else 0
        fitted.append(s * whole / sum(1 for other, _ in classes if other == j))
    missing = fitted + [0.0] * (DEGREES - degree)
    wrong = zip(missing, TRUTH, strict=True)
    bias, variance = expected_errors(noise, n)
    return {
        "y": y,
        "curve": [series(fitted, math.pi * g / (GRID - 1)) for g in range(GRID)],
        "train": sum((series(fitted, a) - v) ** 2 for v, a in zip(y, angles, strict=True)) / n,
        "error": sum((c - t) ** 2 / weight(k) for k, (c, t) in enumerate(wrong)) + noise * noise,
        "bias": bias,
        "variance": variance,
    }


class DegreeNoise(Explorable):
    """A polynomial through a noisy sample; bias and variance against its degree."""

    _esm = source("degree_noise.js")
    title = "Degree, noise and sample size"
    fallback = (
        "With JavaScript, sliders set the degree of a polynomial, the noise and the number of "
        "points here; two pictures show the fit, and its bias and variance against the degree."
    )
    heights = ("44.5rem", "78.5rem")
    degree = traitlets.Int(4, min=0, max=DEGREES).tag(sync=True)
    noise = traitlets.Float(0.3, min=0.0, max=1.0).tag(sync=True)
    points = traitlets.Int(20, min=2, max=40).tag(sync=True)
    draw = traitlets.Int(1, min=1).tag(sync=True)
