"""Checks of the lab `differentiation`: vector-Jacobian products of a Transformer's parts, by hand.

Legend: B batch, D inputs, M outputs, C classes, V rows of a table, T queries, S keys, E width of
the values. A name that ends in `bar` is the weight of that array: the slope of some loss in it.

The references are torch.autograd's in float64; answers in float32 or float64 agree within 1e-4
relative and 1e-5. The rules are derived in the chapter on differentiation.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from utils.check import differentiation_layer_mistakes as layers
from utils.check import differentiation_mistakes as wrong
from utils.check.core import Lab
from utils.check.trial import Trial

LAB = Lab("differentiation", "Derivatives by hand", points=30)
ENGINES = (
    "utils.*",
    "torch.autograd.*",
    "torch.func.*",
    "torch.ops.*",
    "torch.Tensor.backward",
    "torch.nn.grad.*",
)


@LAB.task(
    "A full layer",
    points=3,
    minutes=10,
    difficulty=1,
    functions=("linear_vjp",),
    forbidden=ENGINES,
    hints=(
        "Each answer has the shape of what it belongs to: Xbar that of X, Wbar that of W.",
        "Write how Z moves: dZ = dX W + X dW + 1 db. Then ask which matrix times dX, entry by "
        "entry and summed, gives the same number as Zbar times dX W.",
        "b is added to every row, so it gets the sum of what the rows hand back.",
    ),
)
def linear(t: Trial) -> None:
    for square in (False, True):
        B, D, M = (4, 4, 4) if square else t.distinct(3, 2, 8)
        X, W, Zbar = t.normal(B, D), t.normal(D, M), t.normal(B, M)
        expected = (
            Zbar.double() @ W.double().T,
            X.double().T @ Zbar.double(),
            Zbar.double().sum(0),
        )
        t.equal("linear_vjp", X, W, Zbar, expected=expected, mistakes=wrong.LINEAR)


@LAB.task(
    "A table of embeddings",
    points=3,
    minutes=8,
    difficulty=1,
    functions=("embedding_vjp",),
    forbidden=(*ENGINES, "torch.nn.functional.embedding", "torch.nn.Embedding"),
    hints=(
        "Row v of the table was handed to every place where ids is v. What does it get back?",
        "A number that is used in many places gets the sum of what each use hands back.",
        "Assigning to table[ids] keeps only the last of equal ids; index_add_ adds all of them. "
        "A one-hot matrix and a product do it as well.",
    ),
)
def embedding(t: Trial) -> None:
    for repeated in (False, True, True):
        B, T, D, V = t.distinct(4, 2, 9)
        rows = B * T + V
        ids = torch.from_numpy(t.rng.permutation(rows)[: B * T]).view(B, T)
        if repeated:
            rows = V
            ids = torch.from_numpy(t.rng.integers(0, V, (B, T)))
            ids.view(-1)[:3] = ids.view(-1)[0]  # at least one row three times
        Ebar = t.normal(B, T, D)
        expected = torch.zeros(rows, D, dtype=torch.float64)
        expected.index_add_(0, ids.view(-1), Ebar.double().view(-1, D))
        args = ids, rows, Ebar
        t.equal("embedding_vjp", *args, expected=expected, mistakes=wrong.EMBEDDING)


@LAB.task(
    "Softmax",
    points=3,
    minutes=10,
    difficulty=2,
    functions=("softmax_vjp",),
    forbidden=(*ENGINES, "torch.softmax_backward_data", "torch._softmax_backward_data"),
    hints=(
        "From ln p = z - ln sum exp z follows dp = p (dz - sum of p dz), row by row.",
        "The matrix diag(p) - p p' is symmetric, so the product from the left has the same form.",
        "What is taken off is one number for each row: the sum of p times pbar over that row.",
    ),
)
def softmax(t: Trial) -> None:
    for shape in (t.distinct(2, 2, 7), t.distinct(3, 2, 6), [t.integer(3, 8)]):
        z, pbar = 2 * t.normal(*shape), t.normal(*shape)
        expected = wrong.pull(lambda z: torch.softmax(z, -1), pbar, z)[0]
        t.equal("softmax_vjp", z, pbar, expected=expected, mistakes=wrong.SOFTMAX)
    z, pbar = t.normal(3, 5) + torch.tensor([[900.0], [0.0], [-900.0]]), t.normal(3, 5)
    expected = wrong.pull(lambda z: torch.softmax(z, -1), pbar, z)[0]
    t.equal("softmax_vjp", z, pbar, expected=expected, mistakes=wrong.SOFTMAX)


@LAB.task(
    "Cross-entropy, from the logits",
    points=3,
    minutes=10,
    difficulty=2,
    functions=("cross_entropy_gradient",),
    forbidden=(*ENGINES, "torch.nn.functional.cross_entropy", "torch.nn.CrossEntropyLoss"),
    hints=(
        "The loss of one row is ln sum exp z minus the logit of its label. Differentiate both.",
        "Softmax minus one at the label; the loss is the mean over the rows.",
        "Rows whose label is -100 have no loss, and the mean is over the others.",
    ),
)
def cross_entropy(t: Trial) -> None:
    cases = (1.0, 0), (1.0, 2), (500.0, 1), (1.0, "all but one"), (1.0, "all")
    for size, ignored in cases:
        B, C = t.integer(4, 8), t.integer(3, 7)
        z, labels = size * t.normal(B, C), torch.from_numpy(t.rng.integers(0, C, B))
        some = {"all but one": B - 1, "all": B}.get(ignored, ignored)
        labels[torch.from_numpy(t.rng.permutation(B)[:some])] = -100
        count = max(int((labels != -100).sum()), 1)
        expected = wrong.pull(
            lambda z, labels=labels: F.cross_entropy(z, labels, reduction="sum"), torch.ones(()), z
        )[0]
        expected = expected / count
        t.equal(
            "cross_entropy_gradient", z, labels, expected=expected, mistakes=wrong.CROSS_ENTROPY
        )


@LAB.task(
    "Layer normalization",
    points=4,
    minutes=15,
    difficulty=2,
    functions=("layer_norm_vjp",),
    forbidden=(*ENGINES, "torch.native_layer_norm_backward"),
    hints=(
        "Begin with gamma and beta: they are used in every row.",
        "The normalized row gets nbar = gamma ybar. It depends on x in three ways: directly, by "
        "the mean, and by the standard deviation.",
        "With n the normalized row, xbar = (nbar - mean(nbar) - n mean(n nbar)) / s, where s "
        "is the root of variance plus eps. With eps this n has mean square a little below 1.",
    ),
)
def layer_norm(t: Trial) -> None:
    for eps, scale in ((1e-5, 1.0), (1e-5, 100.0), (0.5, 1.0)):
        B, D = t.distinct(2, 3, 8)
        x = scale * t.normal(B, D) + t.normal(B, 1)
        gamma, ybar = t.normal(D) + 1.0, t.normal(B, D)

        def forward(x, gamma, beta, eps=eps):
            return F.layer_norm(x, x.shape[-1:], gamma, beta, eps)

        expected = wrong.pull(forward, ybar, x, gamma, torch.zeros(D))
        t.equal(
            "layer_norm_vjp", x, gamma, eps, ybar, expected=expected, mistakes=layers.LAYER_NORM
        )


@LAB.task(
    "Attention",
    points=6,
    minutes=20,
    difficulty=3,
    functions=("attention_vjp",),
    forbidden=(*ENGINES, "torch.nn.functional.scaled_dot_product_attention"),
    hints=(
        "Three products and a softmax: O = A V, A = softmax(G), G = Q K' / sqrt(D). Go back "
        "through them one at a time, last first.",
        "From O = A V: Vbar = A' Obar and Abar = Obar V'. Then your softmax_vjp gives Gbar.",
        "Both Q and K are in G; the root is in both answers.",
    ),
)
def attention(t: Trial) -> None:
    for lead in ((), (t.integer(2, 3),)):
        T, S, D, E = t.distinct(4, 2, 8)
        q, k, v = t.normal(*lead, T, D), t.normal(*lead, S, D), t.normal(*lead, S, E)
        obar = t.normal(*lead, T, E)
        expected = wrong.pull(wrong.attention, obar, q, k, v)
        t.equal("attention_vjp", q, k, v, obar, expected=expected, mistakes=layers.ATTENTION)
    n = t.integer(3, 6)  # all sides equal: no shape tells a transpose from its matrix
    q, k, v, obar = (t.normal(n, n) for _ in range(4))
    expected = wrong.pull(wrong.attention, obar, q, k, v)
    t.equal("attention_vjp", q, k, v, obar, expected=expected, mistakes=layers.ATTENTION)
    q, k, v, obar = 20 * t.normal(3, 4), 20 * t.normal(5, 4), t.normal(5, 2), t.normal(3, 2)
    expected = wrong.pull(wrong.attention, obar, q, k, v)
    t.equal("attention_vjp", q, k, v, obar, expected=expected, mistakes=layers.ATTENTION)
