"""Small color pictures of two things side by side, each with a caption of six words.

``red disk left of blue ring``: four colors and three shapes make twelve things, and 132 captions
of two different ones. Place, size and brightness vary, so that a caption has many pictures.

Legend: N pictures, H = 12 rows, W = 24 columns.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

COLORS = {"red": (1.0, 0.1, 0.1), "green": (0.1, 0.8, 0.2), "blue": (0.2, 0.3, 1.0)}
COLORS |= {"yellow": (0.9, 0.9, 0.1)}
SHAPES = ("disk", "square", "ring")
WORDS = (*COLORS, *SHAPES, "left", "of")
HEIGHT, WIDTH = 12, 24
_THINGS = [(color, 4 + shape) for color in range(4) for shape in range(3)]


class Scenes(NamedTuple):
    """`images` (N, 3, 12, 24) float32, about 0 to 1; `captions` (N, 6) int64, into WORDS."""

    images: Tensor
    captions: Tensor


def all_captions() -> Tensor:
    """The 132 captions, (132, 6) int64, in a fixed order."""
    pairs = [(a, b) for a in _THINGS for b in _THINGS if a != b]
    left, of = WORDS.index("left"), WORDS.index("of")
    return torch.tensor([[*a, left, of, *b] for a, b in pairs])


def scenes(captions: Tensor, seed: int = 0) -> Scenes:
    """A new picture for each caption, (N, 6) int64 as `all_captions` has them.

    Raises
    ------
    ValueError: captions of another shape.
    """
    if captions.ndim != 2 or captions.shape[1] != 6:
        raise ValueError(f"captions have shape (N, 6), got {tuple(captions.shape)}")
    generator = torch.Generator().manual_seed(seed)
    n = len(captions)

    def draw(*shape):
        return torch.rand(*shape, generator=generator)

    images = 0.5 + 0.05 * torch.randn(n, 3, HEIGHT, WIDTH, generator=generator)
    palette = torch.tensor(list(COLORS.values()))
    y, x = torch.arange(HEIGHT).view(1, -1, 1) + 0.5, torch.arange(WIDTH).view(1, 1, -1) + 0.5
    for side, (color, shape) in enumerate(((0, 1), (4, 5))):
        size = 2.5 + 1.5 * draw(n, 1, 1)
        dy = y - (size + (HEIGHT - 2 * size) * draw(n, 1, 1))
        dx = x - (12 * side + size + (WIDTH / 2 - 2 * size) * draw(n, 1, 1))
        radius, square = (dx**2 + dy**2).sqrt(), torch.maximum(dx.abs(), dy.abs())
        ring = (radius <= size) & (radius >= size - 1.4)
        kinds = torch.stack([radius <= size, square <= 0.9 * size, ring])
        inside = kinds[captions[:, shape] - 4, torch.arange(n)]
        paint = palette[captions[:, color]] * (0.7 + 0.3 * draw(n, 1))
        images = torch.where(inside[:, None], paint[:, :, None, None], images)
    return Scenes(images, captions)
