"""Bytes that parallel training sends: counted by the kernel, beside the formulas.

    python benchmarks/parallel_traffic.py [--processes 2 4] [--steps 4]

Each way runs in processes of its own on this machine, which talk over the loopback interface of a
network that nothing else uses (`.ci/offline`, Linux only). The interface's counter of received
bytes is read before and after some steps, when all processes have arrived; what a barrier alone
adds is measured and taken off. The counter sees headers and acknowledgements too.

The formulas are bytes that all processes together send in one step, for ring collectives: an
all-reduce of S bytes over d processes sends 2 (d - 1) S, an all-gather or a reduce-scatter of S
bytes (the whole) sends (d - 1) S, and an all-to-all of S bytes in each process (d - 1) S in all.
Sources: Narayanan et al. 2021, section 3; Rajbhandari et al. 2020, section 7.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from common import RESULTS, ROOT, write_record
from torch import distributed

from utils.distributed.data_parallel import replicate, shard
from utils.distributed.pipeline import Pipeline
from utils.distributed.tensor_parallel import tensor_parallel
from utils.distributed.world import finish, processes, rank, share, start
from utils.models.config import TransformerConfig
from utils.models.transformer import Transformer

SIZES = {"vocab_size": 512, "context_length": 64, "d_model": 256, "num_layers": 4, "num_heads": 8}
B, MICRO_BATCHES, SEED, WARM_UP = 16, 4, 0, 2
WAYS = ("data", "data, sharded", "tensor", "pipeline", "expert")
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all")
NUMBERS = 2**20  # of 32 bits, that a collective is tried with


def make() -> Transformer:
    torch.manual_seed(SEED)
    return Transformer(TransformerConfig.of("gpt2", **SIZES))


def make_batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and targets, (B, T) each."""
    generator = torch.Generator().manual_seed(SEED)
    shape = (B, SIZES["context_length"] + 1)
    tokens = torch.randint(SIZES["vocab_size"], shape, generator=generator)
    return tokens[:, :-1], tokens[:, 1:]


def step_of(way: str):
    """The function that makes one training step of a way, in every process."""
    tokens, targets = make_batch()
    if way in COLLECTIVES:
        return collective(way)
    if way == "pipeline":
        pipe = Pipeline(make(), MICRO_BATCHES)
        return lambda: pipe.step(tokens, targets)
    if way == "expert":
        return exchange
    wrap = {"data": replicate, "data, sharded": shard, "tensor": tensor_parallel}[way]
    model = wrap(make())
    rows = (tokens, targets) if way == "tensor" else share((tokens, targets))

    def step():
        model.zero_grad()
        model(*rows).backward()

    return step


def collective(name: str):
    """One collective over `NUMBERS` numbers, the whole of them in every process or shared out."""
    whole, part = torch.ones(NUMBERS), torch.ones(NUMBERS // processes())
    return {
        "all-reduce": lambda: distributed.all_reduce(whole),
        "all-gather": lambda: distributed.all_gather_into_tensor(whole, part),
        "reduce-scatter": lambda: distributed.reduce_scatter_tensor(part, whole),
        "all-to-all": lambda: distributed.all_to_all_single(torch.empty_like(whole), whole),
    }[name]


def exchange() -> None:
    """What a layer of experts sends with an expert group a process, forward and back.

    Every process has B T / d tokens and sends each of the d processes the same number of them (a
    balanced router, one expert a token); the results come back; the gradients do the same.
    """
    tokens = B * SIZES["context_length"] // processes()
    rows = torch.ones(tokens, SIZES["d_model"])
    for _ in range(4 * SIZES["num_layers"]):
        arrived = torch.empty_like(rows)
        distributed.all_to_all_single(arrived, rows)


def predicted(way: str, d: int) -> int:
    """Bytes that all processes together send in a step, by the formulas above."""
    model = make()
    M, L, T = SIZES["d_model"], SIZES["num_layers"], SIZES["context_length"]
    weights = 4 * sum(p.numel() for p in model.parameters())
    blocks = 4 * sum(p.numel() for p in model.blocks.parameters())
    message, table = 4 * B * T * M, 4 * SIZES["vocab_size"] * M
    return {
        "all-reduce": 2 * (d - 1) * 4 * NUMBERS,
        "all-gather": (d - 1) * 4 * NUMBERS,
        "reduce-scatter": (d - 1) * 4 * NUMBERS,
        "all-to-all": (d - 1) * 4 * NUMBERS,
        "data": 2 * (d - 1) * weights,
        # forward and back all are gathered (the outermost group once), gradients are scattered
        "data, sharded": (d - 1) * (2 * blocks + (weights - blocks) + weights),
        "tensor": 4 * L * 2 * (d - 1) * message,
        # activations and their gradients; the table that the two ends share is summed over them
        "pipeline": 2 * (d - 1) * message + 2 * table,
        "expert": 4 * L * (d - 1) * message // d,
    }[way]


def received() -> int:
    """Bytes that the loopback interface of this process's network has received."""
    lines = Path("/proc/self/net/dev").read_text(encoding="ascii").splitlines()
    return next(int(line.split(":")[1].split()[0]) for line in lines if line.strip()[:3] == "lo:")


def counted(run, steps: int) -> int:
    """Bytes on the loopback interface during ``steps`` calls in all processes."""
    distributed.barrier()
    before = received() if rank() == 0 else 0
    distributed.barrier()
    for _ in range(steps):
        run()
    distributed.barrier()
    return received() - before if rank() == 0 else 0


def work(way: str, steps: int, path: Path) -> None:
    """In each process: count, and write the bytes of a step."""
    torch.set_num_threads(1)
    start("cpu")
    step = step_of(way)
    for _ in range(WARM_UP):
        step()
    idle = counted(lambda: None, steps)
    found = (counted(step, steps) - idle) / steps
    if rank() == 0:
        path.write_text(json.dumps(found), encoding="utf-8")
    finish()


def launch(way: str, d: int, steps: int) -> float:
    """Bytes of one step, measured by ``d`` processes."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        path = Path(folder) / "bytes.json"
        command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={d}"]
        command += ["--master-addr=127.0.0.1", f"--master-port={port}", __file__]
        command += ["--work", way, "--steps", str(steps), "--out", str(path)]
        subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        return json.loads(path.read_text(encoding="utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--work", choices=(*WAYS, *COLLECTIVES), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        return work(options.work, options.steps, options.out)
    if "LMM_OFFLINE" not in os.environ:  # once more, in a network of its own
        os.execv(ROOT / ".ci" / "offline", [".ci/offline", sys.executable, *sys.argv])
    figures: dict[str, dict] = {}
    for way in (*COLLECTIVES, *WAYS):
        figures[way] = {}
        for d in options.processes:
            sent, formula = launch(way, d, options.steps), predicted(way, d)
            figures[way][str(d)] = {
                "bytes": round(sent),
                "formula": formula,
                "ratio": float(f"{sent / formula:.4g}"),
            }
            print(f"{way:14} {d} processes: {sent:13,.0f} bytes a step, {sent / formula:.3f} times")
    sizes = SIZES | {"batch_size": B, "micro_batches": MICRO_BATCHES, "bytes_a_number": 4}
    write_record(
        RESULTS / "parallel_traffic.json",
        figures,
        script=__file__,
        used=["utils/distributed", "utils/models"],
        packages=[],
        seeds=[SEED],
        sizes=sizes,
        parameters=sum(p.numel() for p in make().parameters()),
    )


if __name__ == "__main__":
    main()
