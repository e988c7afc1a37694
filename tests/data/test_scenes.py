"""Digits in photographs: where the ink is, what differs, what is refused."""

import numpy as np
import pytest

from utils.data import digits
from utils.data.scenes import digits_in_photographs

FOUND = digits().take(slice(0, 6))


@pytest.mark.parametrize("enlarge", [1, 2, 4])
def test_the_digit_stands_in_the_picture_pixel_by_pixel(enlarge):
    made = digits_in_photographs(FOUND, enlarge, contrast=0.0, seed=3)
    assert made.images.shape == (6, 32, 32, 3) and made.images.dtype == np.uint8
    assert made.top == 255 and (made.labels == FOUND.labels).all()
    for picture, digit in zip(made.images, FOUND.images, strict=True):
        big = np.kron(digit, np.ones((enlarge, enlarge), np.uint8))
        places = [(r, c) for r in range(33 - len(big)) for c in range(33 - len(big))]
        assert any(is_drawn(picture, big, *place) for place in places)


def is_drawn(picture, big, row, column) -> bool:
    """Whether pixels of one gray value of the digit, padded by zeros, have one color."""
    values = np.zeros(picture.shape[:2], np.uint8)
    values[row : row + len(big), column : column + len(big)] = big
    colors = [picture[values == v] for v in np.unique(values)]
    one_each = all((color == color[0]).all() for color in colors)
    return one_each and len({tuple(color[0]) for color in colors}) > 1


def test_contrast_is_the_photographs():
    spread = [
        digits_in_photographs(FOUND, contrast=c, seed=1).images.astype(float).std()
        for c in (0.0, 0.5, 1.0)
    ]
    assert spread[0] < spread[1] < spread[2]


def test_seed_and_half_decide_the_background():
    same = [digits_in_photographs(FOUND, seed=5).images for _ in range(2)]
    assert (same[0] == same[1]).all()
    assert (same[0] != digits_in_photographs(FOUND, seed=6).images).any()
    assert (same[0] != digits_in_photographs(FOUND, seed=5, half="right").images).any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"enlarge": 5}, "do not fit"),
        ({"enlarge": 0}, "at least 1"),
        ({"half": "top"}, "left, right"),
        ({"contrast": 1.5}, "contrast"),
        ({"side": 7}, "do not fit"),
    ],
)
def test_what_cannot_be_made_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        digits_in_photographs(FOUND, **options)


def test_color_digits_are_refused():
    colored = digits_in_photographs(FOUND)
    with pytest.raises(ValueError, match="gray"):
        digits_in_photographs(colored)
