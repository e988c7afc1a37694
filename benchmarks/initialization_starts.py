"""What a start is worth: fifty layers that learn or do not, and four starts of a small GPT.

    python benchmarks/initialization_starts.py [--seeds 4]
    python benchmarks/initialization_starts.py --smoke --output smoke.json

Part 1: networks of 50 layers, 64 wide, on the handwritten digits: plain gradient descent, batches
of 64, without biases and without learned gains. Seven learning rates times the seeds train at once.
Part 2: a decoder of GPT-2's form on bytes of sympy's source, AdamW with warm-up; it starts as
GPT-2, as GPT-2 without the division at the residual projections, as PyTorch starts its modules, and
as PyTorch with GPT-2's embeddings. The rate is chosen with seed 0, among five, on other windows.

Legend: P networks at once (rates times seeds, rates first), B batch, M width, V bytes told apart.
"""

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from common import RESULTS, ROOT, experiment, write_record
from torch import Tensor, nn
from torch.nn import functional as F

from utils.data import digits, split
from utils.data.text import source_text
from utils.intervals import t_interval
from utils.models.config import TransformerConfig
from utils.models.transformer import Transformer

RESULT = RESULTS / "initialization_starts.json"
DEPTH, M, B, STEPS, LATE = 50, 64, 64, 100, 20
RATES = (0.0001, 0.001, 0.01, 0.1, 0.3, 1.0, 3.0)
HE, XAVIER = math.sqrt(2 / M), math.sqrt(1 / M)
NETWORKS = {  # name: deviation of the weights, path; the activation is ReLU unless named
    "0.02, plain": (0.02, "plain"),
    "Xavier, tanh": (XAVIER, "plain"),
    "Xavier, plain": (XAVIER, "plain"),
    "He, plain": (HE, "plain"),
    "He, batch norm": (HE, "batch norm"),
    "He, layer norm": (HE, "layer norm"),
    "He, RMS norm": (HE, "RMS norm"),
    "He, residual": (HE, "residual"),
    "He, residual / √depth": (HE, "residual / √depth"),
    "0.02, residual, RMS norm": (0.02, "residual, RMS norm"),
}
V, T, GPT_STEPS, GPT_RATES, WARM_UP = 128, 32, 200, (0.0003, 0.001, 0.003, 0.01, 0.03), 15
SIZES = {"vocab_size": V, "context_length": T, "d_model": 64, "num_layers": 6, "num_heads": 4}
STARTS = ("GPT-2", "GPT-2, undivided", "PyTorch", "PyTorch, embeddings 0.02")


def normed(h: Tensor, axis: int, center: bool) -> Tensor:
    """h with mean square 1 along the axis, and mean 0 where it is centered."""
    h = h - h.mean(axis, keepdim=True) if center else h
    return h * (h.square().mean(axis, keepdim=True) + 1e-5).rsqrt()


def layer(h_PBM: Tensor, W_PMM: Tensor, path: str, phi: Callable = torch.relu) -> Tensor:
    """One of the fifty layers, wired as `utils.explore.depth_variance` names it."""
    if path.startswith("residual"):
        x = normed(h_PBM, -1, center=False) if path.endswith("norm") else h_PBM
        scale = DEPTH**-0.5 if path.endswith("depth") else 1.0
        return h_PBM + scale * (phi(x) @ W_PMM)
    if path == "batch norm":  # before the activation, over the batch
        return phi(normed(h_PBM @ W_PMM, -2, center=True))
    h_PBM = phi(h_PBM @ W_PMM)
    return h_PBM if path == "plain" else normed(h_PBM, -1, center=path == "layer norm")


def deep(name: str, seeds: int, steps: int) -> dict:
    """Train all rates and seeds of a network at once; its late losses, (rates, seeds)."""
    sigma, path = NETWORKS[name]
    phi = torch.tanh if name.endswith("tanh") else torch.relu
    draw, batches = torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)
    x, y = split(digits(), (0.75, 0.25), seed=0)[0].tensors()
    x = x.flatten(1)
    x = (x - x.mean(0)) / x.std(0).clamp(min=0.1)
    P = seeds * len(RATES)
    start = [sigma * torch.randn(seeds, M, M, generator=draw) for _ in range(DEPTH)]
    start.append(torch.randn(seeds, M, 10, generator=draw) / math.sqrt(M))
    weights = [w.repeat(len(RATES), 1, 1).requires_grad_() for w in start]
    rates, late, begin = torch.tensor(RATES).repeat_interleave(seeds), 0.0, time.process_time()
    for step in range(steps):
        rows = torch.randint(len(x), (B,), generator=batches)
        h = x[rows].expand(P, B, M)
        for W in weights[:-1]:
            h = layer(h, W, path, phi)
        logits, labels = (h @ weights[-1]).flatten(0, 1), y[rows].repeat(P)
        losses = F.cross_entropy(logits, labels, reduction="none").view(P, B).mean(1)
        for w, slope in zip(weights, torch.autograd.grad(losses.sum(), weights), strict=True):
            w.data.sub_(rates[:, None, None] * slope)
        if step >= steps - LATE:
            late = late + losses.detach().nan_to_num(99.0).clamp(max=99.0) / min(LATE, steps)
    late = late.view(-1, seeds)
    best = int(late.mean(1).argmin())
    return {
        "loss": late[best].tolist(),
        "rate": RATES[best],
        "losses": late.tolist(),
        "processor_seconds": round(time.process_time() - begin, 2),
    }


def started(start: str, seed: int) -> Transformer:
    """The small GPT with one of the four starts."""
    torch.manual_seed(seed)
    model = Transformer(TransformerConfig(**SIZES))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            writes = name.endswith(("attention.out.weight", "feedforward.down.weight"))
            if start == "GPT-2, undivided" and writes:
                parameter.mul_(math.sqrt(2 * SIZES["num_layers"]))
    if start.startswith("PyTorch"):
        kinds = (nn.Linear,) if start.endswith("0.02") else (nn.Linear, nn.Embedding)
        for module in model.modules():
            if isinstance(module, kinds):
                module.reset_parameters()
    return model


def windows(data: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Inputs and next bytes, (count, T) each, from random places."""
    rows = torch.randint(len(data) - T, (count, 1), generator=generator) + torch.arange(T + 1)
    return data[rows][:, :-1], data[rows][:, 1:]


def loss_of(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Mean cross-entropy in nats a byte."""
    return F.cross_entropy(model(x).flatten(0, 1), y.flatten())


def gpt(start: str, rate: float, seed: int, data: tuple[Tensor, Tensor], steps: int) -> dict:
    """Train one; its loss before the first step, the training curve, and two held-out losses."""
    model, generator = started(start, seed), torch.Generator().manual_seed(seed)
    held = torch.Generator().manual_seed(1000)
    choosing, judging = (windows(data[1], 256, held) for _ in range(2))
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1, (s + 1) / WARM_UP))
    curve, begin = [], time.process_time()
    for _ in range(steps):
        loss = loss_of(model, *windows(data[0], 16, generator))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        curve.append(loss.item())
    seconds = time.process_time() - begin
    with torch.no_grad():
        choose, judge = (loss_of(model, *pair).item() for pair in (choosing, judging))
    return {
        "seed": seed,
        "first": curve[0],
        "curve": [float(np.mean(part)) for part in np.array_split(curve, min(15, steps))],
        "choosing": choose,
        "loss": judge,
        "processor_seconds": round(seconds, 2),
    }


def all_gpts(seeds: int, steps: int) -> dict:
    """Every start with its own best rate, over the seeds."""
    texts = (source_text().text(part).encode() for part in ("train", "validation"))
    data = tuple(
        torch.from_numpy(np.minimum(np.frombuffer(text, np.uint8), V - 1).astype(np.int64))
        for text in texts
    )
    figures = {}
    for start in STARTS:
        tuned = {rate: gpt(start, rate, 0, data, steps) for rate in GPT_RATES}
        rate = min(tuned, key=lambda r: tuned[r]["choosing"])
        runs = [tuned[rate]] + [gpt(start, rate, seed, data, steps) for seed in range(1, seeds)]
        losses = [run["loss"] for run in runs]
        figures[start] = {
            "rate": rate,
            "tuned": {str(r): row["choosing"] for r, row in tuned.items()},
            "runs": runs,
            "interval": list(t_interval(losses)) if seeds > 1 else None,
        }
        print(f"{start}: rate {rate}, loss {np.mean(losses):.3f}", flush=True)
    return figures


def main(words: list[str] | None = None) -> int:
    """Train both parts and write the record."""
    settings = experiment(words, __doc__, seeds=4, smoke="two steps, one seed")
    seeds, steps, gpt_steps = settings.seeds, STEPS, GPT_STEPS
    if settings.smoke:
        seeds, steps, gpt_steps = 1, 2, 2
    figures: dict = {"deep": {}}
    for name in NETWORKS:
        figures["deep"][name] = row = deep(name, seeds, steps)
        print(f"{name}: rate {row['rate']}, loss {np.mean(row['loss']):.3f}", flush=True)
    figures["gpt"] = all_gpts(seeds, gpt_steps)
    write_record(
        settings.output or RESULT,
        figures,
        script=__file__,
        used=[str(ROOT / "utils/models"), str(ROOT / "utils/data/text.py")],
        packages=["sympy", "scikit-learn"],
        seeds=range(seeds),
        settings={"depth": DEPTH, "width": M, "steps": steps, "gpt": SIZES, "gpt_steps": gpt_steps},
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
