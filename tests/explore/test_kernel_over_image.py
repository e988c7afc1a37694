"""The explorable of convolution: JavaScript and Python agree, and Python agrees with torch."""

import random

import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import conv2d

from utils.explore.kernel_over_image import DIGIT, KERNELS, KernelOverImage, kernel_over_image


def cases(count: int = 200) -> list[dict]:
    rng = random.Random(0)
    drawn = [
        {
            "image": [
                [rng.uniform(-9, 16) for _ in range(width)] for _ in range(rng.randint(3, 9))
            ],
            "kernel": [rng.gauss(0, 2) for _ in range(9)],
            "stride": rng.randint(1, 3),
            "padding": rng.randint(0, 2),
        }
        for height, width in ((rng.randint(3, 9), rng.randint(3, 9)) for _ in range(count))
    ]
    smallest = {"image": [[5.0]], "kernel": list(range(9)), "stride": 1, "padding": 1}
    presets = [
        {"image": DIGIT, "kernel": kernel, "stride": 2, "padding": 1} for kernel in KERNELS.values()
    ]
    return [smallest, *presets, *drawn]


def test_javascript_computes_what_python_computes(javascript):
    settings = cases()
    results = javascript("kernel_over_image.js", settings)
    assert len(results) >= 200
    for case, result in zip(settings, results, strict=True):
        expected = kernel_over_image(**case)
        assert len(result) == len(expected)
        for ours, theirs in zip(result, expected, strict=True):
            assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)


def test_python_computes_what_torch_computes():
    for case in cases(60):
        image = torch.tensor(case["image"], dtype=torch.float64)[None, None]
        kernel = torch.tensor(case["kernel"], dtype=torch.float64).view(1, 1, 3, 3)
        theirs = conv2d(image, kernel, stride=case["stride"], padding=case["padding"])[0, 0]
        ours = torch.tensor(kernel_over_image(**case), dtype=torch.float64)
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_the_picture_is_a_real_digit():
    digits = load_digits()
    assert digits.images[4].tolist() == DIGIT and digits.target[4] == 4


@pytest.mark.parametrize(
    ("wrong", "phrase"),
    [
        ({"kernel": [1.0]}, "expected 9"),
        ({"stride": 0}, "at least 1"),
        ({"image": [[1.0, 2.0], [1.0]]}, "differ in length"),
        ({"image": [[1.0]]}, "smaller than the kernel"),
    ],
)
def test_wrong_settings_are_refused(wrong, phrase):
    with pytest.raises(ValueError, match=phrase):
        kernel_over_image(**{"image": DIGIT, "kernel": [0.0] * 9, **wrong})
    assert KernelOverImage().state()["padding"] == 1
