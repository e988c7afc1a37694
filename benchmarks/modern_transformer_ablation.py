r"""What each part of a modern Transformer is worth: one change at a time, several seeds.

    python benchmarks/modern_transformer_ablation.py [--seeds 5] [--steps 300]
    python benchmarks/modern_transformer_ablation.py --smoke --output smoke.json

The base has Llama's form: rotary positions, RMSNorm, SwiGLU, as many key heads as query heads.
Each variant changes one thing and nothing else, but the width of its feed-forward part, which is
set so that the number of parameters comes nearest to the base's. The exception is the mixture of
experts: there the weights that work on a token are equal, and the parameters are not.

Bytes of sympy's source, as in lstm_transformer.py. A seed sets the start and the windows, and all
variants of a seed read the same windows. The learning rate is chosen for each variant with a seed
of its own, in as many steps, on validation windows that the comparison does not use: from START
up or down by factors of two until both neighbors are worse. The figure of merit is the difference
from the base within a seed, with a t interval over the seeds; "within noise" means that the
interval holds zero. The intervals are not corrected for the number of variants, and all seeds are
judged on the same held-out windows.

Further, of the trained models: how the experts share the tokens; the base read with rows of
queries and keys in the other layout of rotary pairs; and its loss over four times the context,
with the ways to stretch rotary positions (Chen et al. 2023; Peng et al. 2023).

Legend: B windows, T length of a window, D width, F width of the feed-forward part, L layers,
H heads, V bytes, E experts.
"""

import math
import time
from dataclasses import replace

import numpy as np
import torch
from common import RESULTS, ROOT, experiment, write_record
from lstm_transformer import CONTEXTS, WINDOWS, V, by_position, read
from torch import Tensor, nn

from utils.data.text import source_text
from utils.intervals import t_interval
from utils.models.attention import attend, merge_heads
from utils.models.config import TransformerConfig
from utils.models.rope import inverse_frequencies, rotate
from utils.models.transformer import Transformer
from utils.optim import AdamW
from utils.schedules import cosine
from utils.train import Trainer

RESULT = RESULTS / "modern_transformer_ablation.json"
T, D, F, L, HEADS, STEPS, TOKENS = 64, 48, 128, 2, 4, 300, 512
START, LOWEST, HIGHEST, TUNE_SEED = 0.004, 0.0005, 0.032, 1000
EXPERTS, CHOSEN, STRETCH = 8, 2, 4
RANK, TURNED = 18, 6  # numbers a token that latent attention keeps: as many as one key head
ROUTED = {"num_experts": EXPERTS, "experts_per_token": CHOSEN}
VARIANTS: dict[str, dict] = {
    "base": {},
    "learned positions": {"positions": "learned"},
    "no positions": {"positions": "none"},
    "LayerNorm": {"norm": "layernorm", "norm_eps": 1e-5},
    "GELU": {"activation": "gelu"},
    "2 key heads": {"num_kv_heads": 2},
    "1 key head": {"num_kv_heads": 1},
    "latent attention": {},
    "window of 16": {"sliding_window": 16},
    "8 experts, 2 chosen": ROUTED,
    "8 experts, no balance": ROUTED | {"balance_weight": 0.0},
}
_SLOWER = {"factor": float(STRETCH), "original_max_position_embeddings": T}
WAYS: dict[str, dict] = {
    "as trained": {},
    "interpolated": {"rope_scaling": _SLOWER | {"rope_type": "linear"}},
    "larger base": {"rope_theta": 1e4 * STRETCH ** (D // HEADS / (D // HEADS - 2))},
    "YaRN": {"rope_scaling": _SLOWER | {"rope_type": "yarn"}},
}


class LatentAttention(nn.Module):
    """Keys and values from one small vector a token (DeepSeek-AI 2024); (B, T, D) to the same."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.size, bias = config.head_size, {"bias": False}
        self.q = nn.Linear(D, HEADS * (self.size + TURNED), **bias)
        self.down = nn.Linear(D, RANK + TURNED, **bias)
        self.norm = nn.RMSNorm(RANK, eps=config.norm_eps)
        self.up = nn.Linear(RANK, HEADS * 2 * self.size, **bias)
        self.out = nn.Linear(HEADS * self.size, D, **bias)

    def forward(self, x_BTD: Tensor, mask, *_unused) -> Tensor:
        """Attend within x; the turned part of a key is the same for all heads."""
        sizes, frequency_F = (self.size, TURNED), inverse_frequencies(TURNED)[0]
        angle_T1F = torch.arange(x_BTD.shape[1])[:, None, None] * frequency_F
        plain, turned = self.q(x_BTD).unflatten(-1, (HEADS, -1)).split(sizes, -1)
        latent, key = self.down(x_BTD).split((RANK, TURNED), -1)
        k, v = self.up(self.norm(latent)).unflatten(-1, (HEADS, -1)).chunk(2, -1)
        turn = (angle_T1F.cos(), angle_T1F.sin())
        key = rotate(key[:, :, None], *turn).expand(-1, -1, HEADS, -1)
        q, k = torch.cat([plain, rotate(turned, *turn)], -1), torch.cat([k, key], -1)
        return self.out(merge_heads(attend(*(x.transpose(1, 2) for x in (q, k, v)), mask, 0.0)))


class Windows:
    """Batches of TOKENS bytes in windows at random places: x (B, T) and the next bytes y."""

    def __init__(self, data: Tensor, steps: int, seed: int) -> None:
        self.data, self.steps = data, steps
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.steps

    def __iter__(self):
        for _ in range(self.steps):
            size = (TOKENS // T, 1)
            start = torch.randint(len(self.data) - T, size, generator=self.generator)
            rows = self.data[start + torch.arange(T + 1)]
            yield rows[:, :-1], rows[:, 1:]


def config(name: str, inner: int) -> TransformerConfig:
    """The variant with a feed-forward part (or an expert) of width ``inner``."""
    sizes = {"vocab_size": V, "context_length": T, "d_model": D, "num_layers": L}
    how = sizes | {"num_heads": HEADS, "d_ff": inner} | VARIANTS[name]
    return TransformerConfig.of("llama", **how)


def make(name: str, inner: int) -> Transformer:
    """The variant's model, its weights drawn from torch's global generator."""
    model = Transformer(config(name, inner))
    if name == "latent attention":
        for block in model.blocks:
            block.attention = LatentAttention(model.config)
        model.reset_parameters()
    return model


def parameters(name: str, inner: int) -> int:
    """Number of parameters, counted without memory."""
    with torch.device("meta"):
        return sum(p.numel() for p in make(name, inner).parameters())


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


def train(name: str, rate: float, seed: int, steps: int, data: Tensor) -> tuple[Transformer, float]:
    """A trained model and the processor seconds that it took."""
    torch.manual_seed(seed)
    model = make(name, width(name))
    optimizer = AdamW(model.parameters(), rate, weight_decay=0.01, fused=True)
    schedule = cosine(steps, warmup=max(1, steps // 10))
    trainer = Trainer(
        model, optimizer, loss, schedule=schedule, device="cpu", clip=1.0, progress=False
    )
    begin = time.process_time()
    trainer.fit(Windows(data, steps, seed), steps=steps)
    return model, round(time.process_time() - begin, 2)


def tune(name: str, steps: int, data: tuple) -> tuple[float, dict[float, float]]:
    """The best rate, each neighbor by a factor of two being worse, and all losses tried."""
    train_data, held_out = data
    tried: dict[float, float] = {}

    def score(rate: float) -> float:
        if rate not in tried:
            model, _ = train(name, rate, TUNE_SEED, steps, train_data)
            found = float(by_position(model, held_out, T).mean())
            tried[rate] = found if math.isfinite(found) else math.inf
        return tried[rate]

    best = START
    while True:
        near = [r for r in (best, best / 2, best * 2) if LOWEST <= r <= HIGHEST]
        rate = min(near, key=score)
        if rate == best:
            return best, tried
        best = rate


def quarters(model: Transformer, data: Tensor, **changes) -> list[float]:
    """Mean loss in each of STRETCH parts of windows STRETCH times as long as in training."""
    longer = Transformer(replace(model.config, context_length=STRETCH * T, **changes))
    longer.load_state_dict(model.state_dict())
    losses = by_position(longer, data, STRETCH * T)
    return [round(float(part.mean()), 4) for part in np.split(losses, STRETCH)]


def swapped(model: Transformer) -> Transformer:
    """The same weights read as if pairs stood side by side: what was i and i + F is 2i, 2i + 1."""
    other = Transformer(model.config)
    other.load_state_dict(model.state_dict())
    size = model.config.head_size
    order = torch.cat([torch.arange(0, size, 2), torch.arange(1, size, 2)])
    for block in other.blocks:
        rows = block.attention.qkv.weight.data.unflatten(0, (3 * HEADS, size))
        rows[: 2 * HEADS] = rows[: 2 * HEADS, order]
    return other


@torch.no_grad()
def further(name: str, model: Transformer, data: Tensor) -> dict:
    """What else is read off a trained model, by variant."""
    if model.config.num_experts:
        logits = model.router_logits(data[: len(data) // T * T].view(-1, T))
        share = [
            torch.bincount(z.topk(CHOSEN).indices.flatten(), minlength=EXPERTS) for z in logits
        ]
        return {"share": [[round(float(s), 4) for s in row / row.sum()] for row in share]}
    if name == "window of 16":
        return {"longer": {"as trained": quarters(model, data)}}
    if name != "base":
        return {}
    longer = {way: quarters(model, data, **changes) for way, changes in WAYS.items()}
    return {"longer": longer, "swapped": float(by_position(swapped(model), data, T).mean())}


def compare(name: str, seeds: int, steps: int, data: tuple) -> dict:
    """Choose the rate, then train all seeds; each is evaluated once, after its last step."""
    train_data, tune_data, test = data
    rate, tried = tune(name, steps, (train_data, tune_data))
    runs = []
    for seed in range(seeds):
        model, seconds = train(name, rate, seed, steps, train_data)
        row = {"seed": seed, "loss": float(by_position(model, test, T).mean())}
        runs.append(row | {"processor_seconds": seconds} | further(name, model, test))
    inner = width(name)
    found = {"parameters": parameters(name, inner), "d_ff": inner, "rate": rate}
    return found | {"tried": {str(r): tried[r] for r in sorted(tried)}, "runs": runs}


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
    settings = experiment(words, __doc__, seeds=5, smoke="two steps, one seed", steps=STEPS)
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
    used = ("models", "train.py", "data/text.py", "optim.py", "intervals.py", "schedules.py")
    sizes = {"T": T, "D": D, "L": L, "heads": HEADS, "latent": RANK + TURNED, "stretch": STRETCH}
    write_record(
        settings.output or RESULT,
        figures,
        script=__file__,
        used=[str(ROOT / "benchmarks/lstm_transformer.py")]
        + [str(ROOT / "utils" / name) for name in used],
        packages=["sympy"],
        seeds=range(seeds),
        settings={"steps": steps, "bytes_a_step": TOKENS, "start": START} | sizes,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
