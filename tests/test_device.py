"""Device, precision, seeds, memory, measurements, and the estimate of the course."""

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

import utils.device
import utils.hardware
from utils.device import (
    course_estimate,
    machine,
    matmul_gflops,
    measure,
    memory,
    native_precisions,
    pick_device,
    pick_precision,
    seed_everything,
)

FP32, FP16, BF16 = torch.float32, torch.float16, torch.bfloat16


@pytest.fixture
def no_accelerator(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_pick_device_prefers_cuda_then_mps_then_cpu(monkeypatch, no_accelerator):
    assert pick_device() == torch.device("cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device() == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device() == torch.device("cuda")
    assert pick_device("cpu").type == "cpu" and pick_device("cuda:1").index == 1
    with pytest.raises(ValueError, match="cpu, cuda:0, cuda:1"):
        pick_device("cuda:2")


@pytest.mark.parametrize("name", ["cuda", "mps", "abacus", "meta", 3.5, ""])
def test_pick_device_refuses_what_is_not_here(no_accelerator, name):
    with pytest.raises(ValueError, match="here there is cpu"):
        pick_device(name)


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        ((6, 1), [FP32]),
        ((7, 0), [FP16, FP32]),
        ((7, 5), [FP16, FP32]),  # T4
        ((8, 0), [BF16, FP16, FP32]),
        ((9, 0), [BF16, FP16, FP32]),
    ],
)
def test_precision_by_compute_capability(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.version, "hip", None)
    assert native_precisions("cuda") == expected
    assert pick_precision("cuda") == expected[0]
    if capability == (7, 5):
        with pytest.raises(ValueError, match="no instructions for bfloat16"):
            pick_precision("cuda", "bf16")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"avx2"}, [FP32]),
        ({"avx512_bf16"}, [FP32, BF16]),
        ({"amx_bf16", "avx512_fp16"}, [FP32, BF16, FP16]),
        ({"asimd", "bf16", "asimdhp"}, [FP32, BF16, FP16]),
    ],
)
def test_cpu_default_is_float32_and_halves_only_where_native(monkeypatch, flags, expected):
    monkeypatch.setattr(utils.device, "cpu_flags", lambda: frozenset(flags))
    assert native_precisions("cpu") == expected and pick_precision("cpu") == FP32
    if BF16 in expected:
        assert pick_precision("cpu", BF16) == BF16
    else:
        with pytest.raises(ValueError, match="no instructions for bfloat16"):
            pick_precision("cpu", "bf16")
        with pytest.warns(UserWarning, match="emulated"):
            assert pick_precision("cpu", "bf16", emulate=True) == BF16


@pytest.mark.parametrize("name", ["int8", torch.float64, 16])
def test_unknown_precision(name):
    with pytest.raises(ValueError, match="unknown"):
        pick_precision("cpu", name)


def test_cpu_flags_agree_with_proc(monkeypatch):
    if not sys.platform.startswith("linux"):
        pytest.skip("/proc/cpuinfo is Linux's")
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8").lower()
    flags = utils.hardware.cpu_flags()
    assert flags and ("avx512_bf16" in flags) == ("avx512_bf16" in text)


def test_seed_everything_repeats_all_three():
    draws = []
    for _ in range(2):
        assert seed_everything(5) == 5
        draws.append((random.random(), float(np.random.rand()), torch.rand(()).item()))
    assert draws[0] == draws[1]
    seed_everything(np.int64(6))
    assert random.random() != draws[0][0]


@pytest.mark.parametrize(
    ("seed", "error"),
    [(-1, ValueError), (2**32, ValueError), (1.0, TypeError), ("1", TypeError), (True, TypeError)],
)
def test_seed_out_of_range(seed, error):
    with pytest.raises(error, match="seed must"):
        seed_everything(seed)


def test_memory_counts_what_is_allocated():
    before = memory("cpu")
    block = torch.ones(20_000_000)  # 80 MB, written
    after = memory("cpu")
    assert after["used"] - before["used"] > 0.8 * block.numel() * 4
    assert before["used"] <= before["peak"] and after["used"] <= after["peak"]
    assert 0 < after["available"] <= after["total"] <= psutil.virtual_memory().total


def test_machine_is_plain_and_names_nobody():
    facts = machine()
    text = json.dumps(facts)
    assert facts["processor"] and facts["cores"] >= 1 and facts["ram_bytes"] > 2**28
    assert facts["torch"] == torch.__version__
    import platform

    assert platform.node() not in text or len(platform.node()) < 4
    assert str(Path.home()) not in text


def test_measure_covers_every_native_precision():
    figures = measure("cpu", seconds=0.02)
    names = {str(dtype).removeprefix("torch.") for dtype in native_precisions("cpu")}
    assert figures["device"] == "cpu" and set(figures["gflops"]) == names
    assert all(speed > 0 for speed in figures["gflops"].values())
    assert figures["memory_gbytes_per_second"] > 0


def test_speeds_are_operations_and_bytes_over_seconds(monkeypatch):
    monkeypatch.setattr(utils.hardware, "_seconds_per_call", lambda call, device, seconds: 0.5)
    assert matmul_gflops("cpu", size=1000) == pytest.approx(4.0)
    speed = utils.hardware.memory_gbytes_per_second("cpu", megabytes=10)
    assert speed == pytest.approx(0.04)


def test_time_for_a_call_is_not_misled_by_a_disturbed_block(monkeypatch):
    clock, calls = [0.0], []

    def call():
        calls.append(1)
        clock[0] += 0.01 if len(calls) < 60 else 0.05  # another program comes in late

    monkeypatch.setattr(utils.hardware.time, "perf_counter", lambda: clock[0])
    seconds = utils.hardware._seconds_per_call(call, torch.device("cpu"), 0.8)
    assert seconds == pytest.approx(0.01) and len(calls) == 82


@pytest.mark.parametrize("settings", [{"size": 0}, {"seconds": 0}, {"seconds": -1}])
def test_measure_refuses(settings):
    with pytest.raises(ValueError, match="positive"):
        matmul_gflops("cpu", **settings)


def page(folder, name, stamp=None, raw=None):
    path = folder / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    notebook = {"metadata": {"lmm": {"stamp": stamp}} if stamp else {}, "cells": []}
    path.write_text(raw if raw is not None else json.dumps(notebook), encoding="utf-8")


@pytest.fixture
def pages(tmp_path):
    page(tmp_path, "math/a", {"seconds": 30, "gflops": 100.0})
    page(tmp_path, "math/b", {"seconds": 20})
    page(tmp_path, "c")
    page(tmp_path, "d", raw="{not json")
    page(tmp_path, "e", {"seconds": "long", "gflops": -1})
    page(tmp_path, ".ipynb_checkpoints/f", {"seconds": 30, "gflops": 100.0})
    return tmp_path


def test_estimate_scales_by_matrix_speed(pages):
    rows = {row["page"]: (row["recorded"], row["estimate"]) for row in course_estimate(pages, 50.0)}
    assert rows == {
        "c": (None, None),
        "d": (None, None),
        "e": (None, None),
        "math/a": (30, 60.0),
        "math/b": (20, None),
    }
    with pytest.raises(ValueError, match="positive"):
        course_estimate(pages, 0)


def test_command_says_it_in_plain_words(pages, capsys):
    assert utils.device.main(["--chapters", str(pages), "--seconds", "0.02"]) == 0
    said = capsys.readouterr().out
    for phrase in ("Processor", "GFLOP/s", "GB/s", "math/a", "estimate", "(recorded: 30 s)"):
        assert phrase in said
    assert "(as recorded, not scaled)" in said and "no recorded time" in said
    assert "All 1 together" in said


def test_command_without_pages_and_with_a_wrong_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(utils.device, "find_pages", lambda folder: None)
    assert utils.device.main(["--seconds", "0.02"]) == 0
    assert "No folder of pages found" in capsys.readouterr().out
    monkeypatch.undo()
    with pytest.raises(SystemExit):
        utils.device.main(["--chapters", str(tmp_path / "none"), "--seconds", "0.02"])
    assert "is not a folder" in capsys.readouterr().err


def test_runs_as_a_module(pages):
    command = [sys.executable, "-m", "utils.device", "--chapters", str(pages), "--seconds", "0.02"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0 and "The course will run on" in run.stdout, run.stderr


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu():
    assert pick_device().type == "cuda" and pick_precision("cuda") in native_precisions("cuda")
    block = torch.ones(1_000_000, device="cuda")
    assert memory("cuda")["used"] >= block.numel() * 4
    assert machine()["accelerator_bytes"] > 2**30
    assert measure("cuda", 0.1)["gflops"]["float32"] > measure("cpu", 0.1)["gflops"]["float32"]
