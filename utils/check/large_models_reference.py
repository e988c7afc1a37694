"""Right answers of the lab `large-models`, by the closed forms of its chapter.

Legend as in `utils.check.large_models`. Sources: Radford et al. 2019 (GPT-2), Brown et al. 2020
(GPT-3), Jiang et al. 2024 (Mixtral), Rajbhandari et al. 2020 (ZeRO), Kaplan et al. 2020 (6 N D).
"""

from __future__ import annotations

import math


def block(M: int, F: int) -> int:
    """Attention, feed-forward part and two norms, all with biases."""
    return 4 * (M * M + M) + (M * F + F) + (F * M + M) + 2 * (2 * M)


def gpt(V: int, T: int, M: int, L: int) -> int:
    """Two tables, L blocks with F = 4M, a last norm; the head is tied."""
    return V * M + T * M + L * block(M, 4 * M) + 2 * M


def grouped(M: int, H: int, K: int, d: int) -> int:
    """Queries, keys, values and output, without biases."""
    return 2 * M * d * (H + K)


def llama(V: int, M: int, L: int, H: int, K: int, d: int, F: int, width: int = 0) -> int:
    """A Llama with its head untied; `width` more parameters in each block."""
    return 2 * V * M + L * (grouped(M, H, K, d) + 3 * M * F + 2 * M + width) + M


def mixture(
    V: int, M: int, L: int, H: int, K: int, d: int, F: int, E: int, k: int
) -> tuple[int, int]:
    """Total and active parameters, a router in each block."""
    shape = (V, M, L, H, K, d)
    return llama(*shape, E * F, M * E), llama(*shape, k * F, M * E)


def training(N: int, bits: int, stage: int, G: int) -> dict[str, float]:
    """Bytes of weights, gradients and AdamW's states on one of G GPUs."""
    states = 8.0 if bits == 32 else 12.0
    return {
        "weights": N * bits / 8 / (G if stage == 3 else 1),
        "gradients": N * bits / 8 / (G if stage >= 2 else 1),
        "states": N * states / (G if stage >= 1 else 1),
    }


def cache(L: int, K: int, d: int, T: int, B: int, bits: int) -> int:
    """Bytes of the keys and values."""
    return 2 * L * K * d * T * B * bits // 8


def fits(memory: int, N: int, L: int, K: int, d: int, B: int, bits: int) -> int:
    """Tokens of each text that fit beside the weights."""
    return max(0, (memory - N * bits // 8) // cache(L, K, d, 1, B, bits))


def flops(V: int, M: int, L: int, T: int, D: int, recompute: bool) -> float:
    """Operations of training: matrices, head and attention, forward and backward."""
    a_block = 2.0 * 12 * M * M + 4 * T * M
    return D * (L * a_block * (4 if recompute else 3) + 6 * V * M)


def plan(
    flops: float, held: float, days: float, peak: float, utilisation: float, memory: float,
    price: float,
) -> dict[str, float]:  # fmt: skip
    """GPUs that meet the last day and hold everything; days; cost."""
    a_day = peak * utilisation * 86_400
    gpus = max(math.ceil(flops / (a_day * days)), math.ceil(held / memory))
    needed = flops / (a_day * gpus)
    return {"gpus": gpus, "days": needed, "cost": gpus * needed * 24 * price}
