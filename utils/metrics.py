"""Scores of predictions, equal to scikit-learn where it has the same.

Legend: ``n`` examples, ``C`` classes.

Labels are integers 0 .. C-1, scores are floats; lists, arrays and tensors are all taken. Where
scikit-learn warns and returns 0 for a quotient 0/0 (a class that is never predicted has no
precision), we return 0 as well. Where it clips probabilities, we do not: a probability of zero
for what happened costs an infinite log loss. How sure a score is: `utils.intervals`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from utils.arrays import as_array


def accuracy(labels, predicted) -> float:
    """Share of predictions that are right. Both (n,)."""
    labels, predicted = _pair(labels, predicted)
    return float((labels == predicted).mean())


def confusion_matrix(labels, predicted, num_classes: int | None = None) -> np.ndarray:
    """Counts (C, C), int64: row the true class, column the predicted one.

    Raises
    ------
    ValueError
        For labels that are negative or not below ``num_classes``.
    TypeError
        For labels that are not integers.
    """
    labels, predicted = _classes(labels, predicted)
    top = int(max(labels.max(), predicted.max())) + 1
    num_classes = top if num_classes is None else num_classes
    if top > num_classes:
        raise ValueError(f"found class {top - 1}, but num_classes is {num_classes}")
    counts = np.bincount(num_classes * labels + predicted, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


class Scores(NamedTuple):
    """Precision, recall and F1: floats, or arrays (C,) where asked for each class."""

    precision: float | np.ndarray
    recall: float | np.ndarray
    f1: float | np.ndarray


def precision_recall_f1(
    labels, predicted, average: str | None = "binary", num_classes: int | None = None
) -> Scores:
    """Precision TP / (TP + FP), recall TP / (TP + FN), F1 their harmonic mean.

    Parameters
    ----------
    average : ``"binary"``, of class 1 against class 0; ``"macro"``, the plain mean over classes;
        ``"weighted"``, the mean weighted by how often each class is true; ``"micro"``, from the
        counts summed over classes (equal to the accuracy); None, one value a class.
    num_classes : classes 0 .. num_classes-1 enter the mean, also those that do not occur; by
        default those that occur as a label or as a prediction, as in scikit-learn.

    Raises
    ------
    ValueError
        For an unknown average, or more than two classes with ``"binary"``.
    """
    if average not in ("binary", "macro", "weighted", "micro", None):
        raise ValueError(
            f"average is 'binary', 'macro', 'weighted', 'micro' or None, got {average!r}"
        )
    binary = average == "binary"
    counts = confusion_matrix(labels, predicted, num_classes)
    if binary and len(counts) > 2:
        raise ValueError(
            f"average='binary' takes classes 0 and 1, found {len(counts) - 1} as well; "
            "use 'macro', 'weighted' or 'micro'"
        )
    if binary and len(counts) < 2:
        counts = np.pad(counts, (0, 1))
    hits, support, called = np.diag(counts), counts.sum(1), counts.sum(0)
    if average == "micro":
        hits, support, called = (part.sum(keepdims=True) for part in (hits, support, called))
    elif num_classes is None and not binary:
        occurs = support + called > 0
        hits, support, called = hits[occurs], support[occurs], called[occurs]
    each = (_ratio(hits, called), _ratio(hits, support), _ratio(2 * hits, called + support))
    if average is None:
        return Scores(*each)
    if binary:
        return Scores(*(float(part[1]) for part in each))
    weights = support if average == "weighted" else None
    return Scores(*(float(np.average(part, weights=weights)) for part in each))


class Curve(NamedTuple):
    """Points of a curve, each (k,): x, y, and the threshold from which on a score counts."""

    x: np.ndarray
    y: np.ndarray
    threshold: np.ndarray


def roc_curve(labels, scores) -> Curve:
    """False positive rate (x) and true positive rate (y) at each threshold, high to low.

    Labels (n,) are 0 or 1, scores (n,) any finite numbers; the first threshold is infinite.

    Raises
    ------
    ValueError
        Where only one class occurs: one of the rates is not defined then.
    """
    hits, called, threshold = _ranked(labels, scores)
    misses, positives = called - hits, hits[-1]
    if positives == 0 or misses[-1] == 0:
        raise ValueError("the ROC curve needs both classes, 0 and 1, among the labels")
    return Curve(
        np.r_[0, misses / misses[-1]], np.r_[0, hits / positives], np.r_[np.inf, threshold]
    )


def auc(labels, scores) -> float:
    """Area under the ROC curve: the chance that a positive outranks a negative, ties half."""
    curve = roc_curve(labels, scores)
    return float(np.diff(curve.x) @ (curve.y[1:] + curve.y[:-1]) / 2)


def precision_recall_curve(labels, scores) -> Curve:
    """Recall (x) and precision (y) at each threshold, high to low.

    Unlike scikit-learn's, the curve begins at the highest score and holds no artificial point.

    Raises
    ------
    ValueError
        Where no label is 1: recall is not defined then.
    """
    hits, called, threshold = _ranked(labels, scores)
    if hits[-1] == 0:
        raise ValueError("the precision-recall curve needs at least one label 1")
    return Curve(hits / hits[-1], hits / called, threshold)


def average_precision(labels, scores) -> float:
    """Sum of precision times the step in recall: the curve's area as a staircase."""
    curve = precision_recall_curve(labels, scores)
    return float(np.sum(np.diff(curve.x, prepend=0) * curve.y))


def log_loss(labels, probabilities) -> float:
    """Mean negative log probability of what happened, in nats.

    Labels (n,); probabilities (n, C), or (n,) for the probability of class 1.

    Raises
    ------
    ValueError
        For probabilities outside [0, 1], rows that do not sum to 1 within 1e-5, labels
        without a column.
    """
    labels, probabilities = _probabilities(labels, probabilities)
    with np.errstate(divide="ignore"):
        return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean() + 0.0)


def brier(labels, probabilities) -> float:
    """Brier score. For (n,) probabilities of class 1: mean (p - y)^2, between 0 and 1.

    For (n, C): the mean squared distance to the one-hot label, between 0 and 2 (Brier, 1950,
    eq. 2), so two columns give twice the score of the one-column form.
    """
    single = as_array(probabilities).ndim == 1
    labels, probabilities = _probabilities(labels, probabilities)
    distance = ((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2).sum(1)
    return float(distance.mean() / (2 if single else 1))


class Reliability(NamedTuple):
    """One entry a bin that is not empty, each (k,), and the calibration error over all."""

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray
    error: float


def reliability(labels, probabilities, num_bins: int = 10) -> Reliability:
    """Reliability curve and expected calibration error (ECE).

    For (n,) probabilities of class 1: how often class 1 happened in each bin of its probability.
    For (n, C): how often the most probable class was right in each bin of its probability (Guo et
    al., 2017, "On Calibration of Modern Neural Networks", eq. 3). Bins have equal width and
    include their upper edge; the first includes zero. ECE is the mean gap between confidence and
    accuracy, weighted by the bins' counts.
    """
    if num_bins < 1:
        raise ValueError(f"num_bins must be at least 1, got {num_bins}")
    single = as_array(probabilities).ndim == 1
    labels, probabilities = _probabilities(labels, probabilities)
    confidence = probabilities[:, 1] if single else probabilities.max(1)
    right = labels == (1 if single else probabilities.argmax(1))
    edges = np.linspace(0, 1, num_bins + 1)
    place = np.clip(np.searchsorted(edges, confidence) - 1, 0, num_bins - 1)
    count = np.bincount(place, minlength=num_bins)
    filled = count > 0
    mean_confidence = np.bincount(place, confidence, num_bins)[filled] / count[filled]
    mean_accuracy = np.bincount(place, right, num_bins)[filled] / count[filled]
    gap = np.abs(mean_confidence - mean_accuracy)
    error = float((gap * count[filled]).sum() / len(labels))
    return Reliability(mean_confidence, mean_accuracy, count[filled], error)


def perplexity(nats) -> float:
    """exp of the mean loss: ``nats`` are losses a token, any shape, in nats (natural log)."""
    return float(np.exp(_losses(nats).mean()))


def bits_per_byte(nats, num_bytes: int) -> float:
    """Total loss in bits over the bytes of the text, which no choice of tokenizer changes.

    Parameters
    ----------
    nats : losses of all tokens of the text, any shape, in nats; summed.
    num_bytes : length of that text in UTF-8.
    """
    if num_bytes < 1:
        raise ValueError(f"num_bytes must be at least 1, got {num_bytes}")
    return float(_losses(nats).sum() / np.log(2) / num_bytes)


def _losses(nats) -> np.ndarray:
    nats = as_array(nats).astype(float)
    if nats.size == 0 or np.isnan(nats).any() or (nats < 0).any():
        raise ValueError("losses in nats must be numbers from 0 up, at least one, without NaN")
    return nats


def _pair(first, second) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays (n,) with n at least 1."""
    first, second = as_array(first), as_array(second)
    if first.ndim != 1 or first.shape != second.shape or first.size == 0:
        raise ValueError(
            f"got shapes {first.shape} and {second.shape}; expected (n,) twice, n at least 1"
        )
    return first, second


def _classes(*arrays) -> tuple[np.ndarray, ...]:
    arrays = _pair(*arrays) if len(arrays) == 2 else tuple(as_array(array) for array in arrays)
    for array in arrays:
        if array.dtype.kind not in "iub":
            raise TypeError(f"class labels are integers 0 .. C-1, got {array.dtype}")
        if array.min() < 0:
            raise ValueError(f"class labels are integers 0 .. C-1, got {array.min()}")
    return tuple(array.astype(np.int64) for array in arrays)


def _ranked(labels, scores) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each distinct score, from high to low: positives so far, examples so far, the score."""
    labels, scores = _pair(labels, scores)
    (labels,) = _classes(labels)
    if labels.max() > 1:
        raise ValueError(f"labels must be 0 or 1, found {labels.max()}")
    if not np.isfinite(scores).all():
        raise ValueError("scores hold NaN or infinity")
    order = np.argsort(-scores.astype(float), kind="stable")
    scores = scores[order]
    last = np.r_[np.flatnonzero(np.diff(scores)), len(scores) - 1]  # tied scores stay together
    return np.cumsum(labels[order])[last], last + 1, scores[last]


def _probabilities(labels, probabilities) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) and probabilities (n, C), checked; (n,) becomes two columns."""
    probabilities = as_array(probabilities).astype(float)
    if probabilities.ndim == 1:
        probabilities = np.stack([1 - probabilities, probabilities], axis=1)
    labels = as_array(labels)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or labels.size == 0:
        raise ValueError(
            f"got labels {labels.shape} and probabilities {probabilities.shape}; "
            "expected (n,) and (n, C) or (n,), n at least 1"
        )
    (labels,) = _classes(labels)
    if labels.max() >= probabilities.shape[1]:
        raise ValueError(
            f"label {labels.max()} has no column among {probabilities.shape[1]} classes"
        )
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("probabilities must lie between 0 and 1; are these logits?")
    if not np.allclose(probabilities.sum(1), 1, atol=1e-5):
        raise ValueError("each row of probabilities must sum to 1 (within 1e-5)")
    return labels, probabilities


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.zeros(len(top)), where=bottom > 0)
