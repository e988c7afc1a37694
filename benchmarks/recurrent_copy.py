"""Who remembers? One symbol recalled after a silence, by recurrent networks that start differently.

    python benchmarks/recurrent_copy.py [--seeds 3]
    python benchmarks/recurrent_copy.py --smoke --output smoke.json

A sequence shows one of eight symbols, then blanks, then a mark; at the mark the symbol must be
named. Every batch is new and scored before the model learns from it, so accuracy is on data not
seen. All contenders: 64 units, Adam with rate 0.01, gradients clipped to length 1, 400 steps of 64
sequences. "open" starts with gates that keep the state: sigmoid(bias) = 1 - 1 / 200.

Legend: B sequences in a batch, T their length, A symbols, H units.
"""

import math
import time

import numpy as np
import torch
from common import RESULTS, ROOT, experiment, write_record
from torch import Tensor, nn
from torch.nn import functional as F

from utils.intervals import t_interval
from utils.models.recurrent_model import TORCH

RESULT = RESULTS / "recurrent_copy.json"
A, H, B, STEPS, RATE, DELAYS, SPAN = 8, 64, 64, 400, 0.01, (5, 20, 60), 200
WINDOW = 40  # accuracy is the mean over so many steps
CONTENDERS = {
    "RNN": ("rnn", ""),
    "RNN, orthogonal": ("rnn", "orthogonal"),
    "GRU": ("gru", ""),
    "GRU, open": ("gru", "open"),
    "LSTM": ("lstm", ""),
    "LSTM, open": ("lstm", "open"),
}


@torch.no_grad()
def layer(kind: str, start: str) -> nn.Module:
    """torch's recurrent layer with its own start, or with the one named.

    The gate that keeps the state stands second in LSTM (forget) and GRU (update).
    """
    made = TORCH[kind](A + 2, H, batch_first=True)
    if start == "orthogonal":
        nn.init.orthogonal_(made.weight_hh_l0)
    elif start == "open":
        made.bias_ih_l0[H : 2 * H] = math.log(SPAN - 1)
        made.bias_hh_l0[H : 2 * H] = 0.0
    return made


def batch(delay: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Symbols as one-hot vectors (B, T, A + 2), T = delay + 2, and the answers (B,)."""
    answer = torch.randint(A, (B,), generator=generator)
    x_BT = torch.full((B, delay + 2), A)
    x_BT[:, 0], x_BT[:, -1] = answer, A + 1
    return F.one_hot(x_BT, A + 2).float(), answer


def run(kind: str, start: str, delay: int, seed: int, steps: int) -> dict:
    """Train one network; accuracy by windows of steps."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    rnn, head = layer(kind, start), nn.Linear(H, A)
    parameters = [*rnn.parameters(), *head.parameters()]
    optimizer, right = torch.optim.Adam(parameters, RATE), []
    begin = time.process_time()
    for _ in range(steps):
        x, answer = batch(delay, generator)
        logits = head(rnn(x)[0][:, -1])
        optimizer.zero_grad()
        F.cross_entropy(logits, answer).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        right.append((logits.argmax(1) == answer).float().mean().item())
    curve = [float(np.mean(part)) for part in np.array_split(right, max(1, steps // WINDOW))]
    seconds = time.process_time() - begin
    return {"seed": seed, "accuracy": curve, "processor_seconds": round(seconds, 2)}


def main(words: list[str] | None = None) -> int:
    """Train all contenders at all delays and write the record."""
    settings = experiment(words, __doc__, seeds=3, smoke="ten steps, one seed")
    seeds, steps = (1, 10) if settings.smoke else (settings.seeds, STEPS)
    figures: dict = {}
    for name, (kind, start) in CONTENDERS.items():
        figures[name] = {}
        for delay in DELAYS:
            runs = [run(kind, start, delay, seed, steps) for seed in range(seeds)]
            last = [row["accuracy"][-1] for row in runs]
            figures[name][str(delay)] = {"last": last, "runs": runs}
            if seeds > 1:
                figures[name][str(delay)]["interval"] = list(t_interval(last))
            print(f"{name}, delay {delay}: {np.mean(last):.3f}", flush=True)
    write_record(
        settings.output or RESULT,
        figures,
        script=__file__,
        used=[str(ROOT / "utils/models/recurrent_model.py")],
        packages=[],
        seeds=range(seeds),
        settings={"units": H, "batch": B, "steps": steps, "rate": RATE, "span": SPAN},
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
