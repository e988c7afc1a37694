"""Two processes under torchrun against one: gradients, losses, weights, checkpoints.

In float64 the agreement is that of rounding, 1e-11, so no error in a formula can hide in it; in
float32 it is 1e-5, as a run in practice would see.
"""

import os
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

import runs

HERE = Path(__file__).parent
BOUNDS = {"64": 1e-11, "32": 1e-5}


def torchrun(script: str, *arguments, seconds: float = 120) -> str:
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
    torchrun("worker.py", str(folder))
    failed = [torch.load(path) for path in sorted(folder.glob("failed-*.pt"))]
    assert not failed, "\n".join(failed)
    return torch.load(folder / "results.pt")


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
