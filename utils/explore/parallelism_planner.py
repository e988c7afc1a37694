"""Data, tensor and pipeline parallelism of one training step: memory, traffic, bubble, time.

Legend: L layers, M width, H heads, V vocabulary, T tokens in a sequence; d, t, p degrees of data,
tensor and pipeline parallelism; b sequences in a micro-batch, m micro-batches a step.
Weights and gradients have 2 bytes, AdamW's states 12 (with a 32-bit copy of the weights).
"""

from __future__ import annotations

import traitlets

from utils.explore.base import Explorable, source

# Shapes of the GPT family: (L, M, H); T = 2048 and V = 51200 as in Megatron's papers.
MODELS = {
    "1.3B": (24, 2048, 16),
    "6.7B": (32, 4096, 32),
    "22B": (48, 6144, 64),
    "175B": (96, 12288, 96),
}
T, V = 2048, 51200
PEAK, MEMORY = 989.5e12, 80e9  # an H100's dense bf16 FLOP/s and bytes


def pipeline_schedule(stages: int, micro_batches: int) -> list[list[tuple[str, int, int]]]:
    """The 1F1B schedule: for each stage a list of (kind, micro-batch, start).

    A forward pass takes 1 unit of time, a backward pass 2. Kind is "F" or "B". Source: Narayanan
    et al. 2021 (Megatron-LM), the schedule without interleaving.
    """
    orders = []
    for stage in range(stages):
        ahead = min(stages - 1 - stage, micro_batches)
        order = [("F", k) for k in range(ahead)]
        for k in range(micro_batches - ahead):
            order += [("F", ahead + k), ("B", k)]
        orders.append(order + [("B", k) for k in range(micro_batches - ahead, micro_batches)])
    ends: dict[tuple[str, int, int], int] = {}
    rows: list[list[tuple[str, int, int]]] = [[] for _ in range(stages)]
    clocks = [0] * stages
    while any(orders):
        for stage, order in enumerate(orders):
            while order:
                kind, k = order[0]
                first = kind == "F" and stage == 0
                turn = kind == "B" and stage == stages - 1
                before = (kind, k, stage + (1 if kind == "B" else -1))
                ready = 0 if first else ends.get(("F", k, stage) if turn else before)
                if ready is None:
                    break
                start = max(clocks[stage], ready)
                clocks[stage] = ends[kind, k, stage] = start + (1 if kind == "F" else 2)
                rows[stage].append((kind, k, start))
                order.pop(0)
    return rows


def _memory(s: dict, layers: float, embedding: float) -> dict[str, float]:
    """Bytes on a GPU of the first stage, which holds most."""
    width = MODELS[s["model"]][1]
    d, t, p, b, zero = s["data"], s["tensor"], s["pipeline"], s["micro_batch"], s["zero"]
    parameters = (12 * layers * width * width + embedding) / t
    share = [d if zero >= stage else 1 for stage in (3, 2, 1)]
    # Korthikanti et al. 2023, equation 2 (tensor without sequence parallelism), scores recomputed.
    layer = T * b * width * (10 + 24 / t)
    in_flight = min(p, s["micro_batches"])
    return {
        "weights": 2 * parameters / share[0],
        "gradients": 2 * parameters / share[1],
        "optimizer": 12 * parameters / share[2],
        "activations": layer * layers * in_flight,
    }


def _traffic(s: dict, layers: float, parameters: float) -> dict[str, float]:
    """Bytes that a GPU sends in a step, with ring collectives."""
    width = MODELS[s["model"]][1]
    d, t, p, m = s["data"], s["tensor"], s["pipeline"], s["micro_batches"]
    message = 2 * T * s["micro_batch"] * width
    passes = 3 if s["zero"] == 3 else 2  # all-gather weights twice instead of once
    return {
        "data_traffic": passes * (d - 1) / d * 2 * parameters,
        "tensor_traffic": 4 * 2 * (t - 1) / t * message * layers * m,
        "pipeline_traffic": 2 * message * m if p > 1 else 0,
    }


def parallelism_plan(**settings) -> dict[str, float]:
    """Figures of one step: GPUs, bytes on a GPU by kind, bytes sent by kind, bubble, seconds.

    Settings are the traits of `ParallelismPlanner`. Seconds add up compute, the bubble and the
    traffic, as if none overlapped: an upper bound. Sources: Narayanan et al. 2021 (bubble, tensor
    and pipeline traffic), Rajbhandari et al. 2020 (ZeRO), Korthikanti et al. 2023 (activations).

    Raises
    ------
    ValueError
        For an unknown model, a degree below 1, more stages than layers, or a tensor degree that
        does not divide the heads.
    """
    s = DEFAULTS | settings
    if s["model"] not in MODELS:
        raise ValueError(f"model {s['model']!r} is unknown; choose one of {', '.join(MODELS)}")
    number, width, heads = MODELS[s["model"]]
    for name in ("data", "tensor", "pipeline", "micro_batch", "micro_batches"):
        if s[name] < 1:
            raise ValueError(f"{name} is {s[name]}; expected 1 or more")
    if s["pipeline"] > number or heads % s["tensor"]:
        raise ValueError(
            f"pipeline {s['pipeline']}, tensor {s['tensor']}: expected at most {number} stages "
            f"and a divisor of {heads} heads"
        )
    layers, embedding = number / s["pipeline"], (V + T) * width
    total = 12 * number * width * width + embedding
    parameters = (12 * layers * width * width + embedding) / s["tensor"]
    memory = _memory(s, layers, embedding)
    traffic = _traffic(s, layers, parameters)
    m, gpus = s["micro_batches"], s["data"] * s["tensor"] * s["pipeline"]
    tokens = s["data"] * m * s["micro_batch"] * T
    again = 4 * number * T * width  # the scores, run again in the backward pass
    flops = (6 * (total - T * width) + 3 * again) * tokens
    compute = (flops + again * tokens) / (gpus * PEAK * s["utilisation"])
    fast, slow = s["node_gbytes"] * 1e9, s["network_gbytes"] * 1e9
    times = {
        "compute_seconds": compute,
        "bubble_seconds": compute * (s["pipeline"] - 1) / m,
        "tensor_seconds": traffic["tensor_traffic"] / fast,
        "pipeline_seconds": traffic["pipeline_traffic"] / slow,
        "data_seconds": traffic["data_traffic"] / slow,
    }
    step = sum(times.values())
    figures = {"gpus": gpus, "memory": sum(memory.values()), "step_seconds": step}
    figures["bubble"] = (s["pipeline"] - 1) / (m + s["pipeline"] - 1)
    figures["tokens_per_second"] = tokens / step
    figures["mfu"] = flops / (step * gpus * PEAK)
    return figures | memory | traffic | times


class ParallelismPlanner(Explorable):
    """Degrees of parallelism against memory, bubble and time of a training step."""

    _esm = source("parallelism_planner.js")
    title = "Parallelism of a training step"
    fallback = (
        "With JavaScript, choose degrees of data, tensor and pipeline parallelism here; pictures "
        "show memory on a GPU, the pipeline's idle time, and where the time of a step goes."
    )
    heights = ("41rem", "67rem")
    model = traitlets.Enum(list(MODELS), "22B").tag(sync=True)
    data = traitlets.Int(4, min=1).tag(sync=True)
    tensor = traitlets.Int(8, min=1).tag(sync=True)
    pipeline = traitlets.Int(1, min=1).tag(sync=True)
    micro_batch = traitlets.Int(1, min=1).tag(sync=True)
    micro_batches = traitlets.Int(8, min=1).tag(sync=True)
    zero = traitlets.Int(0, min=0, max=3).tag(sync=True)
    utilisation = traitlets.Float(0.6, min=0.01, max=1.0).tag(sync=True)
    node_gbytes = traitlets.Float(450.0, min=1.0).tag(sync=True)
    network_gbytes = traitlets.Float(50.0, min=1.0).tag(sync=True)


DEFAULTS: dict = {
    name: trait.default()
    for name, trait in ParallelismPlanner.class_own_traits(sync=True).items()
    if not name.startswith("_")
}
