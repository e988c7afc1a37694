"""The script of the first two networks: format of the images, counts, a smoke run, refusals."""

import sys
from pathlib import Path

import numpy as np
import pytest

from utils.data import digits
from utils.record import recorded_run

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import first_networks


def test_enlarged_digits_have_the_format_of_mnist():
    small = digits().images[:5]
    large = first_networks.enlarged(small)
    assert large.shape == (5, 28, 28) and large.dtype == np.uint8
    assert (large[:, :2] == 0).all() and (large[:, :, -2:] == 0).all()
    inside = large[:, 2:-2, 2:-2]
    expected = np.round(small * (255 / 16)).astype(np.uint8)
    for row, column in ((0, 0), (1, 2), (2, 1)):
        np.testing.assert_array_equal(inside[:, row::3, column::3], expected)


def test_the_record_holds_the_counts_worked_out_by_hand():
    figures = recorded_run(first_networks.RESULT)["figures"]
    counts = {name: row["parameters"] for name, row in figures.items()}
    assert counts == {"no hidden layer": 7850, "256": 203_530, "1024, 1024": 1_863_690}
    for row in figures.values():
        for scale in first_networks.SCALES:
            mean, low, high = row["scales"][scale]["interval"]
            assert low < mean < high
            assert mean == pytest.approx(np.mean(row["scales"][scale]["test"]))
