"""Inputs for the mutation run of the lab `evaluation`, drawn without its check.

Each function takes a NumPy generator and gives ("call" or "probe", name, arguments).
"""

import numpy as np


def size(rng, low=1, high=7):
    return int(rng.integers(low, high + 1))


def confusion(rng):
    C, n = size(rng, 1, 5), size(rng, 1, 12)
    return "call", "confusion_matrix", (rng.integers(0, C, n), rng.integers(0, C, n), C)


def precision_recall(rng):
    n = size(rng, 1, 10)
    y, g = (rng.random(n) < rng.random() for _ in range(2))
    return "call", "precision_recall_f1", (y.astype(int), g.astype(int))


def ranking(rng):
    n = size(rng, 1, 10)
    y = (rng.random(n) < 0.5).astype(int)
    scores = np.round(rng.normal(size=n), int(rng.integers(0, 3)))
    return "call", str(rng.choice(["roc_curve", "auc"])), (y, scores)


def calibration(rng):
    n = size(rng, 1, 12)
    y = (rng.random(n) < 0.5).astype(int)
    if rng.random() < 0.5:  # edges are exact for powers of two
        return "call", "calibration_error", (y, rng.integers(0, 9, n) / 8, 2 ** size(rng, 0, 3))
    return "call", "calibration_error", (y, rng.random(n), size(rng, 1, 12))


def bootstrap(rng):
    n, R = size(rng, 1, 8), size(rng, 1, 9)
    statistic = str(rng.choice(["mean", "difference", "agreement", "covariance"]))
    arrays = tuple(rng.normal(size=n).round(1) for _ in range(1 + (statistic != "mean")))
    level = float(rng.choice([0.5, 0.8, 0.9, 0.99]))
    draws = rng.integers(0, n, (R, n))
    return "probe", "bootstrap", (statistic, arrays, draws, None if rng.random() < 0.3 else level)


def size_of_test_set(rng):
    share = float(rng.choice([0.0, 1.0])) if rng.random() < 0.1 else rng.random()
    if rng.random() < 0.5:
        return "call", "interval_width", (share, size(rng, 1, 3000))
    return "call", "needed_size", (share, float(rng.uniform(0.01, 0.9)))


def two_models(rng):
    n = size(rng, 1, 25)
    return "call", "mcnemar", (rng.random(n) < rng.random(), rng.random(n) < rng.random())


def compare(rng):
    if rng.random() < 0.02:
        return "call", "findings", ()
    n = size(rng, 1, 25)
    y = (rng.random(n) < 0.5).astype(int)
    rates = rng.random(2)
    right = [rng.random(n) < rate for rate in rates]
    p, q = (np.where((y == 1) == hit, rng.choice([0.5, 0.8], n), 0.3) for hit in right)
    return "call", "report", (y, p, q, rng.integers(0, n, (size(rng, 1, 7), n)))


INPUTS = {
    "confusion": confusion,
    "precision_recall": precision_recall,
    "ranking": ranking,
    "calibration": calibration,
    "bootstrap": bootstrap,
    "size": size_of_test_set,
    "two_models": two_models,
    "compare": compare,
}
