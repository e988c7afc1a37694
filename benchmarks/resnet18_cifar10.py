"""ResNet-18 on CIFAR-10 with the stem for small images and with ImageNet's, from random weights.

    python benchmarks/resnet18_cifar10.py [--stems cifar imagenet] [--epochs 30] [--seeds 3]
    python benchmarks/resnet18_cifar10.py --smoke --output smoke.json

CIFAR-10 (170 MB) is read from the folder in LMM_DATA, or fetched there once; where it cannot be had
the script stops and says what to do. Training images are moved by up to four pixels and mirrored;
SGD with Nesterov's momentum, warm-up and cosine decay. Nothing is chosen by the test images: they
are read once, after the last step.

``--smoke`` goes through every step in seconds, on 32 bundled digits enlarged to 32 by 32 pixels.
It says so in its record, and never writes to benchmarks/results.

Legend: n images, B images in a batch, C channels (3), S side (32 pixels).
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from common import RESULTS, ROOT, write_record
from torch.nn import functional as F

from utils.data import DataUnavailable, ImageSet, cifar10, digits
from utils.device import pick_device, pick_precision, seed_everything, synchronize
from utils.intervals import t_interval, wilson
from utils.models.convnet import STEMS, resnet18
from utils.optim import SGD, decay_groups
from utils.schedules import cosine
from utils.train import Trainer

RESULT = RESULTS / "resnet18_cifar10.json"
REAL = "CIFAR-10, binary version"
SMOKE = "smoke test: bundled digits enlarged to 32 by 32, no CIFAR-10"
PEAK, MOMENTUM, DECAY, PAD = 0.1, 0.9, 5e-4, 4  # the peak rate is for batches of 128


def enlarged_digits(count: int) -> list[ImageSet]:
    """Two sets of ``count`` digits as (count, 32, 32, 3) uint8: what CIFAR-10 looks like."""
    found = digits()
    pixels = (found.images.astype(np.int64) * 255 // found.top).astype(np.uint8)
    big = np.repeat(np.kron(pixels, np.ones((1, 4, 4), np.uint8))[..., None], 3, axis=3)
    whole = ImageSet(big, found.labels, found.classes, top=255)
    return [whole.take(slice(start, start + count)) for start in (0, count)]


def prepare(train: ImageSet, test: ImageSet, device: torch.device) -> list[tuple]:
    """Pairs (images (n, C, S, S) float32, labels (n,)) on the device, by the training statistics.

    Each channel gets mean 0 and deviation 1 over the training images.
    """
    (x, y), (x_test, y_test) = train.tensors(), test.tensors()
    deviation, mean = torch.std_mean(x, (0, 2, 3), keepdim=True)
    return [
        (((images - mean) / deviation).to(device), labels.to(device))
        for images, labels in ((x, y), (x_test, y_test))
    ]


def crop_and_mirror(images: torch.Tensor) -> torch.Tensor:
    """Move each image by up to PAD pixels (zeros come in) and mirror half of them; same shape."""
    B, _, S, _ = images.shape
    padded = F.pad(images, (PAD,) * 4)
    first = torch.randint(2 * PAD + 1, (2, B, 1), device=images.device)
    rows_BS, columns_BS = first + torch.arange(S, device=images.device)
    mirror = torch.rand(B, 1, device=images.device) < 0.5
    columns_BS = torch.where(mirror, columns_BS.flip(1), columns_BS)
    image = torch.arange(B, device=images.device)[:, None, None]
    cut = padded.permute(0, 2, 3, 1)[image, rows_BS[:, :, None], columns_BS[:, None, :]]
    return cut.permute(0, 3, 1, 2)


class Batches:
    """Whole batches of augmented images and labels, shuffled anew each epoch, on their device."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor, size: int):
        self.images, self.labels, self.size = images, labels, size

    def __len__(self) -> int:
        return len(self.labels) // self.size

    def __iter__(self):
        order = torch.randperm(len(self.labels), device=self.labels.device)
        for rows in order.split(self.size)[: len(self)]:
            yield crop_and_mirror(self.images[rows]), self.labels[rows]


def run(stem: str, seed: int, pairs: list[tuple], settings: argparse.Namespace) -> dict:
    """Train one network and read the test images once."""
    seed_everything(seed)
    device = settings.device
    model = resnet18(10, 3, stem).to(device, memory_format=torch.channels_last)
    batches = Batches(*pairs[0], settings.batch)
    steps = settings.epochs * len(batches)
    rate = PEAK * settings.batch / 128
    optimizer = SGD(decay_groups(model, DECAY), rate, momentum=MOMENTUM, nesterov=True)
    schedule = cosine(steps, warmup=steps // 10)
    trainer = Trainer(
        model, optimizer, schedule=schedule, device=device, precision=settings.precision
    )
    begin = time.perf_counter()
    history = trainer.fit(batches, steps=steps)
    synchronize(device)
    seconds = time.perf_counter() - begin
    test = trainer.evaluate(list(zip(*(part.split(500) for part in pairs[1]), strict=True)))
    right = round(test["accuracy"] * len(pairs[1][1]))
    return {
        "seed": seed,
        "test_accuracy": test["accuracy"],
        "test_interval": list(wilson(right, len(pairs[1][1]))[1:]),
        "test_loss": test["loss"],
        "last_training_loss": float(np.mean(history.loss[-len(batches) :])),
        "seconds": round(seconds, 2),
        "images_per_second": round(steps * settings.batch / seconds, 1),
    }


def summary(stem: str, runs: list[dict]) -> dict:
    """The runs of a stem with the mean accuracy and, from two runs on, its 95 % t interval."""
    accuracies = [row["test_accuracy"] for row in runs]
    parameters = sum(p.numel() for p in resnet18(10, 3, stem).parameters())
    found = {"parameters": parameters, "mean_accuracy": float(np.mean(accuracies))}
    if len(runs) > 1:
        found["mean_interval"] = list(t_interval(accuracies)[1:])
    return found | {"runs": runs}


def read_arguments(words: list[str] | None) -> argparse.Namespace:
    """The settings; wrong ones end the program with a sentence."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stems", nargs="+", choices=STEMS, default=["cifar", "imagenet"])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 to this, exclusive")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--device", type=pick_device, default=None)
    parser.add_argument("--precision", default=None, help="float32, bfloat16 or float16")
    parser.add_argument("--smoke", action="store_true", help="one epoch on 32 enlarged digits")
    parser.add_argument("--output", type=Path, default=None)
    settings = parser.parse_args(words)
    if min(settings.epochs, settings.seeds, settings.batch) < 1:
        parser.error("--epochs, --seeds and --batch must be at least 1")
    settings.device = settings.device or pick_device()
    settings.precision = pick_precision(settings.device, settings.precision)
    if settings.smoke:
        settings.epochs, settings.seeds, settings.batch = 1, 1, 16
        if settings.output and settings.output.resolve().parent == RESULTS:
            parser.error("--smoke is not a result: give an --output outside benchmarks/results")
    return settings


def main(words: list[str] | None = None) -> int:
    """Run and write the record; 1 where CIFAR-10 cannot be had."""
    settings = read_arguments(words)
    try:
        train, test = enlarged_digits(32) if settings.smoke else map(cifar10, ("train", "test"))
    except DataUnavailable as error:
        print(error, file=sys.stderr)
        return 1
    pairs = prepare(train, test, settings.device)
    figures = {}
    for stem in settings.stems:
        runs = [run(stem, seed, pairs, settings) for seed in range(settings.seeds)]
        figures[stem] = summary(stem, runs)
        print(f"{stem}: test accuracy {figures[stem]['mean_accuracy']:.4f}, {settings.seeds} seeds")
    output = settings.output or (None if settings.smoke else RESULT)
    if output is not None:
        used = ("models/convnet.py", "data/images.py", "optim.py", "schedules.py", "train.py")
        write_record(
            output,
            figures,
            script=__file__,
            used=[str(ROOT / "utils" / name) for name in used],
            packages=[],
            seeds=range(settings.seeds),
            data=SMOKE if settings.smoke else REAL,
            images={"train": len(train), "test": len(test)},
            epochs=settings.epochs,
            batch=settings.batch,
            device=str(settings.device),
            precision=str(settings.precision).removeprefix("torch."),
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
