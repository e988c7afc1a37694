"""Probes of the lab `attention`: they exercise the learner's cache and return data alone.

They run beside the learner's code, with its namespace first, and hold no reference.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor


def append(namespace: dict[str, Any], pairs: list[tuple[Tensor, Tensor]]) -> list:
    """Append each (keys, values) to one new cache: what `append` gives and the length after it.

    A second cache is made before and filled in between, so that shared memory shows.
    """
    other, cache = namespace["KVCache"](), namespace["KVCache"]()
    found = []
    for k, v in pairs:
        other.append(k.clone() + 1, v.clone() - 1)
        keys, values = cache.append(k.clone(), v.clone())
        found.append((keys.clone(), values.clone(), cache.length))
    return found


def decode(
    namespace: dict[str, Any], chunks: list[Tensor], w_qkv: Tensor, w_out: Tensor, num_heads: int
) -> list[Tensor]:
    """The outputs of `decode_step` for one chunk after the other, with one new cache."""
    cache = namespace["KVCache"]()
    step = namespace["decode_step"]
    return [step(x.clone(), w_qkv.clone(), w_out.clone(), num_heads, cache) for x in chunks]
