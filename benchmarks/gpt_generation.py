"""Generation of 256 tokens with a cache: ours beside transformers' ``generate``.

    python benchmarks/gpt_generation.py [--rounds 7] [--tokens 256] [--device cuda]

One process; on a CPU one thread and processor time, on a GPU elapsed time. Equal weights, one
row, greedy, a prompt of 8 tokens; the tokens must be equal. The shapes are those of the training
benchmark with a context that holds prompt and continuation.
"""

import argparse
import functools
import logging
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from common import RESULTS, against, peak_memory, ratio, spread, take_turns, write_record
from gpt_peers import SHAPES, Shape, hugging_face, ours, same_weights

from utils.device import pick_device, synchronize
from utils.generate import generate
from utils.sampling import GREEDY

SEED, PROMPT = 0, 8
TARGETS = {"tiny": 2.0, "medium": 1.25}


def our_tokens(model, prompt: torch.Tensor, number: int) -> list[int]:
    return generate(model, prompt, number, sampling=GREEDY)[0]


def their_tokens(model, prompt: torch.Tensor, number: int) -> list[int]:
    rows = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=number,
        do_sample=False,
        use_cache=True,
        pad_token_id=0,
    )
    return rows[0, prompt.shape[1] :].tolist()


CONTENDERS = {"ours": our_tokens, "transformers": their_tokens}


def make(name: str, shape: Shape):
    """A model in evaluation mode; both names give the same weights."""
    torch.manual_seed(SEED)
    model = ours(shape, like_nanogpt=False)
    if name == "ours":
        return model.eval()
    other = hugging_face(shape).eval()
    same_weights(model, other)
    return other


def make_prompt(shape: Shape) -> torch.Tensor:
    """Random tokens, (1, PROMPT)."""
    generator = torch.Generator().manual_seed(SEED)
    return torch.randint(shape.vocab_size, (1, PROMPT), generator=generator)


def compare(shape: Shape, rounds: int, number: int, device: torch.device) -> dict:
    """Seconds, tokens a second and their ratio."""
    prompt = make_prompt(shape).to(device)
    models = {name: make(name, shape).to(device) for name in CONTENDERS}
    texts = {name: CONTENDERS[name](models[name], prompt, number) for name in CONTENDERS}
    if texts["ours"] != texts["transformers"] or len(texts["ours"]) != number:
        raise SystemExit("the two generate different tokens: nothing to compare")

    def clock() -> float:
        synchronize(device)
        return time.process_time() if device.type == "cpu" else time.perf_counter()

    times = take_turns(
        {
            name: functools.partial(use, models[name], prompt, number)
            for name, use in CONTENDERS.items()
        },
        rounds,
        clock=clock,
    )
    figures = {
        name: {
            "seconds": spread(seconds),
            "tokens_per_second": spread(number / s for s in seconds),
        }
        for name, seconds in times.items()
    }
    return figures | {"ours_over_transformers": ratio(times["transformers"], times["ours"])}


def generate_for_memory(name: str, shape: Shape, number: int) -> None:
    """Once, in a process of its own."""
    torch.set_num_threads(1)
    CONTENDERS[name](make(name, shape), make_prompt(shape), number)


def gpu_peak(name: str, shape: Shape, number: int, device: torch.device) -> int:
    """Bytes of tensors at the peak of one generation, the weights included."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    CONTENDERS[name](make(name, shape).to(device), make_prompt(shape).to(device), number)
    return torch.cuda.max_memory_allocated(device) - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    device, number = pick_device(options.device), options.tokens
    figures = {"tokens": number, "prompt": PROMPT}
    for name in options.shapes:
        shape = SHAPES[name].longer(PROMPT + number)
        row = compare(shape, options.rounds, number, device) | {"shape": vars(shape)}
        row["target"] = against(row["ours_over_transformers"]["median"], TARGETS[name])
        print(name, row["target"], flush=True)
        if not options.no_memory:
            peak = (
                functools.partial(peak_memory, generate_for_memory)
                if device.type == "cpu"
                else functools.partial(gpu_peak, device=device)
            )
            row["peak_bytes"] = {who: peak(who, shape, number) for who in CONTENDERS}
        figures[name] = row
    place = "" if device.type == "cpu" else f"_{device.type}"
    write_record(
        options.output or RESULTS / f"gpt_generation{place}.json",
        figures,
        script=__file__,
        used=["benchmarks/gpt_peers.py", "utils/models", "utils/generate.py"],
        packages=["transformers"],
        seeds=[SEED],
        clock="processor time, one thread" if device.type == "cpu" else "elapsed time",
        rounds=options.rounds,
    )


if __name__ == "__main__":
    main()
