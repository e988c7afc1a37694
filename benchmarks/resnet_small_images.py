"""Residual networks on small images: which stem, with and without shortcuts. Bundled data only.

    python benchmarks/resnet_small_images.py [--seeds 4]
    python benchmarks/resnet_small_images.py --smoke --output smoke.json

Stems: networks with ResNet-18's depths, narrower, on color pictures of 32 by 32 pixels that hold a
handwritten digit enlarged to 16 by 16 or to 32 by 32. "cifar" has 3 by 3 without stride,
"imagenet" 7 by 7 with stride 2 and pooling, "imagenet, wider" as much arithmetic as "cifar".
Shortcuts: networks of 6 n + 2 layers on the digits themselves, with and without shortcuts.
The test images are read once, after the last step; nothing is chosen by them.

Legend: n images, B images in a batch, C channels, S side in pixels.
"""

import time

import numpy as np
import torch
from common import RESULTS, ROOT, experiment, write_record
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from utils.data import ImageSet, digits
from utils.data.scenes import digits_in_photographs
from utils.intervals import t_interval
from utils.models.convnet import BasicBlock, ResNet
from utils.optim import SGD, AdamW, decay_groups
from utils.schedules import cosine
from utils.train import Trainer

RESULT = RESULTS / "resnet_small_images.json"
CUT = 1029  # a form of the digits' file begins here: the writers after it are most likely others
STEMS = {"cifar": ("cifar", 8), "imagenet": ("imagenet", 8), "imagenet, wider": ("imagenet", 32)}
ENLARGE, CONTRAST = (2, 4), 0.1
BLOCKS = (1, 3, 9)  # a stage: 8, 20 and 56 layers
BATCH, STEM_EPOCHS, DEPTH_EPOCHS = 64, 8, 8
ADAMW, SGD_RATE = {"lr": 0.01, "weight_decay": 0.05}, 0.05


class Nothing(nn.Module):
    """In the place of a shortcut: adds nothing."""

    def forward(self, x):
        """Zero, whatever x is."""
        return 0.0


def pictures(enlarge: int, limit: int | None) -> tuple[ImageSet, ImageSet]:
    """Training and test pictures; the test's come from the photographs' other halves."""
    found = digits()
    train, test = found.take(slice(0, CUT)).take(slice(limit)), found.take(slice(CUT, None))
    options = {"enlarge": enlarge, "contrast": CONTRAST}
    return tuple(
        digits_in_photographs(part, **options, half=half, seed=seed)
        for part, half, seed in ((train, "left", 0), (test, "right", 1))
    )


def prepare(train: ImageSet, test: ImageSet) -> list[tuple]:
    """Pairs (images (n, C, S, S), labels (n,)), each channel scaled by the training images."""
    (x, y), (x_test, y_test) = train.tensors(), test.tensors()
    deviation, mean = torch.std_mean(x, (0, 2, 3), keepdim=True)
    return [((x - mean) / deviation, y), ((x_test - mean) / deviation, y_test)]


class Batches:
    """Whole batches, shuffled anew each epoch."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor):
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels) // BATCH

    def __iter__(self):
        for rows in torch.randperm(len(self.labels)).split(BATCH)[: len(self)]:
            yield self.images[rows], self.labels[rows]


def run(model: ResNet, pairs: list[tuple], epochs: int, seed: int, optimize) -> dict:
    """Train one network and read the test images once."""
    torch.manual_seed(seed)
    batches, begin = Batches(*pairs[0]), time.process_time()
    steps = epochs * len(batches)
    model = model.to(memory_format=torch.channels_last)
    schedule = cosine(steps, warmup=steps // 10)
    trainer = Trainer(model, optimize(model), schedule=schedule, device="cpu", progress=False)
    history = trainer.fit(batches, steps=steps)
    seconds = time.process_time() - begin
    test = trainer.evaluate(list(zip(*(part.split(256) for part in pairs[1]), strict=True)))
    return {
        "seed": seed,
        "test_accuracy": test["accuracy"],
        "test_loss": test["loss"],
        "training_loss": [float(np.mean(part)) for part in np.array_split(history.loss, epochs)],
        "processor_seconds": round(seconds, 2),
    }


def summary(make, optimize, pairs: list[tuple], epochs: int, seeds: int) -> dict:
    """The runs of one network, its size, and the mean accuracy with its 95 % t interval."""
    runs = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        runs.append(run(make(), pairs, epochs, seed, optimize))
    model = make().eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(pairs[0][0][:1])
    accuracy = [row["test_accuracy"] for row in runs]
    found = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "flops": counter.get_total_flops(),
        "mean_accuracy": float(np.mean(accuracy)),
    }
    if seeds > 1:
        found["mean_interval"] = list(t_interval(accuracy)[1:])
    return found | {"runs": runs}


def adamw(model: nn.Module) -> torch.optim.Optimizer:
    """For the stems, all alike."""
    return AdamW(model.parameters(), **ADAMW, fused=True)


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    """For the depths, all alike."""
    return SGD(decay_groups(model, 5e-4), SGD_RATE, momentum=0.9, nesterov=True)


def deep(blocks: int, shortcuts: bool) -> ResNet:
    """He et al.'s networks of 6 n + 2 layers, half as wide, for gray images."""
    model = ResNet(10, 1, (8, 16, 32), (blocks,) * 3, "cifar")
    for module in model.modules():
        if isinstance(module, BasicBlock) and not shortcuts:
            module.shortcut = Nothing()
    return model


def stems(seeds: int, limit: int | None, epochs: int) -> dict:
    """Each stem at each size of the digit."""
    found = {}
    for enlarge in ENLARGE:
        pairs = prepare(*pictures(enlarge, limit))
        found[f"{8 * enlarge}"] = {}
        for name, (stem, w) in STEMS.items():
            widths = (w, 2 * w, 4 * w, 8 * w)
            make = lambda widths=widths, stem=stem: ResNet(10, 3, widths, (2, 2, 2, 2), stem)  # noqa: E731
            found[f"{8 * enlarge}"][name] = row = summary(make, adamw, pairs, epochs, seeds)
            print(f"digit of {8 * enlarge}, {name}: {row['mean_accuracy']:.3f}", flush=True)
    return found


def shortcuts(seeds: int, limit: int | None, epochs: int) -> dict:
    """Each depth with and without shortcuts."""
    all_digits, found = digits(), {}
    train = all_digits.take(slice(0, CUT)).take(slice(limit))
    pairs = prepare(train, all_digits.take(slice(CUT, None)))
    for blocks in BLOCKS:
        for kind in ("residual", "plain"):
            make = lambda b=blocks, k=kind: deep(b, k == "residual")  # noqa: E731
            row = summary(make, sgd, pairs, epochs, seeds)
            found.setdefault(kind, {})[f"{6 * blocks + 2}"] = row
            print(f"{6 * blocks + 2} layers, {kind}: {row['mean_accuracy']:.3f}", flush=True)
    return found


def main(words: list[str] | None = None) -> int:
    """Run both parts and write the record."""
    settings = experiment(words, __doc__, seeds=4, smoke="one epoch on 64 digits, one seed")
    seeds, limit = (1, 64) if settings.smoke else (settings.seeds, None)
    epochs = (1, 1) if settings.smoke else (STEM_EPOCHS, DEPTH_EPOCHS)
    figures = {"stems": stems(seeds, limit, epochs[0])}
    figures["shortcuts"] = shortcuts(seeds, limit, epochs[1])
    used = ("models/convnet.py", "data/scenes.py", "data/images.py", "optim.py", "train.py")
    write_record(
        settings.output or RESULT,
        figures,
        script=__file__,
        used=[str(ROOT / "utils" / name) for name in used],
        packages=["scikit-learn"],
        seeds=range(seeds),
        epochs={"stems": epochs[0], "shortcuts": epochs[1]},
        settings={"adamw": ADAMW, "sgd_rate": SGD_RATE, "batch": BATCH, "contrast": CONTRAST},
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
