"""A 3 by 3 kernel that slides over a small picture."""

from __future__ import annotations

import traitlets

from utils.explore.base import Explorable, source

KERNELS = {
    "vertical edges": [-1.0, 0.0, 1.0, -2.0, 0.0, 2.0, -1.0, 0.0, 1.0],
    "horizontal edges": [-1.0, -2.0, -1.0, 0.0, 0.0, 0.0, 1.0, 2.0, 1.0],
    "blur": [1 / 9] * 9,
    "sharpen": [0.0, -1.0, 0.0, -1.0, 5.0, -1.0, 0.0, -1.0, 0.0],
    "identity": [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
}
# A real handwritten digit: number 4 of scikit-learn's bundled set; a test compares.
DIGIT = [
    [0, 0, 0, 1, 11, 0, 0, 0],
    [0, 0, 0, 7, 8, 0, 0, 0],
    [0, 0, 1, 13, 6, 2, 2, 0],
    [0, 0, 7, 15, 0, 9, 8, 0],
    [0, 5, 16, 10, 0, 16, 6, 0],
    [0, 4, 15, 16, 13, 16, 1, 0],
    [0, 0, 0, 3, 15, 10, 0, 0],
    [0, 0, 0, 2, 16, 4, 0, 0],
]


def kernel_over_image(
    image: list[list[float]], kernel: list[float], stride: int = 1, padding: int = 0
) -> list[list[float]]:
    """What PyTorch calls convolution, cross-correlation: a picture (H, W), a kernel of 9 by rows.

    Returns ((H + 2 padding - 3) // stride + 1, …) sums of kernel times patch; outside the picture
    there are zeros.

    Raises
    ------
    ValueError
        If the kernel has not 9 weights, the stride is below 1, the padding below 0, the rows
        differ in length, or the padded picture is smaller than the kernel.
    """
    height, width = len(image), len(image[0]) if image else 0
    if len(kernel) != 9:
        raise ValueError(f"the kernel has {len(kernel)} weights; expected 9, by rows")
    if stride < 1 or padding < 0:
        raise ValueError(f"stride {stride}, padding {padding}: expected at least 1 and 0")
    if any(len(row) != width for row in image):
        raise ValueError("the rows of the picture differ in length")
    if min(height, width) + 2 * padding < 3:
        raise ValueError(f"a picture of {height} by {width} is smaller than the kernel")

    def pixel(row: int, column: int) -> float:
        inside = 0 <= row < height and 0 <= column < width
        return image[row][column] if inside else 0.0

    def response(row: int, column: int) -> float:
        total = 0.0
        for i in range(3):
            for j in range(3):
                at = row * stride - padding + i, column * stride - padding + j
                total += kernel[3 * i + j] * pixel(*at)
        return total

    rows = (height + 2 * padding - 3) // stride + 1
    columns = (width + 2 * padding - 3) // stride + 1
    return [[response(row, column) for column in range(columns)] for row in range(rows)]


class KernelOverImage(Explorable):
    """A digit, a kernel with editable weights, and the response; a cell shows its own sum."""

    _esm = source("kernel_over_image.js")
    title = "A kernel slides over a picture"
    fallback = (
        "With JavaScript, a kernel of nine weights slides over a handwritten digit here; the "
        "weights, stride and padding can be changed, and each response shows its sum."
    )
    heights = ("52rem", "84rem")
    image = traitlets.List(traitlets.List(traitlets.Float()), DIGIT).tag(sync=True)
    presets = traitlets.Dict(KERNELS).tag(sync=True)
    kernel = traitlets.List(traitlets.Float(), KERNELS["vertical edges"], minlen=9, maxlen=9).tag(
        sync=True
    )
    stride = traitlets.Int(1, min=1, max=2).tag(sync=True)
    padding = traitlets.Int(1, min=0, max=1).tag(sync=True)
    row = traitlets.Int(3, min=0, max=7).tag(sync=True)
    column = traitlets.Int(2, min=0, max=7).tag(sync=True)
