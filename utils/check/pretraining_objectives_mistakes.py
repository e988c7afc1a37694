"""Known mistakes of the lab `pretraining-objectives`: shift and masking; what wrong code gives."""

from __future__ import annotations

import torch

from utils.check.core import Mistake


def _begin(tokens, start, n=1):
    return torch.full((len(tokens), n), start)


NEXT = [
    Mistake(
        "not-shifted",
        "Inputs and labels are the same: the model only has to copy what it sees.",
        lambda x, s: (x, x),
        "Which tokens may the model have seen when it is asked for the first?",
    ),
    Mistake(
        "shifted-back",
        "Labels and inputs have changed roles: the model is asked for what it saw before.",
        lambda x, s: (x, torch.cat([_begin(x, s), x[:, :-1]], 1)),
        "The start token is never asked for; does it stand among the labels?",
    ),
    Mistake(
        "wrapped",
        "The last token stands at the beginning of the inputs, where the start token belongs.",
        lambda x, s: (x.roll(1, 1), x),
        "roll brings what falls out at one end back at the other.",
    ),
    Mistake(
        "start-missing",
        "The rows are one shorter and the first token is never asked for: the start is missing.",
        lambda x, s: (x[:, :-1], x[:, 1:]),
        "With a start token in front even the first token has something before it.",
    ),
    Mistake(
        "longer",
        "The inputs have one token more than the labels: the last is the input of nothing.",
        lambda x, s: (torch.cat([_begin(x, s), x], 1), x),
        "The last token is asked for and need not be read.",
    ),
    Mistake(
        "shifted-twice",
        "The inputs are shifted by two, so that the token just before is hidden.",
        lambda x, s: (torch.cat([_begin(x, s, 2), x], 1)[:, : x.shape[1]], x),
        "One place is enough.",
    ),
]


def _asked(draws, special, rate):
    return (draws < rate) & ~special


LABELS = [
    Mistake(
        "special-asked",
        "Special tokens are asked for as well.",
        lambda x, d, s, r: torch.where(d < r, x, -100),
        "special is true where a token must not be chosen; ~ turns it round.",
    ),
    Mistake(
        "special-only",
        "Only special tokens are asked for.",
        lambda x, d, s, r: torch.where((d < r) & s, x, -100),
        "special is true where a token must not be chosen; ~ turns it round.",
    ),
    Mistake(
        "rate-inverted",
        "A token is chosen where its draw is above the rate: at 0.15 that is 85 % of them.",
        lambda x, d, s, r: torch.where((d >= r) & ~s, x, -100),
        "A draw lies below 0.15 with probability 0.15.",
    ),
    Mistake(
        "labels-inverted",
        "The labels stand where nothing is asked, and -100 where something is.",
        lambda x, d, s, r: torch.where(_asked(d, s, r), -100, x),
        "torch.where takes the second argument where the first is true.",
    ),
    Mistake(
        "labels-zero",
        "Where nothing is asked the label is 0, which is a token like any other.",
        lambda x, d, s, r: torch.where(_asked(d, s, r), x, 0),
        "Which number does cross-entropy leave out?",
    ),
    Mistake(
        "labels-minus-one",
        "Where nothing is asked the label is -1, which cross-entropy does not leave out.",
        lambda x, d, s, r: torch.where(_asked(d, s, r), x, -1),
        "Which number does cross-entropy leave out?",
    ),
    Mistake(
        "labels-everywhere",
        "Every token is asked for, chosen or not.",
        lambda x, d, s, r: x,
        "The label of a token that was not chosen is -100.",
    ),
    Mistake(
        "labels-boolean",
        "What came back says which tokens are chosen, not what their labels are.",
        lambda x, d, s, r: _asked(d, s, r),
        "Put the token where it is true, and -100 elsewhere.",
    ),
]


def _spoiled(x, labels, mask, swap, other, token):
    chosen = labels != -100
    return torch.where(chosen & swap, other, torch.where(chosen & mask, token, x))


SPOIL = [
    Mistake(
        "all-masked",
        "Every chosen token is a mask; none is swapped and none is kept.",
        lambda x, l, f, o, m: _spoiled(x, l, f < 2, f > 2, o, m),
        "What happens to the twenty per cent whose fate is 0.8 or more?",
    ),
    Mistake(
        "none-swapped",
        "No token is swapped for another: from 0.8 on all are kept.",
        lambda x, l, f, o, m: _spoiled(x, l, f < 0.8, f > 2, o, m),
        "Half of those that are no mask get another token.",
    ),
    Mistake(
        "none-kept",
        "No chosen token is kept: from 0.8 on all are swapped.",
        lambda x, l, f, o, m: _spoiled(x, l, f < 0.8, f >= 0.8, o, m),
        "Half of those that are no mask stay as they are.",
    ),
    Mistake(
        "overlap",
        "The swapped ones are taken from those that were masked: 70, 10 and 20 per cent.",
        lambda x, l, f, o, m: _spoiled(x, l, f < 0.8, f < 0.1, o, m),
        "Which numbers lie below 0.1 and not below 0.8?",
    ),
    Mistake(
        "swap-rest",
        "Kept and swapped have changed places.",
        lambda x, l, f, o, m: _spoiled(x, l, f < 0.8, f >= 0.9, o, m),
        "From 0.8 to below 0.9 the other token, from 0.9 on the token stays.",
    ),
    Mistake(
        "mask-swapped",
        "Masks and other tokens have changed shares: 80 per cent are swapped.",
        lambda x, l, f, o, m: _spoiled(x, l, (f >= 0.8) & (f < 0.9), f < 0.8, o, m),
        "Below 0.8 the mask token.",
    ),
    Mistake(
        "unasked-spoiled",
        "Tokens that are not asked for are spoiled as well.",
        lambda x, l, f, o, m: _spoiled(x, x, f < 0.8, (f >= 0.8) & (f < 0.9), o, m),
        "Where the label is -100 the token must stay.",
    ),
    Mistake(
        "asked-kept",
        "The tokens that are asked for stay, and all the others are spoiled.",
        lambda x, l, f, o, m: torch.where(
            l != -100, x, _spoiled(x, x, f < 0.8, (f >= 0.8) & (f < 0.9), o, m)
        ),
        "A label other than -100 says that the token is asked for.",
    ),
    Mistake(
        "labels-spoiled",
        "The labels were spoiled, not the tokens: -100 stands among the inputs.",
        lambda x, l, f, o, m: _spoiled(l, l, f < 0.8, (f >= 0.8) & (f < 0.9), o, m),
        "Begin with the tokens.",
    ),
]
