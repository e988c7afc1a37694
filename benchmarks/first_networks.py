"""Two first programs, redone: 784-256-10 and 784-1024-1024-10, beside no hidden layer at all.

    python benchmarks/first_networks.py [--seeds 5]
    python benchmarks/first_networks.py --smoke --output smoke.json

The 1,797 digits of scikit-learn, enlarged to MNIST's format (28 by 28 bytes, 0 to 255): each pixel
becomes 3 by 3, with a border of two. Four fifths train, a fifth tests, split anew for each seed.
Adam with rate 0.001, batches of 32, five epochs; pixels as they are, or divided by 255.
"""

import time

import numpy as np
import torch
from common import RESULTS, ROOT, experiment, write_record
from torch.nn import functional as F

from utils.data import digits, split
from utils.intervals import t_interval
from utils.models.mlp import MLP

RESULT = RESULTS / "first_networks.json"
EPOCHS, BATCH, RATE = 5, 32, 1e-3
SIZES = {
    "no hidden layer": (784, 10),
    "256": (784, 256, 10),
    "1024, 1024": (784, 1024, 1024, 10),
}
SCALES = {"as stored": 1.0, "divided by 255": 255.0}


def enlarged(images: np.ndarray) -> np.ndarray:
    """Images (n, 8, 8), 0 to 16, in MNIST's format: (n, 28, 28) uint8, 0 to 255."""
    large = np.kron(images * (255 / 16), np.ones((1, 3, 3)))
    return np.pad(large.round().astype(np.uint8), ((0, 0), (2, 2), (2, 2)))


def run(sizes: tuple[int, ...], scale: float, seed: int, epochs: int) -> dict:
    """Train one network; accuracy on both parts, processor seconds."""
    parts = split(digits(), (0.8, 0.2), seed=seed)
    data = [(torch.tensor(enlarged(p.images)) / scale, torch.tensor(p.labels)) for p in parts]
    (x, y), test = data
    torch.manual_seed(seed)
    net = MLP(sizes, flatten=True)
    optimizer, start = torch.optim.Adam(net.parameters(), RATE), time.process_time()
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
    seconds = time.process_time() - start
    with torch.no_grad():
        scores = [(net(a).argmax(1) == b).float().mean().item() for a, b in (data[0], test)]
    return {"seed": seed, "training": scores[0], "test": scores[1], "seconds": round(seconds, 2)}


def main(words: list[str] | None = None) -> int:
    """Train all networks at both scales and write the record."""
    settings = experiment(words, __doc__, seeds=5, smoke="one epoch, one seed", at_least=2)
    seeds, epochs = (1, 1) if settings.smoke else (settings.seeds, EPOCHS)
    figures: dict = {}
    for name, sizes in SIZES.items():
        count = sum(p.numel() for p in MLP(sizes).parameters())
        figures[name] = {"parameters": count, "scales": {}}
        for scale, divisor in SCALES.items():
            runs = [run(sizes, divisor, seed, epochs) for seed in range(seeds)]
            row = {"test": [one["test"] for one in runs], "runs": runs}
            if seeds > 1:
                row["interval"] = list(t_interval(row["test"]))
            figures[name]["scales"][scale] = row
            print(f"{name}, {scale}: {np.mean(row['test']):.4f}", flush=True)
    write_record(
        settings.output or RESULT,
        figures,
        script=__file__,
        used=[str(ROOT / "utils/models/mlp.py"), str(ROOT / "utils/data/sets.py")],
        packages=["scikit-learn"],
        seeds=range(seeds),
        settings={"epochs": epochs, "batch": BATCH, "rate": RATE},
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
