"""Training a GPT: tokens a second of ours, of transformers', of nanoGPT's architecture.

    python benchmarks/gpt_training.py [--shapes tiny medium] [--rounds 15] [--nanogpt model.py]
                                      [--device cuda]

One process; on a CPU one thread and processor time, on a GPU elapsed time. All contenders train
on one batch, step by step in turn, clip the gradient to norm 1 and read no loss. Ours and
transformers' use AdamW in its fused form; the plain loop uses what its recipe uses on a CPU,
torch's AdamW unfused. The time is taken from one batch drawn to the next, in Trainers as well.

Ours is compared with each peer in the peer's own architecture: with biases and GELU by tanh
beside transformers', without biases and with exact GELU beside the plain loop. Equal losses on
equal weights are checked before anything is timed. Mixed precision is timed where the processor
multiplies bfloat16 in hardware; its validation loss is taken anywhere, with ``--mixed-steps``.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"  # the cost of compiling is a figure here
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

import argparse
import functools
import itertools
import logging
import time
from pathlib import Path

import torch
from common import (
    RESULTS,
    Gate,
    against,
    keep_freed_memory,
    peak_memory,
    ratio,
    spread,
    take_turns,
    write_record,
)
from gpt_loops import OURS_PLAIN, PLAIN, SEED, Batches, bare, contenders, make_batch, our_loss
from gpt_peers import SHAPES, Shape, hugging_face, ours, same_weights

from utils.data.text import source_text
from utils.device import native_precisions, pick_device, synchronize

USED = ["benchmarks/gpt_peers.py", "benchmarks/gpt_loops.py"]
USED += ["utils/models", "utils/train.py", "utils/optim.py"]
WARM_UP = 2  # rounds
COMPILED, MIXED = "ours compiled", "ours in mixed precision"
ROUNDS = {"tiny": 41, "medium": 9}


def check_equal(rows: dict[str, tuple], shape: Shape, device: torch.device) -> None:
    """Refuse to compare what does not compute the same loss from the same weights."""
    batch = make_batch(shape, device)
    for name, (make, loss_fn, _) in rows.items():
        if name.startswith("ours"):
            continue
        mine = ours(shape, like_nanogpt=make is not hugging_face).to(device)
        other = make(shape).to(device)
        same_weights(mine, other)
        losses = our_loss(mine, batch), loss_fn(other, batch)
        if not torch.allclose(*losses, atol=1e-5):
            raise SystemExit(f"{name}: loss {losses[1]}, ours {losses[0]}: nothing to compare")


def gate(row: tuple, model, shape: Shape, turns: int, device: torch.device) -> Gate:
    """A contender that waits for its turns."""
    batch = make_batch(shape, device)

    def clock() -> float:
        synchronize(device)
        return time.process_time() if device.type == "cpu" else time.perf_counter()

    return Gate(
        lambda source: row[2](model, Batches(source, turns, device)),
        itertools.repeat(batch, turns),
        clock,
    )


def compare(shape: Shape, rounds: int, device: torch.device, options: argparse.Namespace) -> dict:
    """Times, tokens a second and ratios of all at one shape."""
    rows = contenders(options.nanogpt)
    check_equal(rows, shape, device)
    if torch.bfloat16 in native_precisions(device):
        autocast = functools.partial(bare, our_loss, mixed=True)
        rows[MIXED] = (rows["ours"][0], our_loss, autocast)
    models = {name: row[0](shape).to(device) for name, row in rows.items()}
    figures = {"parameters": sum(p.numel() for p in models["ours"].parameters())}
    if not options.no_compile:
        figures["compile_first_step_seconds"] = compile_ours(rows, models, shape, device)
    # A Trainer may fetch a batch or two ahead.
    length = WARM_UP + rounds + 3
    gates = {name: gate(row, models[name], shape, length, device) for name, row in rows.items()}
    times = take_turns({n: g.step for n, g in gates.items()}, rounds, warm_up=WARM_UP)
    for contender in gates.values():
        contender.close()
    tokens = shape.batch_size * shape.context_length
    figures["contenders"] = {
        name: {
            "milliseconds_per_step": spread(1000 * t for t in seconds),
            "tokens_per_second": spread(tokens / t for t in seconds),
        }
        for name, seconds in times.items()
    }
    return figures | {"speed": speeds(times)}


def speeds(times: dict[str, list[float]]) -> dict:
    """How many times as fast as a peer, round by round."""
    pairs = (
        (OURS_PLAIN, PLAIN),
        (OURS_PLAIN, "nanoGPT's file"),
        ("ours", "transformers"),
        ("ours", "transformers in its Trainer"),
        ("ours in our Trainer", "transformers in its Trainer"),
        (COMPILED, "ours"),
        (MIXED, "ours"),
    )
    return {
        f"{mine} over {peer}": ratio(times[peer], times[mine])
        for mine, peer in pairs
        if mine in times and peer in times
    }


def compile_ours(rows: dict, models: dict, shape: Shape, device: torch.device) -> dict:
    """Add a compiled contender; what its first step costs over a later one.

    Processor seconds hold those of the C++ compiler that torch calls.
    """
    model = rows["ours"][0](shape).to(device)
    model.compile()
    before, start = os.times(), time.perf_counter()
    our_loss(model, make_batch(shape, device)).backward()
    synchronize(device)
    elapsed, after = time.perf_counter() - start, os.times()
    rows[COMPILED], models[COMPILED] = rows["ours"], model
    return {
        "elapsed": round(elapsed, 2),
        "processor": round(sum(after[:4]) - sum(before[:4]), 2),
    }


def train_for_memory(name: str, shape: Shape, device: str, nanogpt: Path | None) -> None:
    """Three steps in a process of their own."""
    torch.set_num_threads(1)
    make, _, train = contenders(nanogpt)[name]
    batch = make_batch(shape, torch.device(device))
    data = Batches([batch] * 3, 3, torch.device(device))
    train(make(shape).to(device), data)


def peaks(shape: Shape, device: torch.device, nanogpt: Path | None) -> dict[str, int]:
    """Peak bytes of each contender: on a CPU of a process, on a GPU of its tensors."""
    result = {}
    for name in contenders(nanogpt):
        if device.type == "cpu":
            result[name] = peak_memory(train_for_memory, name, shape, "cpu", nanogpt)
        else:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
            before = torch.cuda.memory_allocated(device)
            train_for_memory(name, shape, str(device), nanogpt)
            result[name] = torch.cuda.max_memory_allocated(device) - before
    return result


def mixed_losses(shape: Shape, steps: int, device: torch.device) -> dict:
    """Validation loss on characters of source text after training in each precision."""
    corpus = source_text()
    ids = [
        torch.frombuffer(bytearray(corpus.text(part).encode("ascii", "replace")), dtype=torch.uint8)
        .long()
        .clamp_max(127)
        for part in ("train", "validation")
    ]
    shape = Shape(**(vars(shape) | {"vocab_size": 128}))
    losses = {}
    for mixed in (False, True):
        torch.manual_seed(SEED)
        model = ours(shape, like_nanogpt=False).to(device)
        data = windows(ids[0], shape, steps, device)
        bare(our_loss, model, data, mixed=mixed)
        held_out = windows(ids[1], shape, 20, device)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=mixed):
            values = [our_loss(model, batch).item() for batch in held_out]
        losses["bfloat16" if mixed else "float32"] = sum(values) / len(values)
    return {
        "steps": steps,
        "validation_loss": losses,
        "difference": losses["bfloat16"] - losses["float32"],
        "native": torch.bfloat16 in native_precisions(device),
    }


class windows:
    """Random windows of a text, the same ones for the same number of them."""

    def __init__(self, ids, shape: Shape, steps: int, device: torch.device):
        self.ids, self.shape, self.steps, self.device = ids, shape, steps, device

    def __iter__(self):
        generator = torch.Generator().manual_seed(SEED)
        T = self.shape.context_length
        for _ in range(self.steps):
            size = (self.shape.batch_size, 1)
            start = torch.randint(len(self.ids) - T - 1, size, generator=generator)
            rows = self.ids[start + torch.arange(T + 1)].to(self.device)
            yield {"input_ids": rows[:, :-1], "labels": rows[:, 1:]}


def targets(name: str, figures: dict) -> dict:
    """What was aimed at, by shape; mixed precision as the share of float32's step."""
    speed = {key: value["median"] for key, value in figures["speed"].items()}
    plain, peer, mixed = {"tiny": (1.06, 1.35, 0.70), "medium": (1.0, 1.15, 0.58)}[name]
    bounds = {f"{OURS_PLAIN} over {PLAIN}": plain}
    bounds |= {f"ours over {who}": peer for who in ("transformers", "transformers in its Trainer")}
    result = {key: against(speed[key], at_least=bound) for key, bound in bounds.items()}
    if f"{MIXED} over ours" in speed:
        share = round(1 / speed[f"{MIXED} over ours"], 4)
        result["step in mixed precision over float32"] = against(share, at_most=mixed)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--rounds", type=int, help=f"of one step each; default {ROUNDS}")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--nanogpt", type=Path, help="path of nanoGPT's model.py")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--mixed-steps", type=int, default=0)
    parser.add_argument("--output", type=Path, help="of one shape")
    options = parser.parse_args()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    device = pick_device(options.device)
    for name in options.shapes:
        figures = one_shape(name, device, options)
        for key, row in figures["targets"].items():
            print(name, key, row)
        place = "" if device.type == "cpu" else f"_{device.type}"
        write_record(
            options.output or RESULTS / f"gpt_training_{name}{place}.json",
            figures,
            script=__file__,
            used=USED,
            packages=["transformers"],
            seeds=[SEED],
            clock="processor time, one thread" if device.type == "cpu" else "elapsed time",
        )


def one_shape(name: str, device: torch.device, options: argparse.Namespace) -> dict:
    """All figures of one shape."""
    shape, rounds = SHAPES[name], options.rounds or ROUNDS[name]
    figures = {
        "shape": vars(shape),
        "rounds": rounds,
        "bfloat16_in_hardware": torch.bfloat16 in native_precisions(device),
    }
    figures |= compare(shape, rounds, device, options)
    figures["targets"] = targets(name, figures)
    if not options.no_memory:
        figures["peak_bytes"] = peaks(shape, device, options.nanogpt)
    if options.mixed_steps:
        figures["mixed_precision"] = mixed_losses(shape, options.mixed_steps, device)
    return figures


if __name__ == "__main__":
    main()
