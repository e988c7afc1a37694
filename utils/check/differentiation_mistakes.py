"""Named mistakes of the lab `differentiation`: what a wrong answer would be, for each.

Legend as in `utils.check.differentiation`. Each function is deliberately wrong in one way.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from utils.check.core import Mistake


def pull(f: Callable, weight: Tensor, *arguments: Tensor) -> tuple[Tensor, ...]:
    """The weights of the arguments of f, given that of its result: torch's, in float64."""
    leaves = [a.detach().double().requires_grad_() for a in arguments]
    return torch.autograd.grad(f(*leaves), leaves, weight.double())


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Scaled dot-product attention (Vaswani et al. 2017, equation 1), without a mask."""
    return torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, -1) @ v


def _linear(X, W, Zbar, *, x=None, w=None, b=None) -> tuple[Tensor, Tensor, Tensor]:
    X, W, Zbar = X.double(), W.double(), Zbar.double()
    right = Zbar @ W.T, X.T @ Zbar, Zbar.sum(0)
    return tuple(r if a is None else a(X, W, Zbar) for a, r in zip((x, w, b), right, strict=True))


LINEAR = (
    Mistake(
        "not-transposed",
        "Xbar was multiplied by W as it is; its transpose is needed.",
        lambda *a: _linear(*a, x=lambda X, W, Z: Z @ W),
        "Zbar has a column for each output of the layer, Xbar one for each input.",
    ),
    Mistake(
        "wrong-side",
        "In Xbar the matrices stand in the wrong order.",
        lambda *a: _linear(*a, x=lambda X, W, Z: W.T @ Z),
        "Rows are examples and do not mix: row i of Xbar is made from row i of Zbar alone.",
    ),
    Mistake(
        "w-transposed",
        "Wbar is transposed.",
        lambda *a: _linear(*a, w=lambda X, W, Z: Z.T @ X),
        "It must have the shape of W, inputs by outputs.",
    ),
    Mistake(
        "w-mean",
        "Wbar was divided by the number of rows.",
        lambda *a: _linear(*a, w=lambda X, W, Z: X.T @ Z / len(X)),
        "A mean over the batch belongs to the loss; here Zbar already holds it.",
    ),
    Mistake(
        "b-mean",
        "The bias got the mean over the rows, not their sum.",
        lambda *a: _linear(*a, b=lambda X, W, Z: Z.mean(0)),
        "Each of the B uses of b hands something back, and they add up.",
    ),
    Mistake(
        "b-not-summed",
        "The bias got a value for each row; it is one vector for all of them.",
        lambda *a: _linear(*a, b=lambda X, W, Z: Z),
        "Its shape is (M,).",
    ),
    Mistake(
        "b-wrong-axis",
        "The bias got the sums of the rows, not of the columns.",
        lambda *a: _linear(*a, b=lambda X, W, Z: Z.sum(1)),
        "Sum over the axis of examples.",
    ),
)


def _table(ids: Tensor, rows: int, Ebar: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    flat = Ebar.double().reshape(-1, Ebar.shape[-1])
    return torch.zeros(rows, flat.shape[1], dtype=torch.float64), ids.reshape(-1), flat


def _assigned(ids, rows, Ebar, *, first=False):
    table, ids, flat = _table(ids, rows, Ebar)
    order = range(len(ids) - 1, -1, -1) if first else range(len(ids))
    for i in order:
        table[ids[i]] = flat[i]
    return table


def _summed(ids, rows, Ebar):
    table, ids, flat = _table(ids, rows, Ebar)
    return table.index_add_(0, ids, flat)


def _averaged(ids, rows, Ebar):
    counts = torch.bincount(ids.reshape(-1), minlength=rows).clamp(min=1)
    return _summed(ids, rows, Ebar) / counts[:, None]


EMBEDDING = (
    Mistake(
        "last-use",
        "A row that was used more than once got what its last use hands back, not the sum.",
        _assigned,
        "Assignment overwrites. The uses must add up.",
    ),
    Mistake(
        "first-use",
        "A row that was used more than once got what its first use hands back, not the sum.",
        lambda *a: _assigned(*a, first=True),
        "All uses count.",
    ),
    Mistake(
        "mean-of-uses",
        "A row got the mean over its uses, not their sum.",
        _averaged,
        "Twice as many uses change the loss twice as much.",
    ),
    Mistake(
        "scaled-by-uses",
        "A row got its sum times the number of its uses.",
        lambda ids, rows, Ebar: (
            _summed(ids, rows, Ebar) * torch.bincount(ids.reshape(-1), minlength=rows)[:, None]
        ),
        "Each use hands back once.",
    ),
    Mistake(
        "only-used",
        "Only rows that were used are in the answer; the table has more.",
        lambda ids, rows, Ebar: _summed(ids, rows, Ebar)[ids.unique()],
        "Its shape is (rows, D). A row that was never used gets zeros.",
    ),
)


def _p(z: Tensor) -> Tensor:
    return torch.softmax(z.double(), -1)


SOFTMAX = (
    Mistake(
        "diagonal",
        "Only the diagonal of the Jacobian was used.",
        lambda z, w: _p(z) * (1 - _p(z)) * w,
        "A larger logit takes weight from all other classes as well.",
    ),
    Mistake(
        "no-sum",
        "The term that is common to a row is missing.",
        lambda z, w: _p(z) * w.double(),
        "The weights of a row sum to 1, so adding the same number to all of pbar must change "
        "nothing. Does it?",
    ),
    Mistake(
        "plain-mean",
        "The plain mean of pbar was taken off, not the one weighted by p.",
        lambda z, w: _p(z) * (w - w.mean(-1, keepdim=True)).double(),
        "The term is the sum of p times pbar.",
    ),
    Mistake(
        "no-p",
        "The factor p in front is missing.",
        lambda z, w: w.double() - (_p(z) * w).sum(-1, keepdim=True),
        "A class with no weight cannot move.",
    ),
    Mistake(
        "all-together",
        "One number was taken off for the whole array, not one for each row.",
        lambda z, w: _p(z) * (w - (_p(z) * w).sum()),
        "Give the sum a dim, and keepdim.",
    ),
    Mistake(
        "plus",
        "The common term was added; it is taken off.",
        lambda z, w: _p(z) * (w + (_p(z) * w).sum(-1, keepdim=True)),
        "dp = p (dz - sum of p dz).",
    ),
    Mistake(
        "logits-for-p",
        "z was used where p belongs.",
        lambda z, w: z.double() * (w - (z * w).sum(-1, keepdim=True)),
        "Compute p from z first.",
    ),
    Mistake(
        "overflow",
        "exp overflowed: it was taken of the logits as they are.",
        lambda z, w: (
            (p := z.exp() / z.exp().sum(-1, keepdim=True)) * (w - (p * w).sum(-1, keepdim=True))
        ),
        "Shift each row by its largest logit first, or take torch.softmax.",
    ),
)

IGNORE = -100


def _ce(z, labels, *, count=None, onehot=True, ignore=True, sign=1.0) -> Tensor:
    kept = labels != IGNORE
    safe = labels.clamp(min=0)
    out = _p(z) - onehot * torch.nn.functional.one_hot(safe, z.shape[1])
    out = out * kept[:, None] if ignore else out
    return sign * out / (max(int(kept.sum()), 1) if count is None else count(z, kept))


CROSS_ENTROPY = (
    Mistake(
        "sum",
        "This is the gradient of the sum of the losses, not of their mean.",
        lambda z, y: _ce(z, y, count=lambda z, k: 1),
        "Divide by the number of rows that count.",
    ),
    Mistake(
        "mean-over-all",
        "The sum was divided by the number of all rows; those without a loss do not count.",
        lambda z, y: _ce(z, y, count=lambda z, k: len(z)),
        "The mean is over the rows whose label is not -100.",
    ),
    Mistake(
        "mean-over-numbers",
        "The sum was divided by the number of logits.",
        lambda z, y: _ce(z, y, count=lambda z, k: z.numel()),
        "There is one loss for each row.",
    ),
    Mistake(
        "no-label",
        "Nothing was taken off at the label.",
        lambda z, y: _ce(z, y, onehot=False),
        "A row of the gradient sums to zero. Does yours?",
    ),
    Mistake(
        "sign",
        "The sign is turned around.",
        lambda z, y: _ce(z, y, sign=-1.0),
        "A larger logit at the label makes the loss smaller: its slope is negative.",
    ),
    Mistake(
        "ignored-counted",
        "Rows with the label -100 got a gradient.",
        lambda z, y: _ce(z, y, ignore=False),
        "They have no loss, so nothing about them changes it.",
    ),
    Mistake(
        "division-by-zero",
        "With no row that counts, the gradient is not a number.",
        lambda z, y: _ce(z, y, count=lambda z, k: k.sum()),
        "Nothing counts, so nothing changes the loss: zeros.",
    ),
)
