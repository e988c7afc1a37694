"""An encoder-decoder that reads dates: what it loses without positions or without its mask.

    python benchmarks/date_reading.py [--seeds 5] [--steps 300]

Three models of one layer on each side, width 32, differ in one part. Each has its learning rate
chosen by the dates read after training with a seed, and on days, that are not reported; where
rates are equal in that, the lower training loss decides. A date counts as read when the
model, writing by itself, gets all eight digits right.
"""

import time

import torch
from common import RESULTS, experiment, write_record
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from utils.data.dates import CHARS, START, Dates, dates
from utils.intervals import t_interval
from utils.models.embedding import sinusoids

WAYS = {
    "all parts": {},
    "no positions": {"positions": False},
    "no causal mask": {"masked": False},
}
RESULT = RESULTS / "date_reading.json"
RATES, B, STEPS, TEST, TUNING_SEED = (0.003, 0.01, 0.03), 32, 300, 300, 1000
D, HEADS, INNER = 32, 4, 64


class Reader(nn.Module):
    """PyTorch's nn.Transformer with what it lacks: embedding, positions, masks, head."""

    def __init__(self, positions: bool = True, masked: bool = True):
        super().__init__()
        self.embed = nn.Embedding(len(CHARS), D)
        shape = {"num_encoder_layers": 1, "num_decoder_layers": 1, "dim_feedforward": INNER}
        how = {"dropout": 0.0, "batch_first": True, "norm_first": True}
        self.stacks = nn.Transformer(D, HEADS, **shape, **how)
        self.head = nn.Linear(D, len(CHARS))
        self.positions, self.masked = positions, masked

    def vectors(self, tokens_BT: Tensor) -> Tensor:
        x_BTD = self.embed(tokens_BT)
        place_TD = sinusoids(torch.arange(tokens_BT.shape[1]), D, x_BTD.dtype)
        return x_BTD + place_TD if self.positions else x_BTD

    def forward(self, source_BS: Tensor, tokens_BT: Tensor) -> Tensor:
        """Token numbers (B, S) and (B, T) to logits (B, T, V)."""
        T, pad_BS = tokens_BT.shape[1], source_BS == 0
        hide = ~torch.ones(T, T, dtype=torch.bool).tril() if self.masked else None
        x_BTD = self.stacks(
            self.vectors(source_BS),
            self.vectors(tokens_BT),
            tgt_mask=hide,
            src_key_padding_mask=pad_BS,
            memory_key_padding_mask=pad_BS,
        )
        return self.head(x_BTD)


def train(data: Dates, way: str, seed: int, rate: float, steps: int):
    """A trained model, its losses (steps,) and the rows of the days kept for the test."""
    torch.manual_seed(seed)
    model, losses = Reader(**WAYS[way]), []
    test, rest = torch.randperm(len(data.targets)).split([TEST, len(data.targets) - TEST])
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    for _ in range(steps):
        rows, written = rest[torch.randint(len(rest), (B,))], torch.randint(3, (B,))
        source, target = data.sources[rows, written], data.targets[rows]
        z_BTV = model(source, target[:, :-1])
        loss = F.cross_entropy(z_BTV.flatten(0, 1), target[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return model, losses, test


@torch.no_grad()
def dates_read(model: Reader, data: Dates, rows: torch.Tensor) -> float:
    """Share of days whose eight digits the model writes, each time the likeliest next one."""
    source = data.sources[rows, torch.arange(len(rows)) % 3]
    out = torch.full((len(rows), 1), START)
    for _ in range(8):
        z_BTV = model(source, out)
        out = torch.cat([out, z_BTV[:, -1:].argmax(-1)], 1)
    return (out == data.targets[rows]).all(1).float().mean().item()


def one_way(data: Dates, way: str, seeds: int, steps: int, bar) -> dict:
    tried, tried_loss = {}, {}
    for rate in RATES:
        model, losses, test = train(data, way, TUNING_SEED, rate, steps)
        tried[rate] = dates_read(model, data, test)
        tried_loss[rate] = sum(losses[-20:]) / 20
        bar.update()
    rate, runs = max(RATES, key=lambda rate: (tried[rate], -tried_loss[rate])), []
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
        "tried_loss": tried_loss,
        "read_interval": t_interval([run["read"] for run in runs]),
        "loss_interval": t_interval([run["loss"] for run in runs]),
        "runs": runs,
    }


def main(words: list[str] | None = None) -> int:
    """Train all three ways and write the record."""
    smoke = "twenty steps, two seeds"
    settings = experiment(words, __doc__, seeds=5, smoke=smoke, steps=STEPS, at_least=2)
    seeds, steps = (2, 20) if settings.smoke else (settings.seeds, settings.steps)
    if steps < 20 or steps % 10:
        raise SystemExit(f"--steps {steps}: expected a multiple of 10, at least 20")
    data, figures = dates(), {}
    with tqdm(total=len(WAYS) * (len(RATES) + seeds), unit="run") as bar:
        for way in WAYS:
            figures[way] = one_way(data, way, seeds, steps, bar)
    for way, row in figures.items():
        print(f"{way:15} rate {row['rate']}  read {row['read_interval']}")
    write_record(
        settings.output or RESULT,
        figures,
        script=__file__,
        used=["utils/models/embedding.py", "utils/data/dates.py"],
        packages=[],
        seeds=range(seeds),
        settings={"steps": steps, "batch_size": B, "test_days": TEST},
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
