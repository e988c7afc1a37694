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
from utils.distributed.world import finish, rank, share, start, summed, union


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


def trainers(wrap, how, folder):
    """The Trainer: on to a checkpoint and further; and on from one that one process wrote."""
    trainer, data = runs.trainer_of(wrap), runs.loaders()
    runs.fit(trainer, data, 3, folder / f"{how}.pt")
    whole_run = runs.fit(trainer, data, 6)
    taken = runs.trainer_of(wrap).load(folder / "alone.pt")
    resumed = runs.fit(taken, runs.loaders(), 6)
    return {"run": whole_run, "resumed": resumed}


def said(call):
    """What every process says when it refuses."""
    try:
        call()
    except (ValueError, OSError, FloatingPointError) as error:
        return union([f"{rank()} {type(error).__name__}: {error}"])
    return union([f"{rank()} went on"])


def refusals(folder):
    """Errors must come in every process, or one would wait for the other."""

    def poisoned(model, data):
        loss = runs.loss_fn(model, data)
        return loss * float("nan") if rank() == 1 else loss

    def steep(model, data):
        factor = 1e308 if rank() == 1 else 1.0  # finite loss, infinite gradients
        loss = runs.loss_fn(model, data)
        return loss + (loss - loss.detach()) * factor * factor

    def fit(loss_fn, wrap):
        trainer = runs.trainer_of(wrap, clip=None)
        trainer.loss_fn = loss_fn
        return lambda: runs.fit(trainer, runs.loaders(), 2)

    one_row = [runs.batch(0, rows=1)]
    return {
        "plain model": said(lambda: runs.trainer_of(None)),
        "loss": said(fit(poisoned, shard)),
        "gradient": said(fit(steep, shard)),
        "few rows": said(lambda: runs.trainer_of(shard).fit(one_row, steps=1)),
        "no folder": said(lambda: runs.trainer_of(shard).save(folder / "none" / "c.pt")),
        "heads": said(lambda: tensor_parallel(runs.make("llama", num_kv_heads=1))),
        "dropout": said(lambda: tensor_parallel(runs.make("gpt2", dropout=0.1))),
        "layers": said(lambda: Pipeline(runs.make("gpt2", num_layers=1), 2)),
        "schedule": said(lambda: Pipeline(runs.make("gpt2"), 2, "2f2b")),
        "micro-batches": said(lambda: Pipeline(runs.make("gpt2"), 1)),
        "experts": said(lambda: Pipeline(runs.make("mixtral"), 2)),
    }


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


def jobs(folder):
    """Name and call of every run."""
    for name in runs.NAMES:
        yield name, lambda name=name: run(*name.split())
    for name, wrap in (("ddp", replicate), ("fsdp", shard), ("tp", tensor_parallel)):
        yield f"taken up {name}", lambda w=wrap: taken_up(w, "qwen3")
    for name, wrap in (("ddp", replicate), ("fsdp", shard)):
        yield f"trainer {name}", lambda w=wrap, n=name: trainers(w, n, folder)
    yield "refusals", lambda: refusals(folder)


def main(folder: Path) -> None:
    """Run all jobs; stop at the first that fails, as the other process may wait for it."""
    torch.set_num_threads(1)
    start("cpu", minutes=1)
    results = {}
    for name, job in jobs(folder):
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
