"""Tables that come with scikit-learn: no download. Known truth: `utils.data.synthetic`."""

from __future__ import annotations

import numpy as np
from sklearn import datasets

from utils.data.sets import Table


def breast_cancer() -> Table:
    """569 tumors, 30 measurements of cell nuclei; class 1 is benign (357), 0 malignant (212).

    Source: Wolberg, Street and Mangasarian, Breast Cancer Wisconsin (Diagnostic), UCI, 1995.
    """
    return _classes(datasets.load_breast_cancer())


def wine() -> Table:
    """178 wines of three cultivars, 13 chemical measurements.

    Source: Aeberhard and Forina, Wine, UCI, 1992.
    """
    return _classes(datasets.load_wine())


def diabetes() -> Table:
    """442 patients, 10 measurements in their own units, target: progression after a year.

    Source: Efron, Hastie, Johnstone and Tibshirani, "Least Angle Regression", 2004.
    """
    found = datasets.load_diabetes(scaled=False)
    return Table(found.data, found.target.astype(float), tuple(found.feature_names))


def _classes(found) -> Table:
    return Table(
        features=found.data.astype(float),
        target=found.target.astype(np.int64),
        names=tuple(str(name) for name in found.feature_names),
        classes=tuple(str(name) for name in found.target_names),
    )
