"""Which optimizer? SGD, AdamW and Muon on three tasks, each with its own tuned rate and decay.

    python benchmarks/optimizers_three_tasks.py [--seeds 8]
    python benchmarks/optimizers_three_tasks.py --smoke --output smoke.json

Tasks: digits by a convolutional network, bytes of Python source by a Transformer, churn by an MLP.
Each optimizer gets the same trials a task: six rates, a factor of sqrt(10) apart, times no decay
and its usual one, on two seeds kept for tuning. The lowest mean validation loss wins; while the
winner has the lowest or highest rate, the grid grows by one on that side, at most four times. The
winner then runs on seeds that tuning did not see and is scored once, on the test part, after its
last step. AdamW without decay is Adam. The same for all: steps, batches and first weights of a
seed, warm-up over a tenth of the steps, then cosine to 0; momentum 0.9 with Nesterov (SGD); betas
0.9 and 0.95 (AdamW, also where Muon leaves parameters to it). Networks of a trial are stacked, so
that one pass gives all gradients; each has an optimizer of its own.

Legend: M networks, B examples in a batch, T bytes in a window, n examples.
"""

import itertools
import math

import numpy as np
import torch
from common import RESULTS, ROOT, experiment, write_record
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from utils.data import digits, source_text, split
from utils.data.synthetic import churn
from utils.intervals import t_interval
from utils.models.config import TransformerConfig
from utils.models.transformer import Transformer
from utils.optim import SGD, AdamW, MuonAdamW, decay_groups
from utils.schedules import cosine

RESULT = RESULTS / "optimizers_three_tasks.json"
TUNING, WIDER = (1000, 1001), 4  # seeds for tuning; how often a grid may grow
STEPS, BATCH = {"images": 150, "text": 500, "table": 200}, {"images": 64, "text": 8, "table": 64}
START = {"SGD": -2.5, "AdamW": -4.0, "Muon": -4.0}  # log10 of the lowest rate at first
DECAYS = {"SGD": (0.0, 5e-4), "AdamW": (0.0, 0.1), "Muon": (0.0, 0.1)}
T, V, WIDTH = 32, 128, 32
HEADS = {"images": "7", "text": "head", "table": "4"}  # names of last layers
Trial = tuple[float, float, int]  # log10 of the rate, decay, seed


def images() -> list[tuple[Tensor, Tensor]]:
    """Train, validation, test: (n, 1, 8, 8) and labels (n,)."""
    return [part.tensors() for part in split(digits())]


def table() -> list[tuple[Tensor, Tensor]]:
    """Train, validation, test of churn: (n, 5), scaled by the training part, and labels (n,)."""
    parts = [part.tensors() for part in split(churn(6000))]
    deviation, mean = torch.std_mean(parts[0][0], 0)
    return [((x - mean) / deviation, y) for x, y in parts]


def text() -> list[tuple[Tensor, Tensor]]:
    """Windows (n, T) and the bytes that follow (n, T), 0 to 127; parts share no file."""
    corpus = source_text()
    half = len(corpus.validation) // 2
    parts = []
    for files, n in (
        (corpus.train, 20000),
        (corpus.validation[:half], 500),
        (corpus.validation[half:], 500),
    ):
        line = np.minimum(np.frombuffer("\n".join(files).encode(), np.uint8), V - 1)
        starts = np.linspace(0, len(line) - T - 1, n).astype(int)  # evenly over all files
        rows = torch.from_numpy(line[starts[:, None] + np.arange(T + 1)].astype(np.int64))
        parts.append((rows[:, :-1], rows[:, 1:]))
    return parts


def network(task: str) -> nn.Module:
    """The task's network, from the present state of torch's generator."""
    if task == "text":
        sizes = {"vocab_size": V, "context_length": T, "num_layers": 2, "num_heads": 4}
        return Transformer(TransformerConfig.of("gpt2", d_model=WIDTH, **sizes))
    if task == "table":
        return nn.Sequential(
            *(nn.Linear(5, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
        )
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1)),
        *(nn.ReLU(), nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10)),
    )


def optimizer(task: str, name: str, model: nn.Module, trial: Trial) -> torch.optim.Optimizer:
    """Biases, scales never decay; Muon leaves them, filters, embeddings, last layers to AdamW."""
    log_rate, decay, _ = trial
    if name == "Muon":
        return MuonAdamW(model, 10**log_rate, decay, head=HEADS[task], fused=True)
    groups = decay_groups(model, decay)
    if name == "SGD":
        return SGD(groups, 10**log_rate, momentum=0.9, nesterov=True)
    return AdamW(groups, 10**log_rate, betas=(0.9, 0.95), fused=True)


def loss(logits: Tensor, y: Tensor) -> Tensor:
    """Mean cross-entropy in nats, over classes in the last axis."""
    return F.cross_entropy(logits.flatten(0, -2), y.flatten())


def train(task: str, part: tuple, name: str, trials: list[Trial], steps: int) -> list[nn.Module]:
    """Train one network a trial, all at once; after the last step."""
    models, x, y = [], *part
    for _, _, seed in trials:
        torch.manual_seed(seed)
        models.append(network(task))
    draws = [torch.Generator().manual_seed(seed) for _, _, seed in trials]
    made = [optimizer(task, name, *pair) for pair in zip(models, trials, strict=True)]
    keys, factor = list(dict(models[0].named_parameters())), cosine(steps, warmup=steps // 10)
    by_key = list(zip(*(model.parameters() for model in models), strict=True))

    def one(weights: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
        return loss(functional_call(models[0], dict(zip(keys, weights, strict=True)), (x,)), y)

    gradients = vmap(grad(one))
    for step in range(steps):
        rows = torch.stack([torch.randint(len(x), (BATCH[task],), generator=d) for d in draws])
        stacked = [torch.stack([p.detach() for p in same]) for same in by_key]
        with sdpa_kernel(SDPBackend.MATH):
            found = gradients(stacked, x[rows], y[rows])
        for same, slopes in zip(by_key, found, strict=True):
            for p, slope in zip(same, slopes, strict=True):
                p.grad = slope
        for each, (log_rate, _, _) in zip(made, trials, strict=True):
            for group in each.param_groups:
                group["lr"] = 10**log_rate * factor(step + 1)  # at step 0 the rate would be 0
            each.step()
    return models


@torch.no_grad()
def scores(models: list[nn.Module], part: tuple) -> np.ndarray:
    """The loss of each network, (M,); infinite where training diverged."""
    found = np.array([loss(model(part[0]), part[1]).item() for model in models])
    return np.where(np.isfinite(found), found, math.inf)


def tune(task: str, parts: list, name: str, seeds: tuple, steps: int) -> dict:
    """Mean validation loss by (log10 rate, decay), the grid grown until its best lies inside."""
    tried: dict[tuple[float, float], float] = {}
    rates = [START[name] + 0.5 * i for i in range(6)]
    while True:
        new = [key for key in itertools.product(rates, DECAYS[name]) if key not in tried]
        trials = [(*key, seed) for key in new for seed in seeds]
        found = scores(train(task, parts[0], name, trials, steps), parts[1])
        means = found.reshape(len(new), len(seeds)).mean(1).tolist()
        tried |= dict(zip(new, means, strict=True))
        best = min(tried, key=tried.get)[0]
        if best not in (rates[0], rates[-1]) or len(rates) == 6 + WIDER:
            return tried
        rates = [rates[0] - 0.5, *rates] if best == rates[0] else [*rates, rates[-1] + 0.5]


def contest(task: str, parts: list, name: str, seeds: range, tuning: tuple, steps: int) -> dict:
    """Tune one optimizer on one task, then score it on fresh seeds."""
    tried = tune(task, parts, name, tuning, steps)
    best = min(tried, key=tried.get)
    models = train(task, parts[0], name, [(*best, seed) for seed in seeds], steps)
    test = scores(models, parts[2])
    rates = [key[0] for key in tried]
    return {
        "tuning": [
            {"log_rate": key[0], "decay": key[1], "loss": value if math.isfinite(value) else None}
            for key, value in sorted(tried.items())
        ],
        "log_rate": best[0],
        "decay": best[1],
        "inside": min(rates) < best[0] < max(rates),
        "test": test.tolist(),
        "interval": list(t_interval(test)),
    }


def main(words: list[str] | None = None) -> int:
    """Tune and score all optimizers on all tasks and write the record."""
    settings = experiment(words, __doc__, seeds=8, smoke="three steps, two seeds", at_least=2)
    seeds = range(2 if settings.smoke else settings.seeds)
    tuning = TUNING[:1] if settings.smoke else TUNING
    figures: dict = {}
    for task, make in (("images", images), ("text", text), ("table", table)):
        parts, figures[task] = make(), {}
        steps = 3 if settings.smoke else STEPS[task]
        for name in DECAYS:
            found = contest(task, parts, name, seeds, tuning, steps)
            figures[task][name] = found
            mean, low, high = found["interval"]
            print(f"{task}, {name}: 10^{found['log_rate']}, decay {found['decay']}", end=": ")
            print(f"{mean:.4f} ({low:.4f} to {high:.4f})", flush=True)
    used = ("optim.py", "adam.py", "muon.py", "schedules.py", "models/transformer.py")
    write_record(
        settings.output or RESULT,
        figures,
        script=__file__,
        used=[str(ROOT / "utils" / file) for file in used],
        packages=["scikit-learn", "sympy"],
        seeds=[*TUNING, *seeds],
        settings={"steps": STEPS, "batch": BATCH, "context": T, "width": WIDTH},
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
