"""Small color pictures with a real handwritten digit in a piece of a real photograph.

They stand in where a page needs color images of 32 by 32 pixels whose detail has a known size.
Legend: ``n`` digits, ``S`` side of a picture in pixels.
"""

from __future__ import annotations

import numpy as np

from utils.arguments import check_positive_int, check_range, choose
from utils.data.images import sample_images
from utils.data.sets import ImageSet

__all__ = ["digits_in_photographs"]

_SIDES = {"left": (0.0, 0.5), "right": (0.5, 1.0)}


def digits_in_photographs(
    digits: ImageSet,
    enlarge: int = 1,
    *,
    contrast: float = 1.0,
    side: int = 32,
    half: str = "left",
    seed: int = 0,
) -> ImageSet:
    """Each digit once, enlarged by whole pixels, at a random place in a photograph's crop.

    The ink is white on dark crops and black on bright ones, by the crop's mean; gray values of
    the digit blend. The crops come from one half of scikit-learn's two photographs, so that
    training and test pictures can have different ones. The same seed gives the same pictures.

    Parameters
    ----------
    digits : gray images (n, H, W) of any `top`.
    enlarge : a pixel of the digit becomes a square of this side.
    contrast : of the photograph, from 0 (its mean color everywhere) to 1 (as it is).
    side : S; the result's images are (n, S, S, 3) uint8.
    half : ``"left"`` or ``"right"``, of the photographs.

    Raises
    ------
    ValueError
        For an unknown half, a contrast outside 0 to 1, digits that are not gray, or an enlarged
        digit that does not fit.
    """
    check_positive_int(enlarge=enlarge, side=side)
    check_range(0, 1 + 1e-12, contrast=contrast)
    choose("half", half, tuple(_SIDES))
    if digits.images.ndim != 3:
        raise ValueError(f"digits must be gray, (n, H, W); got shape {digits.images.shape}")
    height, width = (enlarge * length for length in digits.images.shape[1:])
    if max(height, width) > side:
        raise ValueError(
            f"digits of {height} by {width} pixels do not fit into {side} by {side}; "
            "enlarge them less or make the pictures larger"
        )
    generator, photographs = np.random.default_rng(seed), list(sample_images().values())
    pictures = np.empty((len(digits), side, side, 3), np.uint8)
    for picture, digit in zip(pictures, digits.images, strict=True):
        crop = _crop(photographs, side, _SIDES[half], generator)
        crop = (1 - contrast) * crop.mean((0, 1)) + contrast * crop
        top, left = (int(generator.integers(side - length + 1)) for length in (height, width))
        ink = 255.0 if crop.mean() < 128 else 0.0
        big = np.kron(digit / digits.top, np.ones((enlarge, enlarge)))[..., None]
        place = crop[top : top + height, left : left + width]
        place += big * (ink - place)
        picture[:] = crop.round()
    return ImageSet(pictures, digits.labels, digits.classes, top=255)


def _crop(photographs: list, side: int, part: tuple[float, float], generator) -> np.ndarray:
    """(side, side, 3) float64 from a random photograph, within a part of its width."""
    photograph = photographs[generator.integers(len(photographs))]
    rows, columns = photograph.shape[:2]
    first, last = (round(end * columns) for end in part)
    row = generator.integers(rows - side + 1)
    column = generator.integers(first, last - side + 1)
    return photograph[row : row + side, column : column + side].astype(float)
