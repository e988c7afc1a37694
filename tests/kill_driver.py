"""Trains in child processes that are killed, and prints as JSON how the resumed runs ended.

Run by test_checkpoint.py in a process of its own: children are forked after the import of torch,
so a kill costs milliseconds, and each begins from random states of its own. The faults (slow
writes, death at the n-th write or rename) are put in here, from outside the package.
"""

import hashlib
import json
import os
import random
import resource
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from utils import checkpoint
from utils.device import seed_everything
from utils.train import Trainer

STEPS = 20


class Noisy(Dataset):
    """Draws its augmentation from all three generators, so that each must be restored."""

    def __len__(self):
        return 30

    def __getitem__(self, i):
        noise = random.random() + np.random.rand() + torch.rand(())
        return torch.full((6,), float(i % 7)) + noise, torch.tensor(i % 3)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def train(path: Path, fault: str, count: int) -> str:
    """Train to the end, from the checkpoint if there is one; return a hash of the weights."""
    put_in(fault, count)
    seed_everything(7)
    model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.Dropout(0.2), nn.Linear(16, 3))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    loader = DataLoader(
        Noisy(), batch_size=4, shuffle=True, generator=torch.Generator().manual_seed(5)
    )
    trainer = Trainer(
        model, optimizer, schedule=schedule, clip=1.0, accumulate=2, device="cpu", progress=False
    )
    if path.exists():
        seed_everything(os.getpid())  # what a fresh process has is anything but the right state
        trainer.load(path)
    held_out = [(torch.ones(4, 6), torch.tensor([0, 1, 2, 0]))]
    trainer.fit(loader, steps=STEPS, checkpoint=path, checkpoint_every=1, evaluate=held_out)
    digest = hashlib.sha256()
    for tensor in model.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def put_in(fault: str, count: int) -> None:
    """Make writes slow, or die just before the count-th write or rename."""
    calls = 0

    def before(original):
        def call(*arguments):
            nonlocal calls
            calls += 1
            if fault == "slow":
                time.sleep(0.0005)
            elif calls == count:
                die()
            return original(*arguments)

        return call

    if fault in ("slow", "die in write"):
        checkpoint._HashingFile.write = before(checkpoint._HashingFile.write)
    elif fault == "die before replace":
        checkpoint.os.replace = before(os.replace)
    elif fault == "die before link":
        checkpoint.os.link = before(os.link)
    elif fault == "die before fsync":
        checkpoint.os.fsync = before(os.fsync)


def child(path: Path, fault: str = "none", count: int = 0) -> int:
    process = os.fork()
    if process == 0:
        code = 1
        try:
            path.with_suffix(".hash").write_text(train(path, fault, count), encoding="utf-8")
            code = 0
        except BaseException as error:
            print(repr(error), file=sys.stderr)
        finally:
            os._exit(code)
    return process


def outcome(process: int) -> int:
    status = os.waitpid(process, 0)[1]
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def finish(path: Path) -> str:
    """Resume in a fresh process, let it end, return the hash of its weights."""
    code = outcome(child(path))
    return path.with_suffix(".hash").read_text(encoding="utf-8") if code == 0 else f"exit {code}"


def killed_by_itself(folder: Path, fault: str, count: int) -> dict:
    path = folder / f"{fault.replace(' ', '-')}-{count}.pt"
    code = outcome(child(path, fault, count))
    left = path.with_name(path.name + ".tmp").exists()
    return {"fault": fault, "deaths": int(code == -9), "mid_write": left, "hash": finish(path)}


def killed_from_outside(folder: Path, number: int, draw: random.Random) -> dict:
    """Kill three times at random moments of a run whose writes are slow."""
    path = folder / f"random-{number}.pt"
    temporary = path.with_name(path.name + ".tmp")
    deaths, mid_write = 0, False
    for _ in range(3):
        process = child(path, "slow")
        time.sleep(draw.uniform(0.01, 0.6))
        if number % 2:  # wait for a write to be under way
            end = time.monotonic() + 1
            while not temporary.exists() and time.monotonic() < end:
                time.sleep(0.0002)
        os.kill(process, signal.SIGKILL)
        deaths += outcome(process) == -9
        mid_write = mid_write or temporary.exists()
    return {"fault": "random", "deaths": deaths, "mid_write": mid_write, "hash": finish(path)}


def disk_full(folder: Path) -> dict:
    """Write under a limit of the file size, as a full disk would."""
    path = folder / "full.pt"
    checkpoint.write({"x": torch.arange(100)}, path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    try:
        checkpoint.write({"x": torch.arange(100_000)}, path)
        said = "nothing"
    except OSError as error:
        said = str(error)
    intact = bool((checkpoint.read(path)["x"] == torch.arange(100)).all())
    return {"said": said, "intact": intact, "files": sorted(p.name for p in folder.glob("full*"))}


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    torch.optim.SGD([torch.zeros(1)])  # the first optimizer imports much of torch: do so once
    draw = random.Random(int(time.time_ns()) % 2**32)
    result = {"whole": finish(folder / "whole.pt"), "again": finish(folder / "again.pt")}
    faults = [("die in write", 3), ("die in write", 400), ("die before fsync", 5)]
    faults += [("die before replace", 1), ("die before replace", 8), ("die before replace", 9)]
    faults += [("die before link", 4)]
    result["runs"] = [killed_by_itself(folder, *fault) for fault in faults]
    result["runs"] += [killed_from_outside(folder, number, draw) for number in range(6)]
    result["disk_full"] = disk_full(folder)
    print(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
