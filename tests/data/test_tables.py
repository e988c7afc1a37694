"""Tables, splits, series and generators: real values, and truths that are true."""

import builtins

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn import datasets
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from utils import metrics
from utils.data import Table, breast_cancer, diabetes, digits, series, split, synthetic, wine


def test_tables_are_those_of_sklearn():
    for ours, theirs in ((breast_cancer, datasets.load_breast_cancer), (wine, datasets.load_wine)):
        table, found = ours(), theirs()
        np.testing.assert_array_equal(table.features, found.data)
        np.testing.assert_array_equal(table.target, found.target)
        assert table.classes == tuple(found.target_names)
        assert len(table.names) == table.features.shape[1]
    assert breast_cancer().classes[1] == "benign" and breast_cancer().target.sum() == 357
    features, target = diabetes().tensors()
    assert features.shape == (442, 10) and features.dtype == target.dtype == torch.float32
    assert diabetes().features[:, 0].min() == 19  # years, not standardized
    assert wine().tensors()[1].dtype == torch.int64


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=5),
    st.sampled_from([(0.6, 0.2, 0.2), (0.8, 0.2), (0.9, 0.05, 0.05), (1.0,), (1 / 3,) * 3]),
    st.integers(0, 5),
)
def test_split_shares_out_every_class(sizes, fractions, seed):
    target = np.repeat(np.arange(len(sizes)), sizes)
    assume(len(target) >= 40)
    classes = tuple(str(c) for c in range(len(sizes)))
    table = Table(np.arange(len(target))[:, None].astype(float), target, ("row",), classes)
    parts = split(table, fractions, seed=seed)
    rows = np.concatenate([part.features[:, 0] for part in parts])
    np.testing.assert_array_equal(np.sort(rows), np.arange(len(target)))  # all, each once
    for part, fraction in zip(parts, fractions, strict=True):
        assert abs(len(part) - fraction * len(target)) <= 1 + 1e-9
        counts = np.bincount(part.target, minlength=len(sizes))
        assert (np.abs(counts - fraction * np.array(sizes)) < 2).all()
        np.testing.assert_array_equal(part.target, target[part.features[:, 0].astype(int)])


def test_split_depends_on_the_seed_alone():
    first, again, other = (split(digits(), seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.images, again.images)
    assert (first.labels != other.labels).any()
    assert [len(part) for part in split(digits())] == [1078, 360, 359]
    assert (np.diff(first.labels) < 0).any()  # shuffled, not class after class


def test_split_is_random_and_not_by_place():
    """Each example comes into the test part about as often as its fraction says."""
    table = synthetic.linear(50)
    drawn = np.zeros(50)
    for seed in range(400):
        test = split(table, (0.8, 0.2), seed=seed)[1]
        drawn += np.isin(table.target, test.target)
    assert drawn.mean() == 80
    assert drawn.min() > 45 and drawn.max() < 115  # standard deviation 8


@pytest.mark.parametrize(
    ("fractions", "phrase"),
    [((0.5, 0.6), "sum to 1"), ((1.2, -0.2), "positive"), ((0.998, 0.002), "too few"), ((), "sum")],
)
def test_split_refuses(fractions, phrase):
    with pytest.raises(ValueError, match=phrase):
        split(wine(), fractions)


def test_churn_truth_is_the_probability_and_is_learned():
    table = synthetic.churn(20_000)
    assert 0.3 < table.target.mean() < 0.45
    assert metrics.reliability(table.target, table.truth).error < 0.015
    model = LogisticRegression(C=1e6, max_iter=5000).fit(table.features, table.target)
    expected = np.array(list(synthetic.CHURN_WEIGHTS.values()))
    errors = (model.coef_[0] - expected) / np.abs(expected)
    assert np.abs(errors).max() < 0.15
    # no model says it better than the truth
    shifted = np.clip(table.truth + 0.05, 0, 1)
    best = metrics.log_loss(table.target, table.truth)
    assert best < metrics.log_loss(table.target, shifted)


def test_linear_recovers_its_weights():
    table = synthetic.linear(5000, (2.0, -1.0, 0.0), bias=0.5, noise=0.3)
    model = LinearRegression().fit(table.features, table.target)
    np.testing.assert_allclose(model.coef_, [2, -1, 0], atol=0.02)
    assert model.intercept_ == pytest.approx(0.5, abs=0.02)
    assert (table.target - table.truth).std() == pytest.approx(0.3, rel=0.05)


def test_gaussian_mixture_truth_is_bayes():
    table = synthetic.gaussian_mixture(20_000, ((-1, 0), (1, 0), (0, 2)), std=0.8)
    np.testing.assert_allclose(table.truth.sum(1), 1)
    assert metrics.reliability(table.target, table.truth).error < 0.015
    bayes = metrics.accuracy(table.target, table.truth.argmax(1))
    two = synthetic.gaussian_mixture(40_000, ((-1.0, 0.0), (1.0, 0.0)), std=1.0)
    # two clouds two standard deviations apart: Phi(1) = 0.8413 is the best accuracy
    assert metrics.accuracy(two.target, two.truth.argmax(1)) == pytest.approx(0.8413, abs=0.01)
    assert 0.8 < bayes < 0.95


@pytest.mark.parametrize("make", [synthetic.two_moons, synthetic.spirals, synthetic.xor])
def test_planes_need_a_bent_border(make):
    train, test = split(make(1200), (0.5, 0.5))
    line = LogisticRegression().fit(train.features, train.target)
    near = KNeighborsClassifier(5).fit(train.features, train.target)
    assert near.score(test.features, test.target) > 0.95
    assert line.score(test.features, test.target) < 0.92
    assert np.bincount(train.target).min() > 250


def test_xor_flips_as_many_labels_as_it_says():
    table = synthetic.xor(20_000, noise=0.2)
    right = (table.truth > 0.5) == table.target
    assert right.mean() == pytest.approx(0.8, abs=0.01)


def test_generators_repeat_by_seed():
    for make in (synthetic.churn, synthetic.linear, synthetic.two_moons, synthetic.spirals):
        np.testing.assert_array_equal(make(30, seed=3).features, make(30, seed=3).features)
        assert (make(30, seed=3).features != make(30, seed=4).features).any()
    assert synthetic.spirals(300, arms=3).classes == ("arm 0", "arm 1", "arm 2")


@pytest.mark.parametrize(
    ("call", "error", "phrase"),
    [
        (lambda: synthetic.churn(0), ValueError, "n must be at least 1"),
        (lambda: synthetic.churn(2.5), TypeError, "n must be an integer"),
        (lambda: synthetic.xor(5, noise=0.7), ValueError, "noise must be in"),
        (lambda: synthetic.two_moons(5, noise=-1), ValueError, "noise must be in"),
        (lambda: synthetic.linear(5, [[1.0]]), ValueError, r"got shape \(1, 1\)"),
        (lambda: synthetic.gaussian_mixture(5, [1.0]), ValueError, r"\(C, d\)"),
        (lambda: synthetic.gaussian_mixture(5, std=0), ValueError, "std must be above 0"),
    ],
)
def test_generators_refuse(call, error, phrase):
    with pytest.raises(error, match=phrase):
        call()


@pytest.mark.parametrize(
    ("name", "length", "first", "last", "values"),
    [
        ("sunspots", 309, 1700, 2008, (5.0, 2.9)),
        ("nile", 100, 1871, 1970, (1120, 740)),
        ("elnino", 732, 1950, 2010.92, (23.11, 22.07)),
        ("co2", 2284, 1958.24, 2001.99, (316.1, 371.5)),
        ("gdp", 203, 1959, 2009.5, (2710.349, 12990.341)),
    ],
)
def test_series(name, length, first, last, values):
    found = series(name)
    assert len(found.time) == len(found.values) == length
    assert found.time[[0, -1]] == pytest.approx([first, last], abs=0.01)
    assert tuple(found.values[[0, -1]]) == pytest.approx(values)
    assert np.isnan(found.values).sum() == (59 if name == "co2" else 0)
    np.testing.assert_allclose(np.diff(found.time), 1 / found.per_year)


def test_series_refuses(monkeypatch):
    with pytest.raises(ValueError, match="choose one of sunspots"):
        series("weather")
    real = builtins.__import__

    def without_statsmodels(name, *args, **kwargs):
        if name.startswith("statsmodels"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_statsmodels)
    with pytest.raises(ModuleNotFoundError, match="pip install statsmodels"):
        series("nile")
