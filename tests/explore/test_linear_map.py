"""The explorable of a linear map and its SVD: JavaScript, Python and torch agree."""

import itertools
import random

import pytest
import torch

from utils.explore.linear_map import LinearMap, linear_map

KEYS = ("a", "b", "c", "d")


def settings(count: int = 200) -> list[dict]:
    rng = random.Random(0)
    edges = itertools.product((-1.5, 0.0, 1.0), repeat=4)
    drawn = [[rng.uniform(-1.5, 1.5) for _ in KEYS] for _ in range(count)]
    return [dict(zip(KEYS, row, strict=True)) for row in [*edges, *drawn]]


def matrix(case: dict) -> torch.Tensor:
    return torch.tensor([case[key] for key in KEYS], dtype=torch.float64).view(2, 2)


def test_javascript_computes_what_python_computes(javascript):
    cases = settings()
    for case, result in zip(cases, javascript("linear_map.js", cases), strict=True):
        expected = linear_map(**case)
        assert result.keys() == expected.keys()
        for name, value in expected.items():
            both = (-1.0 if v is None else v for v in (value, result[name]))
            ours, theirs = (torch.tensor(v, dtype=torch.float64) for v in both)
            torch.testing.assert_close(theirs, ours, rtol=1e-9, atol=1e-12, msg=f"{case} {name}")


def test_singular_values_and_determinant_are_those_of_torch():
    for case in settings():
        ours, A = linear_map(**case), matrix(case)
        values = torch.tensor(ours["singular"], dtype=torch.float64)
        torch.testing.assert_close(values, torch.linalg.svdvals(A), rtol=1e-9, atol=1e-12)
        assert ours["determinant"] == pytest.approx(torch.linalg.det(A).item(), abs=1e-12)
        assert ours["rank"] == torch.linalg.matrix_rank(A).item()
        if ours["condition"] is not None:
            assert ours["condition"] == pytest.approx(torch.linalg.cond(A).item(), rel=1e-8)


def test_the_vectors_are_orthonormal_and_give_the_matrix_back():
    for case in settings():
        ours = linear_map(**case)
        left, right = (torch.tensor(ours[key], dtype=torch.float64).T for key in ("left", "right"))
        values = torch.diag(torch.tensor(ours["singular"], dtype=torch.float64))
        for vectors in (left, right):
            torch.testing.assert_close(vectors.T @ vectors, torch.eye(2).double())
        torch.testing.assert_close(left @ values @ right.T, matrix(case), rtol=0, atol=1e-12)
        assert ours["right"][0][0] >= -1e-9


def test_box_holds_state_and_no_script():
    widget = LinearMap(a=0.5)
    assert widget.state() == {"a": 0.5, "b": 0.8, "c": 0.2, "d": 0.9}
    bundle = widget._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert 'data-name="LinearMap"' in data["text/html"] and "<script" not in data["text/html"]


def test_an_entry_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="entry b is nan; expected"):
        linear_map(1.0, float("nan"), 0.0, 1.0)
