"""The blocks of six convolutional networks at equal FLOPs, on digits of writers not seen.

    python benchmarks/conv_blocks.py [--seeds 10]
    python benchmarks/conv_blocks.py --smoke --output smoke.json

Bundled digits, cut where forms begin: 776 for training, 253 to choose each block's learning rate
(with seed 0), 768 for the test, which is read once a network, after its last step.

Legend: n images, B images in a batch.
"""

import itertools
import time

import numpy as np
import torch
from common import RESULTS, ROOT, experiment, write_record
from torch.utils.flop_counter import FlopCounterMode

from utils.data import digits
from utils.intervals import t_interval
from utils.models.conv_blocks import BLOCKS, SmallNet, matched_width
from utils.optim import AdamW
from utils.schedules import cosine
from utils.train import Trainer

RESULT = RESULTS / "conv_blocks.json"
CUTS = 0, 776, 1029, None
RATES, EPOCHS, BATCH, DECAY, BASE = (0.01, 0.03, 0.1), 10, 64, 0.05, ("ResNet", 8)


def flops(model: torch.nn.Module) -> int:
    """FLOPs of the way forward for one digit, as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros(1, 1, 8, 8))
    return counter.get_total_flops()


class Batches:
    """Whole batches, shuffled anew each epoch."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor):
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels) // BATCH

    def __iter__(self):
        for rows in torch.randperm(len(self.labels)).split(BATCH)[: len(self)]:
            yield self.images[rows], self.labels[rows]


def train(block: str, width: int, rate: float, seed: int, data: tuple, epochs: int) -> Trainer:
    """One network, after its last step."""
    torch.manual_seed(seed)
    model = SmallNet(block, width).to(memory_format=torch.channels_last)
    batches = Batches(*data)
    steps = epochs * len(batches)
    optimizer = AdamW(model.parameters(), rate, weight_decay=DECAY, fused=True)
    schedule = cosine(steps, warmup=steps // 10)
    trainer = Trainer(model, optimizer, schedule=schedule, device="cpu", progress=False)
    trainer.fit(batches, steps=steps)
    return trainer


@torch.no_grad()
def right(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """Whether each image is read rightly, (n,) bool."""
    return (model.eval()(images).argmax(1) == labels).numpy()


def compare(block: str, parts: list[tuple], seeds: int, epochs: int, target: int) -> dict:
    """Choose the rate, then train all seeds."""
    width = matched_width(block, target, flops)
    losses = {
        rate: train(block, width, rate, 0, parts[0], epochs).evaluate([parts[1]])["loss"]
        for rate in RATES
    }
    rate = min(losses, key=losses.get)
    accuracy, fitted, seconds, answers = [], [], [], []
    for seed in range(seeds):
        begin = time.process_time()
        model = train(block, width, rate, seed, parts[0], epochs).model
        seconds.append(time.process_time() - begin)
        answers.append(right(model, *parts[2]))
        accuracy.append(float(answers[-1].mean()))
        fitted.append(float(right(model, *parts[0]).mean()))
    model = SmallNet(block, width)
    found = {
        "width": width,
        "parameters": sum(p.numel() for p in model.parameters()),
        "flops": flops(model),
        "rate": rate,
        "validation_losses": {str(r): round(loss, 4) for r, loss in losses.items()},
        "test_accuracy": accuracy,
        "training_accuracy": float(np.mean(fitted)),
        "processor_seconds": round(float(np.median(seconds)), 3),
        "share_right": np.mean(answers, axis=0).round(4).tolist(),  # of the networks, by image
    }
    if seeds > 1:
        found["interval"] = list(t_interval(accuracy))
    return found


def main(words: list[str] | None = None) -> int:
    """Compare all blocks and write the record."""
    settings = experiment(words, __doc__, seeds=10, smoke="one epoch, one seed")
    seeds, epochs = (1, 1) if settings.smoke else (settings.seeds, EPOCHS)
    found = digits()
    parts = [found.take(slice(a, b)).tensors() for a, b in itertools.pairwise(CUTS)]
    figures, target = {}, flops(SmallNet(*BASE))
    for block in BLOCKS:
        figures[block] = row = compare(block, parts, seeds, epochs, target)
        mean = np.mean(row["test_accuracy"])
        print(f"{block}: width {row['width']}, rate {row['rate']}, {mean:.4f}", flush=True)
    used = ("models/conv_blocks.py", "data/images.py", "optim.py", "train.py")
    write_record(
        settings.output or RESULT,
        figures,
        script=__file__,
        used=[str(ROOT / "utils" / name) for name in used],
        packages=["scikit-learn"],
        seeds=range(seeds),
        epochs=epochs,
        settings={"rates": RATES, "batch": BATCH, "weight_decay": DECAY},
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
