"""Policies optimised against a learned reward model: its reward, true points and KL, step by step.

    python benchmarks/reward_hacking.py [--seeds 5] [--steps 60] [--pairs 2000] [--only WAY]

A small transformer learns from demonstrations to name the letters of a text (`utils.data.letters`),
a reward model from pairs of its answers, chosen by the true points as Bradley and Terry say. Then
GRPO and PPO raise the learned reward, GRPO also with a KL penalty and on the true points; DPO uses
the pairs; best-of-n picks by the learned reward.
"""

import copy
import math

import torch
from common import RESULTS, experiment, write_record
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from utils.data import letters
from utils.data.letters import ASK, STOP, counted, demonstrations, points, prompts
from utils.intervals import t_interval
from utils.models.config import TransformerConfig
from utils.models.transformer import Transformer

P, L = letters.PROMPT_LENGTH, letters.ANSWER_LENGTH
RESULT = RESULTS / "reward_hacking.json"
FITTING, STEPS, EVERY, GROUP, ASKED, CLIP = 300, 60, 5, 8, 16, 0.2
PAIRS, DPO_BETA, LAMBDA, BEST_OF = 2000, 0.1, 0.95, (1, 2, 4, 8, 16, 32, 64)
SHAPE = {"d_model": 32, "num_layers": 1, "num_heads": 4, "d_ff": 64}
WAYS = {
    "GRPO, learned reward": {"beta": 0.0},
    "GRPO, learned reward, KL penalty": {"beta": 0.5},
    "PPO, learned reward": {"beta": 0.0, "critic": True},
    "GRPO, true points": {"beta": 0.0, "true": True},
}


def transformer(head: str = "lm") -> Transformer:
    """A causal transformer whose matrices start with deviation 1 / sqrt(d_model)."""
    sizes = {"context_length": P + L, "head": head, "tied": False}
    model = Transformer(TransformerConfig(letters.VOCABULARY, **sizes, **SHAPE))
    for weight in model.parameters():
        if weight.dim() == 2:
            nn.init.normal_(weight, std=SHAPE["d_model"] ** -0.5)
    return model


class Critic(nn.Module):
    """A guess of the reward to come (B, L) before each token of an answer."""

    def __init__(self, policy: Transformer):
        super().__init__()
        self.body, self.score = transformer("none"), nn.Linear(SHAPE["d_model"], 1)
        self.body.load_state_dict(policy.state_dict(), strict=False)  # all but the head

    def forward(self, asked_BP: Tensor, answers_BL: Tensor) -> Tensor:
        x_BTD = self.body(torch.cat([asked_BP, answers_BL[:, :-1]], 1))
        return self.score(x_BTD)[:, P - 1 :, 0]


def learned(scorer: Transformer, asked_BP: Tensor, answers_BL: Tensor) -> Tensor:
    """The learned reward (B,): the sum of the scores that each token of the answer gets."""
    z_BLV = scorer(torch.cat([asked_BP, answers_BL[:, :-1]], 1))[:, P - 1 :]
    score_BL = z_BLV.gather(-1, answers_BL[..., None])[..., 0]
    return (score_BL * counted(answers_BL)).sum(1)


def log_policy(model: Transformer, asked_BP: Tensor, answers_BL: Tensor) -> Tensor:
    """Log-probabilities (B, L, 9) of letters and STOP at each place of the answers."""
    z_BTV = model(torch.cat([asked_BP, answers_BL[:, :-1]], 1))
    return z_BTV[:, P - 1 :, :ASK].log_softmax(-1)


def token_logs(model: Transformer, asked_BP: Tensor, answers_BL: Tensor) -> Tensor:
    """Log-probabilities (B, L) of the answers' tokens, 0 at filler."""
    logs_BL = log_policy(model, asked_BP, answers_BL).gather(-1, answers_BL[..., None])[..., 0]
    return logs_BL * counted(answers_BL)


@torch.no_grad()
def sample(model: Transformer, asked_BP: Tensor) -> Tensor:
    """One answer (B, L) to each prompt."""
    tokens, ended = asked_BP, torch.zeros(len(asked_BP), 1, dtype=torch.bool)
    for _ in range(L):
        chances = model(tokens, last_only=True)[:, 0, :ASK].softmax(-1)
        drawn = torch.multinomial(chances, 1).masked_fill(ended, STOP)
        tokens, ended = torch.cat([tokens, drawn], 1), ended | (drawn == STOP)
    return tokens[:, P:]


def fit(modules: list[nn.Module], loss, steps: int, rate: float) -> None:
    """Adam on `loss()`, the rate falling linearly to zero."""
    optimizer = torch.optim.Adam([p for m in modules for p in m.parameters()], lr=rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        schedule.step()


def supervised(steps: int) -> Transformer:
    """The policy that the demonstrations teach."""
    model = transformer()

    def loss() -> Tensor:
        asked = prompts(64)
        answers = demonstrations(asked)
        return -token_logs(model, asked, answers).sum() / counted(answers).sum()

    fit([model], loss, steps, 1e-2)
    return model


def pairs(model: Transformer, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Prompts, chosen and rejected answers: chosen with the chance sigmoid(points - points).

    Of twice as many pairs drawn, the first `count` with different points are kept.
    """
    asked = prompts(2 * count)
    first, second = sample(model, asked), sample(model, asked)
    gap = points(asked, first) - points(asked, second)
    kept = gap.nonzero()[:count, 0]
    swap = (torch.rand(len(kept)) > gap[kept].sigmoid())[:, None]
    first, second = first[kept], second[kept]
    return asked[kept], torch.where(swap, second, first), torch.where(swap, first, second)


def reward_model(
    policy: Transformer, data: tuple[Tensor, Tensor, Tensor], steps: int
) -> Transformer:
    """Bradley-Terry on the pairs, from the weights of the policy."""
    model = copy.deepcopy(policy)

    def loss() -> Tensor:
        rows = torch.randint(len(data[0]), (64,))
        asked, chosen, rejected = (part[rows] for part in data)
        return -F.logsigmoid(learned(model, asked, chosen) - learned(model, asked, rejected)).mean()

    fit([model], loss, steps, 3e-3)
    return model.requires_grad_(False)


def direct(reference: Transformer, data: tuple[Tensor, Tensor, Tensor], steps: int) -> Transformer:
    """DPO on the pairs."""
    model = copy.deepcopy(reference)

    def loss() -> Tensor:
        rows = torch.randint(len(data[0]), (64,))
        asked, chosen, rejected = (part[rows] for part in data)
        gap = (token_logs(model, asked, chosen) - token_logs(model, asked, rejected)).sum(1)
        with torch.no_grad():
            old = token_logs(reference, asked, chosen) - token_logs(reference, asked, rejected)
        return -F.logsigmoid(DPO_BETA * (gap - old.sum(1))).mean()

    fit([model], loss, steps, 5e-4)
    return model


@torch.no_grad()
def measure(model: Transformer, reference: Transformer, scorer: Transformer, count: int) -> dict:
    """Means over fresh prompts: learned reward, true points, KL in nats an answer, letters."""
    asked = prompts(count)
    answers = sample(model, asked)
    now, old = log_policy(model, asked, answers), log_policy(reference, asked, answers)
    kl_BL = (now.exp() * (now - old)).sum(-1) * counted(answers)
    return {
        "learned": learned(scorer, asked, answers).mean().item(),
        "points": points(asked, answers).mean().item(),
        "kl": kl_BL.sum(1).mean().item(),
        "letters": (answers != STOP).sum(1).float().mean().item(),
    }


def gae(rewards_BL: Tensor, values_BL: Tensor, mask_BL: Tensor) -> Tensor:
    """Advantages (B, L) with gamma 1 and LAMBDA; beyond the answer all is 0."""
    values_BL, advantage, out = values_BL * mask_BL, 0.0, []
    following = F.pad(values_BL[:, 1:], (0, 1))
    for t in reversed(range(L)):
        delta = rewards_BL[:, t] + following[:, t] - values_BL[:, t]
        advantage = (delta + LAMBDA * advantage) * mask_BL[:, t]
        out.append(advantage)
    return torch.stack(out[::-1], 1)


def advantages(way: dict, critic, asked: Tensor, answers: Tensor, reward_B: Tensor):
    """Advantages (B, L) and, for PPO, the returns that the critic is to learn."""
    mask = counted(answers)
    if critic is None:
        group = reward_B.view(-1, GROUP)
        scaled = (group - group.mean(1, keepdim=True)) / (group.std(1, keepdim=True) + 1e-4)
        return scaled.view(-1, 1) * mask, None
    with torch.no_grad():
        values = critic(asked, answers)
    rewards = torch.zeros_like(values).scatter(1, mask.sum(1, keepdim=True) - 1, reward_B[:, None])
    found = gae(rewards, values, mask)
    real = found[mask]
    return (found - real.mean()) / (real.std() + 1e-4) * mask, found + values


def update(model, reference, scorer, critic, optimizer, way: dict) -> None:
    """One batch of answers and two steps on it, with the clipped objective."""
    asked = prompts(ASKED).repeat_interleave(GROUP, 0)
    answers = sample(model, asked)
    mask = counted(answers)
    with torch.no_grad():
        old = token_logs(model, asked, answers)
        gap = (old - token_logs(reference, asked, answers)).sum(1)
        reward = points(asked, answers) if "true" in way else learned(scorer, asked, answers)
    advantage, returns = advantages(way, critic, asked, answers, reward - way["beta"] * gap)
    for _ in range(2):
        ratio = (token_logs(model, asked, answers) - old).exp()
        gain = torch.minimum(ratio * advantage, ratio.clamp(1 - CLIP, 1 + CLIP) * advantage)
        loss = -(gain * mask).sum(1).mean() / L
        if critic is not None:
            values = critic(asked, answers)
            loss = loss + 0.5 * (((values - returns) ** 2) * mask).sum() / mask.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def optimise(way: dict, reference: Transformer, scorer: Transformer, steps: int) -> list[dict]:
    """What `measure` finds at the start and after every EVERY steps."""
    model, critic = copy.deepcopy(reference), Critic(reference) if "critic" in way else None
    groups = [{"params": model.parameters(), "lr": 1e-3}]
    groups += [{"params": critic.parameters(), "lr": 3e-3}] if critic is not None else []
    optimizer, found = torch.optim.Adam(groups), []
    for step in range(steps + 1):
        if step % EVERY == 0:
            found.append({"step": step} | measure(model, reference, scorer, 500))
        if step < steps:
            update(model, reference, scorer, critic, optimizer, way)
    return found


@torch.no_grad()
def best_of(reference: Transformer, scorer: Transformer, count: int) -> list[dict]:
    """Learned reward and points of the best of n by the learned reward, and the KL bound."""
    n_max = max(BEST_OF)
    asked = prompts(count).repeat_interleave(n_max, 0)
    answers = sample(reference, asked)
    rewards = learned(scorer, asked, answers).view(count, n_max)
    true, rows = points(asked, answers).view(count, n_max), []
    for n in BEST_OF:
        top = rewards[:, :n].argmax(1, keepdim=True)
        means = {"learned": rewards.gather(1, top), "points": true.gather(1, top)}
        bound = {"n": n, "kl_bound": math.log(n) - (n - 1) / n}
        rows.append(bound | {name: v.mean().item() for name, v in means.items()})
    return rows


def one_seed(seed: int, steps: int, fitting: int, count: int, ways: list[str]) -> dict:
    torch.manual_seed(seed)
    reference = supervised(fitting)
    data, held = pairs(reference, count), pairs(reference, 1000)
    scorer = reward_model(reference, data, fitting // 2 + 1)
    right = learned(scorer, held[0], held[1]) > learned(scorer, held[0], held[2])
    found = {"held_pairs": len(right), "held_right": int(right.sum())}
    found["best_of"] = best_of(reference, scorer, 200)
    if len(ways) > 1:
        model, moved = direct(reference, data, fitting // 2 + 1), {}
        with torch.no_grad():
            for name, part in zip(("chosen", "rejected"), held[1:], strict=True):
                now, old = (token_logs(m, held[0], part).sum(1) for m in (model, reference))
                moved[name] = (now - old).mean().item()
        found |= {"DPO": measure(model, reference, scorer, 2000), "DPO_moved": moved}
    return found | {"ways": {n: optimise(WAYS[n], reference, scorer, steps) for n in ways}}


def main(words: list[str] | None = None) -> int:
    """Run all seeds and write the record."""
    smoke = "five steps, two seeds, little fitting"
    more = [
        (
            "--pairs",
            {"type": int, "default": PAIRS, "help": "that reward model and DPO learn from"},
        ),
        ("--only", {"choices": list(WAYS), "help": "one way, without DPO"}),
    ]
    settings = experiment(words, __doc__, seeds=5, smoke=smoke, steps=STEPS, at_least=2, more=more)
    seeds, steps, fitting = settings.seeds, settings.steps, FITTING
    if settings.smoke:
        seeds, steps, fitting = 2, EVERY, 5
    if steps % EVERY or settings.pairs < 1:
        raise SystemExit(f"expected --pairs from 1 up and --steps a multiple of {EVERY}")
    ways = [settings.only] if settings.only else list(WAYS)
    rest = (steps, fitting, settings.pairs, ways)
    runs = [one_seed(seed, *rest) for seed in tqdm(range(seeds), unit="seed")]
    for way in ways:
        for name in ("learned", "points", "kl", "letters"):
            ends = t_interval([run["ways"][way][-1][name] for run in runs])
            print(f"{way:34} {name:8} {ends.estimate:7.2f} ({ends.low:.2f} to {ends.high:.2f})")
    write_record(
        settings.output or RESULT,
        {"ways": ways, "runs": runs},
        script=__file__,
        used=["utils/data/letters.py", "utils/models/transformer.py"],
        packages=[],
        seeds=range(seeds),
        settings={"steps": steps, "pairs": settings.pairs, "group": GROUP, "prompts": ASKED},
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
