"""What a step costs in our Trainer, the bare loop, Hugging Face's Trainer and Lightning's.

    python benchmarks/trainer_overhead.py [--rounds 31]

One thread, processor time, AdamW, float32, no clipping, no logging, no bar, no checkpoint. All
contenders train equal models on equal batches and take turns within a round, in changing order;
reported are medians over rounds of the time a step and of the paired difference to the bare loop.
Every contender draws from a loader that notes the time at two of its batches, so set-up and end of
a run do not count, nor does it matter whether a contender fetches one batch ahead.

The bare loop and ours read the loss each step (ours also looks for NaN in the gradient, one pass
over it: the part of its cost that grows with the model); the other two do neither.
"""

import argparse
import datetime
import itertools
import json
import logging
import os
import random
import statistics
import subprocess
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import lightning
import torch
import transformers
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

from utils.device import machine
from utils.train import Trainer

RESULT = Path(__file__).parent / "results" / "trainer_overhead.json"
SEED, WARM_UP, LEARNING_RATE = 0, 10, 1e-3
MILLION = [784, 784, 480, 10]
CASES = {  # name: widths of an MLP (or the layers of a Transformer), batch size, timed steps a run
    "thousand": ([20, 32, 10], 32, 400),
    "million, batch 64": (MILLION, 64, 40),
    "million, batch 256": (MILLION, 256, 20),
    "million, Transformer": (5, 4, 20),
}
CONTEXT, VOCABULARY, WIDTH = 64, 256, 128  # of the Transformer


class Clocked(IterableDataset):
    """Yields one batch again and again and notes the processor time at two of its steps."""

    def __init__(self, batch: dict, steps: int):
        self.batch, self.steps, self.times = batch, steps, []

    def __len__(self):
        return WARM_UP + self.steps + 2

    def __iter__(self):
        for i in range(len(self)):
            if i in (WARM_UP, WARM_UP + self.steps):
                self.times.append(time.process_time())
            yield self.batch

    def seconds_per_step(self) -> float:
        first, last = self.times
        return (last - first) / self.steps


class Net(nn.Module):
    """A model that returns its loss, as Hugging Face's Trainer wants: an MLP or a Transformer."""

    def __init__(self, shape: list[int] | int):
        super().__init__()
        if isinstance(shape, int):
            block = nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, 0.0, batch_first=True)
            blocks = nn.TransformerEncoder(block, shape, enable_nested_tensor=False)
            layers = [nn.Embedding(VOCABULARY, WIDTH), blocks, nn.Linear(WIDTH, VOCABULARY)]
        else:
            layers = []
            for a, b in itertools.pairwise(shape):
                layers += [nn.Linear(a, b), nn.ReLU()]
            layers.pop()
        self.layers = nn.Sequential(*layers)

    def forward(self, x, labels):
        return {"loss": F.cross_entropy(self.layers(x).flatten(0, -2), labels.flatten())}


def make_batch(shape: list[int] | int, size: int) -> dict:
    if isinstance(shape, int):
        x = torch.randint(VOCABULARY, (size, CONTEXT))
        return {"x": x, "labels": x.roll(-1, 1)}
    return {"x": torch.randn(size, shape[0]), "labels": torch.randint(shape[-1], (size,))}


def adamw(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)


def bare(model: nn.Module, data: Clocked) -> None:
    optimizer, losses = adamw(model), []
    model.train()
    for batch in data:
        loss = model(**batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())


def ours(model: nn.Module, data: Clocked) -> None:
    trainer = Trainer(
        model, adamw(model), lambda model, batch: model(**batch)["loss"], device="cpu"
    )
    trainer.fit(data, epochs=1)


class HuggingFace(transformers.Trainer):
    def get_train_dataloader(self):
        return DataLoader(self.train_dataset, batch_size=None)


def hugging_face(model: nn.Module, data: Clocked) -> None:
    optimizer = adamw(model)
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            output_dir=folder,
            max_steps=len(data),
            max_grad_norm=0.0,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            log_level="error",
            use_cpu=True,
        )
        constant = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
        trainer = HuggingFace(
            model=model, args=arguments, train_dataset=data, optimizers=(optimizer, constant)
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()


class LightningNet(lightning.LightningModule):
    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def training_step(self, batch, index):
        return self.model(**batch)["loss"]

    def configure_optimizers(self):
        return adamw(self.model)


def lightning_(model: nn.Module, data: Clocked) -> None:
    lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(LightningNet(model), DataLoader(data, batch_size=None))


CONTENDERS = {"bare": bare, "ours": ours, "hugging_face": hugging_face, "lightning": lightning_}


def one_run(name: str, case: str) -> tuple[float, torch.Tensor]:
    """Train once; return the seconds a step and the final weights."""
    shape, batch_size, steps = CASES[case]
    torch.manual_seed(SEED)
    model, batch = Net(shape), make_batch(shape, batch_size)
    data = Clocked(batch, steps)
    CONTENDERS[name](model, data)
    return data.seconds_per_step(), nn.utils.parameters_to_vector(model.parameters()).detach()


def spread(values: list[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": middle, "quartile_low": low, "quartile_high": high}


def compare(case: str, rounds: int) -> dict:
    """Return for every contender the time a step and its paired excess over the bare loop."""
    order, draw = list(CONTENDERS), random.Random(SEED)
    times: dict[str, list[float]] = {name: [] for name in order}
    weights = {name: one_run(name, case)[1] for name in order}  # a round that is not timed
    for name, vector in weights.items():
        if not torch.equal(vector, weights["bare"]):
            raise SystemExit(f"{name} does not train as the bare loop does: nothing to compare")
    for _ in range(rounds):
        draw.shuffle(order)
        for name in order:
            times[name].append(one_run(name, case)[0])
    figures = {"parameters": weights["bare"].numel(), "batch_size": CASES[case][1]}
    for name, mine in times.items():
        excess = [a - b for a, b in zip(mine, times["bare"], strict=True)]
        ratio = [a / b for a, b in zip(mine, times["bare"], strict=True)]
        figures[name] = {
            "microseconds_per_step": spread([1e6 * t for t in mine]),
            "microseconds_over_bare": spread([1e6 * t for t in excess]),
            "ratio_to_bare": spread(ratio),
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=31)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in ("lightning", "lightning.pytorch", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    torch.set_num_threads(1)
    figures = {case: compare(case, options.rounds) for case in CASES}
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    result = {
        "command": f"python benchmarks/trainer_overhead.py --rounds {options.rounds}",
        "commit": commit.stdout.strip(),
        "machine": machine(),
        "versions": {name: version(name) for name in ("torch", "transformers", "lightning")},
        "date": datetime.date.today().isoformat(),
        "seeds": [SEED],
        "figures": figures,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for case, rows in figures.items():
        print(f"{case}: {rows['parameters']:,} parameters, batch of {rows['batch_size']}")
        for name in CONTENDERS:
            step, over = (
                rows[name][key]["median"]
                for key in ("microseconds_per_step", "microseconds_over_bare")
            )
            ratio = rows[name]["ratio_to_bare"]["median"]
            print(f"  {name:13} {step:10.1f} us a step  {over:+9.1f} us  x {ratio:.3f}")


if __name__ == "__main__":
    main()
