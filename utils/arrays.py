"""From what pages hold (lists, NumPy arrays, tensors anywhere) to NumPy."""

from __future__ import annotations

import numpy as np


def as_array(values) -> np.ndarray:
    """A NumPy array from an array, a list or a tensor on any device, with or without gradient."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if values.is_floating_point() and values.itemsize < 4:
            values = values.float()  # NumPy has no bfloat16, and half precision is too short to sum
    return np.asarray(values)
