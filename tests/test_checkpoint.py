"""Checkpoints: whole or absent, refused with a reason, resumed bit-exactly after a kill."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from utils import checkpoint
from utils.checkpoint import CheckpointError
from utils.device import seed_everything
from utils.train import Trainer


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_killed_at_any_moment_ends_bit_identical(tmp_path):
    driver = Path(__file__).with_name("kill_driver.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(driver), str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240)
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert len(result["whole"]) == 64 and result["again"] == result["whole"]
    assert len(result["runs"]) == 13
    for killed in result["runs"]:
        assert killed["deaths"] >= 1, killed
        assert killed["hash"] == result["whole"], killed
    assert any(r["mid_write"] for r in result["runs"] if r["fault"] == "random")
    assert all(r["mid_write"] for r in result["runs"] if r["fault"] != "random")
    full = result["disk_full"]
    assert (
        full["intact"] and full["files"] == ["full.pt"] and "could not be written" in full["said"]
    )


def parts(seed=0, width=8, generator=False):
    seed_everything(seed)
    model = nn.Sequential(nn.Linear(4, width), nn.Dropout(0.3), nn.Linear(width, 3))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    x, y = torch.randn(30, 4), torch.randint(3, (30,))
    own = torch.Generator().manual_seed(3) if generator else None
    loader = DataLoader(TensorDataset(x, y), batch_size=7, shuffle=True, generator=own)
    return model, optimizer, loader


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("generator", [False, True])
@pytest.mark.parametrize("stop", [0, 1, 3, 5, 6, 10, 11])
def test_resume_is_bit_exact_within_and_between_epochs(tmp_path, stop, generator):
    model, optimizer, loader = parts(generator=generator)
    trainer = Trainer(model, optimizer, device="cpu")
    trainer.fit(loader, epochs=3)  # 5 batches an epoch, 15 steps
    first, first_optimizer, first_loader = parts(generator=generator)
    Trainer(first, first_optimizer, device="cpu").fit(
        first_loader, steps=stop, checkpoint=tmp_path / "c.pt"
    )
    second, second_optimizer, second_loader = parts(generator=generator)
    seed_everything(99)
    resumed = Trainer(second, second_optimizer, device="cpu").load(tmp_path / "c.pt")
    torch.rand(10)  # whatever happens between load and fit
    resumed.fit(second_loader, epochs=3)
    assert torch.equal(weights(second), weights(model))
    assert resumed.history.loss == trainer.history.loss and resumed.step == 15


def test_load_and_save_without_training_changes_nothing(tmp_path):
    model, optimizer, loader = parts()
    Trainer(model, optimizer, device="cpu").fit(loader, steps=3, checkpoint=tmp_path / "a.pt")
    copy, copy_optimizer, _ = parts(1)
    Trainer(copy, copy_optimizer, device="cpu").load(tmp_path / "a.pt").save(tmp_path / "b.pt")
    a, b = (checkpoint.read(tmp_path / name) for name in ("a.pt", "b.pt"))
    assert torch.equal(a["rng"]["torch"], b["rng"]["torch"])
    assert a["stream"]["batch"] == b["stream"]["batch"] == 3
    assert torch.equal(weights(copy), weights(model))


class Counting(IterableDataset):
    def __iter__(self):
        for _ in range(20):
            yield torch.randn(4), torch.tensor(int(np.random.randint(3)))


class Stateful:
    """A loader that keeps its own place, as a sharded text loader does."""

    def __init__(self):
        self.at = 0

    def __iter__(self):
        while self.at < 6:
            self.at += 1
            yield torch.full((2, 4), float(self.at)), torch.tensor([0, 1])
        self.at = 0

    def state_dict(self):
        return {"at": self.at}

    def load_state_dict(self, state):
        self.at = state["at"]


@pytest.mark.parametrize("make", [lambda: DataLoader(Counting(), batch_size=3), Stateful])
def test_resume_with_other_loaders(tmp_path, make):
    model, optimizer, _ = parts()
    Trainer(model, optimizer, device="cpu").fit(make(), steps=16)
    first, optimizer, _ = parts()
    Trainer(first, optimizer, device="cpu").fit(make(), steps=9, checkpoint=tmp_path / "c.pt")
    second, optimizer, _ = parts(5)
    Trainer(second, optimizer, device="cpu").load(tmp_path / "c.pt").fit(make(), steps=16)
    assert torch.equal(weights(second), weights(model))


def test_evaluation_does_not_change_training():
    runs = []
    for evaluate in (False, True):
        model, optimizer, loader = parts()
        held_out = loader if evaluate else None
        Trainer(model, optimizer, device="cpu").fit(loader, epochs=2, evaluate=held_out)
        runs.append(weights(model))
    assert torch.equal(*runs)


def test_write_and_read_round_trip_and_previous(tmp_path):
    path = tmp_path / "c.pt"
    state = {"x": torch.arange(5), "n": np.float64(0.5), "s": str(torch.__version__), "l": [1, ()]}
    checkpoint.write({"x": torch.zeros(1)}, path)
    checkpoint.write(state, path)
    back = checkpoint.read(path)
    assert torch.equal(back["x"], state["x"]) and back["n"] == 0.5 and type(back["n"]) is float
    assert back["l"] == [1, ()]
    assert checkpoint.read(checkpoint.previous_of(path))["x"].shape == (1,)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.pt", "c.pt.previous"]
    assert torch.load(path, weights_only=True)["x"].shape == (5,)  # torch reads it too


def test_what_read_would_refuse_is_not_written(tmp_path):
    path = tmp_path / "c.pt"
    with pytest.raises(TypeError, match=r"state\['a'\]\[1\] is a Linear"):
        checkpoint.write({"a": [1, nn.Linear(1, 1)]}, path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keep", [0, 10, 100, 0.5, -1])
def test_truncated_is_refused(tmp_path, keep):
    path = tmp_path / "c.pt"
    checkpoint.write({"x": torch.arange(1000)}, path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(CheckpointError, match="cut short"):
        checkpoint.read(path)


@pytest.mark.parametrize("place", [0, 500, 4000])
def test_one_changed_bit_is_refused_and_the_previous_named(tmp_path, place):
    path = tmp_path / "c.pt"
    checkpoint.write({"x": torch.arange(1000)}, path)
    checkpoint.write({"x": torch.arange(1000)}, path)
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match=r"checksum.*'c.pt.previous'"):
        checkpoint.read(path)


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("made-by-a-checkpoint",))


def test_foreign_code_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pt"
    torch.save({"x": Evil()}, path)
    with pytest.raises(CheckpointError, match="not written by"):
        checkpoint.read(path)
    import hashlib

    data = path.read_bytes()  # even with a right checksum
    path.write_bytes(data + checkpoint.MARK + hashlib.sha256(data).digest())
    with pytest.raises(CheckpointError, match="foreign code"):
        checkpoint.read(path)
    assert not (tmp_path / "made-by-a-checkpoint").exists()


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        checkpoint.read(tmp_path / "none.pt")
    with pytest.raises(OSError, match="could not be written"):
        checkpoint.write({}, tmp_path / "no folder" / "c.pt")


@pytest.mark.parametrize("moment", ["write", "fsync", "replace"])
def test_full_disk_leaves_the_previous_intact(tmp_path, monkeypatch, moment):
    path = tmp_path / "c.pt"
    checkpoint.write({"x": torch.zeros(3)}, path)

    def full(*_):
        raise OSError(28, "No space left on device")

    if moment == "write":
        original = checkpoint._HashingFile.write
        count = iter(range(1000))

        def write(self, data):
            if next(count) == 2:
                self.error = OSError(28, "No space left on device")
            return original(self, data)

        monkeypatch.setattr(checkpoint._HashingFile, "write", write)
    else:
        monkeypatch.setattr(checkpoint.os, moment, full)
    with pytest.raises(OSError, match=r"No space left.*unchanged"):
        checkpoint.write({"x": torch.ones(3)}, path)
    monkeypatch.undo()
    assert checkpoint.read(path)["x"].sum() == 0
    assert not list(tmp_path.glob("*.tmp"))


def test_no_hard_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(checkpoint.os, "link", refuse)
    for i in range(3):
        checkpoint.write({"x": torch.tensor(i)}, tmp_path / "c.pt")
    assert checkpoint.read(tmp_path / "c.pt")["x"] == 2
    assert checkpoint.read(tmp_path / "c.pt.previous")["x"] == 1


def other_trainer(what):
    model, optimizer, _ = parts(width=9 if what == "shape" else 8)
    settings = {}
    if what == "keys":
        model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 3))
        optimizer = torch.optim.AdamW(model.parameters())
    if what == "dtype":
        model.double()
    if what == "optimizer":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    if what == "groups":
        optimizer = torch.optim.AdamW([{"params": [p]} for p in model.parameters()])
    if what == "accumulate":
        settings = {"accumulate": 2}
    if what == "schedule":
        settings = {"schedule": torch.optim.lr_scheduler.StepLR(optimizer, 1)}
    return Trainer(model, optimizer, device="cpu", **settings)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("shape", r"'0.weight' is \(8, 4\), the model \(9, 4\)"),
        ("keys", "missing '1.weight'"),
        ("dtype", "is torch.float32, the model torch.float64"),
        ("optimizer", "optimizer AdamW, this is SGD"),
        ("groups", r"groups of \[1, 1, 1, 1\] tensors, the checkpoint of \[4\]"),
        ("accumulate", "accumulate=1, this Trainer has 2"),
        ("schedule", "build the same schedule"),
    ],
)
def test_checkpoint_of_another_training_is_refused_and_nothing_changes(tmp_path, what, words):
    model, optimizer, loader = parts()
    Trainer(model, optimizer, device="cpu").fit(loader, steps=2, checkpoint=tmp_path / "c.pt")
    other = other_trainer(what)
    before = weights(other.model).clone()
    with pytest.raises(CheckpointError, match=words):
        other.load(tmp_path / "c.pt")
    assert torch.equal(weights(other.model), before) and other.step == 0


def test_a_file_of_plain_weights_is_refused(tmp_path):
    model, optimizer, _ = parts()
    checkpoint.write(dict(model.state_dict()), tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="not a Trainer's checkpoint"):
        Trainer(model, optimizer, device="cpu").load(tmp_path / "w.pt")


def test_other_data_on_resume_is_refused(tmp_path):
    model, optimizer, loader = parts()
    Trainer(model, optimizer, device="cpu").fit(loader, steps=4, checkpoint=tmp_path / "c.pt")
    again = Trainer(*parts()[:2], device="cpu")
    with pytest.raises(ValueError, match="ends after 2"):
        again.load(tmp_path / "c.pt").fit(DataLoader(loader.dataset, batch_size=15), steps=8)
    with pytest.raises(CheckpointError, match="random generators"):
        Trainer(*parts()[:2], device="cpu").load(tmp_path / "c.pt").fit(
            parts(generator=True)[2], steps=8
        )
