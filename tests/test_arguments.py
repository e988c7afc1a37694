import numpy as np
import pytest

from utils.arguments import check_positive_int, check_range, choose


def test_right_arguments_pass():
    assert choose("kind", "a", ("a", "b")) == "a"
    check_positive_int(n=1, m=10)
    check_range(0, 1, rate=0.0, other=np.float32(0.5))
    check_range(0, rate=1e9)


@pytest.mark.parametrize(
    ("call", "error", "phrase"),
    [
        (lambda: choose("kind", "c", ("a", "b")), ValueError, "'c' is not known; .* a, b"),
        (lambda: check_positive_int(n=0), ValueError, "n must be at least 1, got 0"),
        (lambda: check_positive_int(n="3"), TypeError, "n must be an integer, got '3'"),
        (lambda: check_range(0, 1, rate=1.0), ValueError, r"rate must be in \[0, 1\), got 1.0"),
        (lambda: check_range(0, rate=float("nan")), ValueError, "got nan"),
        (lambda: check_range(0, rate="0.1"), TypeError, "rate must be a number"),
        (lambda: check_range(0, rate=None), TypeError, "got None"),
    ],
)
def test_wrong_arguments(call, error, phrase):
    with pytest.raises(error, match=phrase):
        call()
