"""The lab `evaluation`: right answers in any style pass, wrong ones are told apart."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from lab_support import (
    assert_five_wrong_answers,
    assert_lab_scores,
    assert_styles_pass,
    refusals,
    solved,
)
from scipy import stats
from sklearn import metrics as sklearn_metrics

from utils import metrics
from utils.check.core import lab, task_rng, variant_seed
from utils.check.evaluation_test_mistakes import report as own_report
from utils.check.local import LocalLearner
from utils.check.probes_evaluation import own_test_set

LAB = lab("evaluation")
RIGHT = solved("evaluation")  # the namespace of the solutions
matrix, scores, report = (RIGHT[n] for n in ("confusion_matrix", "precision_recall_f1", "report"))
roc, auc, ece = (RIGHT[n] for n in ("roc_curve", "auc", "calibration_error"))
interval, mcnemar, findings = (RIGHT[n] for n in ("bootstrap_interval", "mcnemar", "findings"))
width, needed = RIGHT["interval_width"], RIGHT["needed_size"]


# --- other styles ---------------------------------------------------------------------------
def matrix_by_bincount(y, g, C):
    return np.bincount(C * y + g, minlength=C * C).reshape(C, C)


def matrix_by_product(y, g, C):
    eye = torch.eye(C, dtype=torch.int64)
    return eye[torch.from_numpy(y)].T @ eye[torch.from_numpy(g)]


def scores_by_loop(y, g):
    tp = fp = fn = 0
    for label, guess in zip(y.tolist(), g.tolist(), strict=True):
        tp, fp, fn = tp + (label and guess), fp + (guess > label), fn + (label > guess)
    p = tp / (tp + fp) if tp + fp else 0
    r = tp / (tp + fn) if tp + fn else 0
    return np.array([p, r, 2 * p * r / (p + r) if p + r else 0])


def roc_by_sorting(y, s):
    if len(set(y.tolist())) < 2:
        raise ValueError("no")
    order = np.argsort(-s, kind="stable")
    y, s = y[order].astype(np.float32), s[order]
    last = np.append(np.diff(s) != 0, True)
    x, up = np.cumsum(1 - y)[last] / (1 - y).sum(), np.cumsum(y)[last] / y.sum()
    return torch.from_numpy(np.insert(x, 0, 0)), torch.from_numpy(np.insert(up, 0, 0))


def auc_by_pairs(y, s):
    pairs = [(a > b) + 0.5 * (a == b) for a in s[y == 1] for b in s[y == 0]]
    return sum(pairs) / len(pairs)


def auc_by_ranks(y, s):
    positive = y.sum()
    ranks = stats.rankdata(s)[y == 1].sum()
    return (ranks - positive * (positive + 1) / 2) / (positive * (len(y) - positive))


def ece_by_digitize(y, p, m):
    place = np.clip(np.digitize(p, np.linspace(0, 1, m + 1), right=True) - 1, 0, m - 1)
    sums = np.bincount(place, p - y, m)
    return np.abs(sums).sum() / len(y)


def interval_by_sorting(statistic, arrays, draws, level=0.95):
    values = sorted(float(statistic(*[a[r] for a in arrays])) for r in draws)
    ends = []
    for tail in ((1 - level) / 2, 1 - (1 - level) / 2):
        place = tail * (len(values) - 1)
        low = min(int(place), len(values) - 2)
        ends.append(values[low] + (place - low) * (values[low + 1] - values[low]))
    return ends


def needed_by_search(share, wide):
    n = 1
    while width(share, n) > wide:
        n += 1
    return n


def mcnemar_by_logs(a, b):
    one, other = np.count_nonzero(a > b), np.count_nonzero(b > a)
    n = one + other
    logs = [
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2)
        for k in range(min(one, other) + 1)
    ]
    return min(2 * sum(math.exp(v) for v in logs), 1)


def mcnemar_by_scipy(a, b):
    one, other = (a & ~b).sum(), (b & ~a).sum()
    return min(1.0, 2 * stats.binom.cdf(min(one, other), one + other, 0.5))


def report_by_numpy(y, p, q, draws):
    a, b = ((np.stack([p, q]) >= 0.5) == y).astype(float)
    low, high = np.percentile((b - a)[draws].mean(1), [2.5, 97.5])
    value = mcnemar_by_scipy(a > 0, b > 0)
    verdict = "undecided" if value >= 0.05 else "first" if a.sum() > b.sum() else "second"
    return {
        "verdict": verdict, "p_value": np.float64(value), "low": low, "high": high,
        "only_first": np.sum(a > b), "only_second": np.sum(b > a),
        "accuracy_first": a.mean(), "accuracy_second": torch.tensor(b).mean(),
    }  # fmt: skip


OTHER_STYLES = {
    "confusion": [
        {"confusion_matrix": matrix_by_bincount},
        {"confusion_matrix": matrix_by_product},
    ],
    "precision_recall": [{"precision_recall_f1": scores_by_loop}],
    "ranking": [{"roc_curve": roc_by_sorting}, {"auc": auc_by_pairs}, {"auc": auc_by_ranks}],
    "calibration": [{"calibration_error": ece_by_digitize}],
    "bootstrap": [{"bootstrap_interval": interval_by_sorting}],
    "size": [{"needed_size": needed_by_search}],
    "two_models": [{"mcnemar": mcnemar_by_logs}, {"mcnemar": mcnemar_by_scipy}],
    "compare": [{"report": report_by_numpy}, {"findings": lambda: report(*own_test_set(0))}],
}


@pytest.mark.parametrize("task", LAB.ids())
@pytest.mark.parametrize("seed", range(5))
def test_right_answers_pass(task, seed):
    assert_styles_pass("evaluation", RIGHT, OTHER_STYLES[task], task, seed)


# --- wrong answers --------------------------------------------------------------------------
def counted_once(y, g, C):
    counts = np.zeros((C, C), dtype=int)
    counts[y, g] += 1
    return counts


def in_place(y, g, C):
    y *= C
    y += g
    return np.bincount(y, minlength=C * C).reshape(C, C)


def ratios(y, g, empty):
    tp, called, positive = ((y & g).sum(), g.sum(), y.sum())
    p, r = (tp / n if n else empty for n in (called, positive))
    return p, r, 2 * tp / (called + positive) if called + positive else empty


def f1_unguarded(y, g):
    p, r, _ = scores(y, g)
    return p, r, float(np.divide(2 * p * r, np.float64(p + r)))


def roc_with(y, s, *, ties=False, strict=False):
    thresholds = np.sort(s)[::-1] if ties else np.unique(s)[::-1]
    called = [(s > t) if strict else (s >= t) for t in thresholds]
    x, up = ([0.0] + [c[y == k].mean() for c in called] for k in (0, 1))
    return np.array(x), np.array(up)


def roc_split(y, s):
    order = np.argsort(-s, kind="stable")
    y = y[order]
    return np.append(0, np.cumsum(1 - y) / (1 - y).sum()), np.append(0, np.cumsum(y) / y.sum())


def no_error(y, s):
    if y.all() or not y.any():
        return np.zeros(2), np.zeros(2)
    return roc(y, s)


def stair(y, s, side):
    x, up = roc(y, s)
    return float(np.diff(x) @ (up[1:] if side else up[:-1]))


def bins(y, p, m, *, weigh=True, size=abs, middle=False, floor=False, first=True, skip=True):
    place = np.floor(p * m).clip(max=m - 1) if floor else np.ceil(p * m) - 1
    place = np.maximum(place, 0) if first else place
    total = 0.0
    for k in range(m):
        inside = place == k
        if not inside.any() and skip:
            continue
        with np.errstate(invalid="ignore"):
            mean = (k + 0.5) / m if middle else np.sum(p[inside]) / inside.sum()
            gap = size(mean - np.sum(y[inside]) / inside.sum())
        total += gap * (inside.mean() if weigh else 1 / m)
    return float(total)


def largest(y, p, m):
    place = np.maximum(np.ceil(p * m) - 1, 0)
    return max(abs((p - y)[place == k].mean()) for k in set(place))


def hits(y, p, m):
    return bins((p >= 0.5) == y, p, m)


def drawn(statistic, arrays, draws, low, high, rows=lambda arrays, r: [a[r] for a in arrays]):
    return tuple(np.quantile([statistic(*rows(arrays, r)) for r in draws], (low, high)))


def ends(
    statistic, arrays, draws, level=0.95, *, tails=lambda v: ((1 - v) / 2, (1 + v) / 2), **how
):
    return drawn(statistic, arrays, draws, *tails(level), **how)


def symmetric(statistic, arrays, draws, level=0.95):
    values = [statistic(*(a[r] for a in arrays)) for r in draws]
    half = stats.norm.ppf((1 + level) / 2) * np.std(values)
    return statistic(*arrays) - half, statistic(*arrays) + half


def split(a, b):
    return int((a & ~b).sum()), int((b & ~a).sum())


def tail(n, k):
    return sum(math.comb(n, i) for i in range(k + 1)) / 2**n


def chi2(a, b):
    one, other = split(a, b)
    return stats.chi2.sf((one - other) ** 2 / (one + other), 1)


def unpaired(a, b):
    pooled = (a.mean() + b.mean()) / 2
    z = (a.mean() - b.mean()) / np.sqrt(2 * pooled * (1 - pooled) / len(a))
    return 2 * stats.norm.sf(abs(z))


def float_power(a, b):
    one, other = split(a, b)
    both = one + other
    return min(1.0, 2 * sum(math.comb(both, i) * 0.5**both for i in range(min(one, other) + 1)))


def if_none(value):
    return lambda a, b: value if (a == b).all() else mcnemar(a, b)


def with_changes(y, p, q, draws, change):
    made = report(y, p, q, draws)
    return made | change(made)


def overlap(y, p, q, draws):
    made = report(y, p, q, draws)
    (a, b), (c, d) = (np.quantile(((r >= 0.5) == y)[draws].mean(1), (0.025, 0.975)) for r in (p, q))
    return made | {"verdict": "undecided" if c <= b and a <= d else "second" if c > b else "first"}


WRONG = {
    "confusion": {
        "transposed": lambda y, g, C: matrix(g, y, C),
        "counted-once": counted_once,
        "shares": lambda y, g, C: matrix(y, g, C) / len(y),
        "floats": lambda y, g, C: 1.0 * matrix(y, g, C),
        "absent-classes": lambda y, g, C: matrix(y, g, max(y.max(), g.max()) + 1),
        "hits-alone": lambda y, g, C: matrix(y, g, C) * np.eye(C, dtype=int),
        "row-shares": lambda y, g, C: matrix(y, g, C) / matrix(y, g, C).sum(1, keepdims=True),
        "changed-input": in_place,
        "forbidden": lambda y, g, C: sklearn_metrics.confusion_matrix(y, g, labels=range(C)),
        None: lambda y, g, C: matrix(y, g, C) + 1,
    },
    "precision_recall": {
        "swapped": lambda y, g: scores(g, y),
        "arithmetic-mean": lambda y, g: (*scores(y, g)[:2], sum(scores(y, g)[:2]) / 2),
        "factor-two": lambda y, g: (*scores(y, g)[:2], scores(y, g)[2] / 2),
        "class-zero": lambda y, g: scores(1 - y, 1 - g),
        "empty-nan": lambda y, g: ratios(y, g, math.nan),
        "empty-one": lambda y, g: ratios(y, g, 1.0),
        "f1-nan": f1_unguarded,
        "percent": lambda y, g: [100 * v for v in scores(y, g)],
        "raised": lambda y, g: (int((y & g).sum()) / int(g.sum()), *scores(y, g)[1:]),
        "forbidden": lambda y, g: metrics.precision_recall_f1(y, g)[:],
    },
    "ranking": {
        "ties-split": roc_split,
        "strict": partial(roc_with, strict=True),
        "no-origin": lambda y, s: tuple(part[1:] for part in roc(y, s)),
        "axes-swapped": lambda y, s: roc(y, s)[::-1],
        "rising-threshold": lambda y, s: tuple(part[::-1] for part in roc(y, s)),
        "scores-inverted": lambda y, s: roc(y, -s),
        "one-class": no_error,
        "forbidden": lambda y, s: sklearn_metrics.roc_curve(y, s, drop_intermediate=False)[:2],
    },
    "calibration": {
        "unweighted": partial(bins, weigh=False),
        "signed": partial(bins, size=lambda v: v),
        "squared": partial(bins, size=np.square),
        "middles": partial(bins, middle=True),
        "largest": largest,
        "thresholded": hits,
        "lower-edge": partial(bins, floor=True),
        "zero-lost": partial(bins, first=False),
        "empty-nan": partial(bins, skip=False),
    },
    "bootstrap": {
        "tails-whole": partial(ends, tails=lambda v: (1 - v, v)),
        "reversed": lambda *args, **level: ends(*args, **level)[::-1],
        "first-alone": partial(ends, rows=lambda a, r: [a[0][r], *a[1:]]),
        "extremes": partial(ends, tails=lambda v: (0, 1)),
        "level-fixed": lambda s, a, d, level=0: ends(s, a, d, 0.95),
        "normal": symmetric,
        "raised": lambda s, a, d, level=0.95: ends(s, a, d + 99, level),
    },
    "size": {
        "half": lambda s, n: width(s, n) / 2,
        "no-root": lambda s, n: 2 * 1.96 * s * (1 - s) / n,
        "n-outside-root": lambda s, n: width(s, 1) / n,
        "no-complement": lambda s, n: 2 * 1.96 * math.sqrt(s / n),
        "worst-case": lambda s, n: width(0.5, n),
        "one-less": lambda s, n: width(s, n - 1),
        "one-error": lambda s, n: width(s, n) / 1.96,
    },
    "two_models": {
        "one-sided": lambda a, b: tail(sum(split(a, b)), min(split(a, b))),
        "above-one": lambda a, b: 2 * tail(sum(split(a, b)), min(split(a, b))),
        "all-examples": lambda a, b: min(1.0, 2 * tail(len(a), min(split(a, b)))),
        "chi-square": chi2,
        "unpaired": unpaired,
        "tail-open": lambda a, b: 2 * tail(sum(split(a, b)), min(split(a, b)) - 1),
        "wrong-end": lambda a, b: min(1.0, 2 * tail(sum(split(a, b)), max(split(a, b)))),
        "complement": lambda a, b: 1 - mcnemar(a, b),
        "no-disagreement-nan": if_none(math.nan),
        "no-disagreement-zero": if_none(0.0),
        "raised": float_power,
        "forbidden": lambda a, b: stats.binomtest(min(split(a, b)), sum(split(a, b))).pvalue,
    },
    "compare": {
        "strict-threshold": lambda y, p, q, d: report(y, p - 1e-9, q - 1e-9, d),
        "models-swapped": lambda y, p, q, d: report(y, q, p, d),
        "difference-other-way": partial(
            with_changes, change=lambda m: {"low": -m["high"], "high": -m["low"]}
        ),
        "counts-swapped": partial(
            with_changes,
            change=lambda m: {"only_first": m["only_second"], "only_second": m["only_first"]},
        ),
        "percent": partial(
            with_changes,
            change=lambda m: {
                k: 100 * m[k] for k in ("accuracy_first", "accuracy_second", "low", "high")
            },
        ),
        "verdict-by-accuracy": partial(
            with_changes,
            change=lambda m: {
                "verdict": "second" if m["accuracy_second"] > m["accuracy_first"] else "first"
            },
        ),
        "verdict-by-overlap": overlap,
        "counts-of-right": lambda y, p, q, d: report(y, p, q, d) | {
            "only_first": int(((p >= 0.5) == y).sum()), "only_second": int(((q >= 0.5) == y).sum())
        },
    },
}  # fmt: skip
WRONG_AREAS = {
    "ties-nothing": lambda y, s: stair(y, s, 0),
    "ties-whole": lambda y, s: stair(y, s, 1),
    "inverted": lambda y, s: 1 - auc(y, s),
    "no-half": lambda y, s: 2 * auc(y, s),
    "accuracy": lambda y, s: float(((s >= 0.5) == y).mean()),
}
WRONG_SIZES = {
    "rounded-down": lambda s, w: max(1, int((2 * 1.96 / w) ** 2 * s * (1 - s))),
    "one-too-many": lambda s, w: needed(s, w) + 1,
    "half": lambda s, w: needed(s, 2 * w),
    "worst-case": lambda s, w: needed(0.5, w),
    "nothing-needed": lambda s, w: math.ceil((2 * 1.96 / w) ** 2 * s * (1 - s)),
    "float": lambda s, w: (2 * 1.96 / w) ** 2 * s * (1 - s),
}
WRONG_FINDINGS = {
    "models-swapped": lambda: report(*(own_test_set(0)[i] for i in (0, 2, 1, 3))),
    "not-yours": lambda: report(*own_test_set(1)),
    "raised": lambda: {}["accuracy"],
}


def cases():
    for task, wrong in WRONG.items():
        name = LAB[task].functions[0]
        yield task, {slug: {name: function} for slug, function in wrong.items()}
    yield "ranking", {slug: {"auc": f} for slug, f in WRONG_AREAS.items()}
    yield "size", {slug: {"needed_size": f} for slug, f in WRONG_SIZES.items()}
    yield "compare", {slug: {"findings": f} for slug, f in WRONG_FINDINGS.items()}


@pytest.mark.parametrize(
    ("task", "wrong"), list(cases()), ids=lambda v: v if v in LAB.ids() else ""
)
def test_wrong_answers_are_named(task, wrong):
    found = refusals("evaluation", RIGHT, task, wrong)
    assert found == {slug: slug for slug in wrong}


def test_every_check_tells_five_wrong_answers_apart():
    assert_five_wrong_answers("evaluation", cases())


def test_scores():
    assert_lab_scores("evaluation", full=24)


# --- variants -------------------------------------------------------------------------------
def checked_for(learner, namespace):
    learner_code = LocalLearner(namespace, "evaluation", LAB["compare"].forbidden)
    return LAB["compare"].check(learner_code, task_rng("compare", 1), variant_seed(learner))


def test_each_learner_has_data_of_their_own():
    jane = {"findings": lambda: report(*own_test_set(variant_seed("Jane")))}
    assert checked_for("jane ", RIGHT | jane).passed
    assert checked_for("bob", RIGHT | jane).mistake == "not-yours"
    assert checked_for("bob", RIGHT).mistake == "without-id"
    verdicts = {own_report(*own_test_set(variant_seed(str(i))))["verdict"] for i in range(20)}
    assert verdicts == {"first", "second", "undecided"}


def test_what_is_expected_of_findings_is_not_told():
    made = findings()
    wrong = {"findings": lambda: made | {"low": 0.5, "extra": 1}}
    found = checked_for("", RIGHT | wrong)
    text = found.as_text(hints=9)
    assert not found.passed and "low, extra (not asked for)" in found.came
    assert str(made["low"]) not in text and "three decimals" in found.expected


def test_own_test_set_is_the_same_everywhere():
    one, same, other = own_test_set(5), own_test_set(5), own_test_set(5 + 2**32)
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one.labels, other.labels)
    assert one.labels.sum() == 128 and one.draws[0, :3].tolist() == [129, 239, 260]
