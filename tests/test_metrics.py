"""Scores against scikit-learn, on random and on awkward input."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from utils import metrics


@st.composite
def predictions(draw, num_classes=4):
    size = draw(st.integers(1, 40))
    column = st.lists(st.integers(0, num_classes - 1), min_size=size, max_size=size)
    return np.array(draw(column)), np.array(draw(column))


@st.composite
def scored(draw):
    """Binary labels with both classes, and scores with many ties."""
    size = draw(st.integers(2, 40))
    labels = draw(st.lists(st.integers(0, 1), min_size=size, max_size=size))
    assume(0 < sum(labels) < size)
    scores = draw(st.lists(st.integers(0, 8), min_size=size, max_size=size))
    return np.array(labels), np.array(scores) / 8


@given(predictions())
def test_accuracy_and_confusion_matrix_equal_sklearn(pair):
    labels, predicted = pair
    assert metrics.accuracy(labels, predicted) == reference.accuracy_score(labels, predicted)
    expected = reference.confusion_matrix(labels, predicted, labels=range(4))
    np.testing.assert_array_equal(metrics.confusion_matrix(labels, predicted, 4), expected)


@given(predictions(), st.sampled_from(["macro", "weighted", "micro", None]))
def test_precision_recall_f1_equal_sklearn(pair, average):
    expected = reference.precision_recall_fscore_support(*pair, average=average, zero_division=0)
    found = metrics.precision_recall_f1(*pair, average=average)
    for name, ours, theirs in zip(found._fields, found, expected[:3], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12, err_msg=name)


@given(predictions())
def test_precision_recall_f1_over_all_classes_equal_sklearn(pair):
    expected = reference.precision_recall_fscore_support(
        *pair, labels=range(4), average="macro", zero_division=0
    )
    found = metrics.precision_recall_f1(*pair, average="macro", num_classes=4)
    np.testing.assert_allclose(found, expected[:3], atol=1e-12)


@given(predictions(num_classes=2))
def test_binary_precision_recall_f1_equal_sklearn(pair):
    expected = reference.precision_recall_fscore_support(*pair, average="binary", zero_division=0)
    np.testing.assert_allclose(metrics.precision_recall_f1(*pair), expected[:3], atol=1e-12)


@given(scored())
def test_roc_and_auc_equal_sklearn(pair):
    curve = metrics.roc_curve(*pair)
    x, y, threshold = reference.roc_curve(*pair, drop_intermediate=False)
    np.testing.assert_allclose(curve.x, x, atol=1e-12)
    np.testing.assert_allclose(curve.y, y, atol=1e-12)
    np.testing.assert_array_equal(curve.threshold, threshold)
    assert metrics.auc(*pair) == pytest.approx(reference.roc_auc_score(*pair), abs=1e-12)


@given(scored())
def test_auc_is_the_chance_of_ranking_right(pair):
    labels, scores = pair
    gaps = scores[labels == 1][:, None] - scores[labels == 0]
    chance = (gaps > 0).mean() + (gaps == 0).mean() / 2
    assert metrics.auc(*pair) == pytest.approx(chance, abs=1e-12)


@given(scored())
def test_precision_recall_curve_equals_sklearn(pair):
    expected = reference.average_precision_score(*pair)
    assert metrics.average_precision(*pair) == pytest.approx(expected, abs=1e-12)
    curve = metrics.precision_recall_curve(*pair)
    precision, recall, threshold = reference.precision_recall_curve(*pair)
    np.testing.assert_allclose(curve.y, precision[-2::-1], atol=1e-12)
    np.testing.assert_allclose(curve.x, recall[-2::-1], atol=1e-12)
    np.testing.assert_array_equal(curve.threshold, threshold[::-1])


@given(scored())
def test_brier_equals_sklearn_and_two_columns_double_it(pair):
    labels, scores = pair
    expected = reference.brier_score_loss(labels, scores)
    assert metrics.brier(labels, scores) == pytest.approx(expected, abs=1e-12)
    columns = np.stack([1 - scores, scores], 1)
    assert metrics.brier(labels, columns) == pytest.approx(2 * expected, abs=1e-12)


@given(st.integers(0, 10_000))
def test_log_loss_equals_sklearn_and_torch(seed):
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(20, 5))
    labels = generator.integers(0, 5, 20)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    loss = metrics.log_loss(labels, probabilities)
    expected = reference.log_loss(labels, probabilities, labels=range(5))
    assert loss == pytest.approx(expected, abs=1e-12)
    theirs = torch.nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(labels))
    assert loss == pytest.approx(theirs.item(), abs=1e-12)


def test_log_loss_of_the_impossible_is_infinite_and_of_the_certain_zero():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metrics.log_loss([1, 0], [0.0, 0.5]) == np.inf
    assert str(metrics.log_loss([1, 0], [1.0, 0.0])) == "0.0"


@given(scored())
def test_reliability_curve_equals_sklearn(pair):
    labels, scores = pair
    assume(not np.isin(scores, np.arange(1, 5) / 5).any())  # bin edges belong to other bins there
    found = metrics.reliability(labels, scores, num_bins=5)
    happened, predicted = calibration_curve(labels, scores, n_bins=5)
    np.testing.assert_allclose(found.accuracy, happened, atol=1e-12)
    np.testing.assert_allclose(found.confidence, predicted, atol=1e-12)
    assert found.count.sum() == len(labels)


def test_calibration_error_by_hand():
    # two bins: at 0.8 three of four right (gap 0.05), at 0.6 none of one right (gap 0.6)
    probabilities = np.array([[0.8, 0.2]] * 4 + [[0.4, 0.6]])
    labels = [0, 0, 0, 1, 0]
    found = metrics.reliability(labels, probabilities, num_bins=5)
    assert found.error == pytest.approx(0.8 * 0.05 + 0.2 * 0.6)
    np.testing.assert_array_equal(found.count, [1, 4])


def test_edges_of_bins():
    found = metrics.reliability([0, 1, 1], [0.0, 0.5, 1.0], num_bins=2)
    np.testing.assert_array_equal(found.count, [2, 1])
    assert metrics.reliability([0, 1], [0.0, 1.0]).error == 0


def test_calibrated_forecasts_have_a_small_error_and_overconfident_ones_a_large_one():
    generator = np.random.default_rng(0)
    truth = generator.uniform(size=50_000)
    labels = (generator.uniform(size=50_000) < truth).astype(int)
    assert metrics.reliability(labels, truth).error < 0.01
    assert metrics.reliability(labels, (truth > 0.5) * 1.0).error > 0.2


def test_perplexity_and_bits_per_byte():
    uniform = np.full((4, 7), np.log(50))
    assert metrics.perplexity(uniform) == pytest.approx(50)
    assert metrics.perplexity(torch.full((3,), 2.0, requires_grad=True)) == pytest.approx(np.e**2)
    # eight tokens of one bit each over four bytes: two bits a byte
    assert metrics.bits_per_byte(np.full(8, np.log(2)), 4) == pytest.approx(2)
    # cutting tokens in two, with the same total loss, changes perplexity but not bits a byte
    halved = np.full(16, np.log(2) / 2)
    assert metrics.bits_per_byte(halved, 4) == pytest.approx(2)
    assert metrics.perplexity(halved) < metrics.perplexity(np.full(8, np.log(2)))


def test_tensors_lists_and_arrays_agree():
    labels, predicted = [0, 1, 1, 0], [0, 1, 0, 0]
    for make in (list, np.array, torch.tensor):
        assert metrics.accuracy(make(labels), make(predicted)) == 0.75
        assert metrics.precision_recall_f1(make(labels), make(predicted)).recall == 0.5
    low = torch.tensor([0.25, 0.75, 0.5, 0.25], dtype=torch.bfloat16)
    assert metrics.auc(labels, low) == 1


@pytest.mark.parametrize(
    ("call", "error", "phrase"),
    [
        (lambda: metrics.accuracy([], []), ValueError, "n at least 1"),
        (lambda: metrics.accuracy([1], [1, 2]), ValueError, r"\(1,\) and \(2,\)"),
        (lambda: metrics.accuracy([[1]], [[1]]), ValueError, r"expected \(n,\) twice"),
        (lambda: metrics.confusion_matrix([0, 3], [0, 1], 3), ValueError, "found class 3"),
        (lambda: metrics.confusion_matrix([-1], [0]), ValueError, "got -1"),
        (lambda: metrics.confusion_matrix([0.5], [0]), TypeError, "float64"),
        (lambda: metrics.precision_recall_f1([0, 2], [0, 1]), ValueError, "found 2"),
        (lambda: metrics.precision_recall_f1([0], [0], "mean"), ValueError, "got 'mean'"),
        (lambda: metrics.roc_curve([1, 1], [0.1, 0.2]), ValueError, "both classes"),
        (lambda: metrics.roc_curve([0, 2], [0.1, 0.2]), ValueError, "found 2"),
        (lambda: metrics.auc([0, 1], [0.1, np.nan]), ValueError, "NaN"),
        (lambda: metrics.average_precision([0, 0], [0.1, 0.2]), ValueError, "at least one label 1"),
        (lambda: metrics.log_loss([0], [[2.0, -1.0]]), ValueError, "logits"),
        (lambda: metrics.log_loss([0], [[np.nan, 1.0]]), ValueError, "between 0 and 1"),
        (lambda: metrics.log_loss([0], [[0.5, 0.4]]), ValueError, "sum to 1"),
        (lambda: metrics.log_loss([2], [[0.5, 0.5]]), ValueError, "no column"),
        (lambda: metrics.brier([0, 1], [0.5]), ValueError, "expected"),
        (lambda: metrics.reliability([0], [0.5], 0), ValueError, "num_bins"),
        (lambda: metrics.perplexity([]), ValueError, "at least one"),
        (lambda: metrics.perplexity([np.nan]), ValueError, "NaN"),
        (lambda: metrics.perplexity([-1.0]), ValueError, "from 0 up"),
        (lambda: metrics.bits_per_byte([1.0], 0), ValueError, "num_bytes"),
    ],
)
def test_wrong_use(call, error, phrase):
    with pytest.raises(error, match=phrase):
        call()
