r"""What each part of a modern Transformer is worth: one change at a time, several seeds.

    python benchmarks/modern_transformer_ablation.py [--seeds 3] [--steps 100]
    python benchmarks/modern_transformer_ablation.py --smoke --output smoke.json

The base has Llama's form: rotary positions, RMSNorm, SwiGLU, as many key heads as query heads.
Each variant changes one thing and nothing else, but the width of its feed-forward part, which is
set so that the number of parameters comes nearest to the base's. The exception is the mixture of
experts: there the weights that work on a token are equal, and the parameters are not.

Bytes of sympy's source, as in lstm_transformer.py. A seed sets the start and the windows, and all
variants of a seed read the same windows. The learning rate is chosen for each variant with a seed
of its own, in as many steps, on validation windows that the comparison does not use. The figure
of merit is the difference from the base within a seed, with a t interval over the seeds; "within
noise" means that the interval holds zero. The intervals are not corrected for the number of
variants.

Legend: T length of a window, D width, F width of the feed-forward part, L layers, V bytes.
"""

import math
import time

import numpy as np
import torch
from common import RESULTS, ROOT, experiment, write_record
from lstm_transformer import CONTEXTS, TOKENS, WINDOWS, RandomWindows, V, by_position, read
from torch import Tensor, nn

from utils.data.text import source_text
from utils.intervals import t_interval
from utils.models.config import TransformerConfig
from utils.models.transformer import Transformer
from utils.optim import AdamW
from utils.schedules import cosine
from utils.train import Trainer

RESULT = RESULTS / "modern_transformer_ablation.json"
T, D, F, L, HEADS, STEPS = 64, 48, 128, 2, 4, 100
RATES, TUNE_SEED = (0.002, 0.004, 0.008, 0.016), 1000
EXPERTS, CHOSEN = 8, 2
VARIANTS: dict[str, dict] = {
    "base": {},
    "learned positions": {"positions": "learned"},
    "no positions": {"positions": "none"},
    "LayerNorm": {"norm": "layernorm", "norm_eps": 1e-5},
    "GELU": {"activation": "gelu"},
    "2 key heads": {"num_kv_heads": 2},
    "window of 16": {"sliding_window": 16},
    "8 experts, 2 chosen": {"num_experts": EXPERTS, "experts_per_token": CHOSEN},
}


def config(name: str, inner: int) -> TransformerConfig:
    """The variant with a feed-forward part (or an expert) of width ``inner``."""
    sizes = {"vocab_size": V, "context_length": T, "d_model": D, "num_layers": L}
    how = sizes | {"num_heads": HEADS, "d_ff": inner} | VARIANTS[name]
    return TransformerConfig.of("llama", **how)


def parameters(name: str, inner: int) -> int:
    """Number of parameters, counted without memory."""
    with torch.device("meta"):
        return sum(p.numel() for p in Transformer(config(name, inner)).parameters())


def width(name: str) -> int:
    """F: equal active weights for experts, else the nearest number of parameters."""
    if "num_experts" in VARIANTS[name]:
        return F // CHOSEN
    target = parameters("base", F)
    start, slope = parameters(name, 1), parameters(name, 2) - parameters(name, 1)
    return 1 + round((target - start) / slope)


def loss(model: nn.Module, batch: tuple) -> Tensor:
    """Mean cross-entropy in nats a byte, and the experts' balance where there are any."""
    return model(*batch)


def run(name: str, rate: float, seed: int, steps: int, data: tuple) -> dict:
    """Train once; evaluate once, after the last step."""
    train, held_out = data
    torch.manual_seed(seed)
    model = Transformer(config(name, width(name)))
    optimizer = AdamW(model.parameters(), rate, weight_decay=0.01, fused=True)
    schedule = cosine(steps, warmup=max(1, steps // 10))
    trainer = Trainer(
        model, optimizer, loss, schedule=schedule, device="cpu", clip=1.0, progress=False
    )
    begin = time.process_time()
    trainer.fit(RandomWindows(train, T, steps, seed), steps=steps)
    seconds = time.process_time() - begin
    held_out_loss = float(by_position(model, held_out, T).mean())
    return {"seed": seed, "loss": held_out_loss, "processor_seconds": round(seconds, 2)}


def compare(name: str, seeds: int, steps: int, data: tuple) -> dict:
    """Choose the rate, then train all seeds."""
    train, tune, test = data
    tried = {rate: run(name, rate, TUNE_SEED, steps, (train, tune))["loss"] for rate in RATES}
    rate = min(tried, key=lambda r: tried[r] if math.isfinite(tried[r]) else math.inf)
    runs = [run(name, rate, seed, steps, (train, test)) for seed in range(seeds)]
    inner = width(name)
    return {
        "parameters": parameters(name, inner),
        "d_ff": inner,
        "rate": rate,
        "tried": {str(r): value for r, value in tried.items()},
        "runs": runs,
    }


def add_differences(figures: dict) -> None:
    """Loss minus the base's, seed by seed; an interval where there are at least two seeds."""
    base = np.array([row["loss"] for row in figures["base"]["runs"]])
    for name, found in figures.items():
        losses = np.array([row["loss"] for row in found["runs"]])
        found["mean"] = float(losses.mean())
        if len(losses) > 1:
            found["interval"] = [float(v) for v in t_interval(losses.tolist())][1:]
        if name == "base":
            continue
        found["difference"] = float((losses - base).mean())
        if len(losses) > 1:
            _, low, high = (float(v) for v in t_interval((losses - base).tolist()))
            found["difference_interval"] = [low, high]
            found["within_noise"] = low <= 0 <= high


def main(words: list[str] | None = None) -> int:
    """Compare all variants and write the record."""
    settings = experiment(words, __doc__, seeds=3, smoke="two steps, one seed", steps=STEPS)
    seeds, steps = (1, 2) if settings.smoke else (settings.seeds, settings.steps)
    corpus = source_text()
    held_out, size = read(corpus.validation), WINDOWS * max(CONTEXTS)
    data = read(corpus.train), held_out[:size], held_out[size : 3 * size]
    figures: dict = {}
    for name in VARIANTS:
        figures[name] = compare(name, seeds, steps, data)
        losses = [row["loss"] for row in figures[name]["runs"]]
        print(f"{name}: {np.mean(losses):.3f} nats, {figures[name]['rate']}", flush=True)
    add_differences(figures)
    used = ("models", "train.py", "data/text.py", "optim.py", "intervals.py")
    write_record(
        settings.output or RESULT,
        figures,
        script=__file__,
        used=[str(ROOT / "benchmarks/lstm_transformer.py")]
        + [str(ROOT / "utils" / name) for name in used],
        packages=["sympy"],
        seeds=range(seeds),
        settings={"steps": steps, "bytes_a_step": TOKENS, "rates": RATES, "T": T, "D": D, "L": L},
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
