"""Intervals and tests against scipy and statsmodels, and their coverage."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.proportion import proportion_confint

from utils import intervals, metrics


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_statsmodels(counts):
    found = intervals.wilson(*counts)
    np.testing.assert_allclose(found[1:], proportion_confint(*counts, method="wilson"), atol=1e-12)
    assert 0 <= found.low <= found.estimate <= found.high <= 1


def test_wilson_does_not_shrink_to_a_point():
    assert intervals.wilson(20, 20).low == pytest.approx(0.8389, abs=1e-4)


@pytest.mark.filterwarnings("ignore:Precision loss:RuntimeWarning")  # scipy, on equal runs
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20), st.sampled_from([0.8, 0.95]))
def test_t_interval_equals_scipy(runs, level):
    found = intervals.t_interval(runs, level)
    expected = stats.ttest_1samp(runs, 0).confidence_interval(level)
    np.testing.assert_allclose([found.low, found.high], expected, rtol=1e-9, atol=1e-9)


def test_t_interval_over_curves():
    runs = np.random.default_rng(0).normal(size=(5, 7, 2))
    found = intervals.t_interval(torch.tensor(runs))
    assert found.low.shape == (7, 2)
    one = intervals.t_interval(runs[:, 3, 1])
    np.testing.assert_allclose([part[3, 1] for part in found], one)


def correlation(x, y):
    return np.corrcoef(x, y)[0, 1]


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_bootstrap_equals_scipy(method):
    generator = np.random.default_rng(0)
    x = generator.exponential(size=60)
    y = x + generator.exponential(size=60)
    found = intervals.bootstrap(correlation, x, y, method=method, resamples=6000)
    expected = stats.bootstrap(
        (x, y), correlation, paired=True, vectorized=False, method=method, n_resamples=6000, rng=1
    ).confidence_interval
    assert found.estimate == correlation(x, y)
    # two draws of 6000: the ends' own standard error is about 0.003
    np.testing.assert_allclose(found[1:], expected, atol=0.012)


def test_bca_differs_from_percentile_where_the_statistic_is_skewed():
    x = np.random.default_rng(1).exponential(size=25)
    plain = intervals.bootstrap(np.var, x, method="percentile")
    corrected = intervals.bootstrap(np.var, x)
    assert corrected.high > plain.high + 0.05  # the spread grows with the value


def test_bca_corrects_the_bias_as_scipy_does():
    x = np.random.default_rng(1).exponential(size=25)
    found = intervals.bootstrap(np.var, x, resamples=6000)
    expected = stats.bootstrap(
        (x,), np.var, vectorized=False, method="BCa", n_resamples=6000, rng=1
    ).confidence_interval
    np.testing.assert_allclose(found[1:], expected, rtol=0.05)  # the bias alone moves it by more


def test_bootstrap_of_a_constant_and_of_a_metric():
    assert intervals.bootstrap(np.mean, np.ones(5)) == (1, 1, 1)
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 2, 80)
    scores = labels + generator.normal(size=80)
    found = intervals.bootstrap(metrics.auc, labels, scores, resamples=300)
    assert 0.5 < found.low < found.estimate < found.high < 1
    assert found == intervals.bootstrap(metrics.auc, labels, scores, resamples=300)


def test_coverage_of_wilson_and_bootstrap():
    """Of 95 % intervals, close to 95 % hold the truth (standard error 1.1 points here)."""
    generator = np.random.default_rng(3)
    held = {"wilson": 0, "bootstrap": 0}
    for _ in range(400):
        right = generator.uniform(size=60) < 0.8
        low, high = intervals.wilson(int(right.sum()), 60)[1:]
        held["wilson"] += low <= 0.8 <= high
        low, high = intervals.bootstrap(np.mean, right, resamples=200, method="percentile")[1:]
        held["bootstrap"] += low <= 0.8 <= high
    assert 0.92 < held["wilson"] / 400 < 0.985
    assert 0.90 < held["bootstrap"] / 400 < 0.985


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=8))
def test_exact_permutation_equals_scipy(rows):
    first, second = np.array(rows, dtype=float).T

    def mean_difference(a, b, axis):
        return (a - b).mean(axis)

    expected = stats.permutation_test(
        (first, second), mean_difference, permutation_type="samples", n_resamples=np.inf
    )
    found = intervals.paired_permutation(first, second)
    assert found.p_value == pytest.approx(min(expected.pvalue, 1), abs=1e-9)
    assert found.difference == pytest.approx(expected.statistic)


def test_drawn_permutation_is_near_the_exact_and_never_zero():
    generator = np.random.default_rng(4)
    first = generator.normal(0.4, 1, 16)
    second = np.zeros(16)
    exact = intervals.paired_permutation(first, second, resamples=2**16)
    drawn = intervals.paired_permutation(first, second, resamples=20_000)
    assert drawn.p_value == pytest.approx(exact.p_value, abs=0.015)
    assert intervals.paired_permutation(np.ones(200), np.zeros(200)).p_value == 1 / 10_001
    assert intervals.paired_permutation(np.ones(5), np.ones(5)) == (0, 1)


def test_permutation_p_values_are_uniform_when_nothing_differs():
    generator = np.random.default_rng(5)
    p_values = [
        intervals.paired_permutation(*generator.normal(size=(2, 30)), resamples=400).p_value
        for _ in range(300)
    ]
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.09
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.07)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_mcnemar_equals_statsmodels(rows):
    first, second = np.array(rows).T
    table = metrics.confusion_matrix(first, second, 2)
    found = intervals.mcnemar(first, second)
    expected = reference_mcnemar(table, exact=True).pvalue
    assert found.p_value == pytest.approx(1.0 if np.isnan(expected) else expected, abs=1e-9)
    assert found.difference == pytest.approx(first.mean() - second.mean())


@pytest.mark.parametrize(
    ("call", "phrase"),
    [
        (lambda: intervals.wilson(3, 2), "successes <= total"),
        (lambda: intervals.wilson(0, 0), "total >= 1"),
        (lambda: intervals.wilson(1, 2, level=95), "got 95"),
        (lambda: intervals.t_interval([1.0]), "at least two runs"),
        (lambda: intervals.t_interval([1.0, np.inf]), "finite"),
        (lambda: intervals.bootstrap(np.mean, []), "at least 2"),
        (lambda: intervals.bootstrap(correlation, [1, 2, 3], [1, 2]), r"\[2, 3\]"),
        (lambda: intervals.bootstrap(np.mean, [1, 2], method="bca"), "got 'bca'"),
        (lambda: intervals.bootstrap(np.mean, [1, 2], resamples=10), "at least 100"),
        (lambda: intervals.bootstrap(np.mean, [1, np.nan]), "not finite"),
        (lambda: intervals.paired_permutation([1], [1, 2]), r"\(1,\) and \(2,\)"),
        (lambda: intervals.paired_permutation([], []), r"\(0,\)"),
        (lambda: intervals.paired_permutation([np.nan], [1]), "NaN"),
        (lambda: intervals.mcnemar([0.5], [1]), "right or wrong"),
        (lambda: intervals.mcnemar([], []), "needs two arrays"),
    ],
)
def test_wrong_use(call, phrase):
    with pytest.raises(ValueError, match=phrase):
        call()
