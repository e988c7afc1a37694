"""Run by torchrun in two processes: every kind of parallelism; results of rank 0 in a file."""

import sys
import time
import traceback
from pathlib import Path

import runs
import torch

from utils.distributed.data_parallel import replicate, shard
from utils.distributed.pipeline import Pipeline
from utils.distributed.state import load_state, whole, whole_state
from utils.distributed.tensor_parallel import clip_gradients, tensor_parallel
from utils.distributed.world import finish, rank, share, start, summed


def gradients_of(model):
    """Whole gradients by name."""
    inner = model.module if hasattr(model, "module") else model
    return {n: whole(p.grad, p).clone() for n, p in inner.named_parameters()}


def train(model, family, own, clip=None):
    """As `runs.one_process`; `own` gives a process its rows."""
    optimizer, losses, gradients = runs.optimizer_of(model), [], None
    for step in range(runs.STEPS):
        optimizer.zero_grad()
        loss = runs.call(model, family, *own(runs.batch(step)))
        loss.backward()
        gradients = gradients or gradients_of(model)
        if clip:
            clip_gradients(model.parameters(), clip)
        optimizer.step()
        losses.append((summed(loss.detach()) / 2).item())
    return {"losses": losses, "gradients": gradients} | whole_state(model, optimizer)


def whole_batch(data):
    """Of tensor parallelism every process sees all rows."""
    return data


def taken_up(wrap, family):
    """A state of one process, loaded by two and gathered again: nothing may change."""
    alone = runs.one_process(family)
    model = wrap(runs.make(family))
    optimizer = runs.optimizer_of(model)
    load_state(model, optimizer, {k: alone[k] for k in ("model", "optimizer")})
    return whole_state(model, optimizer)


def pipeline(family, dtype, schedule):
    """As `train`, in a pipeline."""
    pipe = Pipeline(runs.make(family, dtype), micro_batches=2, schedule=schedule)
    optimizer, losses, gradients = runs.optimizer_of(pipe.part), [], None
    for step in range(runs.STEPS):
        optimizer.zero_grad()
        losses.append(pipe.step(*runs.batch(step)).item())
        found = {n: p.grad for n, p in pipe.part.named_parameters()}
        gradients = gradients if step else pipe.whole(found)
        optimizer.step()
    state = pipe.whole_state(optimizer)
    again = Pipeline(runs.make(family, dtype), micro_batches=2, schedule=schedule)
    fresh = runs.optimizer_of(again.part)
    box = [state]
    torch.distributed.broadcast_object_list(box, 0)
    again.load_optimizer(fresh, box[0]["optimizer"])
    kept = again.whole_state(fresh)["optimizer"]
    return {"losses": losses, "gradients": gradients, "kept": kept} | state


def run(how, family, kind):
    """One run, named as in `runs.NAMES`."""
    dtype = runs.DTYPES[kind]
    if how == "pp":
        return pipeline(family, dtype, "gpipe" if family == "gpt2" else "1f1b")
    if how == "tp":
        model = tensor_parallel(runs.make(family, dtype))
        return train(model, family, whole_batch, clip=0.5)
    wrap = {"ddp": replicate, "fsdp": shard}[how]
    return train(wrap(runs.make(family, dtype)), family, share)


def jobs():
    """Name and call of every run."""
    for name in runs.NAMES:
        yield name, lambda name=name: run(*name.split())
    for name, wrap in (("ddp", replicate), ("fsdp", shard), ("tp", tensor_parallel)):
        yield f"taken up {name}", lambda w=wrap: taken_up(w, "qwen3")


def main(folder: Path) -> None:
    """Run all jobs; stop at the first that fails, as the other process may wait for it."""
    torch.set_num_threads(1)
    start("cpu", minutes=1)
    results = {}
    for name, job in jobs():
        begin = time.perf_counter()
        try:
            results[name] = job()
        except Exception:
            results["failed"] = f"{name}, rank {rank()}:\n{traceback.format_exc()}"
            torch.save(results["failed"], folder / f"failed-{rank()}.pt")
            break
        print(name, round(time.perf_counter() - begin, 2), flush=True)
    if rank() == 0:
        torch.save(results, folder / "results.pt")
    finish()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
