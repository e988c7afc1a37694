"""A linear map of the plane and its singular value decomposition."""

from __future__ import annotations

import math

import traitlets

from utils.explore.base import Explorable, source

ZERO = 1e-9  # a singular value up to this counts as zero


def linear_map(a: float, b: float, c: float, d: float) -> dict:
    """The singular value decomposition of ``A = [[a, b], [c, d]]``, in closed form.

    Write A as a turned multiple of a rotation, of size `q`, plus one of a reflection, of size
    `r`. Where the two pull alike the length is q + r, perpendicular to that it is ``|q - r|``;
    half the sum and half the difference of their angles are the directions in image and domain.

    Returns the ``singular`` values (largest first), the unit vectors ``left`` = (u1, u2) and
    ``right`` = (v1, v2) with ``A v = s u``, the ``determinant``, the ``rank`` (singular values
    above `ZERO`) and the ``condition`` number s1 / s2, None where s2 counts as zero. The signs of
    a pair are free; v1 is chosen with a first entry not below 0 (up to rounding).

    Raises ValueError for an entry that is not finite.
    """
    for name, value in {"a": a, "b": b, "c": c, "d": d}.items():
        if not math.isfinite(value):
            raise ValueError(f"entry {name} is {value!r}; expected a finite number")
    e, f, g, h = (a + d) / 2, (a - d) / 2, (c + b) / 2, (c - b) / 2
    turn, mirror = math.atan2(h, e), math.atan2(g, f)
    largest = math.hypot(e, h) + math.hypot(f, g)
    determinant = a * d - b * c
    signed = determinant / largest if largest > 0 else 0.0
    out, into = (turn + mirror) / 2, (turn - mirror) / 2
    sign = -1 if math.cos(into) < -ZERO else 1
    flip = -1 if signed < 0 else 1
    u1 = [sign * math.cos(out), sign * math.sin(out)]
    u2 = [-flip * math.sin(out), flip * math.cos(out)]
    v1 = [sign * math.cos(into), -sign * math.sin(into)]
    v2 = [math.sin(into), math.cos(into)]
    smallest = abs(signed)
    return {
        "singular": [largest, smallest],
        "left": [u1, u2],
        "right": [v1, v2],
        "determinant": determinant,
        "rank": (largest > ZERO) + (smallest > ZERO),
        "condition": largest / smallest if smallest > ZERO else None,
    }


class LinearMap(Explorable):
    """The unit circle and its image under a 2 x 2 matrix, with singular vectors and values."""

    _esm = source("linear_map.js")
    title = "A linear map of the plane and its singular value decomposition"
    fallback = (
        "With JavaScript, four sliders or two dragged points set a matrix here, and two pictures "
        "show the unit circle, the ellipse that it becomes, and the singular vectors of both."
    )
    heights = ("43.5rem", "71rem")
    a = traitlets.Float(1.0).tag(sync=True)
    b = traitlets.Float(0.8).tag(sync=True)
    c = traitlets.Float(0.2).tag(sync=True)
    d = traitlets.Float(0.9).tag(sync=True)
