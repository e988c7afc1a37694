r"""An LSTM and a Transformer as language models, at equal arithmetic and equal context.

    python benchmarks/lstm_transformer.py [--seeds 3]
    python benchmarks/lstm_transformer.py --steps 900 --contexts 256 \
        --output benchmarks/results/lstm_transformer_long.json
    python benchmarks/lstm_transformer.py --smoke --output smoke.json

Bytes of sympy's source, which comes with torch; the few bytes above 126 count as one. Two layers
each. The Transformer has Llama's form (rotary positions, gated feed-forward part) and the width
whose FLOPs a byte, by its formula and as PyTorch counts them, come nearest to the LSTM's. Both
read windows of the same length from nothing, as many as the other. The learning rate is chosen for
each model and context with seed 0 in 100 steps, on validation windows that the comparison does not
use.

Legend: B windows in a batch, T their length, V bytes told apart, H and D widths, L layers.
"""

import math
import time

import numpy as np
import torch
from common import RESULTS, ROOT, experiment, write_record
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from utils.data.text import source_text
from utils.intervals import t_interval
from utils.models.config import TransformerConfig
from utils.models.recurrent_model import RecurrentModel
from utils.models.transformer import Transformer
from utils.optim import AdamW
from utils.schedules import cosine
from utils.train import Trainer

RESULT = RESULTS / "lstm_transformer.json"
V, L, H, HEADS, TOKENS, STEPS, TUNE_STEPS = 128, 2, 128, 4, 2048, 300, 100
CONTEXTS, RATES, WINDOWS = (32, 256), (0.001, 0.003, 0.01, 0.03, 0.06), 128
KINDS = ("LSTM", "Transformer")


def lstm_flops() -> int:
    """FLOPs a byte, forward: 16 H^2 a layer and the head."""
    return L * 16 * H * H + 2 * H * V


def transformer_flops(D: int, T: int) -> int:
    """FLOPs a byte, forward: 8 D^2 + 4 T D and 6 D F a layer, and the head."""
    return L * (8 * D * D + 4 * T * D + 6 * D * inner(D)) + 2 * D * V


def inner(D: int) -> int:
    """F, the width of the gated feed-forward part: two thirds of 4 D, as in Llama."""
    return 8 * D // 3


def width(T: int) -> int:
    """The multiple of HEADS whose FLOPs come nearest to the LSTM's."""
    gaps = {D: abs(transformer_flops(D, T) - lstm_flops()) for D in range(HEADS, 2 * H, HEADS)}
    return min(gaps, key=gaps.get)


def make(kind: str, T: int, engine: str = "torch") -> nn.Module:
    """A model from tokens (B, T) to logits (B, T, V). The LSTM's forget gates start open."""
    if kind == "LSTM":
        model = RecurrentModel(
            V, V, d_embedding=H, d_hidden=H, num_layers=L, read="all", engine=engine
        )
        with torch.no_grad():
            for i in range(L):
                getattr(model.rnn, f"bias_ih_l{i}")[H : 2 * H] = 1.0
        return model
    sizes = {"vocab_size": V, "context_length": T, "num_layers": L, "num_heads": HEADS}
    D = width(T)
    return Transformer(TransformerConfig.of("llama", d_model=D, d_ff=inner(D), **sizes))


def counted_flops(kind: str, T: int) -> float:
    """FLOPs a byte by PyTorch's counter, which sees plain products only."""
    tokens = torch.zeros(1, T, dtype=torch.long)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        make(kind, T, engine="ours")(tokens)
    return counter.get_total_flops() / T


def read(documents: tuple[str, ...]) -> Tensor:
    """All documents as one line of numbers from 0 to V - 1."""
    joined = np.frombuffer("\x00".join(documents).encode(), np.uint8)
    return torch.from_numpy(np.minimum(joined, V - 1).astype(np.int64))


class RandomWindows:
    """Batches of TOKENS bytes in windows at random places: x (B, T) and the next bytes y."""

    def __init__(self, data: Tensor, T: int, steps: int, seed: int):
        self.data, self.T, self.steps = data, T, steps
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.steps

    def __iter__(self):
        for _ in range(self.steps):
            high, size = len(self.data) - self.T, (TOKENS // self.T, 1)
            start = torch.randint(high, size, generator=self.generator)
            rows = self.data[start + torch.arange(self.T + 1)]
            yield rows[:, :-1], rows[:, 1:]


def loss(model: nn.Module, batch: tuple) -> Tensor:
    """Mean cross-entropy in nats a byte."""
    x, y = batch
    return F.cross_entropy(model(x).flatten(0, 1), y.flatten())


@torch.no_grad()
def by_position(model: nn.Module, data: Tensor, T: int) -> np.ndarray:
    """Mean loss at each place of a window, (T,); the windows end at the same bytes for all T."""
    model.eval()
    ends = torch.arange(1, len(data) // max(CONTEXTS)) * max(CONTEXTS)
    rows, total = data[ends[:, None] + torch.arange(-T, 1)], torch.zeros(T)
    for part in rows.split(64):
        logits = model(part[:, :-1]).transpose(1, 2)
        total += F.cross_entropy(logits, part[:, 1:], reduction="none").sum(0)
    model.train()
    return (total / len(rows)).numpy()


def run(kind: str, T: int, rate: float, seed: int, steps: int, data: tuple) -> dict:
    """Train once; evaluate once, after the last step."""
    train, held_out = data
    torch.manual_seed(seed)
    model = make(kind, T)
    optimizer = AdamW(model.parameters(), rate, weight_decay=0.01, fused=True)
    schedule = cosine(steps, warmup=steps // 10)
    trainer = Trainer(
        model, optimizer, loss, schedule=schedule, device="cpu", clip=1.0, progress=False
    )
    begin = time.process_time()
    history = trainer.fit(RandomWindows(train, T, steps, seed), steps=steps)
    seconds = time.process_time() - begin
    losses = by_position(model, held_out, T)
    return {
        "seed": seed,
        "loss": float(losses.mean()),
        "last_half": float(losses[T // 2 :].mean()),
        "by_position": [round(float(value), 4) for value in losses],
        "training_loss": [float(np.mean(part)) for part in np.array_split(history.loss, 10)],
        "processor_seconds": round(seconds, 1),
    }


def compare(kind: str, T: int, seeds: int, steps: int, data: tuple) -> dict:
    """Choose the rate, then train all seeds."""
    train, tune, test = data
    short = min(steps, TUNE_STEPS)
    tried = {rate: run(kind, T, rate, 0, short, (train, tune))["loss"] for rate in RATES}
    rate = min(tried, key=tried.get)
    runs = [run(kind, T, rate, seed, steps, (train, test)) for seed in range(seeds)]
    formula = lstm_flops() if kind == "LSTM" else transformer_flops(width(T), T)
    counted = counted_flops(kind, T)
    if not math.isclose(formula, counted):
        raise RuntimeError(f"{kind}: {formula} FLOPs a byte by formula, {counted} counted")
    found = {
        "parameters": sum(p.numel() for p in make(kind, T).parameters()),
        "width": H if kind == "LSTM" else width(T),
        "flops": formula,
        "rate": rate,
        "tuning_losses": {str(r): round(value, 4) for r, value in tried.items()},
        "runs": runs,
    }
    if seeds > 1:
        found["interval"] = list(t_interval([row["loss"] for row in runs]))
    return found


def main(words: list[str] | None = None) -> int:
    """Compare at all contexts and write the record."""
    settings = experiment(
        words,
        __doc__,
        seeds=3,
        smoke="two steps, one seed",
        steps=STEPS,
        more=[
            ("--contexts", {"type": int, "nargs": "+", "choices": CONTEXTS, "default": CONTEXTS})
        ],
    )
    seeds, steps = (1, 2) if settings.smoke else (settings.seeds, settings.steps)
    corpus = source_text()
    held_out, size = read(corpus.validation), WINDOWS * max(CONTEXTS)
    data = read(corpus.train), held_out[:size], held_out[size : 3 * size]
    figures: dict = {}
    for T in settings.contexts:
        for kind in KINDS:
            row = compare(kind, T, seeds, steps, data)
            figures.setdefault(str(T), {})[kind] = row
            mean, took = (
                np.mean([r[k] for r in row["runs"]]) for k in ("loss", "processor_seconds")
            )
            print(f"context {T}, {kind}: {mean:.3f} nats, {took:.0f} s, {row['rate']}", flush=True)
    used = ("models", "train.py", "data/text.py", "optim.py")
    write_record(
        settings.output or RESULT,
        figures,
        script=__file__,
        used=[str(ROOT / "utils" / name) for name in used],
        packages=["sympy"],
        seeds=range(seeds),
        settings={"steps": steps, "bytes_a_step": TOKENS, "rates": RATES},
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
