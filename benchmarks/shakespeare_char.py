"""A character model of Shakespeare in a fixed budget of steps, parameters and tokens.

    LMM_DATA=FOLDER python benchmarks/shakespeare_char.py [--seeds 0 1 2] [--jobs 3]
    LMM_DATA=FOLDER python benchmarks/shakespeare_char.py --recipe gpu --device cuda

Recipe "cpu": 2,000 steps of 12 windows of 64 characters, 4 layers, 4 heads, 128 wide, as
nanoGPT's README has it for a laptop. Recipe "gpu": 5,000 steps of 64 windows of 256, 6 layers,
6 heads, 384 wide, dropout 0.2. Parameters and tokens are no more than nanoGPT's, which are
counted here. The loss is that of the last step over the whole validation text, cut into windows
of the context length that do not overlap; nothing is chosen by it.

Design: Llama's form (RoPE, RMSNorm, SwiGLU) with a head of its own, paid for by a narrower
feed-forward part; Muon for the matrices inside, AdamW for tables and norms; a learning rate that
warms up and falls in a straight line to zero. The learning rate was chosen with ``--tune``, which
trains on the first nine tenths of the training text and evaluates on the last tenth of it.
"""

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from common import RESULTS, against, write_record
from torch import Tensor

from utils.data.text import tiny_shakespeare
from utils.device import machine, memory, pick_device, seed_everything, synchronize
from utils.intervals import t_interval
from utils.models.config import TransformerConfig
from utils.models.transformer import Transformer
from utils.optim import MuonAdamW
from utils.schedules import linear
from utils.train import Trainer


@dataclass(frozen=True)
class Recipe:
    """Sizes, budget and the few settings that were tuned."""

    num_layers: int
    num_heads: int
    d_model: int
    context_length: int
    batch_size: int
    steps: int
    d_ff: int
    lr: float
    target: float
    warmup: int = 100
    weight_decay: float = 0.1
    dropout: float = 0.0
    precision: str | None = "float32"


RECIPES = {
    "cpu": Recipe(4, 4, 128, 64, 12, 2000, d_ff=335, lr=0.01, target=1.75),
    "gpu": Recipe(
        6, 6, 384, 256, 64, 5000, d_ff=1019, lr=0.003, target=1.4697, dropout=0.2, precision=None
    ),
}


def nanogpt_parameters(recipe: Recipe, vocab_size: int) -> int:
    """GPT-2 without biases and with a tied head, positions left out, as nanoGPT reports it."""
    M = recipe.d_model
    return vocab_size * M + recipe.num_layers * (12 * M * M + 2 * M) + M


def make_model(recipe: Recipe, vocab_size: int) -> Transformer:
    """The model; ValueError if it is larger than nanoGPT's."""
    config = TransformerConfig.of(
        "llama",
        vocab_size=vocab_size,
        context_length=recipe.context_length,
        d_model=recipe.d_model,
        num_layers=recipe.num_layers,
        num_heads=recipe.num_heads,
        d_ff=recipe.d_ff,
        dropout=recipe.dropout,
    )
    model = Transformer(config)
    size = sum(p.numel() for p in model.parameters())
    if size > nanogpt_parameters(recipe, vocab_size):
        raise ValueError(f"{size} parameters, more than nanoGPT's: make d_ff smaller")
    return model


def encode(*texts: str) -> tuple[list[Tensor], int]:
    """Characters as numbers, (n,) int64 each, by their order in all texts; their number."""
    characters = sorted(set("".join(texts)))
    number = {character: i for i, character in enumerate(characters)}
    return [torch.tensor([number[c] for c in text]) for text in texts], len(characters)


class RandomWindows:
    """Batches of windows at random places, as nanoGPT draws them: x (B, T), the next ones y."""

    def __init__(self, data: Tensor, recipe: Recipe, seed: int):
        self.data, self.recipe = data, recipe
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.recipe.steps

    def __iter__(self):
        T, size = self.recipe.context_length, (self.recipe.batch_size, 1)
        for _ in range(len(self)):
            start = torch.randint(len(self.data) - T, size, generator=self.generator)
            rows = self.data[start + torch.arange(T + 1)]
            yield rows[:, :-1], rows[:, 1:]


def validation_windows(data: Tensor, context_length: int) -> list[tuple[Tensor, Tensor]]:
    """All windows that do not overlap; the last ones may be fewer and the last one shorter."""
    T, n = context_length, len(data) - 1
    whole = n // T * T
    x, y = data[:whole].view(-1, T), data[1 : whole + 1].view(-1, T)
    batches = list(zip(x.split(128), y.split(128), strict=True))
    if whole < n:
        batches.append((data[None, whole:-1], data[None, whole + 1 :]))
    return batches


@torch.no_grad()
def validation_loss(trainer: Trainer, data: Tensor) -> float:
    """Mean over all characters, in nats, float32."""
    model, total = trainer.model.eval(), 0.0
    for x, y in validation_windows(data, model.config.context_length):
        total += model(x.to(trainer.device), y.to(trainer.device)).double().item() * y.numel()
    model.train()
    return total / (len(data) - 1)


def run(recipe: Recipe, seed: int, device: str, tune: bool, lr: float | None = None) -> dict:
    """Train once and evaluate once, at the end."""
    torch.set_num_threads(1)
    seed_everything(seed)
    corpus = tiny_shakespeare()
    (train, held_out), vocab_size = encode(corpus.text("train"), corpus.text("validation"))
    if tune:
        train, held_out = train[: len(train) * 9 // 10], train[len(train) * 9 // 10 :]
    recipe = replace(recipe, lr=lr or recipe.lr)
    model = make_model(recipe, vocab_size)
    where = pick_device(device)
    optimizer = MuonAdamW(
        model.to(where), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True
    )
    trainer = Trainer(
        model,
        optimizer,
        lambda model, batch: model(*batch),
        schedule=linear(recipe.steps, recipe.warmup),
        device=where,
        precision=recipe.precision,
        progress=False,
    )
    processor, elapsed = time.process_time(), time.perf_counter()
    history = trainer.fit(RandomWindows(train, recipe, seed), steps=recipe.steps)
    synchronize(where)
    return {
        "seed": seed,
        "lr": recipe.lr,
        "validation_loss": round(validation_loss(trainer, held_out), 5),
        "training_loss_last_100": round(sum(history.loss[-100:]) / len(history.loss[-100:]), 5),
        "training_curve": [round(sum(c) / len(c), 4) for c in chunks(history.loss, 20)],
        "processor_seconds": round(time.process_time() - processor, 1),
        "elapsed_seconds": round(time.perf_counter() - elapsed, 1),
        "peak_bytes": memory(where)["peak"],
        "characters": {"train": len(train), "validation": len(held_out), "different": vocab_size},
        "parameters": sum(p.numel() for p in model.parameters()),
        "accelerator": machine()["accelerator"],
    }


def chunks(values: list[float], number: int) -> list[list[float]]:
    """About ``number`` pieces of equal length."""
    size = max(1, len(values) // number)
    return [values[i : i + size] for i in range(0, len(values), size)]


def summary(recipe: Recipe, runs: list[dict]) -> dict:
    """The mean over seeds with Student's interval, beside the target and nanoGPT's sizes."""
    losses = [row["validation_loss"] for row in runs]
    mean = sum(losses) / len(losses)
    interval = t_interval(losses)._asdict() if len(losses) > 1 else None
    vocab_size = runs[0]["characters"]["different"]
    return {
        "validation_loss": {"mean": round(mean, 5), "interval_95": interval},
        "target": against(round(mean, 5), at_most=recipe.target),
        "parameters": {
            "ours": runs[0]["parameters"],
            "nanogpt_without_positions": nanogpt_parameters(recipe, vocab_size),
            "nanogpt": nanogpt_parameters(recipe, vocab_size)
            + recipe.context_length * recipe.d_model,
        },
        "training_tokens": recipe.steps * recipe.batch_size * recipe.context_length,
        "recipe": vars(recipe),
        "runs": runs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", choices=RECIPES, default="cpu")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="seeds trained at the same time")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--tune", type=float, nargs="+", help="learning rates to try")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    recipe = RECIPES[options.recipe]
    recipe = replace(recipe, steps=options.steps or recipe.steps)
    recipe = replace(recipe, warmup=min(recipe.warmup, recipe.steps))
    tries = [(seed, lr) for lr in options.tune or [None] for seed in options.seeds]
    tries = [(recipe, seed, options.device, bool(options.tune), lr) for seed, lr in tries]
    if options.jobs == 1:
        runs = [run(*arguments) for arguments in tries]
    else:
        with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
            runs = list(pool.map(run, *zip(*tries, strict=True)))
    for row in runs:
        print(f"seed {row['seed']} lr {row['lr']}: {row['validation_loss']}")
    if options.tune:
        return
    figures = summary(recipe, runs)
    print(figures["validation_loss"], figures["target"])
    name = "shakespeare_char" + ("" if options.recipe == "cpu" else f"_{options.recipe}")
    torch.set_num_threads(1)
    write_record(
        options.output or RESULTS / f"{name}.json",
        figures,
        script=__file__,
        used=["utils/models", "utils/train.py", "utils/optim.py", "utils/muon.py"],
        packages=[],
        seeds=options.seeds,
    )


if __name__ == "__main__":
    main()
