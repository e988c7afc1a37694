"""What a step costs in our Trainer, the bare loop, Hugging Face's Trainer and Lightning's.

    python benchmarks/trainer_overhead.py [--rounds 200]

AdamW, float32, no clipping, no logging, no bar, no checkpoint. All contenders train equal models
on equal batches; that they end with equal weights, to the bit, is asserted.

The clock is the processor time of the contender's own thread, with one thread for torch. All runs
are under way at once and take turns: a round is a few steps of each, in an order drawn anew, while
the others wait for the next batch. What is compared are differences and ratios within a round, and
of the rounds the quarter counts in which all contenders together took least: in the others the
machine was busy with something else. A turn lasts from the first batch handed out to the request
after its last one: whole steps, also for a contender that fetches one batch ahead. On Linux freed
memory is kept, in one arena for all threads: else the kernel hands out fresh pages for the
gradients of every step, which costs as much as the step and differs from thread to thread.

The bare loop and ours read the loss each step (ours also looks for NaN in the gradient, one pass
over it: the part of its cost that grows with the model); the other two do neither.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import gc
import itertools
import logging
import random
import tempfile
import threading
import time
import warnings

import lightning
import torch
import transformers
from common import RESULTS, ROOT, against, keep_freed_memory, ratio, spread, write_record
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

from utils.train import Trainer

SEED, WARM_UP, LEARNING_RATE = 0, 3, 1e-3
MILLION = [784, 784, 480, 10]
CASES = {  # name: widths of an MLP (or the layers of a Transformer), batch size, steps in a turn
    "thousand": ([20, 32, 10], 32, 20),
    "million, batch 64": (MILLION, 64, 3),
    "million, batch 256": (MILLION, 256, 1),
    "million, Transformer": (5, 4, 1),
}
CONTEXT, VOCABULARY, WIDTH = 64, 256, 128  # of the Transformer
MILLION_TARGET, THOUSAND_TARGET = 1.01, 100.0  # ratio to the bare loop; microseconds over it


class Turns(IterableDataset):
    """Yields one batch again and again, ``steps`` times a turn, and notes the time of each turn."""

    def __init__(self, batch: dict, steps: int, turns: int):
        self.batch, self.steps, self.turns, self.seconds = batch, steps, turns, []
        self.go, self.done = threading.Semaphore(0), threading.Semaphore(0)

    def __len__(self):
        return self.turns * self.steps + 2

    def __iter__(self):
        for _ in range(self.turns):
            self.go.acquire()
            start = time.thread_time()
            for _ in range(self.steps):
                yield self.batch
            self.seconds.append(time.thread_time() - start)
            self.done.release()
        self.go.acquire()
        self.done.release()
        yield from [self.batch] * 2  # the end of a run is nobody's turn

    def take(self) -> None:
        """Let the contender have its turn, and wait for the end of it."""
        self.go.release()
        self.done.acquire()


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


def bare(model: nn.Module, data: Turns) -> None:
    optimizer, losses = adamw(model), []
    model.train()
    for batch in data:
        loss = model(**batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())


def ours(model: nn.Module, data: Turns) -> None:
    trainer = Trainer(
        model, adamw(model), lambda model, batch: model(**batch)["loss"], device="cpu"
    )
    trainer.fit(data, epochs=1)


class HuggingFace(transformers.Trainer):
    def get_train_dataloader(self):
        return DataLoader(self.train_dataset, batch_size=None)


def hugging_face(model: nn.Module, data: Turns) -> None:
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


def lightning_(model: nn.Module, data: Turns) -> None:
    lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(LightningNet(model), DataLoader(data, batch_size=None))


CONTENDERS = {"bare": bare, "ours": ours, "hugging_face": hugging_face, "lightning": lightning_}


class Run(threading.Thread):
    """One contender's training, in a thread of its own."""

    def __init__(self, name: str, case: str, rounds: int):
        super().__init__(name=name, daemon=True)
        shape, batch_size, steps = CASES[case]
        torch.manual_seed(SEED)
        self.model, batch = Net(shape), make_batch(shape, batch_size)
        self.data = Turns(batch, steps, WARM_UP + rounds)
        self.error: BaseException | None = None

    def run(self) -> None:
        torch.set_num_threads(1)
        try:
            CONTENDERS[self.name](self.model, self.data)
        except BaseException as error:
            self.error = error
            self.data.done.release()

    def turn(self) -> None:
        self.data.take()
        if self.error:
            raise RuntimeError(f"{self.name} failed") from self.error

    def weights(self) -> torch.Tensor:
        return nn.utils.parameters_to_vector(self.model.parameters()).detach()


def take_all_turns(case: str, rounds: int) -> dict[str, Run]:
    """Train all contenders side by side."""
    order, draw = [Run(name, case, rounds) for name in CONTENDERS], random.Random(SEED)
    runs = {run.name: run for run in order}
    for run in order:
        run.start()
    for number in range(WARM_UP + rounds):
        if number == WARM_UP:
            gc.freeze()
        draw.shuffle(order)
        gc.collect()
        gc.disable()  # garbage is collected between the rounds, not in somebody's turn
        for run in order:
            run.turn()
        gc.enable()
    for run in order:
        run.turn()
        run.join()
    gc.unfreeze()
    return runs


def compare(case: str, rounds: int) -> dict:
    """Return for every contender the time a step, and its paired excess over the bare loop."""
    runs = take_all_turns(case, rounds)
    weights = runs["bare"].weights()
    for name, run in runs.items():
        if not torch.equal(run.weights(), weights):
            raise SystemExit(f"{name} does not train as the bare loop does: nothing to compare")
    micro = 1e6 / CASES[case][2]
    times = {name: [micro * t for t in run.data.seconds[WARM_UP:]] for name, run in runs.items()}
    quiet = sorted(range(rounds), key=lambda i: sum(row[i] for row in times.values()))
    times = {name: [row[i] for i in quiet[: max(1, rounds // 4)]] for name, row in times.items()}
    rows = {}
    print(f"{case}: {weights.numel():,} parameters, batch of {CASES[case][1]}")
    for name, mine in times.items():
        step, rate = spread(mine), ratio(mine, times["bare"])
        over = spread(a - b for a, b in zip(mine, times["bare"], strict=True))
        keys = ("microseconds_per_step", "microseconds_over_bare", "ratio_to_bare")
        rows[name] = dict(zip(keys, (step, over, rate), strict=True))
        print(
            f"  {name:13} {step['median']:10.1f} us a step  {over['median']:+9.1f} us  "
            f"x {rate['median']:.4f} ({rate['low']:.4f} to {rate['high']:.4f})"
        )
    shape = {"parameters": weights.numel(), "batch_size": CASES[case][1]}
    return shape | {"steps_a_turn": CASES[case][2], "contenders": rows}


def target(case: str, row: dict) -> dict:
    """What was asked of ours, beside what was measured."""
    if case == "thousand":
        return against(row["microseconds_over_bare"]["median"], at_most=THOUSAND_TARGET)
    return against(row["ratio_to_bare"]["median"], at_most=MILLION_TARGET)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--case", choices=CASES, help="measure one case, record nothing")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in ("lightning", "lightning.pytorch", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    torch.set_num_threads(1)
    keep_freed_memory()
    if options.case:
        compare(options.case, options.rounds)
        return
    figures = {case: compare(case, options.rounds) for case in CASES}
    used = ("train", "trainer_checks", "batches", "finite", "history", "device", "learning_rate")
    write_record(
        RESULTS / "trainer_overhead.json",
        figures,
        script=__file__,
        used=[str(ROOT / "utils" / f"{name}.py") for name in used],
        packages=["transformers", "lightning"],
        seeds=[SEED],
        clock="processor time of the contender's thread",
        rounds=options.rounds,
        rounds_that_count=max(1, options.rounds // 4),
        targets={case: target(case, row["contenders"]["ours"]) for case, row in figures.items()},
    )


if __name__ == "__main__":
    main()
