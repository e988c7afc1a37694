"""From what pages hold (lists, NumPy arrays, tensors anywhere) to NumPy."""

from __future__ import annotations

import numpy as np


def as_array(values) -> np.ndarray:
    """A NumPy array from an array, a list or a tensor on any device, with or without gradient."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values  # bf16 is not NumPy's
    return np.asarray(values)
