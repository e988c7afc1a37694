"""Checks of the lab `pretraining-objectives`: shift, masking, masked loss, spans, contrast.

Legend: B batch, T tokens, V tokens that exist, D width of vectors.

What is drawn at random comes in as an argument, so that answers can be compared to the letter.
The references follow Devlin et al. 2019 (masking), Raffel et al. 2020 (spans) and Radford et al.
2021 (the contrastive loss), in float64; answers in float32 agree within 1e-4 relative and 1e-5.
"""

from __future__ import annotations

import torch
from torch import Tensor

from utils.check import pretraining_objectives_loss_mistakes as losses
from utils.check import pretraining_objectives_mistakes as wrong
from utils.check import pretraining_objectives_span_mistakes as spans
from utils.check.core import Lab
from utils.check.trial import Trial

LAB = Lab("pretraining-objectives", "Pretraining objectives", points=30)
COLLATORS = ("utils.*", "transformers.*")
READY_LOSSES = (
    *COLLATORS,
    "torch.nn.functional.cross_entropy",
    "torch.nn.functional.nll_loss",
    "torch.nn.CrossEntropyLoss",
    "torch.nn.NLLLoss",
)


@LAB.task(
    "The next token",
    points=2,
    minutes=8,
    difficulty=1,
    functions=("next_token",),
    forbidden=COLLATORS,
    hints=(
        "Write both rows for the text 7 8 9 and the start token 1: which input stands above "
        "which label?",
        "At place t the model has seen the start and the first t tokens, and is asked for the "
        "token at t.",
        "The inputs are the start token followed by all tokens but the last.",
    ),
)
def next_token(t: Trial) -> None:
    for B, T in (t.distinct(2, 2, 7), (1, t.integer(3, 6)), (t.integer(2, 4), 1)):
        tokens = _tokens(t, B, T)
        start = t.integer(0, 4)
        expected = _next_token(tokens, start)
        t.equal("next_token", tokens, start, expected=expected, mistakes=wrong.NEXT, atol=0)


@LAB.task(
    "What is asked for",
    points=3,
    minutes=8,
    difficulty=1,
    functions=("make_labels",),
    forbidden=COLLATORS,
    hints=(
        "A token is asked for where its draw lies below the rate and it is not special.",
        "The label of a token that is asked for is the token; everywhere else it is -100.",
        "torch.where takes from one of two tensors (or numbers), place by place.",
    ),
)
def make_labels(t: Trial) -> None:
    for B, T, rate in ((*t.distinct(2, 4, 9), 0.15), (*t.distinct(2, 4, 9), 0.5), (2, 6, 0.0)):
        tokens, draws = _tokens(t, B, T), _draws(t, B, T)
        draws[0, 0], draws[0, 1], draws[-1, -1] = rate / 2, rate / 3, 0.99
        special = _draws(t, B, T) < 0.3
        special[0, 0], special[0, 1] = True, False
        args = (tokens, draws, special, rate)
        t.equal("make_labels", *args, expected=_labels(*args), mistakes=wrong.LABELS, atol=0)


@LAB.task(
    "Eighty, ten, ten",
    points=3,
    minutes=12,
    difficulty=2,
    functions=("spoil",),
    forbidden=COLLATORS,
    hints=(
        "Only tokens that are asked for may change; the labels tell which these are.",
        "One number, the fate, decides: below 0.8 the mask token, from 0.8 to below 0.9 the other "
        "token, from 0.9 on the token stays.",
        "Each token has one fate: what became a mask must not be overwritten by a later line.",
    ),
)
def spoil(t: Trial) -> None:
    for B, T in (t.distinct(2, 5, 9), t.distinct(2, 5, 9), (3, 12)):
        tokens, fate = _tokens(t, B, T), _draws(t, B, T)
        labels = _labels(tokens, _draws(t, B, T), torch.zeros(B, T, dtype=torch.bool), 0.6)
        # one of each kind, among those that are asked for and among the others
        fate[0, :4] = torch.tensor([0.05, 0.45, 0.85, 0.95])
        fate[1, :4] = torch.tensor([0.05, 0.45, 0.85, 0.95])
        labels[0, :4], labels[1, :4] = tokens[0, :4], -100
        other = _tokens(t, B, T) + 50
        args = (tokens, labels, fate, other, t.integer(0, 4))
        t.equal("spoil", *args, expected=_spoil(*args), mistakes=wrong.SPOIL, atol=0)


@LAB.task(
    "The masked loss",
    points=4,
    minutes=12,
    difficulty=2,
    functions=("masked_loss",),
    forbidden=READY_LOSSES,
    hints=(
        "The loss of one token is minus the logarithm of the probability that softmax gives to "
        "its label; log_softmax does not overflow.",
        "Take the rows that are asked for first: logits[labels != -100] has shape (asked, V).",
        "The mean runs over the tokens that are asked for, of all rows together. What is it where "
        "there is none?",
    ),
)
def masked_loss(t: Trial) -> None:
    for rate in (0.2, 0.5, 1.0):
        B, T, V = t.distinct(3, 3, 9)
        logits, labels = 3 * t.normal(B, T, V), torch.from_numpy(t.rng.integers(0, V, (B, T)))
        unasked = _draws(t, B, T) >= rate
        unasked[0, :2] = torch.tensor([False, False])  # rows with unequal shares
        unasked[1, 1:] = rate < 1
        unasked[1, 0] = False
        labels = labels.masked_fill(unasked, -100)
        args = (logits, labels)
        t.equal("masked_loss", *args, expected=_loss(*args), mistakes=losses.LOSS)
        large = (300 * logits, labels)
        t.equal("masked_loss", *large, expected=_loss(*large), mistakes=losses.LOSS)
    nothing = torch.full((2, 3), -100)
    args = (t.normal(2, 3, 4), nothing)
    t.equal("masked_loss", *args, expected=torch.tensor(0.0), mistakes=losses.LOSS_OF_NONE)


@LAB.task(
    "Cut out spans",
    points=4,
    minutes=12,
    difficulty=2,
    functions=("cut_spans",),
    forbidden=COLLATORS,
    hints=(
        "Go through the tokens one by one; each goes to the source or to the target.",
        "A span begins where a token is hidden and the one before it is not (or there is none). "
        "There the next sentinel goes to both.",
        "The target ends with the end token, also where nothing is hidden.",
    ),
)
def cut_spans(t: Trial) -> None:
    masks = [
        [False, True, True, False, True, False],
        [True, True, False, True, True, True, False, True],
        [False] * 4,
        [True] * 3,
        (_draws(t, t.integer(7, 12)) < 0.5).tolist(),
    ]
    for hidden in masks:
        tokens = _list(t, len(hidden))
        args = (tokens, hidden, _sentinels(t), t.integer(300, 310))
        t.equal("cut_spans", *args, expected=_cut(*args), mistakes=spans.CUT, atol=0)


@LAB.task(
    "Put together again",
    points=3,
    minutes=10,
    difficulty=2,
    functions=("restore_spans",),
    forbidden=COLLATORS,
    hints=(
        "First read the target: which tokens stand behind which sentinel?",
        "Then copy the source, with the span of each sentinel in its place.",
        "A model may write the spans in another order, or leave one out: look each up by its "
        "sentinel; one that is missing is empty. What stands behind the end does not count.",
    ),
)
def restore_spans(t: Trial) -> None:
    for hidden in ([False, True, True, False, True], [True, True, False, True], [False] * 3):
        sentinels, end, tokens = _sentinels(t), t.integer(300, 310), _list(t, len(hidden))
        source, target = _cut(tokens, hidden, sentinels, end)
        args = (source, target, sentinels, end)
        t.equal("restore_spans", *args, expected=tokens, mistakes=spans.RESTORE, atol=0)
    sentinels, end = _sentinels(t), t.integer(300, 310)
    a, b, c, d, e = _list(t, 5)
    first, second = sentinels[:2]
    turned = ([a, first, b, second], [second, c, first, d, e, end], sentinels, end)
    t.equal("restore_spans", *turned, expected=[a, d, e, b, c], mistakes=spans.RESTORE, atol=0)
    missing = ([a, first, b, second], [second, c, d, end], sentinels, end)
    t.equal("restore_spans", *missing, expected=[a, b, c, d], mistakes=spans.RESTORE, atol=0)
    endless = ([a, first, b], [first, c, d], sentinels, end)
    t.equal("restore_spans", *endless, expected=[a, c, d, b], mistakes=spans.RESTORE, atol=0)
    behind = ([first, a], [first, b, end, c, d], sentinels, end)
    t.equal("restore_spans", *behind, expected=[b, a], mistakes=spans.RESTORE, atol=0)


@LAB.task(
    "Pictures and captions",
    points=5,
    minutes=15,
    difficulty=3,
    functions=("info_nce",),
    forbidden=COLLATORS,
    hints=(
        "Bring every vector to length 1; then one matrix product gives the cosines of all pairs, "
        "(B, B), times the scale exp(log_scale).",
        "Row i asks which text belongs to picture i: a cross-entropy with the label i. The columns "
        "ask the other way round.",
        "The loss is the mean of the two, each a mean over the batch.",
    ),
)
def info_nce(t: Trial) -> None:
    for log_scale in (0.7, 2.6, 4.6):
        B, D = t.distinct(2, 3, 7)
        images = t.normal(B, D) * (1 + t.integer(1, 4))
        texts = (images + t.normal(B, D)) * torch.linspace(0.5, 3.0, B)[:, None]
        args = (images, texts, torch.tensor(log_scale))
        t.equal("info_nce", *args, expected=_info_nce(*args), mistakes=losses.CONTRAST)
    alike = torch.ones(t.integer(4, 8), 3)
    args = (alike, 2 * alike, torch.tensor(1.0))
    t.equal("info_nce", *args, expected=_info_nce(*args), mistakes=losses.CONTRAST)
    one = (t.normal(1, 4), t.normal(1, 4), torch.tensor(2.0))
    t.equal("info_nce", *one, expected=torch.tensor(0.0), mistakes=losses.CONTRAST)


# --- references -----------------------------------------------------------------------------
def _next_token(tokens: Tensor, start: int) -> tuple[Tensor, Tensor]:
    begin = torch.full((len(tokens), 1), start)
    return torch.cat([begin, tokens], 1)[:, :-1], tokens


def _labels(tokens: Tensor, draws: Tensor, special: Tensor, rate: float) -> Tensor:
    return tokens.masked_fill((draws >= rate) | special, -100)


def _spoil(tokens: Tensor, labels: Tensor, fate: Tensor, other: Tensor, mask: int) -> Tensor:
    out = tokens.clone()
    for place in (labels != -100).nonzero().tolist():
        i = tuple(place)
        if fate[i] < 0.8:
            out[i] = mask
        elif fate[i] < 0.9:
            out[i] = other[i]
    return out


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits.double().flatten(0, 1), labels.flatten())


def _cut(tokens: list, hidden: list, sentinels: list, end: int) -> tuple[list, list]:
    source, target, names = [], [], iter(sentinels)
    for i, token in enumerate(tokens):
        if hidden[i] and not (i and hidden[i - 1]):
            name = next(names)
            source.append(name)
            target.append(name)
        (target if hidden[i] else source).append(token)
    return source, [*target, end]


def _info_nce(images: Tensor, texts: Tensor, log_scale: Tensor) -> Tensor:
    u, v = (x.double() / x.double().norm(dim=1, keepdim=True) for x in (images, texts))
    z = log_scale.double().exp() * u @ v.T
    return -(z.log_softmax(1).diag() + z.log_softmax(0).diag()).mean() / 2


# --- inputs ---------------------------------------------------------------------------------
def _tokens(t: Trial, B: int, T: int) -> Tensor:
    return torch.from_numpy(t.rng.integers(10, 40, (B, T)))


def _draws(t: Trial, *shape: int) -> Tensor:
    return torch.from_numpy(t.rng.random(shape)).float()


def _list(t: Trial, n: int) -> list[int]:
    """Different tokens, so that none can stand in for another."""
    return t.distinct(n, 10, 60)


def _sentinels(t: Trial) -> list[int]:
    return t.distinct(8, 100, 200)
