"""Named mistakes of the lab `optimizers` in Adam and AdamW, and the right rules, in float64.

Legend as in `utils.check.optimizers`. Each rule is right with its defaults; a mistake changes one
of them, deliberately.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from utils.check.core import Mistake


def adam(
    theta, g, m, v, t, lr, beta1, beta2, eps, *,
    first=None, second=None, one=None, two=None, root=None, sign=-1, keep=None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """The new theta, m and v (Kingma and Ba 2015, algorithm 1)."""
    theta, g, m, v = (x.double() for x in (theta, g, m, v))
    m = beta1 * m + (1 - beta1) * g if first is None else first(m, g, beta1, beta2)
    v = beta2 * v + (1 - beta2) * g * g if second is None else second(v, g, beta1, beta2)
    mean = m / (1 - beta1**t if one is None else one(t, beta1, beta2))
    square = v / (1 - beta2**t if two is None else two(t, beta1, beta2))
    below = square.sqrt() + eps if root is None else root(square, eps)
    kept = (m, v) if keep is None else keep(m, v, mean, square)
    return theta + sign * lr * mean / below, *kept


ADAM = (
    Mistake(
        "no-correction",
        "The bias correction is missing.",
        lambda *a: adam(*a, one=lambda t, *b: 1.0, two=lambda t, *b: 1.0),
        "Divide m by 1 - beta1^t and v by 1 - beta2^t before the step.",
    ),
    Mistake(
        "m-not-corrected",
        "Only v was corrected, m was not.",
        lambda *a: adam(*a, one=lambda t, *b: 1.0),
        "Both started at zero.",
    ),
    Mistake(
        "v-not-corrected",
        "Only m was corrected, v was not.",
        lambda *a: adam(*a, two=lambda t, *b: 1.0),
        "Both started at zero.",
    ),
    Mistake(
        "correction-of-first-step",
        "The correction is that of step 1 in every step: the power t is missing.",
        lambda *a: adam(*a, one=lambda t, p, q: 1 - p, two=lambda t, p, q: 1 - q),
        "The weight that a mean has collected after t steps is 1 - beta^t.",
    ),
    Mistake(
        "step-one-ahead",
        "The correction is that of the next step: t + 1 was used.",
        lambda *a: adam(
            *a, one=lambda t, p, q: 1 - p ** (t + 1), two=lambda t, p, q: 1 - q ** (t + 1)
        ),
        "t is 1 for the first step already.",
    ),
    Mistake(
        "power-as-product",
        "beta times t was used in place of beta to the power t.",
        lambda *a: adam(*a, one=lambda t, p, q: 1 - p * t, two=lambda t, p, q: 1 - q * t),
        "In Python the power is **.",
    ),
    Mistake(
        "eps-in-root",
        "eps was added under the root; it stands behind it.",
        lambda *a: adam(*a, root=lambda v, eps: (v + eps).sqrt()),
        "sqrt(v) + eps: the two differ where v is small.",
    ),
    Mistake(
        "no-eps",
        "eps is missing in the denominator.",
        lambda *a: adam(*a, root=lambda v, eps: v.sqrt()),
        "It matters where v is small.",
    ),
    Mistake(
        "no-root",
        "The root of v is missing.",
        lambda *a: adam(*a, root=lambda v, eps: v + eps),
        "v is a mean of squares; its root has the gradient's unit.",
    ),
    Mistake(
        "not-divided",
        "The step was not divided by the root of v.",
        lambda *a: adam(*a, root=lambda v, eps: 1.0),
        "What makes Adam of momentum is the division, entry by entry.",
    ),
    Mistake(
        "not-squared",
        "v was fed with the gradient, not with its square.",
        lambda *a: adam(*a, second=lambda v, g, p, q: q * v + (1 - q) * g),
        "v is the mean of the squares.",
    ),
    Mistake(
        "square-of-m",
        "v was fed with the square of m, not of the gradient.",
        lambda theta, g, m, v, t, lr, p, q, eps: adam(
            theta,
            g,
            m,
            v,
            t,
            lr,
            p,
            q,
            eps,
            second=lambda v, g, p, q: q * v + (1 - q) * (p * m.double() + (1 - p) * g) ** 2,
        ),
        "Both means are fed with the gradient of this step.",
    ),
    Mistake(
        "betas-exchanged",
        "beta1 and beta2 were exchanged.",
        lambda theta, g, m, v, t, lr, p, q, eps: adam(theta, g, m, v, t, lr, q, p, eps),
        "beta1 belongs to m, beta2 to v.",
    ),
    Mistake(
        "one-beta",
        "v used beta1.",
        lambda theta, g, m, v, t, lr, p, q, eps: adam(theta, g, m, v, t, lr, p, p, eps),
        "beta2 belongs to v, in the mean and in its correction.",
    ),
    Mistake(
        "summed",
        "m is a sum of gradients; the factor 1 - beta1 is missing.",
        lambda *a: adam(*a, first=lambda m, g, p, q: p * m + g),
        "m is a mean: its weights add up to 1, once corrected.",
    ),
    Mistake(
        "weights-exchanged",
        "The weights of old and new were exchanged in both means.",
        lambda *a: adam(
            *a,
            first=lambda m, g, p, q: (1 - p) * m + p * g,
            second=lambda v, g, p, q: (1 - q) * v + q * g * g,
        ),
        "beta is near 1 and belongs to what was there before.",
    ),
    Mistake(
        "corrected-kept",
        "The corrected m and v came back; the next step would correct them again.",
        lambda *a: adam(*a, keep=lambda m, v, mean, square: (mean, square)),
        "The corrected ones are for this step alone.",
    ),
    Mistake(
        "uphill",
        "The step goes up the gradient, not down.",
        lambda *a: adam(*a, sign=1),
        "The gradient points to where the loss grows.",
    ),
    Mistake(
        "old-states",
        "The m and v that came back are the old ones.",
        lambda *a: adam(*a, keep=lambda m, v, mean, square: (a[2].double(), a[3].double())),
        "Hand back the new ones; the next step needs them.",
    ),
)


def adamw(theta, g, m, v, t, lr, beta1, beta2, eps, decay) -> tuple[Tensor, Tensor, Tensor]:
    """The new theta, m and v (Loshchilov and Hutter 2019)."""
    return adam((1 - lr * decay) * theta.double(), g, m, v, t, lr, beta1, beta2, eps)


def _shrunk(a: tuple) -> Tensor:
    """theta after the decay, of the arguments of `adamw`."""
    return (1 - a[5] * a[9]) * a[0].double()


ADAMW = (
    Mistake(
        "in-the-gradient",
        "The decay was added to the gradient; then m and v hold it, and v divides it.",
        lambda theta, g, *rest: adam(theta, g.double() + rest[-1] * theta.double(), *rest[:-1]),
        "Shrink theta itself; Adam's step is made from g alone.",
    ),
    Mistake(
        "decay-without-rate",
        "theta was shrunk by 1 - decay; the learning rate is missing.",
        lambda theta, *rest: adam((1 - rest[-1]) * theta.double(), *rest[:-1]),
        "The factor is 1 - lr * decay.",
    ),
    Mistake(
        "decay-after",
        "The parameter was shrunk after Adam's step, and the step with it.",
        lambda *a: (
            (1 - a[5] * a[9]) * adam(*a[:9])[0],
            *adam(*a[:9])[1:],
        ),
        "First shrink, then step from there.",
    ),
    Mistake(
        "grown",
        "The decay makes the parameter grow.",
        lambda *a: adamw(*a[:9], -a[9]),
        "1 minus lr times decay.",
    ),
    Mistake(
        "no-decay",
        "There is no decay.",
        lambda *a: adam(*a[:9]),
        "theta becomes (1 - lr decay) theta before the step.",
    ),
    Mistake(
        "squared-decay",
        "The decay was applied twice.",
        lambda *a: adam((1 - a[5] * a[9]) ** 2 * a[0].double(), *a[1:9]),
        "Once a step.",
    ),
    *(
        replace(mistake, wrong=lambda *a, f=mistake.wrong: f(_shrunk(a), *a[1:9]))
        for mistake in ADAM
    ),
)
