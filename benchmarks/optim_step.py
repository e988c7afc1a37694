"""Cost of one optimizer step: ours beside torch.optim's, plain, foreach and fused.

    python benchmarks/optim_step.py [--rounds 31] [--threads 1] [--device cpu]

Parameters have the shapes of GPTs (tiny: 4 layers, 128 wide; medium: 6 layers, 384 wide), in
float32, with fixed random gradients. All contenders take turns within each round, so that a
disturbance hits all alike; what is reported are medians over rounds, of the processor time on a
CPU and of the elapsed time on a GPU, and the medians of the paired ratios to the named reference.
"""

import argparse
import datetime
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from utils import optim
from utils.device import machine, native_precisions, pick_device, seed_everything, synchronize

RESULT = Path(__file__).parent / "results" / "optim_step.json"
SHAPES = {"tiny": (4, 128, 64, 65), "medium": (6, 384, 256, 65)}
SEED = 0
MUON = {"lr": 1e-3, "adjust_lr_fn": "match_rms_adamw"}


def gpt_shapes(num_layers: int, d_model: int, context: int, vocab_size: int) -> list[tuple]:
    """Shapes of the parameters of a GPT-2 with tied embeddings and no biases in linear layers."""
    d = d_model
    block = [(d,), (d,), (3 * d, d), (d, d), (d,), (d,), (4 * d, d), (d, 4 * d)]
    return [(vocab_size, d), (context, d), *block * num_layers, (d,), (d,)]


def contenders(muon_bf16: bool) -> dict[str, tuple[str, Callable]]:
    """Name: the reference that it is compared with, and how to make it from parameters."""
    ours, torch_ = optim, torch.optim
    cases: dict[str, tuple[str, Callable]] = {}
    for name, options in (
        ("SGD", {"lr": 1e-3, "momentum": 0.9}),
        ("RMSprop", {"lr": 1e-3}),
        ("AdamW", {"lr": 1e-3}),
    ):
        reference = f"torch {name} foreach"

        def make(library, name=name, options=options, **more):
            return lambda params: getattr(library, name)(params, **options, **more)

        cases[f"ours {name}"] = (reference, make(ours))
        cases[f"torch {name} loop"] = (reference, make(torch_, foreach=False))
        cases[reference] = (reference, make(torch_, foreach=True))
        if name == "AdamW":
            cases["ours AdamW fused"] = ("torch AdamW fused", make(ours, fused=True))
            cases["torch AdamW fused"] = ("torch AdamW fused", make(torch_, fused=True))
    float32 = MUON | {"ns_dtype": torch.float32}
    if muon_bf16:
        cases["ours Muon"] = ("torch Muon", lambda params: ours.Muon(matrices(params), **MUON))
        cases["torch Muon"] = ("torch Muon", lambda params: torch_.Muon(matrices(params), **MUON))
    reference = "torch Muon" if muon_bf16 else "ours Muon float32"
    cases["ours Muon float32"] = (reference, lambda p: ours.Muon(matrices(p), **float32))
    return cases


def matrices(params: list[nn.Parameter]) -> list[nn.Parameter]:
    """The matrices of the hidden layers: all but the first two, which are tables."""
    return [p for p in params[2:] if p.ndim == 2]


def make_params(shapes: list[tuple], device: torch.device) -> list[nn.Parameter]:
    """Parameters with gradients, the same for every contender."""
    generator = torch.Generator().manual_seed(SEED)
    params = []
    for shape in shapes:
        p = nn.Parameter(torch.randn(shape, generator=generator).mul_(0.02).to(device))
        p.grad = torch.randn(shape, generator=generator).mul_(1e-3).to(device)
        params.append(p)
    return params


def measure(shapes: list[tuple], rounds: int, device: torch.device) -> dict[str, dict[str, float]]:
    """Median milliseconds of each contender's step and its paired ratio to its reference."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    # Where bfloat16 is emulated, Muon's step at the medium shape takes the better part of a minute.
    native = torch.bfloat16 in native_precisions(device)
    cases = contenders(muon_bf16=native or sum(torch.Size(s).numel() for s in shapes) < 10**6)
    optimizers = {name: make(make_params(shapes, device)) for name, (_, make) in cases.items()}
    times: dict[str, list[float]] = {name: [] for name in cases}
    for round_ in range(rounds + 3):
        # The order turns by one each round: nobody always follows the same neighbor.
        names = list(cases)
        turn = round_ % len(names)
        for name in names[turn:] + names[:turn]:
            # Steps repeat until a reading is long beside the clock's resolution.
            repeats = 1 if "Muon" in name else 5
            synchronize(device)
            start = clock()
            for _ in range(repeats):
                optimizers[name].step()
            synchronize(device)
            if round_ >= 3:
                times[name].append((clock() - start) / repeats)
    return {
        name: {
            "milliseconds": round(1000 * statistics.median(times[name]), 4),
            "ratio_to_reference": round(
                statistics.median(
                    a / b for a, b in zip(times[name], times[reference], strict=True)
                ),
                3,
            ),
            "reference": reference,
        }
        for name, (reference, _) in cases.items()
    }


def commit() -> str:
    """The revision measured, marked if tracked files that matter differ from it."""
    here = Path(__file__).parent.parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()

    used = ["utils/optim.py", "utils/optim_base.py", "utils/adam.py", "utils/muon.py", __file__]
    changed = git("status", "--porcelain", "--", *used)
    return git("rev-parse", "HEAD") + (" with changes" if changed else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    if arguments.rounds < 1 or arguments.threads < 1:
        parser.error("--rounds and --threads must be at least 1")
    torch.set_num_threads(arguments.threads)
    seed_everything(SEED)
    device = pick_device(arguments.device)
    figures = {}
    for name, shape in SHAPES.items():
        shapes = gpt_shapes(*shape)
        size = sum(torch.Size(s).numel() for s in shapes)
        figures[name] = {
            "parameters": size,
            "tensors": len(shapes),
            "steps": measure(shapes, arguments.rounds, device),
        }
        print(f"{name}: {size:,} parameters in {len(shapes)} tensors")
        for contender, row in figures[name]["steps"].items():
            print(
                f"  {contender:22} {row['milliseconds']:9.3f} ms   "
                f"{row['ratio_to_reference']:6.3f} of {row['reference']}"
            )
    facts = machine()
    versions = {key: facts.pop(key) for key in ("python", "numpy", "torch")}
    result = {
        "command": f"python benchmarks/optim_step.py {' '.join(sys.argv[1:])}".strip(),
        "commit": commit(),
        "machine": facts,
        "versions": versions,
        "date": datetime.date.today().isoformat(),
        "seeds": [SEED],
        "clock": "processor time" if device.type == "cpu" else "elapsed time",
        "rounds": arguments.rounds,
        "figures": figures,
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
