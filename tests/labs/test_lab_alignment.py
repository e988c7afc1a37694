"""The lab `alignment`: right answers in any style pass, wrong ones are told apart."""

import math

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

LAB = lab("alignment")
RIGHT = solved("alignment")  # the namespace of the solutions
answer_logs, clipped = RIGHT["answer_log_prob"], RIGHT["clipped_loss"]


# --- other styles ---------------------------------------------------------------------------
def answer_by_loops(logits, tokens, mask):
    logits, sums = logits.double(), []
    logs = logits - logits.logsumexp(-1, keepdim=True)
    for b in range(len(tokens)):
        found = 0.0
        for t in range(1, tokens.shape[1]):
            if mask[b, t]:
                found += logs[b, t - 1, tokens[b, t]].item()
        sums.append(found)
    return torch.tensor(sums)


def sft_by_boolean(logits, tokens, mask):
    logs = logits[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None]).squeeze(-1)
    return -logs[mask[:, 1:]].mean()


def group_by_where(rewards):
    away = rewards.double() - rewards.double().mean(1, keepdim=True)
    deviation = (away**2).sum(1, keepdim=True).div(rewards.shape[1] - 1).sqrt()
    return torch.where(deviation > 1e-9, away / deviation, 0.0)


def clipped_by_cases(log, old_log, advantage, mask, epsilon):
    ratio, a = (log - old_log).exp(), advantage.unsqueeze(1).expand_as(log)
    up, down = ratio.clamp(max=1 + epsilon), ratio.clamp(min=1 - epsilon)
    gain = a * torch.where(a >= 0, up, down)
    return -gain[mask].mean()


def dpo_by_hand(chosen, rejected, ref_chosen, ref_rejected, beta):
    gap = beta * (chosen - rejected - ref_chosen + ref_rejected)
    return F.softplus(-gap).mean()


def kl_by_exp(log, ref_log):
    ratio = (ref_log.double() - log.double()).exp()
    return -ratio.log(), 0.5 * ratio.log().square(), ratio - 1 - ratio.log()


OTHER_STYLES = {
    "answer_log_prob": [{"answer_log_prob": answer_by_loops}],
    "sft_loss": [{"sft_loss": sft_by_boolean}],
    "preference_loss": [
        {"preference_loss": lambda c, r: F.softplus(r - c).mean()},
        {"preference_loss": lambda c, r: torch.logaddexp(r - c, 0 * c).sum() / len(c)},
    ],
    "dpo": [{"dpo_loss": dpo_by_hand}],
    "kl_estimates": [{"kl_estimates": kl_by_exp}],
    "group_advantages": [{"group_advantages": group_by_where}],
    "clipped_loss": [{"clipped_loss": clipped_by_cases}],
}


@pytest.mark.parametrize("task", LAB.ids())
@pytest.mark.parametrize("seed", range(5))
def test_right_answers_pass(task, seed):
    assert_styles_pass("alignment", RIGHT, OTHER_STYLES[task], task, seed)


# --- wrong answers --------------------------------------------------------------------------
def picked(logits, tokens):
    return logits[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]


def gains(p, o, a, e):
    ratio = (p - o).exp()
    return ratio * a[:, None], ratio.clamp(1 - e, 1 + e) * a[:, None]


def mean(x, m):
    return (x * m).sum() / m.sum()


def changed_in_place(chosen, rejected):
    chosen -= rejected
    return F.softplus(-chosen).mean()


WRONG = {
    "answer_log_prob": {
        "not-shifted": lambda z, y, m: (z.log_softmax(-1).gather(-1, y[..., None])[..., 0] * m).sum(
            1
        ),
        "mask-not-shifted": lambda z, y, m: (picked(z, y) * m[:, :-1]).sum(1),
        "prompt-counted": lambda z, y, m: picked(z, y).sum(1),
        "mean": lambda z, y, m: answer_logs(z, y, m) / m.sum(1),
        "no-log-softmax": lambda z, y, m: (
            z[:, :-1].gather(-1, y[:, 1:, None])[..., 0] * m[:, 1:]
        ).sum(1),
        "probabilities": lambda z, y, m: (picked(z, y).exp() * m[:, 1:]).sum(1),
        "negative": lambda z, y, m: -answer_logs(z, y, m),
        "per-token": lambda z, y, m: picked(z, y) * m[:, 1:],
        "forbidden": lambda z, y, m: (
            -(F.cross_entropy(z[:, :-1].mT, y[:, 1:], reduction="none") * m[:, 1:]).sum(1)
        ),
    },
    "sft_loss": {
        "mean-of-means": lambda z, y, m: -(answer_logs(z, y, m) / m.sum(1)).mean(),
        "sign": lambda z, y, m: answer_logs(z, y, m).sum() / m.sum(),
        "per-answer": lambda z, y, m: -answer_logs(z, y, m).mean(),
        "not-divided": lambda z, y, m: -answer_logs(z, y, m).sum(),
        "all-places": lambda z, y, m: -answer_logs(z, y, m).sum() / m.numel(),
        "prompt-counted": lambda z, y, m: -picked(z, y).mean(),
    },
    "preference_loss": {
        "overflow": lambda c, r: -torch.log(torch.sigmoid(c - r)).mean(),
        "swapped": lambda c, r: F.softplus(c - r).mean(),
        "sum": lambda c, r: F.softplus(r - c).sum(),
        "sign": lambda c, r: -F.softplus(r - c).mean(),
        "no-log": lambda c, r: torch.sigmoid(r - c).mean(),
        "mean-first": lambda c, r: F.softplus((r - c).mean()),
        "margin": lambda c, r: (r - c).mean(),
        "changed-input": changed_in_place,
    },
    "kl_estimates": {
        "direction": lambda p, r: kl_by_exp(r, p),
        "no-half": lambda p, r: ((k := kl_by_exp(p, r))[0], 2 * k[1], k[2]),
        "k1-sign": lambda p, r: (-(k := kl_by_exp(p, r))[0], k[1], k[2]),
        "k3-direction": lambda p, r: ((k := kl_by_exp(p, r))[0], k[1], kl_by_exp(r, p)[2]),
        "k3-no-one": lambda p, r: ((k := kl_by_exp(p, r))[0], k[1], k[2] + 1),
        "k3-no-log": lambda p, r: ((k := kl_by_exp(p, r))[0], k[1], k[2] - k[0]),
    },
    "group_advantages": {
        "whole-batch": lambda x: (x - x.mean()) / x.std(),
        "across-prompts": lambda x: (x - x.mean(0)) / (x.std(0) + 1e-6),
        "no-deviation": lambda x: x - x.mean(1, keepdim=True),
        "divided-by-g": lambda x: (
            (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True, correction=0) + 1e-6)
        ),
        "equal-nan": lambda x: (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True),
        "variance": lambda x: (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True) + 1e-6),
        "raised": lambda x: (x - x.mean(1)) / x.std(1),
    },
    "clipped_loss": {
        "no-minimum": lambda p, o, a, m, e: -mean(gains(p, o, a, e)[1], m),
        "no-clip": lambda p, o, a, m, e: -mean(gains(p, o, a, e)[0], m),
        "maximum": lambda p, o, a, m, e: -mean(torch.maximum(*gains(p, o, a, e)), m),
        "sign": lambda p, o, a, m, e: -clipped(p, o, a, m, e),
        "ratio-inverted": lambda p, o, a, m, e: clipped(o, p, a, m, e),
        "mask-ignored": lambda p, o, a, m, e: clipped(p, o, a, m | True, e),
        "all-places": lambda p, o, a, m, e: -(torch.minimum(*gains(p, o, a, e)) * m).mean(),
        "answer-means": lambda p, o, a, m, e: (
            -((torch.minimum(*gains(p, o, a, e)) * m).sum(1) / m.sum(1)).mean()
        ),
    },
}
WRONG_DPO = {
    "no-reference": lambda c, r, rc, rr, b: F.softplus(-b * (c - r)).mean(),
    "reference-added": lambda c, r, rc, rr, b: F.softplus(-b * (c - r + rc - rr)).mean(),
    "no-beta": lambda c, r, rc, rr, b: F.softplus(-(c - r - rc + rr)).mean(),
    "beta-outside": lambda c, r, rc, rr, b: b * F.softplus(-(c - r - rc + rr)).mean(),
    "divided": lambda c, r, rc, rr, b: F.softplus(-(c - r - rc + rr) / b).mean(),
    "overflow": lambda c, r, rc, rr, b: -torch.sigmoid(b * (c - rc - r + rr)).log().mean(),
    "sum": lambda c, r, rc, rr, b: F.softplus(-b * (c - r - rc + rr)).sum(),
}
WRONG_REWARDS = {
    "no-reference": lambda p, r, b: b * p,
    "no-beta": lambda p, r, b: p - r,
    "divided": lambda p, r, b: (p - r) / b,
    "swapped": lambda p, r, b: b * (r - p),
    "exp": lambda p, r, b: b * (p - r).exp(),
}


def cases():
    for task, wrong in WRONG.items():
        name = LAB[task].functions[0]
        yield task, {slug: {name: function} for slug, function in wrong.items()}
    yield "dpo", {slug: {"dpo_loss": f} for slug, f in WRONG_DPO.items()}
    yield "dpo", {slug: {"implicit_reward": f} for slug, f in WRONG_REWARDS.items()}


@pytest.mark.parametrize(
    ("task", "wrong"), list(cases()), ids=lambda v: v if v in LAB.ids() else ""
)
def test_wrong_answers_are_named(task, wrong):
    found = refusals("alignment", RIGHT, task, wrong)
    assert found == {slug: slug for slug in wrong}


def test_every_check_tells_five_wrong_answers_apart():
    assert_five_wrong_answers("alignment", cases())


def test_references_by_hand():
    logits = torch.zeros(1, 3, 4)
    tokens, mask = torch.zeros(1, 3, dtype=torch.long), torch.tensor([[False, False, True]])
    assert answer_logs(logits, tokens, mask).item() == pytest.approx(-math.log(4))


def test_scores():
    assert_lab_scores("alignment", full=26)
