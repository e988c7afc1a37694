"""Contrastive pretraining on captioned scenes: order of words, size of the batch.

    python benchmarks/contrastive_scenes.py [--seeds 4] [--steps 400]

An image encoder and a text encoder are trained by CLIP's loss, with its learned temperature, on
new pictures of 108 captions, each at most once in a batch. Twelve pairs of things, in both orders,
are kept for the test: 24 captions, never seen. Ways differ in the text encoder (one that knows the
order of words, one that adds them up) and in the batch, at the same number of pictures.
"""

import math
import time

import torch
from common import RESULTS, experiment, write_record
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from tqdm import tqdm

from utils.data.captioned_scenes import WORDS, all_captions, scenes
from utils.intervals import t_interval
from utils.pretraining import info_nce

WAYS = {
    "order, 64": {"order": True, "B": 64},
    "bag, 64": {"order": False, "B": 64},
    "order, 8": {"order": True, "B": 8},
}
RESULT = RESULTS / "contrastive_scenes.json"
RATE, STEPS, D, PICTURES, COLDEST = 0.003, 400, 32, 10, math.log(100)


class TwoTowers(nn.Module):
    """Pictures and captions to vectors of one space, and the logarithm of a scale."""

    def __init__(self, order: bool):
        super().__init__()
        half = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        quarter = [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        self.image = nn.Sequential(*half, *quarter, nn.Flatten(), nn.Linear(32 * 3 * 6, D))
        self.embed = nn.Embedding(len(WORDS), 16)
        self.text = nn.Sequential(nn.Linear(96 if order else 16, 64), nn.ReLU(), nn.Linear(64, D))
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.order = order

    def forward(self, images: Tensor, captions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, 12, 24) and (M, 6) to vectors (N, D), (M, D) and the log scale."""
        words = self.embed(captions)
        words = words.flatten(1) if self.order else words.sum(1)
        return self.image(images), self.text(words), self.log_scale.clamp(max=COLDEST)


def split() -> tuple[Tensor, Tensor]:
    """Captions to train on (108, 6) and to test on (24, 6), both orders of a pair together."""
    captions = all_captions()
    turned = captions[:, [4, 5, 2, 3, 0, 1]]
    first = captions[:, 0] * 10 + captions[:, 1] < captions[:, 4] * 10 + captions[:, 5]
    pairs, others = captions[first], turned[first]
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0))
    test, rest = order[:12], order[12:]
    return torch.cat([pairs[rest], others[rest]]), torch.cat([pairs[test], others[test]])


def train(order: bool, B: int, seeds: int, steps: int):
    """The models, as a function of pictures and captions, and their losses (seeds, steps)."""
    models = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        models.append(TwoTowers(order))
    weights, buffers = stack_module_state(models)
    optimizer = torch.optim.AdamW(weights.values(), lr=RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    captions, draw = split()[0], torch.Generator().manual_seed(0)

    def towers(weights, buffers, images, captions):
        return functional_call(models[0], (weights, buffers), (images, captions))

    def loss(weights, buffers, images, captions):
        return info_nce(*towers(weights, buffers, images, captions))

    losses = torch.empty(seeds, steps)
    for step in range(steps):
        ranks = torch.rand(seeds, len(captions), generator=draw).argsort(1)[:, :B]
        seed = int(torch.randint(2**40, (1,), generator=draw))
        made = scenes(captions[ranks].flatten(0, 1), seed)
        images, texts = (part.unflatten(0, (seeds, B)) for part in made)
        each = torch.vmap(loss)(weights, buffers, images, texts)
        optimizer.zero_grad()
        each.sum().backward()
        optimizer.step()
        schedule.step()
        losses[:, step] = each.detach()
    return lambda *pair: torch.vmap(towers, (0, 0, None, None))(weights, buffers, *pair), losses


@torch.no_grad()
def judge(towers) -> dict[str, Tensor]:
    """Right caption among 24, right things in either order, right order of the two; (seeds,)."""
    texts = split()[1]
    own = torch.arange(len(texts)).repeat(PICTURES)
    pictures = scenes(texts[own], seed=10**6)
    image, text, log_scale = towers(pictures.images, texts)
    z = nn.functional.normalize(image, dim=-1) @ nn.functional.normalize(text, dim=-1).mT
    turned = (own + 12) % 24  # the same two things the other way round
    right, wrong = (z.gather(2, i.expand(len(z), -1)[..., None])[..., 0] for i in (own, turned))
    best = z.argmax(2)
    return {
        "caption": (best == own).float().mean(1),
        "things": (best % 12 == own % 12).float().mean(1),
        # a tie is a coin flip
        "order": ((right - wrong > 1e-6).float() + 0.5 * ((right - wrong).abs() <= 1e-6)).mean(1),
        "temperature": (-log_scale).exp(),
    }


def summary(runs: Tensor) -> dict:
    """Values (seeds,) with mean and 95 % t interval, in five digits."""
    mean, low, high = (round(float(part), 5) for part in t_interval(runs.double()))
    return {"mean": mean, "low": low, "high": high, "runs": [round(v, 5) for v in runs.tolist()]}


def main(words: list[str] | None = None) -> int:
    """Train and judge all ways and write the record."""
    smoke = "twenty steps, two seeds"
    settings = experiment(words, __doc__, seeds=4, smoke=smoke, steps=STEPS, at_least=2)
    seeds, steps = (2, 20) if settings.smoke else (settings.seeds, settings.steps)
    figures = {}
    for name, way in tqdm(WAYS.items()):
        start, total = time.process_time(), steps * 64 // way["B"]
        towers, losses = train(way["order"], way["B"], seeds, total)
        seconds = time.process_time() - start
        found = judge(towers) | {"last_loss": losses[:, -max(1, total // 10) :].mean(1)}
        figures[name] = {
            "steps": total,
            "processor_seconds_for_all_seeds": round(seconds, 1),
            **{key: summary(runs) for key, runs in found.items()},
        }
        print(name, {key: figures[name][key]["mean"] for key in found}, round(seconds, 1))
    write_record(
        settings.output or RESULT,
        figures,
        script=__file__,
        used=["utils/pretraining.py", "utils/data/captioned_scenes.py"],
        packages=[],
        seeds=range(seeds),
        settings={"steps": steps, "rate": RATE, "captions": 108, "test_captions": 24},
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
