"""The lab `optimizers`: right answers in any style pass, wrong ones are told apart."""

import math

import pytest
import torch
from lab_support import assert_lab_scores, assert_styles_pass, refusals, solved

from utils.check import optimizers_adam_mistakes as adams
from utils.check import optimizers_mistakes as firsts
from utils.check import optimizers_muon_mistakes as muons
from utils.check.core import lab
from utils.schedules import cosine

LAB = lab("optimizers")
RIGHT = solved("optimizers")  # the namespace of the solutions
A, B, C = 3.4445, -4.7750, 2.0315
orthogonalize = RIGHT["orthogonalize"]


# --- the references are torch's -------------------------------------------------------------
def path(make, start, gradients):
    p = torch.nn.Parameter(start.clone())
    optimizer = make([p])
    for g in gradients:
        p.grad = g.clone()
        optimizer.step()
    return p.detach()


def drawn(*shape):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, generator=generator, dtype=torch.float64) for _ in range(21)]


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_is_torchs(nesterov):
    start, *gradients = drawn(4, 3)
    theta, b = start, torch.zeros(4, 3)
    for g in gradients:
        theta, b = firsts.momentum(theta, g, b, 0.1, 0.8, nesterov)
    make = lambda p: torch.optim.SGD(p, 0.1, momentum=0.8, nesterov=nesterov)  # noqa: E731
    torch.testing.assert_close(theta, path(make, start, gradients), rtol=0, atol=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_adam_and_adamw_are_torchs(decay):
    start, *gradients = drawn(4, 3)
    theta, m, v = start, torch.zeros(4, 3), torch.zeros(4, 3)
    for t, g in enumerate(gradients, 1):
        theta, m, v = adams.adamw(theta, g, m, v, t, 0.1, 0.9, 0.99, 1e-3, decay)
    make = lambda p: torch.optim.AdamW(  # noqa: E731
        p, 0.1, betas=(0.9, 0.99), eps=1e-3, weight_decay=decay
    )
    torch.testing.assert_close(theta, path(make, start, gradients), rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(4, 3), (3, 4)])
def test_muon_is_torchs_but_for_its_precision(shape):
    start, *gradients = drawn(*shape)
    theta, b = start, torch.zeros(shape)
    for g in gradients:
        theta, b = muons.muon(theta, g, b, 0.1, 0.9, 0.3)
    make = lambda p: torch.optim.Muon(p, 0.1, momentum=0.9, weight_decay=0.3)  # noqa: E731
    torch.testing.assert_close(theta, path(make, start, gradients), rtol=0, atol=0.1)  # bfloat16


def test_the_schedule_and_clipping_are_the_librarys():
    for step in range(80):
        expected = 2.0 * cosine(60, 10, 0.1)(step)
        assert firsts.rate(step, 2.0, 10, 60, 0.1) == pytest.approx(expected, abs=1e-12)
    parts = drawn(4, 3)[:3]
    leaves = [torch.nn.Parameter(torch.zeros(4, 3).double()) for _ in parts]
    for leaf, g in zip(leaves, parts, strict=True):
        leaf.grad = g.clone()
    norm = torch.nn.utils.clip_grad_norm_(leaves, 1.5).item()
    clipped, ours = firsts.clip(parts, 1.5)
    assert ours == pytest.approx(norm)
    for leaf, g in zip(leaves, clipped, strict=True):
        torch.testing.assert_close(g, leaf.grad, rtol=1e-5, atol=1e-6)


# --- other styles ---------------------------------------------------------------------------
def momentum_in_place(theta, g, b, lr, mu, nesterov):
    b = b.clone().mul_(mu).add_(g)
    step = g.add(b, alpha=mu) if nesterov else b
    return theta.sub(step, alpha=lr), b


def clip_as_torch(gradients, max_norm):
    norm = torch.stack([g.norm() for g in gradients]).norm()
    factor = torch.clamp(max_norm / (norm + 1e-6), max=1.0)
    return [g * factor for g in gradients], norm


def clip_as_vector(gradients, max_norm):
    vector = torch.cat([g.flatten() for g in gradients])
    norm = float(vector @ vector) ** 0.5
    if norm > max_norm:
        vector = vector / norm * max_norm
    parts = vector.split([g.numel() for g in gradients])
    return tuple(p.view(g.shape) for p, g in zip(parts, gradients, strict=True)), norm


def rate_by_branches(step, peak, warmup, total, floor):
    low = floor * peak
    if step >= total:
        return low
    if step >= warmup:
        angle = math.pi * (step - warmup) / (total - warmup)
        return low + (peak - low) * math.cos(angle / 2) ** 2
    return peak / warmup * step


def adam_by_rates(theta, g, m, v, t, lr, beta1, beta2, eps):
    m, v = torch.lerp(m, g, 1 - beta1), torch.lerp(v, g.square(), 1 - beta2)
    root = math.sqrt(1 - beta2**t)
    return theta - lr * root / (1 - beta1**t) * m / (v.sqrt() + eps * root), m, v


def adamw_written_out(theta, g, m, v, t, lr, beta1, beta2, eps, decay):
    new, m, v = adam_by_rates(theta, g, m, v, t, lr, beta1, beta2, eps)
    return new - lr * decay * theta, m, v


def orthogonalize_on_the_other_side(u, rounds):
    x = u.double() / torch.linalg.norm(u.double()).clamp(min=1e-7)
    for _ in range(rounds):
        gram = x.T @ x
        x = x @ (A * torch.eye(len(gram)).double() + B * gram + C * gram @ gram)
    return x


def muon_by_lerp(theta, g, b, lr, mu, decay):
    b = torch.lerp(b, g, 1 - mu)
    step = orthogonalize_on_the_other_side(torch.lerp(g, b, mu), 5)
    return theta - lr * (decay * theta + max(1, len(g) / g.shape[1]) ** 0.5 * step), b


OTHER_STYLES = {
    "momentum": [{"momentum_step": momentum_in_place}],
    "clipping": [{"clip_gradients": clip_as_torch}, {"clip_gradients": clip_as_vector}],
    "schedule": [{"learning_rate": rate_by_branches}],
    "adam": [{"adam_step": adam_by_rates}],
    "adamw": [{"adamw_step": adamw_written_out}],
    "newton_schulz": [{"orthogonalize": orthogonalize_on_the_other_side}],
    "muon": [{"muon_step": muon_by_lerp}],
}


@pytest.mark.parametrize("task", LAB.ids())
@pytest.mark.parametrize("seed", range(5))
def test_right_answers_pass(task, seed):
    assert_styles_pass("optimizers", RIGHT, OTHER_STYLES[task], task, seed)


# --- wrong answers --------------------------------------------------------------------------
def mo(theta, g, b, lr, mu, n, *, keep=1.0, rate=None, old=False, look=None, sign=-1.0):
    new = mu * b + keep * g
    used = b if old else new
    look = n if look is None else look
    return theta + sign * lr * (g + mu * used if look else used), new


def in_place(theta, g, b, lr, mu, n):
    b.mul_(mu).add_(g)
    return theta - lr * (g + mu * b if n else b), b


def cl(gs, most, *, norm=None, factor=None):
    total = math.sqrt(sum(float((g * g).sum()) for g in gs)) if norm is None else norm(gs)
    scale = min(1.0, most / total) if total else 1.0
    return [g * (scale if factor is None else factor(total)) for g in gs], total


def ra(step, peak, warmup, total, floor, *, warm=None, p=None, fall=None):
    if step < warmup:
        return peak * (warm(step, warmup) if warm else step / warmup)
    done = p(step, warmup, total) if p else min(1.0, (step - warmup) / (total - warmup))
    wave = (1 + math.cos(math.pi * done)) / 2
    return peak * (fall(done, floor) if fall else floor + (1 - floor) * wave)


def ad(theta, g, m, v, t, lr, p, q, eps, *, c=(1, 1), power=None, below=None, new_v=None, sum_=0):
    m = p * m + (1 if sum_ else 1 - p) * g
    v = q * v + (1 - q) * (g * g if new_v is None else new_v(g, m))
    power = power or (lambda beta, t: beta**t)
    mean = m / (1 - power(p, t)) if c[0] else m
    square = v / (1 - power(q, t)) if c[1] else v
    return theta - lr * mean / (square.sqrt() + eps if below is None else below(square, eps)), m, v


def aw(theta, *rest, shrink):
    *_most, lr, _, _, _, decay = rest
    return ad(shrink(theta, lr, decay), *rest[:-1])


def ns(u, rounds, *, norm=torch.norm, b=B, c=C, each=False, entry=False):
    x = u / norm(u)
    for _ in range(rounds):
        x = x / x.norm() if each else x
        gram = x @ x.T
        x = A * x + B * x**3 + C * x**5 if entry else A * x + (b * gram + c * gram @ gram) @ x
    return x


def mu(theta, g, b, lr, mu, decay, *, look=None, keep=None, scale=None, shrink=None, to=None):
    old = b
    b = mu * b + (1 - mu) * g if keep is None else keep(b, g, mu)
    u = mu * b + (1 - mu) * g if look is None else look(old, b, g, mu)
    r, c = theta.shape
    s = math.sqrt(max(1, r / c)) if scale is None else scale(r, c)
    small = (1 - lr * decay) * theta if shrink is None else shrink(theta, lr, decay)
    return small - lr * s * (orthogonalize(u, 5) if to is None else to(u)), b


WRONG = {
    "momentum": {
        "uphill": lambda *a: mo(*a, sign=1.0),
        "averaged": lambda *a: mo(*a, keep=1 - a[4]),
        "rate-in-state": lambda th, g, b, lr, mu, n: (
            mo(th, g, b, 1.0, mu, False, keep=lr)
            if not n
            else (th - (lr * g + mu * (mu * b + lr * g)), mu * b + lr * g)
        ),
        "old-b": lambda *a: mo(*a, old=True),
        "nesterov-ignored": lambda *a: mo(*a, look=False),
        "always-nesterov": lambda *a: mo(*a, look=True),
        "no-memory": lambda th, g, b, lr, mu, n: (th - lr * g, g),
        "state-not-updated": lambda *a: (mo(*a)[0], a[2]),
        "changed-input": in_place,
    },
    "clipping": {
        "each-by-itself": lambda gs, most: ([cl([g], most)[0][0] for g in gs], cl(gs, most)[1]),
        "by-value": lambda gs, most: ([g.clamp(-most, most) for g in gs], cl(gs, most)[1]),
        "always-scaled": lambda gs, most: cl(gs, most, factor=lambda n: most / n if n else 1.0),
        "normalized": lambda gs, most: cl(gs, most, factor=lambda n: 1 / n if n > most else 1),
        "sum-of-norms": lambda gs, most: cl(gs, most, norm=lambda gs: sum(map(torch.norm, gs))),
        "no-root": lambda gs, most: cl(
            gs, most, norm=lambda gs: float(sum((g * g).sum() for g in gs))
        ),
        "sum-of-sizes": lambda gs, most: cl(
            gs, most, norm=lambda gs: float(sum(g.abs().sum() for g in gs))
        ),
        "largest-norm": lambda gs, most: cl(gs, most, norm=lambda gs: max(map(torch.norm, gs))),
        "mean-square": lambda gs, most: cl(
            gs, most, norm=lambda gs: torch.cat([g.flatten() for g in gs]).square().mean().sqrt()
        ),
        "norm-after": lambda gs, most: (cl(gs, most)[0], min(most, cl(gs, most)[1])),
        "not-clipped": lambda gs, most: cl(gs, most, factor=lambda n: 1.0),
        "zero-norm": lambda gs, most: cl(
            gs, most, factor=lambda n: min(1.0, most / n) if n else math.nan
        ),
        "raised": lambda gs, most: [g.clamp(most) for g in gs][99],
    },
    "schedule": {
        "no-warm-up": lambda *a: ra(*a, warm=lambda s, w: 1.0),
        "warm-up-one-ahead": lambda *a: ra(*a, warm=lambda s, w: (s + 1) / w),
        "warm-up-counted": lambda *a: ra(*a, p=lambda s, w, n: min(1.0, s / n)),
        "stretched": lambda *a: ra(*a, p=lambda s, w, n: min(1.0, (s - w) / n)),
        "rises-again": lambda *a: ra(*a, p=lambda s, w, n: (s - w) / (n - w)),
        "whole-wave": lambda *a: ra(
            *a, fall=lambda p, f: f + (1 - f) * (1 + math.cos(2 * math.pi * p)) / 2
        ),
        "quarter-wave": lambda *a: ra(
            *a, fall=lambda p, f: f + (1 - f) * math.cos(math.pi / 2 * p)
        ),
        "straight": lambda *a: ra(*a, fall=lambda p, f: 1 - p * (1 - f)),
        "no-floor": lambda *a: ra(*a, fall=lambda p, f: (1 + math.cos(math.pi * p)) / 2),
        "cut-at-floor": lambda *a: ra(
            *a, fall=lambda p, f: max(f, (1 + math.cos(math.pi * p)) / 2)
        ),
        "floor-added": lambda *a: ra(*a, fall=lambda p, f: f + (1 + math.cos(math.pi * p)) / 2),
        "floor-is-a-rate": lambda s, k, w, n, f: ra(s, k, w, n, f / k),
    },
    "adam": {
        "no-correction": lambda *a: ad(*a, c=(0, 0)),
        "m-not-corrected": lambda *a: ad(*a, c=(0, 1)),
        "v-not-corrected": lambda *a: ad(*a, c=(1, 0)),
        "correction-of-first-step": lambda *a: ad(*a, power=lambda b, t: b),
        "step-one-ahead": lambda *a: ad(*a, power=lambda b, t: b ** (t + 1)),
        "power-as-product": lambda *a: ad(*a, power=lambda b, t: b * t),
        "eps-in-root": lambda *a: ad(*a, below=lambda v, eps: (v + eps).sqrt()),
        "no-eps": lambda *a: ad(*a, below=lambda v, eps: v.sqrt()),
        "no-root": lambda *a: ad(*a, below=lambda v, eps: v + eps),
        "not-divided": lambda *a: ad(*a, below=lambda v, eps: 1.0),
        "square-of-m": lambda *a: ad(*a, new_v=lambda g, m: m * m),
        "betas-exchanged": lambda th, g, m, v, t, lr, p, q, e: ad(th, g, m, v, t, lr, q, p, e),
        "one-beta": lambda th, g, m, v, t, lr, p, q, e: ad(th, g, m, v, t, lr, p, p, e),
        "summed": lambda *a: ad(*a, sum_=1),
        "corrected-kept": lambda *a: (
            ad(*a)[0],
            ad(*a)[1] / (1 - a[6] ** a[4]),
            ad(*a)[2] / (1 - a[7] ** a[4]),
        ),
        "uphill": lambda *a: (2 * a[0] - ad(*a)[0], *ad(*a)[1:]),
        "old-states": lambda *a: (ad(*a)[0], a[2], a[3]),
    },
    "adamw": {
        "in-the-gradient": lambda *a: ad(a[0], a[1] + a[9] * a[0], *a[2:9]),
        "decay-without-rate": lambda *a: aw(*a, shrink=lambda th, lr, d: (1 - d) * th),
        "decay-after": lambda *a: (ad(*a[:9])[0] * (1 - a[5] * a[9]), *ad(*a[:9])[1:]),
        "grown": lambda *a: aw(*a, shrink=lambda th, lr, d: (1 + lr * d) * th),
        "no-decay": lambda *a: ad(*a[:9]),
        "squared-decay": lambda *a: aw(*a, shrink=lambda th, lr, d: (1 - lr * d) ** 2 * th),
        "no-correction": lambda *a: ad((1 - a[5] * a[9]) * a[0], *a[1:9], c=(0, 0)),
        "raised": lambda *a: torch.zeros(2) @ torch.zeros(3),
    },
    "newton_schulz": {
        "not-normalized": lambda u, n: ns(u, n, norm=lambda u: 1.0),
        "normalized-each-round": lambda u, n: ns(u, n, norm=lambda u: 1.0, each=True),
        "largest-entry": lambda u, n: ns(u, n, norm=lambda u: u.abs().max()),
        "rows-normalized": lambda u, n: ns(u, n, norm=lambda u: u.norm(dim=1, keepdim=True)),
        "spectral": lambda u, n: ns(u, n, norm=lambda u: torch.linalg.matrix_norm(u, 2)),
        "entry-by-entry": lambda u, n: ns(u, n, entry=True),
        "coefficients-exchanged": lambda u, n: ns(u, n, b=C, c=B),
        "sign-of-b": lambda u, n: ns(u, n, b=-B),
        "no-fifth-power": lambda u, n: ns(u, n, c=0.0),
        "one-round": lambda u, n: ns(u, 1),
        "zero-norm": ns,
        "forbidden": lambda u, n: torch.linalg.svd(u, full_matrices=False)[0],
    },
    "muon": {
        "no-nesterov": lambda *a: mu(*a, look=lambda old, b, g, mu: b),
        "summed": lambda *a: mu(*a, keep=lambda b, g, mu: mu * b + g),
        "gradient-orthogonalized": lambda *a: mu(
            a[0], orthogonalize(a[1], 5), *a[2:], to=lambda u: u
        ),
        "not-orthogonalized": lambda *a: mu(*a, to=lambda u: u),
        "no-scale": lambda *a: mu(*a, scale=lambda r, c: 1.0),
        "scale-without-max": lambda *a: mu(*a, scale=lambda r, c: (r / c) ** 0.5),
        "scale-upside-down": lambda *a: mu(*a, scale=lambda r, c: max(1, c / r) ** 0.5),
        "scale-without-root": lambda *a: mu(*a, scale=lambda r, c: max(1, r / c)),
        "decay-in-gradient": lambda th, g, b, lr, m, d: mu(th, g + d * th, b, lr, m, 0.0),
        "decay-without-rate": lambda *a: mu(*a, shrink=lambda th, lr, d: (1 - d) * th),
        "no-decay": lambda *a: mu(*a, shrink=lambda th, lr, d: th),
        "uphill": lambda *a: mu(*a, to=lambda u: -orthogonalize(u, 5)),
        "state-not-updated": lambda *a: (mu(*a)[0], a[2]),
    },
}


@pytest.mark.parametrize("task", LAB.ids())
def test_wrong_answers_are_named(task):
    name = LAB[task].functions[0]
    wrong = {slug: {name: function} for slug, function in WRONG[task].items()}
    assert len(wrong) >= 5
    assert refusals("optimizers", RIGHT, task, wrong) == {slug: slug for slug in wrong}


def test_scores():
    assert_lab_scores("optimizers", full=22)
