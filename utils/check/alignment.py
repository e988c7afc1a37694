"""Checks of the lab `alignment`: log-probabilities of answers, preferences, DPO, KL, PPO's clip.

Legend: B answers, T tokens of prompt and answer, V vocabulary, G answers in a group.

The references compute in float64 by the definitions (Rafailov et al. 2023, equation 7; Schulman
et al. 2017, equation 7; Shao et al. 2024, section 4.1; Schulman 2020 for the estimators of KL).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from utils.check import alignment_mistakes as wrong
from utils.check import alignment_policy_mistakes as more
from utils.check.core import Lab
from utils.check.trial import Trial

LAB = Lab("alignment", "Alignment: from preferences to a policy", points=34)
CROSS_ENTROPY = (
    "utils.*",
    "torch.nn.functional.cross_entropy",
    "torch.nn.CrossEntropyLoss",
    "torch.nn.functional.nll_loss",
    "torch.nn.NLLLoss",
)
KL = ("utils.*", "torch.nn.functional.kl_div", "torch.nn.KLDivLoss", "torch.distributions.*")


@LAB.task(
    "How likely is an answer?",
    points=4,
    minutes=14,
    difficulty=1,
    functions=("answer_log_prob",),
    forbidden=CROSS_ENTROPY,
    hints=(
        "The logits at place t are about the token at place t + 1. The first token is predicted "
        "by nothing, and the last logits predict nothing that is there.",
        "So logits[:, :-1] belong to tokens[:, 1:], and the mask goes with the tokens.",
        "gather(-1, tokens[..., None]) picks from each row of log-probabilities that of its token.",
    ),
)
def answer_log_prob(t: Trial) -> None:
    for _ in range(3):
        logits, tokens, mask = _answers(t)
        expected = _answer_logs(logits, tokens, mask)
        t.equal("answer_log_prob", logits, tokens, mask, expected=expected, mistakes=wrong.LOGS)
    logits, tokens, mask = _answers(t)
    logits = logits + 800 * t.normal(*logits.shape[:2], 1).sign()  # the same for a whole row of V
    expected = _answer_logs(logits, tokens, mask)
    t.equal("answer_log_prob", logits, tokens, mask, expected=expected, mistakes=wrong.LOGS)
    mask = torch.zeros_like(mask)  # no answer: a certain event
    zero = torch.zeros(len(mask))
    t.equal("answer_log_prob", logits, tokens, mask, expected=zero, mistakes=wrong.LOGS)


@LAB.task(
    "Loss on the answer alone",
    points=3,
    minutes=8,
    difficulty=1,
    functions=("sft_loss",),
    forbidden=CROSS_ENTROPY,
    hints=(
        "answer_log_prob gives the sum for each answer. What is left is to add, to divide and to "
        "turn a likelihood into a loss.",
        "Every token of an answer counts the same, whichever answer it belongs to: divide once, by "
        "the number of all tokens that the mask lets through.",
    ),
)
def sft_loss(t: Trial) -> None:
    for _ in range(4):
        logits, tokens, mask = _answers(t)
        expected = -_answer_logs(logits, tokens, mask).sum() / mask.sum()
        t.equal("sft_loss", logits, tokens, mask, expected=expected, mistakes=wrong.SFT)


@LAB.task(
    "A loss for choices",
    points=3,
    minutes=8,
    difficulty=1,
    functions=("preference_loss",),
    hints=(
        "The chance of the choice is sigmoid(difference of the rewards); the loss is minus the "
        "mean logarithm of it.",
        "In float32 sigmoid(-200) is 0 and its logarithm minus infinity, though log sigmoid(-200) "
        "is -200. PyTorch has a function for the logarithm of a sigmoid.",
    ),
)
def preference_loss(t: Trial) -> None:
    for _ in range(3):
        chosen, rejected = 2 * t.normal(2, t.integer(2, 7))
        expected = _log_sigmoid(chosen - rejected).mean().neg()
        t.equal("preference_loss", chosen, rejected, expected=expected, mistakes=wrong.CHOICE)
    chosen, rejected = t.normal(2, 4)
    chosen = chosen + torch.tensor([300.0, -300.0, 0.0, -200.0])
    expected = _log_sigmoid(chosen - rejected).mean().neg()
    t.equal("preference_loss", chosen, rejected, expected=expected, mistakes=wrong.CHOICE)


@LAB.task(
    "The reward within a policy, and DPO",
    points=5,
    minutes=14,
    difficulty=2,
    functions=("implicit_reward", "dpo_loss"),
    hints=(
        "Solve the best policy, reference * exp(reward / beta) / Z, for the reward. Z is the same "
        "for both answers and may be left out.",
        "implicit_reward is beta times (logarithm of policy less logarithm of reference).",
        "dpo_loss is preference_loss on two implicit rewards, that of the chosen answer first.",
    ),
)
def dpo(t: Trial) -> None:
    for _ in range(3):
        n, beta = t.integer(2, 7), float(t.rng.uniform(0.1, 3))
        logs = -20 * t.normal(4, n).abs()
        expected = beta * (logs[0].double() - logs[2].double())
        args = (logs[0], logs[2], beta)
        t.equal("implicit_reward", *args, expected=expected, mistakes=wrong.IMPLICIT)
    for scale in (2.0, 2.0, 300.0):
        n, beta = t.integer(2, 7), float(t.rng.uniform(0.1, 3))
        logs = -scale * t.normal(4, n).abs()
        gap = (logs[0] - logs[2] - logs[1] + logs[3]).double()
        expected = _log_sigmoid(beta * gap).mean().neg()
        t.equal("dpo_loss", *logs, beta, expected=expected, mistakes=wrong.DPO)


@LAB.task(
    "Three estimates of KL",
    points=3,
    minutes=10,
    difficulty=2,
    functions=("kl_estimates",),
    forbidden=KL,
    hints=(
        "Let s be the logarithm of reference over policy: ref_log - log. All three are functions "
        "of s alone.",
        "Each is 0 where the policies agree. k2 and k3 are never negative; near s = 0 they are "
        "nearly the same.",
    ),
)
def kl_estimates(t: Trial) -> None:
    for scale in (0.1, 1.0, 3.0):
        log, ref = -scale * t.normal(2, *t.distinct(2, 2, 6)).abs()
        s = (ref - log).double()
        expected = (-s, s**2 / 2, torch.expm1(s) - s)
        t.equal("kl_estimates", log, ref, expected=expected, mistakes=more.ESTIMATES)
    same = t.normal(3)
    zeros = (torch.zeros(3),) * 3
    t.equal("kl_estimates", same, same.clone(), expected=zeros, mistakes=more.ESTIMATES)


@LAB.task(
    "Compared with its own group",
    points=3,
    minutes=8,
    difficulty=2,
    functions=("group_advantages",),
    hints=(
        "A row of rewards is one prompt's group: mean and deviation run over the last axis.",
        "keepdim=True keeps the means in a column, so that each row meets its own.",
        "Where all rewards of a row are the same its deviation is 0: the advantages are 0, not "
        "0 / 0. A small number added to the deviation does that; 1e-6 is small enough here.",
    ),
)
def group_advantages(t: Trial) -> None:
    for _ in range(3):
        B, G = t.distinct(2, 3, 8)
        rewards = 2 * t.normal(B, G) + 3 * t.normal(B, 1)
        about = {"mistakes": more.GROUP, "rtol": 1e-3, "atol": 1e-3}
        t.equal("group_advantages", rewards, expected=_group(rewards), **about)
    rewards[0] = 1.0
    t.equal("group_advantages", rewards, expected=_group(rewards), **about)
    rewards = torch.from_numpy(t.rng.integers(0, 2, (5, 6))).float()  # right or wrong
    t.equal("group_advantages", rewards, expected=_group(rewards), **about)


@LAB.task(
    "The clipped objective",
    points=5,
    minutes=14,
    difficulty=3,
    functions=("clipped_loss",),
    hints=(
        "The ratio is one for each token: exp(log - old_log). The advantage belongs to the whole "
        "answer, so it becomes a column.",
        "Two products, with the ratio as it is and with the ratio kept in 1 - epsilon … 1 + "
        "epsilon; the smaller one counts, token by token.",
        "The objective is to be raised, a loss to be lowered. Tokens outside the mask count "
        "neither in the sum nor in the number that it is divided by.",
    ),
)
def clipped_loss(t: Trial) -> None:
    for sign in (1, -1, 0, 0):
        B, T = t.distinct(2, 4, 8)
        old = -2 * t.normal(B, T).abs()
        log = old + 0.5 * t.normal(B, T)
        advantage = t.normal(B) if not sign else sign * t.normal(B).abs()
        mask, epsilon = _mask(t, B, T), float(t.rng.uniform(0.1, 0.3))
        expected = _clipped(log, old, advantage, mask, epsilon)
        args = (log, old, advantage, mask, epsilon)
        t.equal("clipped_loss", *args, expected=expected, mistakes=more.CLIP)
    here = _clipped(old, old, advantage, mask, epsilon)  # the first step: every ratio is 1
    args = (old.clone(), old, advantage, mask, epsilon)
    t.equal("clipped_loss", *args, expected=here, mistakes=more.CLIP)


# --- references -----------------------------------------------------------------------------
def _answer_logs(logits: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
    logs = torch.log_softmax(logits.double(), -1)
    rows = []
    for b in range(len(tokens)):
        places = [t for t in range(1, tokens.shape[1]) if mask[b, t]]
        rows.append(sum((logs[b, t - 1, tokens[b, t]] for t in places), torch.tensor(0.0).double()))
    return torch.stack(rows)


def _log_sigmoid(x: Tensor) -> Tensor:
    return -torch.logaddexp(torch.zeros_like(x.double()), -x.double())


def _group(rewards: Tensor) -> Tensor:
    rewards = rewards.double()
    away = rewards - rewards.mean(1, keepdim=True)
    deviation = (away.square().sum(1, keepdim=True) / (rewards.shape[1] - 1)).sqrt()
    return torch.where(deviation > 0, away / deviation.clamp(min=1e-12), 0.0)


def _clipped(log: Tensor, old: Tensor, advantage: Tensor, mask: Tensor, epsilon: float) -> Tensor:
    total = 0.0
    for b, row in enumerate((log.double() - old.double()).tolist()):
        a = advantage[b].item()
        for t, gap in enumerate(row):
            ratio = math.exp(gap)
            kept = min(ratio, 1 + epsilon) if a >= 0 else max(ratio, 1 - epsilon)
            total -= a * kept * mask[b, t].item()
    return torch.tensor(total, dtype=torch.float64) / mask.sum()


# --- inputs ---------------------------------------------------------------------------------
def _mask(t: Trial, B: int, T: int, first: int = 0) -> Tensor:
    """Answers as (B, T) booleans: each begins at `first` or later, has 1 or more tokens, ends."""
    rows = []
    for _ in range(B):
        start = t.integer(first, T - 2)
        end = t.integer(start + 1, T)
        rows.append([start <= place < end for place in range(T)])
    mask = torch.tensor(rows)
    mask[0], mask[1] = False, False
    mask[0, T - 1], mask[1, first : T - 1] = True, True  # lengths differ in any case
    return mask


def _answers(t: Trial) -> tuple[Tensor, Tensor, Tensor]:
    B, T, V = t.distinct(3, 4, 8)
    logits = 2 * t.normal(B, T, V)
    tokens = torch.from_numpy(t.rng.integers(0, V, (B, T)))
    return logits, tokens, _mask(t, B, T, first=1)
