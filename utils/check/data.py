"""The data that pass between a check and a learner's code, and how two of them are compared.

Plain data are tensors, arrays, numbers, strings, bytes, bools, None, and lists, tuples, sets
and dicts of these. Nothing else crosses: neither functions nor objects of a learner's classes.
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch

MAX_DEPTH = 32
MAX_ITEMS = 2_000_000
SHORT = 200


def plain(value: Any, _depth: int = 0) -> Any:
    """A copy of `value` as plain data: tensors detached and on the CPU, subclasses undone.

    Raises
    ------
    TypeError
        For what is no plain data; the message names its type.
    """
    if _depth > MAX_DEPTH:
        raise TypeError(f"data nested more than {MAX_DEPTH} deep")
    if value is None or isinstance(value, bool | np.bool_):
        return None if value is None else bool(value)
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu").clone().as_subclass(torch.Tensor)
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biufcUS":
            raise TypeError(f"an array of dtype {value.dtype}")
        return np.array(value, copy=True, subok=False)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, complex) and not isinstance(value, Real):
        return complex(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, str | bytes | bytearray):
        return str(value) if isinstance(value, str) else bytes(value)
    return _container(value, _depth + 1)


def _container(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        return {plain(k, depth): plain(v, depth) for k, v in value.items()}
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            if len(value) > MAX_ITEMS:
                raise TypeError(f"{an(kind.__name__)} of {len(value):,} items")
            return kind(plain(item, depth) for item in value)
    if isinstance(value, range):
        return list(value)
    raise TypeError(f"an object of type {type(value).__name__}")


def an(noun: str) -> str:
    """The noun with its article."""
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def short(value: Any, limit: int = SHORT) -> str:
    """A value in few words: shape, dtype and the first numbers of a tensor."""
    if isinstance(value, torch.Tensor | np.ndarray):
        kind = "tensor" if isinstance(value, torch.Tensor) else "array"
        dtype = str(value.dtype).removeprefix("torch.")
        text = f"{an(kind)} of shape {tuple(value.shape)}"
        text += "" if dtype in ("float32", "float64") else f", {dtype}"  # both count as right
        size = int(np.prod(tuple(value.shape)))
        if 0 < size <= 12:
            text += f": {_numbers(value.tolist())}"
        elif size:
            text += f", beginning {_numbers(value.reshape(-1)[:4].tolist())[:-1]}, …]"
        return text
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple) and any(isinstance(v, torch.Tensor) for v in value):
        text = f"{type(value).__name__} of " + " and ".join(short(v, 80) for v in value[:4])
    else:
        text = _numbers(value) if isinstance(value, list | tuple) else repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _numbers(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_numbers(v) for v in value) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(_numbers(v) for v in value) + ("," if len(value) == 1 else "") + ")"
    return f"{value:.4g}" if isinstance(value, float) else repr(value)


def difference(came: Any, expected: Any, rtol: float = 1e-4, atol: float = 1e-5) -> str | None:
    """What distinguishes two plain data, as a phrase; None where they agree.

    Tensors and arrays must agree in shape and in each number within
    ``atol + rtol |expected|``; an array passes for a tensor and a zero-dimensional tensor for
    a number. Floating types of any width pass for each other, integers for floats only where
    numbers were expected. Equal infinities agree; NaN agrees with NaN alone.
    """
    if isinstance(expected, torch.Tensor | np.ndarray):
        return _tensor_difference(came, expected, rtol, atol)
    if isinstance(expected, bool) or expected is None or isinstance(expected, str | bytes):
        came = came.item() if _scalar(came) else came
        same = type(came) is type(expected) and came == expected
        return None if same else f"{short(came)} where {short(expected)} was expected"
    if isinstance(expected, int | float | complex):
        return _number_difference(came, expected, rtol, atol)
    if isinstance(expected, dict):
        return _dict_difference(came, expected, rtol, atol)
    if isinstance(expected, list | tuple):
        return _sequence_difference(came, expected, rtol, atol)
    return None if came == expected else f"{short(came)} where {short(expected)} was expected"


def _scalar(value: Any) -> bool:
    return isinstance(value, torch.Tensor | np.ndarray) and tuple(value.shape) == ()


def _tensor_difference(came: Any, expected: Any, rtol: float, atol: float) -> str | None:
    if not isinstance(came, torch.Tensor | np.ndarray):
        if tuple(expected.shape) != () or not isinstance(came, bool | int | float):
            return f"{an(type(came).__name__)} where a tensor was expected"
        came = torch.tensor(came)
    if tuple(came.shape) != tuple(expected.shape):
        return f"shape {tuple(came.shape)} where {tuple(expected.shape)} was expected"
    ours, theirs = _array(came), _array(expected)
    if (ours.dtype.kind == "b") != (theirs.dtype.kind == "b"):
        return f"dtype {came.dtype} where {expected.dtype} was expected"
    if theirs.dtype.kind in "iu" and ours.dtype.kind not in "iu":
        return f"dtype {came.dtype} where whole numbers were expected"
    if theirs.dtype.kind in "biuUS":
        wrong = ours != theirs
    else:
        kind = np.complex128 if "c" in (ours.dtype.kind, theirs.dtype.kind) else np.float64
        ours, theirs = ours.astype(kind), theirs.astype(kind)
        wrong = ~np.isclose(ours, theirs, rtol=rtol, atol=atol, equal_nan=True)
    if not wrong.any():
        return None
    if np.isnan(ours).any() and not np.isnan(theirs).any():
        return f"{int(np.isnan(ours).sum())} of {ours.size} numbers are NaN"
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    where = f" at {list(place)}" if place else ""
    return (
        f"{int(wrong.sum())} of {wrong.size} numbers differ; the first{where} is "
        f"{_numbers(ours[place].item())} where {_numbers(theirs[place].item())} was expected"
    )


def _array(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        value = value.to(torch.float64)  # NumPy has no bfloat16
    return np.asarray(value)


def _number_difference(came: Any, expected: Any, rtol: float, atol: float) -> str | None:
    came = came.item() if _scalar(came) else came
    if isinstance(came, bool) or not isinstance(came, int | float | complex):
        return f"{short(came)} where the number {short(expected)} was expected"
    if isinstance(expected, int):
        same = came == expected
    elif isinstance(expected, complex) or isinstance(came, complex):
        same = abs(came - expected) <= atol + rtol * abs(expected)
    else:
        both_nan = math.isnan(came) and math.isnan(expected)
        same = both_nan or came == expected or abs(came - expected) <= atol + rtol * abs(expected)
    return None if same else f"{short(came)} where {short(expected)} was expected"


def _dict_difference(came: Any, expected: dict, rtol: float, atol: float) -> str | None:
    if not isinstance(came, dict):
        return f"{an(type(came).__name__)} where a dict was expected"
    if came.keys() != expected.keys():
        missing = sorted(map(repr, expected.keys() - came.keys()))[:3]
        extra = sorted(map(repr, came.keys() - expected.keys()))[:3]
        parts = [f"missing {', '.join(missing)}"] if missing else []
        parts += [f"unexpected {', '.join(extra)}"] if extra else []
        return "other keys: " + "; ".join(parts)
    for key, value in expected.items():
        found = difference(came[key], value, rtol, atol)
        if found:
            return f"under {key!r}: {found}"
    return None


def _sequence_difference(came: Any, expected: Any, rtol: float, atol: float) -> str | None:
    if isinstance(came, torch.Tensor | np.ndarray) and came.ndim >= 1:
        came = came.tolist()
    if not isinstance(came, list | tuple):
        return f"{an(type(came).__name__)} where {an(type(expected).__name__)} was expected"
    if len(came) != len(expected):
        return f"{len(came)} items where {len(expected)} were expected"
    for place, (one, other) in enumerate(zip(came, expected, strict=True)):
        found = difference(one, other, rtol, atol)
        if found:
            return f"item {place}: {found}"
    return None
