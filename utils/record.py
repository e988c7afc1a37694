"""Measured numbers, kept where the prose can be checked against them.

A cell that computes a number that the text quotes ends with::

    record(accuracy=0.9722, seconds=1.31)

The numbers are printed, and stored in the cell's output under their names. The text
then names the value in a comment that no reader sees, ``97.2 %<!-- =accuracy ±0.5 -->``,
and ``python -m utils.course check`` fails when the two differ.
"""

from __future__ import annotations

import json
import math
import re
from numbers import Real
from pathlib import Path

MIME = "application/vnd.lmm.record+json"
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


class Recorded:
    """Numbers with names; shows itself as text and as JSON to Jupyter."""

    def __init__(self, values: dict[str, float]):
        self.values = values

    def __repr__(self) -> str:
        return "   ".join(f"{name} = {_short(value)}" for name, value in self.values.items())

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return {"text/plain": repr(self), MIME: self.values}


def record(**values: float) -> None:
    """Store named numbers in the output of this cell, and print them.

    Values are Python, NumPy or zero-dimensional torch numbers; they are kept to eight
    significant digits. Outside Jupyter the numbers are only printed.

    Raises
    ------
    ValueError
        Without values, for a name that is not lower_snake_case, for NaN or infinity.
    TypeError
        For a value that is not a number.
    """
    if not values:
        raise ValueError("record() got no value; give at least one, as in record(accuracy=0.97)")
    shown = Recorded({_checked_name(n): _number(n, v) for n, v in values.items()})
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        get_ipython = None
    if get_ipython is None or get_ipython() is None:
        print(shown)
    else:
        display(shown)


def recorded_run(path: str | Path) -> dict:
    """Read the JSON of a recorded full-size run, ``benchmarks/results/NAME.json``.

    Raises
    ------
    FileNotFoundError
        When the file is missing; the message says which script makes it.
    ValueError
        When one of the keys that every recorded run carries is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no recorded run at {path}; run benchmarks/{path.stem}.py to make it"
        )
    run = json.loads(path.read_text(encoding="utf-8"))
    expected = ("command", "commit", "machine", "versions", "date", "seeds", "figures")
    missing = [key for key in expected if key not in run]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}; a recorded run carries {expected}")
    return run


def _checked_name(name: str) -> str:
    if not _NAME.match(name):
        raise ValueError(f"{name!r} is not a name in lower_snake_case, such as test_accuracy")
    return name


def _number(name: str, value) -> float | int:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} is {value!r} ({type(value).__name__}); record() takes numbers")
    if isinstance(value, int):
        return value
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value}; a recorded number must be finite")
    return float(f"{value:.8g}")


def _short(value: float | int) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
