"""Two processes under torchrun against one: gradients, losses, weights, checkpoints.

In float64 the agreement is that of rounding, 1e-11, so no error in a formula can hide in it; in
float32 it is 1e-5, as a run in practice would see.
"""

import os
import re
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

import runs

from utils.distributed.data_parallel import replicate, shard
from utils.distributed.pipeline import Pipeline
from utils.distributed.state import interleave, restore
from utils.distributed.tensor_parallel import tensor_parallel
from utils.distributed.world import finish, processes, rank, share, start

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="not tried on Windows")
BOUNDS = {"64": 1e-11, "32": 1e-5}


def torchrun(script: str, *arguments, seconds: float = 280) -> str:
    """Run a script here in two processes that meet at a free port; return what it printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-addr", "127.0.0.1", "--master-port", str(port), script, *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)}
    done = subprocess.run(
        command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=seconds
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worker")
    runs.fit(runs.trainer_of(None), runs.loaders(), 3, folder / "alone.pt")
    torchrun("worker.py", str(folder))
    failed = [torch.load(path) for path in sorted(folder.glob("failed-*.pt"))]
    assert not failed, "\n".join(failed)
    return torch.load(folder / "results.pt") | {"folder": folder}


@cache
def alone(family, kind, clip):
    return runs.one_process(family, runs.DTYPES[kind], clip)


def close(ours, theirs, bound, what):
    assert list(ours) == list(theirs), what
    for key, value in theirs.items():
        error = (ours[key] - value).abs().max().item()
        assert error <= bound, f"{what} of {key}: {error:.1e}"


@pytest.mark.parametrize("name", runs.NAMES)
def test_gradients_losses_and_weights_are_those_of_one_process(name, results):
    how, family, kind = name.split()
    expected = alone(family, kind, 0.5 if how == "tp" else None)
    found, bound = results[name], BOUNDS[kind]
    close(found["gradients"], expected["gradients"], bound, "gradient")
    assert found["losses"] == pytest.approx(expected["losses"], abs=bound)
    assert max(expected["losses"]) - min(expected["losses"]) > 0.01
    if kind == "64":
        close(found["model"], expected["model"], 10 * bound, "weight")


@pytest.mark.parametrize("name", [name for name in runs.NAMES if name.endswith("64")])
def test_a_state_of_two_processes_goes_on_in_one(name, results):
    how, family, _ = name.split()
    expected = runs.one_more_step(alone(family, "64", 0.5 if how == "tp" else None), family)
    assert runs.one_more_step(results[name], family) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("how", ["ddp", "fsdp", "tp"])
def test_a_state_of_one_process_is_the_same_in_two(how, results):
    expected, found = alone("qwen3", "64", None), results[f"taken up {how}"]
    close(found["model"], expected["model"], 0, "weight")
    for i, entry in expected["optimizer"]["state"].items():
        close(found["optimizer"]["state"][i], entry, 0, f"optimizer's state {i}")


def test_a_pipeline_takes_the_optimizer_up_as_it_was(results):
    found = results["pp gpt2 64"]
    for i, entry in found["optimizer"]["state"].items():
        close(found["kept"]["state"][i], entry, 0, f"optimizer's state {i}")


@pytest.fixture(scope="module")
def one_trainer():
    trainer, data = runs.trainer_of(None), runs.loaders()
    runs.fit(trainer, data, 3)
    return runs.fit(trainer, data, 6)


def same_history(found, expected):
    assert len(expected["losses"]) == 6 and len(expected["evaluations"]) == 4
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, abs=1e-10), name


@pytest.mark.parametrize("how", ["ddp", "fsdp"])
def test_the_same_trainer_in_two_processes(how, results, one_trainer):
    """Uneven batches, accumulation, clipping, evaluation; and from one process's checkpoint."""
    same_history(results[f"trainer {how}"]["run"], one_trainer)
    same_history(results[f"trainer {how}"]["resumed"], one_trainer)


@pytest.mark.parametrize("how", ["ddp", "fsdp"])
def test_a_trainers_checkpoint_of_two_processes_goes_on_in_one(how, results, one_trainer):
    trainer = runs.trainer_of(None).load(results["folder"] / f"{how}.pt")
    assert trainer.step == 3
    same_history(runs.fit(trainer, runs.loaders(), 6), one_trainer)


REFUSALS = {
    "plain model": "ValueError: 2 processes train together.*replicate",
    "loss": "FloatingPointError: Step 1: the loss is nan",
    "gradient": "FloatingPointError: Step 1.*its gradient is not finite",
    "few rows": "ValueError: a batch of 1 samples cannot be shared by 2 processes",
    "no folder": "OSError|FileNotFoundError",
    "heads": "ValueError: kv_heads 1 is not a multiple of the 2 processes",
    "dropout": "ValueError: tensor_parallel needs dropout=0",
    "layers": "ValueError: 1 layers cannot be shared by 2 processes",
    "schedule": "ValueError: schedule must be one of gpipe, 1f1b, got '2f2b'",
    "micro-batches": "ValueError: schedule '1f1b' needs at least as many",
    "experts": "ValueError: a Pipeline takes a decoder",
}


@pytest.mark.parametrize("name", REFUSALS)
def test_every_process_refuses(name, results):
    found = results["refusals"][name]
    assert len(found) == 2
    for number, words in enumerate(found):
        assert re.match(f"{number} .*({REFUSALS[name]})", words), words


def test_one_process_needs_no_group():
    model = runs.make("gpt2")
    assert replicate(model) is model and shard(model) is model and tensor_parallel(model) is model
    assert (processes(), rank(), share([1, 2])) == (1, 0, [1, 2])
    with pytest.raises(TypeError, match="takes a Transformer, got Linear"):
        tensor_parallel(torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="needs several processes"):
        Pipeline(model, 2)
    finish()


def test_half_of_torchruns_variables(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RuntimeError, match=r"but not RANK, LOCAL_RANK.*unset WORLD_SIZE"):
        start("cpu")


@pytest.mark.parametrize("sizes", [(8, 4, 4), (6, 6), (2,)])
def test_interleaving_is_undone_and_keeps_shares_together(sizes):
    rows = torch.arange(sum(sizes))
    mixed = interleave(rows, sizes, 2)
    assert torch.equal(restore(mixed, sizes, 2), rows)
    edges = [sum(sizes[:i]) for i in range(len(sizes))]
    first = [edge + i for edge, size in zip(edges, sizes, strict=True) for i in range(size // 2)]
    assert mixed.chunk(2)[0].tolist() == first
