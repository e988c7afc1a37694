"""What this computer is and how fast it is, without a name or a path in it.

Speed means two numbers here: floating-point operations per second in a matrix product
(compute) and bytes per second in a copy (memory). Most training is bound by one of them.

Legend: a product of two (n, n) matrices costs 2 n^3 operations (n multiplications and
n additions for each of n^2 results, to leading order); a copy of b bytes moves 2 b bytes.
"""

import math
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import torch


def processor_name() -> str:
    """Return the processor's marketing name, or its architecture where none is found."""
    try:
        if sys.platform.startswith("linux"):
            return _linux_processor_name()
        if sys.platform == "darwin":
            command = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(
                command, capture_output=True, text=True, check=True
            ).stdout.strip()
        if sys.platform == "win32":
            import winreg

            key = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as handle:
                return winreg.QueryValueEx(handle, "ProcessorNameString")[0].strip()
    except (OSError, subprocess.SubprocessError):
        pass
    return platform.processor() or platform.machine()


def _linux_processor_name() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.lower().startswith(("model name", "hardware")):
            return " ".join(line.split(":", 1)[1].split())
    return platform.machine()


def cpu_flags() -> frozenset[str]:
    """Return the instruction sets of the CPU as lower-case names (empty where unknown).

    Linux tells them in /proc/cpuinfo ("flags" on x86, "Features" on Arm), macOS in sysctl;
    newer versions of torch carry their own detection, which also serves Windows.
    """
    flags: set[str] = set()
    try:
        if sys.platform.startswith("linux"):
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
                if line.lower().startswith(("flags", "features")):
                    flags.update(line.split(":", 1)[1].lower().split())
                    break
        elif sys.platform == "darwin":
            command = ["sysctl", "hw.optional.arm"]
            out = subprocess.run(command, capture_output=True, text=True, check=False).stdout
            names = [line.split(":")[0] for line in out.splitlines() if line.endswith(": 1")]
            flags.update(name.rsplit("FEAT_", 1)[-1].lower() for name in names)
    except OSError:
        pass
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    flags.update(name.lower() for name, on in capabilities.items() if on is True)
    return frozenset(flags)


def usable_cores() -> int:
    """Return the cores that this process may use: affinity and container quota counted."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="utf-8").split()[:2]
        if quota != "max":
            cores = min(cores or 1, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):
        pass  # no container limits here
    return cores or 1


def usable_ram() -> int:
    """Return the bytes of main memory that this process may use (a container's limit counts)."""
    total = psutil.virtual_memory().total
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            total = min(total, int(Path("/sys/fs/cgroup", name).read_text(encoding="utf-8")))
        except (OSError, ValueError):
            continue  # no such file, or "max": no limit
    return total


def machine() -> dict:
    """Describe processor, memory, accelerator and versions.

    Returns a dict of plain values, fit for JSON, with no host name, user name or path.
    ``ram_bytes`` and ``accelerator_bytes`` are bytes; ``threads`` is what torch uses now.
    """
    facts = {
        "processor": processor_name(),
        "architecture": platform.machine(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "ram_bytes": usable_ram(),
        "system": platform.system(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "accelerator": None,
    }
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(torch.cuda.current_device())
        facts["accelerator"] = properties.name
        facts["accelerator_bytes"] = properties.total_memory
        facts["compute_capability"] = f"{properties.major}.{properties.minor}"
    elif torch.backends.mps.is_available():
        facts["accelerator"] = "Apple GPU (MPS)"
        facts["accelerator_bytes"] = torch.mps.recommended_max_memory()
    return facts


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that was asked of it (the CPU always has)."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _seconds_per_call(call, device: torch.device, seconds: float) -> float:
    """Return the best of several timed blocks: other programs only ever make a block slower."""
    call()
    synchronize(device)
    start = time.perf_counter()
    call()
    synchronize(device)
    once = max(time.perf_counter() - start, 1e-7)
    blocks = 5
    repeats = max(1, round(seconds / blocks / once))
    times = []
    for _ in range(blocks):
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        synchronize(device)
        times.append((time.perf_counter() - start) / repeats)
    # The second-best block: the best one alone may be a burst of clock speed.
    return statistics.quantiles(times, n=4)[0]


def matmul_gflops(
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    size: int | None = None,
    seconds: float = 0.5,
) -> float:
    """Measure the speed of a (size, size) matrix product in 10^9 operations per second.

    ``size`` is 1024 on a CPU and 8192 on an accelerator unless given: large enough to be bound
    by arithmetic. The defaults are what the stamps of the course's pages are recorded with.

    Raises
    ------
    ValueError: size or seconds is not positive.
    RuntimeError: the device cannot multiply matrices of this dtype (torch's own error).
    """
    device = torch.device(device)
    size = size if size is not None else (1024 if device.type == "cpu" else 8192)
    if size < 1 or seconds <= 0:
        raise ValueError(f"size and seconds must be positive, got {size} and {seconds}")
    a_NN = torch.randn(size, size, generator=torch.Generator().manual_seed(0))
    a_NN = a_NN.to(device=device, dtype=dtype)
    out_NN = torch.empty_like(a_NN)
    with torch.inference_mode():
        once = _seconds_per_call(lambda: torch.matmul(a_NN, a_NN, out=out_NN), device, seconds)
    return 2 * size**3 / once / 1e9


def memory_gbytes_per_second(
    device: torch.device | str = "cpu", megabytes: int | None = None, seconds: float = 0.5
) -> float:
    """Measure memory bandwidth: a copy of ``megabytes`` 10^6 bytes, read and write counted.

    The default, 256 MB on a CPU and 1 GB on an accelerator, is larger than any cache.

    Raises
    ------
    ValueError: megabytes or seconds is not positive.
    """
    device = torch.device(device)
    megabytes = megabytes if megabytes is not None else (256 if device.type == "cpu" else 1000)
    if megabytes < 1 or seconds <= 0:
        raise ValueError(f"megabytes and seconds must be positive, got {megabytes} and {seconds}")
    source = torch.ones(megabytes * 250_000, device=device)
    target = torch.zeros_like(source)  # written once, so that its pages exist
    once = _seconds_per_call(lambda: target.copy_(source), device, seconds)
    return 2 * source.numel() * source.element_size() / once / 1e9
