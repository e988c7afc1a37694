"""Rotary position embedding (RoPE) and its ways to reach beyond the trained context.

Su et al. 2021, "RoFormer": the pair (x_i, x_{i + head_dim/2}) turns by the angle
position * theta^(-2 i / head_dim), so that the product of a query and a key depends on their
distance only. The pairing of halves is GPT-NeoX's and Llama's in Hugging Face's form.

Legend: B batch, T sequence, H heads, D head_dim, F = head_dim / 2 frequencies.

Everything is computed in float32, as the released models were trained; no buffer is kept in
the module, so a model made on the `meta` device needs no repair when it is given memory.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from utils.models.config import TransformerConfig

SCALINGS = ("default", "linear", "dynamic", "yarn", "llama3")


def inverse_frequencies(
    head_dim: int,
    theta: float = 10_000.0,
    scaling: dict | None = None,
    context_length: int = 2048,
    length: int | None = None,
) -> tuple[Tensor, float]:
    """Angle per position of each pair, (F,) in float32, and a factor for cos and sin.

    `scaling` has Hugging Face's keys: `rope_type` (or `type`) and, by type,

    - linear: `factor` (Chen et al. 2023, "Extending Context Window of Large Language Models
      via Positional Interpolation");
    - dynamic: `factor`; the base grows once `length` exceeds `context_length` ("NTK-aware");
    - yarn: `factor`, `original_max_position_embeddings`, `beta_fast`, `beta_slow`,
      `attention_factor`, `mscale`, `mscale_all_dim`, `truncate` (Peng et al. 2023,
      "YaRN");
    - llama3: `factor`, `low_freq_factor`, `high_freq_factor`,
      `original_max_position_embeddings` (Llama 3.1).

    Raises ValueError for an unknown type or a missing key.
    """
    scaling = scaling or {}
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind not in SCALINGS:
        raise ValueError(f"unknown RoPE scaling {kind!r}: known are {', '.join(SCALINGS)}")
    if kind != "default" and scaling.get("factor") is None:
        raise ValueError(f"RoPE scaling {kind!r} needs the key 'factor', got {sorted(scaling)}")
    if kind == "dynamic":
        theta = _dynamic_theta(theta, head_dim, scaling["factor"], context_length, length)
    # The CPU by name: under torch.device("meta") these few numbers must still be numbers.
    pair_F = torch.arange(0, head_dim, 2, dtype=torch.float32, device="cpu")
    exponent_F = pair_F / head_dim
    frequency_F = 1.0 / theta**exponent_F
    if kind == "linear":
        return frequency_F / scaling["factor"], 1.0
    if kind == "llama3":
        return _llama3(frequency_F, scaling), 1.0
    if kind == "yarn":
        return _yarn(theta**exponent_F, theta, scaling, context_length)
    return frequency_F, 1.0


def _dynamic_theta(
    theta: float, head_dim: int, factor: float, context: int, length: int | None
) -> float:
    """The base for which the slowest pair turns as far over `length` as it did over `context`."""
    length = max(length or context, context)
    stretch = factor * length / context - (factor - 1)
    return theta * stretch ** (head_dim / (head_dim - 2))


def _llama3(frequency_F: Tensor, scaling: dict) -> Tensor:
    """Slow pairs are interpolated, fast ones kept, those between blended by wavelength."""
    try:
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        original = scaling["original_max_position_embeddings"]
    except KeyError as error:
        raise ValueError(f"RoPE scaling 'llama3' needs the key {error}") from None
    factor = scaling["factor"]
    turns_F = original * frequency_F / (2 * math.pi)  # over the original context
    keep_F = ((turns_F - low) / (high - low)).clamp(0.0, 1.0)
    return (1 - keep_F) * frequency_F / factor + keep_F * frequency_F


def _yarn(
    period_F: Tensor, theta: float, scaling: dict, context_length: int
) -> tuple[Tensor, float]:
    """YaRN: slow pairs interpolated, fast ones kept ("NTK-by-parts"), and a temperature."""
    factor = scaling["factor"]
    original = scaling.get("original_max_position_embeddings") or context_length
    pairs = len(period_F)
    head_dim = 2 * pairs

    def pair_with(turns: float) -> float:
        return head_dim * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(theta))

    low = pair_with(scaling.get("beta_fast") or 32)
    high = pair_with(scaling.get("beta_slow") or 1)
    if scaling.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, head_dim - 1)
    high = high + 0.001 if low == high else high
    slow_F = ((torch.arange(pairs, dtype=torch.float32, device="cpu") - low) / (high - low)).clamp(
        0.0, 1.0
    )
    frequency_F = slow_F / (factor * period_F) + (1 - slow_F) / period_F
    return frequency_F, _yarn_attention_factor(scaling)


def _yarn_attention_factor(scaling: dict) -> float:
    if scaling.get("attention_factor") is not None:
        return scaling["attention_factor"]

    def temperature(weight: float) -> float:
        factor = scaling["factor"]
        return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1.0

    weight, all_weight = scaling.get("mscale"), scaling.get("mscale_all_dim")
    if weight and all_weight:
        return temperature(weight) / temperature(all_weight)
    return temperature(1.0)


def rotate(x_BTHD: Tensor, cos_BTHF: Tensor, sin_BTHF: Tensor) -> Tensor:
    """Turn each pair (i, i + F) by its angle. cos and sin broadcast over heads."""
    first, second = x_BTHD.chunk(2, dim=-1)
    return torch.cat(
        (first * cos_BTHF - second * sin_BTHF, second * cos_BTHF + first * sin_BTHF), dim=-1
    )


class Rotary:
    """Cosines and sines for given positions; the few frequencies are kept for each device."""

    def __init__(self, config: TransformerConfig) -> None:
        self.config = config
        scaling = config.rope_scaling or {}
        self.dynamic = scaling.get("rope_type", scaling.get("type")) == "dynamic"
        self._frequencies: dict = {}
        self.frequencies(torch.device("cpu"), None)  # a wrong scaling is refused here

    def frequencies(self, device: torch.device, length: int | None) -> tuple[Tensor, float]:
        """`inverse_frequencies` of the config on a device, (F,)."""
        if not self.dynamic or length is None or length <= self.config.context_length:
            length = None
        if (device, length) not in self._frequencies:
            if length is not None:  # of the stretched ones, only the newest is kept
                self._frequencies = {k: v for k, v in self._frequencies.items() if k[1] is None}
            frequency_F, factor = inverse_frequencies(
                self.config.head_size,
                self.config.rope_theta,
                self.config.rope_scaling,
                self.config.context_length,
                length,
            )
            self._frequencies[device, length] = frequency_F.to(device), factor
        return self._frequencies[device, length]

    def __call__(
        self, positions: Tensor, dtype: torch.dtype, length: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """cos and sin, (..., T, 1, F), for positions (..., T) of whole numbers.

        `length` is the length of the whole sequence, which dynamic scaling depends on.
        """
        frequency_F, factor = self.frequencies(positions.device, length)
        angle = positions[..., None, None].float() * frequency_F
        return (angle.cos() * factor).to(dtype), (angle.sin() * factor).to(dtype)
