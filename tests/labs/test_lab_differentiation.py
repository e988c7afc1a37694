"""The lab `differentiation`: right answers in any style pass, wrong ones are told apart."""

import pytest
import torch
import torch.nn.functional as F
from lab_support import (
    assert_five_wrong_answers,
    assert_lab_scores,
    assert_styles_pass,
    refusals,
    solved,
)

from utils.check.core import lab

LAB = lab("differentiation")
RIGHT = solved("differentiation")  # the namespace of the solutions
softmax_vjp = RIGHT["softmax_vjp"]


# --- other styles ---------------------------------------------------------------------------
def linear_einsum(X, W, Zbar):
    return (
        torch.einsum("bm,dm->bd", Zbar, W),
        torch.einsum("bd,bm->dm", X, Zbar),
        torch.ones(len(X), dtype=Zbar.dtype) @ Zbar,
    )


def embedding_by_product(ids, rows, Ebar):
    onehot = F.one_hot(ids.reshape(-1), rows).to(Ebar.dtype)
    return onehot.T @ Ebar.reshape(-1, Ebar.shape[-1])


def embedding_by_loop(ids, rows, Ebar):
    table = torch.zeros(rows, Ebar.shape[2], dtype=torch.float64)
    for b in range(ids.shape[0]):
        for t in range(ids.shape[1]):
            table[ids[b, t]] += Ebar[b, t]
    return table


def softmax_by_matrix(z, pbar):
    p = torch.softmax(z.double(), -1)
    jacobian = torch.diag_embed(p) - p[..., :, None] * p[..., None, :]
    return (jacobian @ pbar.double()[..., None])[..., 0]


def cross_entropy_by_rows(z, labels):
    rows, kept = torch.zeros(z.shape, dtype=torch.float64), [y for y in labels.tolist() if y >= 0]
    for i, y in enumerate(labels.tolist()):
        if y >= 0:
            rows[i] = torch.softmax(z[i].double(), -1)
            rows[i, y] -= 1
            rows[i] /= len(kept)
    return rows


def layer_norm_by_matrix(x, gamma, eps, ybar):
    x, D, out = x.double(), x.shape[1], []
    n = F.layer_norm(x, (D,), eps=eps)
    for row, unit, weight in zip(x, n, ybar.double() * gamma.double(), strict=True):
        s = (row.var(unbiased=False) + eps).sqrt()
        eye, ones = torch.eye(D, dtype=torch.float64), torch.ones(D, D, dtype=torch.float64)
        out.append((eye - ones / D - torch.outer(unit, unit) / D) @ weight / s)
    return torch.stack(out), (n * ybar).sum(0), ybar.sum(0)


def attention_einsum(q, k, v, obar):
    root = q.shape[-1] ** 0.5
    a = torch.einsum("...td,...sd->...ts", q, k).div(root).softmax(-1)
    abar = torch.einsum("...te,...se->...ts", obar, v)
    gbar = a * (abar - torch.einsum("...ts,...ts->...t", a, abar)[..., None]) / root
    return (
        torch.einsum("...ts,...sd->...td", gbar, k),
        torch.einsum("...ts,...td->...sd", gbar, q),
        torch.einsum("...ts,...te->...se", a, obar),
    )


OTHER_STYLES = {
    "linear": [{"linear_vjp": linear_einsum}],
    "embedding": [{"embedding_vjp": embedding_by_product}, {"embedding_vjp": embedding_by_loop}],
    "softmax": [{"softmax_vjp": softmax_by_matrix}],
    "cross_entropy": [{"cross_entropy_gradient": cross_entropy_by_rows}],
    "layer_norm": [{"layer_norm_vjp": layer_norm_by_matrix}],
    "attention": [{"attention_vjp": attention_einsum}],
}


@pytest.mark.parametrize("task", LAB.ids())
@pytest.mark.parametrize("seed", range(5))
def test_right_answers_pass(task, seed):
    assert_styles_pass("differentiation", RIGHT, OTHER_STYLES[task], task, seed)


# --- wrong answers --------------------------------------------------------------------------
def by_autograd(z, pbar):
    z = z.detach().requires_grad_()
    return torch.autograd.grad(torch.softmax(z, -1), z, pbar)[0]


def assigned(ids, rows, Ebar):
    table = torch.zeros(rows, Ebar.shape[2], dtype=Ebar.dtype)
    for i, row in zip(ids.reshape(-1).tolist(), Ebar.reshape(-1, Ebar.shape[2]), strict=True):
        table[i] = row
    return table


def added_in_place(ids, rows, Ebar):
    Ebar *= 1.5
    return embedding_by_product(ids, rows, Ebar / 1.5)


def ce(z, y, *, mean=True, label=True, ignored=True):
    p, kept = z.softmax(-1), y >= 0
    if label:
        p = p - F.one_hot(y.clamp(min=0), z.shape[1])
    if ignored:
        p = p * kept[:, None]
    return p / max(int(kept.sum()), 1) if mean else p


def norm(x, gamma, eps, ybar, *, mean=1, along=1, weighted=True, s_of=None, root=None):
    c = x - x.mean(-1, keepdim=True)
    s = (c.square().mean(-1, keepdim=True) + eps).sqrt() if root is None else root(c)
    n, w = c / s, ybar * gamma if weighted else ybar
    out = w - mean * w.mean(-1, keepdim=True) - along * n * (n * w).mean(-1, keepdim=True)
    return out / (s if s_of is None else s_of(c)), (n * ybar).sum(0), ybar.sum(0)


def attend(q, k, v, obar, *, root=True, pull=softmax_vjp, turn_v=True, turn_k=True, swap=False):
    scale = q.shape[-1] ** -0.5
    g = q @ k.mT * scale
    a, gbar = g.softmax(-1), pull(g, obar @ v.mT)
    scale = scale if root else 1.0
    left, right = (q, k) if swap else (k, q)
    qbar, kbar = gbar @ left * scale, (gbar.mT if turn_k else gbar) @ right * scale
    return qbar, kbar, (a.mT if turn_v else a) @ obar


def square(f, fallback):
    """A mistake that only has the right shape where all sides are equal; elsewhere the fallback."""
    return lambda *a: f(*a) if len({s for x in a for s in x.shape}) == 1 else fallback(*a)


WRONG = {
    "linear": {
        "w-transposed": lambda X, W, Z: (Z @ W.T, Z.T @ X, Z.sum(0)),
        "w-mean": lambda X, W, Z: (Z @ W.T, X.T @ Z / len(X), Z.sum(0)),
        "b-mean": lambda X, W, Z: (Z @ W.T, X.T @ Z, Z.mean(0)),
        "b-not-summed": lambda X, W, Z: (Z @ W.T, X.T @ Z, Z),
        "b-wrong-axis": lambda X, W, Z: (Z @ W.T, X.T @ Z, Z.sum(1)),
        "raised": lambda X, W, Z: (Z @ W @ W, X, Z),
    },
    "embedding": {
        "last-use": assigned,
        "first-use": lambda i, r, E: assigned(i.flip(0, 1), r, E.flip(0, 1)),
        "mean-of-uses": lambda i, r, E: (
            embedding_by_product(i, r, E)
            / torch.bincount(i.flatten(), minlength=r).clamp(min=1)[:, None]
        ),
        "scaled-by-uses": lambda i, r, E: (
            embedding_by_product(i, r, E) * torch.bincount(i.flatten(), minlength=r)[:, None]
        ),
        "only-used": lambda i, r, E: embedding_by_product(i, r, E)[i.unique()],
        "changed-input": added_in_place,
    },
    "softmax": {
        "diagonal": lambda z, w: (p := z.softmax(-1)) * (1 - p) * w,
        "no-sum": lambda z, w: z.softmax(-1) * w,
        "plain-mean": lambda z, w: z.softmax(-1) * (w - w.mean(-1, keepdim=True)),
        "no-p": lambda z, w: w - (z.softmax(-1) * w).sum(-1, keepdim=True),
        "all-together": lambda z, w: (p := z.softmax(-1)) * (w - (p * w).sum()),
        "plus": lambda z, w: (p := z.softmax(-1)) * (w + (p * w).sum(-1, keepdim=True)),
        "logits-for-p": lambda z, w: z * (w - (z * w).sum(-1, keepdim=True)),
        "overflow": lambda z, w: (
            (p := z.exp() / z.exp().sum(-1, keepdim=True)) * (w - (p * w).sum(-1, keepdim=True))
        ),
        "forbidden": by_autograd,
    },
    "cross_entropy": {
        "sum": lambda z, y: ce(z, y, mean=False),
        "mean-over-all": lambda z, y: ce(z, y, mean=False) / len(z),
        "mean-over-numbers": lambda z, y: ce(z, y, mean=False) / z.numel(),
        "no-label": lambda z, y: ce(z, y, label=False),
        "sign": lambda z, y: -ce(z, y),
        "ignored-counted": lambda z, y: ce(z, y, ignored=False),
        "division-by-zero": lambda z, y: ce(z, y, mean=False) / (y >= 0).sum(),
    },
    "layer_norm": {
        "fixed-statistics": lambda *a: norm(*a, mean=0, along=0),
        "fixed-mean": lambda *a: norm(*a, mean=0),
        "fixed-deviation": lambda *a: norm(*a, along=0),
        "gamma-forgotten": lambda *a: norm(*a, weighted=False),
        "not-divided": lambda *a: norm(*a, s_of=torch.ones_like),
        "eps-forgotten": lambda *a: norm(
            *a, s_of=lambda c: c.square().mean(-1, keepdim=True).sqrt()
        ),
        "unbiased": lambda x, g, eps, w: norm(
            x, g, eps, w, s_of=lambda c: (c.var(-1, keepdim=True) + eps).sqrt()
        ),
        "eps-forgotten-throughout": lambda *a: norm(
            *a, root=lambda c: c.std(-1, False, keepdim=True)
        ),
        "unbiased-throughout": lambda x, g, eps, w: norm(
            x, g, eps, w, root=lambda c: (c.var(-1, keepdim=True) + eps).sqrt()
        ),
        "along-added": lambda *a: norm(*a, along=-1),
        "y-for-n": lambda x, g, eps, w: (
            norm(x, g, eps, w, along=0)[0]
            - (n := g * F.layer_norm(x, x.shape[-1:], eps=eps))
            * (n * w * g).mean(-1, keepdim=True)
            / (x.var(-1, keepdim=True, unbiased=False) + eps).sqrt(),
            *norm(x, g, eps, w)[1:],
        ),
        "beta-mean": lambda x, g, eps, w: (*norm(x, g, eps, w)[:2], w.mean(0)),
        "gamma-mean": lambda x, g, eps, w: (
            norm(x, g, eps, w)[0],
            norm(x, g, eps, w)[1] / len(x),
            w.sum(0),
        ),
        "gamma-of-x": lambda x, g, eps, w: (norm(x, g, eps, w)[0], (x * w).sum(0), w.sum(0)),
    },
    "attention": {
        "no-root": lambda *a: attend(*a, root=False),
        "no-softmax": lambda *a: attend(*a, pull=lambda g, w: w),
        "softmax-twice": lambda *a: attend(*a, pull=lambda g, w: softmax_vjp(g.softmax(-1), w)),
        "softmax-diagonal": lambda *a: attend(
            *a, pull=lambda g, w: (p := g.softmax(-1)) * (1 - p) * w
        ),
        "softmax-no-sum": lambda *a: attend(*a, pull=lambda g, w: g.softmax(-1) * w),
        "softmax-over-queries": lambda *a: attend(
            *a, pull=lambda g, w: (p := g.softmax(-1)) * (w - (p * w).sum(-2, keepdim=True))
        ),
        "root-of-e": lambda q, k, v, o: (
            *(x * (q.shape[-1] / v.shape[-1]) ** 0.5 for x in attend(q, k, v, o)[:2]),
            attend(q, k, v, o)[2],
        ),
        "raised": lambda q, k, v, o: attend(q, k, v, o, swap=True),
    },
}
# Wrong ways that have the right shape only where all sides are equal; the check has such a case.
SQUARE = {
    "linear": {
        "not-transposed": lambda X, W, Z: (Z @ W, X.T @ Z, Z.sum(0)),
        "wrong-side": lambda X, W, Z: (W.T @ Z, X.T @ Z, Z.sum(0)),
    },
    "attention": {
        "weights-not-transposed": lambda *a: attend(*a, turn_v=False),
        "scores-not-transposed": lambda *a: attend(*a, turn_k=False),
        "q-and-k-exchanged": lambda *a: attend(*a, swap=True),
    },
}


def cases():
    for task, wrong in WRONG.items():
        name = LAB[task].functions[0]
        yield task, {slug: {name: function} for slug, function in wrong.items()}
    for task, wrong in SQUARE.items():
        name = LAB[task].functions[0]
        right = RIGHT[name]
        yield task, {slug: {name: square(f, right)} for slug, f in wrong.items()}


CASES = list(cases())


@pytest.mark.parametrize(("task", "wrong"), CASES, ids=[f"{t}-{len(w)}" for t, w in CASES])
def test_wrong_answers_are_named(task, wrong):
    found = refusals("differentiation", RIGHT, task, wrong)
    assert found == {slug: slug for slug in wrong}


def test_every_check_tells_five_wrong_answers_apart():
    assert_five_wrong_answers("differentiation", CASES)


def test_scores():
    assert_lab_scores("differentiation", full=22)
