"""The family of `scaling_laws`: tiny decoders whose size doubles, trained side by side.

Legend: G runs side by side, B windows, T tokens of a window, M width, F inner width, V vocabulary.

Runs of one size that differ in seed or learning rate are trained as one: each weight has a first
axis G, each product is a batch of products, and no run sees another. The model of one run is
`utils.models.Transformer` with the same weights, as a test shows. What is multiplied by a token,
the matrices of the blocks and the table as head, is counted as N: it doubles from size to size.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from utils.data.text import source_text
from utils.models.config import TransformerConfig
from utils.schedules import cosine

V, T, B, LAYERS, HEADS = 96, 32, 8, 2, 2
# Width and inner width: N doubles from 2,304 on, within 0.3 %.
SHAPES = ((8, 32), (12, 48), (18, 68), (26, 101), (38, 143), (54, 209), (78, 293))
WARMUP, EPS, BETAS = 0.1, 1e-8, (0.9, 0.95)


def size(i: int) -> int:
    """N of size ``i``: parameters that a token is multiplied with."""
    M, inner = SHAPES[i]
    return LAYERS * (4 * M * M + 2 * M * inner) + V * M


def blocks(i: int) -> int:
    """Parameters of size ``i`` without the table and positions, as Kaplan et al. count."""
    return size(i) - V * SHAPES[i][0]


def config(i: int) -> TransformerConfig:
    """Size ``i`` for `utils.models.Transformer`."""
    M, inner = SHAPES[i]
    return TransformerConfig(V, T, M, LAYERS, HEADS, d_ff=inner, bias=False)


def characters(text: str) -> Tensor:
    """Text to whole numbers 0 … 95: a line's end is 95, what is not printable ASCII a '?'."""
    table = torch.full((256,), ord("?") - 32, dtype=torch.uint8)
    table[32:127] = torch.arange(95, dtype=torch.uint8)
    table[10] = 95
    raw = bytearray(text.encode("ascii", "replace"))
    return table[torch.frombuffer(raw, dtype=torch.uint8).long()]


def windows(part: str) -> Tensor:
    """All windows (W, T + 1) of a part of the corpus, one after the other."""
    ids = characters(source_text().text(part))
    count = len(ids) // (T + 1)
    return ids[: count * (T + 1)].view(count, T + 1)


def start(i: int, seeds: list[int]) -> dict[str, Tensor]:
    """Weights (G, ...) of size ``i``, a seed a run: deviation 1 / sqrt(inputs).

    The two tables start at 0.3 / sqrt(M), what writes to the residual path at half as much.
    """
    M, inner = SHAPES[i]
    shapes = {"tokens": (V, M), "positions": (T, M), "norm": (M,)}
    for n in range(LAYERS):
        shapes |= {f"norm1.{n}": (M,), f"qkv.{n}": (M, 3 * M), f"out.{n}": (M, M)}
        shapes |= {f"norm2.{n}": (M,), f"up.{n}": (M, inner), f"down.{n}": (inner, M)}
    runs = []
    for seed in seeds:
        generator, one = torch.Generator().manual_seed(seed), {}
        for name, shape in shapes.items():
            scale = 0.3 * M**-0.5 if name in ("tokens", "positions") else shape[0] ** -0.5
            if name.startswith(("out", "down")):
                scale /= math.sqrt(2 * LAYERS)
            drawn = torch.randn(shape, generator=generator) * scale
            one[name] = torch.ones(shape) if name.startswith("norm") else drawn
        runs.append(one)
    return {name: torch.stack([run[name] for run in runs]) for name in shapes}


def norm(x_GNM: Tensor, weight_GM: Tensor) -> Tensor:
    return F.layer_norm(x_GNM, x_GNM.shape[-1:]) * weight_GM[:, None]


def logits(w: dict[str, Tensor], tokens_GBT: Tensor) -> Tensor:
    """Tokens (G, B, T) to logits (G, B T, V)."""
    G, rows, length = tokens_GBT.shape
    M = w["tokens"].shape[-1]
    place_G11 = V * torch.arange(G)[:, None, None]
    x = w["tokens"].flatten(0, 1)[tokens_GBT + place_G11] + w["positions"][:, None, :length]
    x = x.view(G, rows * length, M)
    for n in range(LAYERS):
        heads = torch.bmm(norm(x, w[f"norm1.{n}"]), w[f"qkv.{n}"])
        heads = heads.view(G * rows, length, 3, HEADS, M // HEADS).permute(2, 0, 3, 1, 4)
        met = F.scaled_dot_product_attention(*heads, is_causal=True)
        x = x + torch.bmm(met.transpose(1, 2).reshape(G, rows * length, M), w[f"out.{n}"])
        inner = F.gelu(torch.bmm(norm(x, w[f"norm2.{n}"]), w[f"up.{n}"]), approximate="tanh")
        x = x + torch.bmm(inner, w[f"down.{n}"])
    return torch.bmm(norm(x, w["norm"]), w["tokens"].transpose(1, 2))


def losses(w: dict[str, Tensor], windows_GBT: Tensor) -> Tensor:
    """Mean cross-entropy of each run, (G,), in nats a token, on windows (G, B, T + 1)."""
    z_GNV, target = logits(w, windows_GBT[..., :-1]), windows_GBT[..., 1:].flatten(1)
    one = F.cross_entropy(z_GNV.flatten(0, 1), target.flatten(), reduction="none")
    return one.view(len(target), -1).mean(1)


@torch.no_grad()
def evaluate(w: dict[str, Tensor], held_WT: Tensor, rows: int = 256) -> list[float]:
    """Loss of each run on the same windows (W, T + 1)."""
    G = len(w["tokens"])
    parts = [losses(w, part.long().expand(G, -1, -1)) for part in held_WT.split(rows)]
    shares = torch.tensor([len(part) / len(held_WT) for part in held_WT.split(rows)])
    return (shares @ torch.stack(parts)).tolist()


def order(seed: int, total: int, unique: int, steps: int) -> Tensor:
    """Windows (steps, B) of a run: ``unique`` ones drawn, all passed before any comes again."""
    generator = torch.Generator().manual_seed(seed)
    pool = torch.randperm(total, generator=generator)[:unique]
    epochs = -(-steps * B // unique)
    passes = [pool[torch.randperm(unique, generator=generator)] for _ in range(epochs)]
    return torch.cat(passes)[: steps * B].view(steps, B)


def train(
    i: int,
    tokens: int,
    seeds: list[int],
    rates: list[float],
    text_WT: Tensor,
    unique: int | None = None,
) -> dict[str, Tensor]:
    """Train runs of size ``i`` on ``tokens`` tokens side by side by AdamW without decay.

    rates: a learning rate a run, warmed up in the first tenth, then a cosine to zero at the last
    step. unique: how many tokens differ; the rest repeats them. Returns the weights.
    """
    steps = tokens // (B * T)
    pool = (tokens if unique is None else unique) // T
    plan_GSB = torch.stack([order(seed, len(text_WT), pool, steps) for seed in seeds])
    w = {name: weight.requires_grad_() for name, weight in start(i, seeds).items()}
    means, squares = ({name: torch.zeros_like(x) for name, x in w.items()} for _ in range(2))
    factor, rate_G = cosine(steps, warmup=max(1, round(WARMUP * steps))), torch.tensor(rates)
    for t in range(steps):
        loss_G = losses(w, text_WT[plan_GSB[:, t]].long())
        gradients = torch.autograd.grad(loss_G.sum(), list(w.values()))
        # The last step would have rate 0 at t + 1 and the first at t: so take the middle.
        scale_G = rate_G * factor(t + 0.5) / (1 - BETAS[0] ** (t + 1))
        with torch.no_grad():
            for name, g in zip(w, gradients, strict=True):
                means[name].lerp_(g, 1 - BETAS[0])
                squares[name].mul_(BETAS[1]).addcmul_(g, g, value=1 - BETAS[1])
                root = (squares[name] / (1 - BETAS[1] ** (t + 1))).sqrt_().add_(EPS)
                axes = (-1,) + (1,) * (g.dim() - 1)
                w[name].sub_(scale_G.view(axes) * means[name] / root)
    return {name: x.detach() for name, x in w.items()}
