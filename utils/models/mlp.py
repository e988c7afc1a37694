"""Multilayer perceptron with the parts that the course varies: width, depth, activation,
initialization, normalization, dropout.

Dimensions: ``B`` batch (any number of leading axes), ``D`` input width, ``C`` outputs.
"""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from utils.arguments import check_positive_int, check_range, choose

__all__ = ["ACTIVATIONS", "INITIALIZATIONS", "MLP", "initialize_"]

ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}
INITIALIZATIONS = ("torch", "he", "xavier", "lecun", "orthogonal", "zeros")


@torch.no_grad()
def initialize_(module: nn.Module, scheme: str, std: float | None = None) -> nn.Module:
    """Fill the weights of all linear and convolution layers of ``module``, and zero their biases.

    ``he``: normal, variance 2 / fan-in (He et al. 2015). ``xavier``: uniform, variance
    2 / (fan-in + fan-out) (Glorot and Bengio 2010). ``lecun``: normal, variance
    1 / fan-in. ``orthogonal``: random orthogonal rows or columns (Saxe et al. 2014). ``zeros``:
    all weights 0. ``torch``: what the layers draw on their own; biases stay as they are.
    ``std`` replaces the scheme by a normal distribution of that standard deviation.

    Raises ValueError for an unknown scheme or a negative ``std``. Returns ``module``.
    """
    choose("initialization", scheme, INITIALIZATIONS)
    if std is not None and std < 0:
        raise ValueError(f"std must not be negative, got {std}")
    for layer in module.modules():
        if not isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            continue
        if scheme == "torch" and std is None:
            layer.reset_parameters()
            continue
        fan_in = layer.weight[0].numel()
        if std is not None:
            nn.init.normal_(layer.weight, std=std)
        elif scheme in ("he", "lecun"):
            variance = (2 if scheme == "he" else 1) / fan_in
            nn.init.normal_(layer.weight, std=math.sqrt(variance))
        elif scheme == "xavier":
            nn.init.xavier_uniform_(layer.weight)
        elif scheme == "orthogonal":
            nn.init.orthogonal_(layer.weight)
        else:
            nn.init.zeros_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return module


class MLP(nn.Module):
    """Linear layers with, between them, normalization, activation and dropout, in this order.

    Parameters
    ----------
    sizes: widths from input to output, for example ``(64, 256, 10)``; two or more.
    activation: a key of ``ACTIVATIONS``.
    init: one of ``INITIALIZATIONS`` (see `initialize_`).
    norm: None, ``"batch"`` (Ioffe and Szegedy 2015) or ``"layer"`` (Ba et al. 2016).
    dropout: probability of zeroing a hidden unit in training (Srivastava et al. 2014).
    flatten: take inputs of shape ``(B, ...)``, such as images, and flatten them to ``(B, D)``.

    Input ``(B, D)``, or ``(..., D)`` without batch normalization; output ``(..., C)``, no final
    activation. The stack is ``self.layers``, an ``nn.Sequential``.

    Raises ValueError or TypeError for bad arguments, ValueError for inputs of another width.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        activation: str = "relu",
        init: str = "torch",
        norm: str | None = None,
        dropout: float = 0.0,
        bias: bool = True,
        flatten: bool = False,
    ):
        super().__init__()
        sizes = tuple(sizes)
        if len(sizes) < 2:
            raise ValueError(f"sizes needs an input and an output width, got {sizes}")
        check_positive_int(**{f"sizes[{i}]": size for i, size in enumerate(sizes)})
        check_range(0, 1, dropout=dropout)
        choose("activation", activation, tuple(ACTIVATIONS))
        choose("norm", norm or "none", ("none", "batch", "layer"))
        self.sizes, self.flatten, self.norm = sizes, flatten, norm
        layers: list[nn.Module] = []
        for i, (width_in, width_out) in enumerate(itertools.pairwise(sizes)):
            layers.append(nn.Linear(width_in, width_out, bias=bias))
            if i == len(sizes) - 2:
                break
            if norm:
                layers.append((nn.BatchNorm1d if norm == "batch" else nn.LayerNorm)(width_out))
            layers.append(ACTIVATIONS[activation]())
            if dropout:
                layers.append(nn.Dropout(dropout))
        self.layers = nn.Sequential(*layers)
        if init != "torch":
            initialize_(self, init)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., D)`` to ``(..., C)``; with ``flatten``, ``(B, ...)`` to ``(B, C)``."""
        shape = tuple(x.shape)
        if self.flatten and x.ndim > 1:
            x = x.flatten(1)
        if x.ndim == 0 or x.shape[-1] != self.sizes[0]:
            hint = "" if self.flatten else "; for images pass flatten=True or flatten them first"
            raise ValueError(
                f"MLP expects inputs with last axis {self.sizes[0]}, got shape {shape}{hint}"
            )
        if self.norm == "batch" and x.ndim != 2:
            raise ValueError(f"with norm='batch' inputs must be (B, D), got shape {shape}")
        return self.layers(x)
