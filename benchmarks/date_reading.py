"""An encoder-decoder that reads dates, with positions and without.

    python benchmarks/date_reading.py [--seeds 5] [--steps 300]

Two models of one layer on each side, width 32, differ in this alone. Each has its learning rate
chosen by the dates read after training with a seed, and on days, that are not reported. A date
counts as read when the model, writing by itself, gets all eight digits right.
"""

import argparse
import time
from pathlib import Path

import torch
from common import RESULTS, write_record
from torch.nn import functional as F
from tqdm import tqdm

from utils.data.dates import CHARS, SOURCE_LENGTH, START, Dates, dates
from utils.intervals import t_interval
from utils.models.config import TransformerConfig
from utils.models.transformer import Transformer

WAYS = {
    "all parts": {},
    "no positions": {"positions": "none"},
}
RATES, B, TEST, TUNING_SEED = (0.003, 0.01, 0.03), 32, 300, 1000
SIZES = {"d_ff": 64, "encoder_layers": 1, "norm_position": "pre", "activation": "relu"}


def make(**how) -> Transformer:
    how = {"positions": "sinusoidal"} | SIZES | how
    return Transformer(TransformerConfig(len(CHARS), SOURCE_LENGTH, 32, 1, 4, **how))


def train(data: Dates, way: str, seed: int, rate: float, steps: int):
    """A trained model, its losses (steps,) and the rows of the days kept for the test."""
    torch.manual_seed(seed)
    model, losses = make(**WAYS[way]), []
    test, rest = torch.randperm(len(data.targets)).split([TEST, len(data.targets) - TEST])
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    for _ in range(steps):
        rows, written = rest[torch.randint(len(rest), (B,))], torch.randint(3, (B,))
        source, target = data.sources[rows, written], data.targets[rows]
        z_BTV = model(target[:, :-1], source=source, source_mask=(source != 0).long())
        loss = F.cross_entropy(z_BTV.flatten(0, 1), target[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return model, losses, test


@torch.no_grad()
def dates_read(model: Transformer, data: Dates, rows: torch.Tensor) -> float:
    """Share of days whose eight digits the model writes, each time the likeliest next one."""
    source = data.sources[rows, torch.arange(len(rows)) % 3]
    mask, out = (source != 0).long(), torch.full((len(rows), 1), START)
    for _ in range(8):
        z_BTV = model(out, source=source, source_mask=mask)
        out = torch.cat([out, z_BTV[:, -1:].argmax(-1)], 1)
    return (out == data.targets[rows]).all(1).float().mean().item()


def one_way(data: Dates, way: str, seeds: int, steps: int, bar) -> dict:
    tried = {}
    for rate in RATES:
        model, _, test = train(data, way, TUNING_SEED, rate, steps)
        tried[rate] = dates_read(model, data, test)
        bar.update()
    rate, runs = max(tried, key=tried.get), []
    for seed in range(seeds):
        start = time.process_time()
        model, losses, test = train(data, way, seed, rate, steps)
        seconds = time.process_time() - start
        tens = torch.tensor(losses).unflatten(0, (-1, 10)).mean(1)
        runs.append(
            {
                "read": dates_read(model, data, test),
                "loss": sum(losses[-20:]) / 20,
                "losses_by_ten": [round(v, 4) for v in tens.tolist()],
                "processor_seconds": round(seconds, 2),
            }
        )
        bar.update()
    return {
        "rate": rate,
        "tried": tried,
        "read_interval": t_interval([run["read"] for run in runs]),
        "loss_interval": t_interval([run["loss"] for run in runs]),
        "runs": runs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300, help="a multiple of ten")
    parser.add_argument("--output", type=Path, default=RESULTS / "date_reading.json")
    options = parser.parse_args()
    if options.seeds < 2 or options.steps < 20 or options.steps % 10:
        raise SystemExit("expected at least 2 seeds, and steps a multiple of 10 from 20 on")
    torch.set_num_threads(1)
    data, figures = dates(), {}
    with tqdm(total=len(WAYS) * (len(RATES) + options.seeds), unit="run") as bar:
        for way in WAYS:
            figures[way] = one_way(data, way, options.seeds, options.steps, bar)
    for way, row in figures.items():
        print(f"{way:15} rate {row['rate']}  read {row['read_interval']}")
    write_record(
        options.output,
        figures,
        script=__file__,
        used=["utils/models", "utils/data/dates.py"],
        packages=[],
        seeds=range(options.seeds),
        settings={"steps": options.steps, "batch_size": B, "test_days": TEST},
    )


if __name__ == "__main__":
    main()
