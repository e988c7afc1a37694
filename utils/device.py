"""Where to run and in what precision; seeds; memory; ``python -m utils.device``.

Design: one device a process, chosen once and handed on. Precision is a dtype: float32 means
plain training, bfloat16 and float16 mean autocast with float32 weights. "Supported" means
that the hardware has instructions for it; what torch only emulates is refused unless asked for.
"""

import argparse
import contextlib
import random
import sys
import warnings

import numpy as np
import psutil
import torch

from utils.hardware import (
    cpu_flags,
    machine,
    matmul_gflops,
    memory_gbytes_per_second,
    synchronize,
    usable_ram,
)
from utils.page_times import course_estimate, describe_estimate, find_pages

__all__ = [
    "autocast",
    "course_estimate",
    "machine",
    "matmul_gflops",
    "measure",
    "memory",
    "native_precisions",
    "pick_device",
    "pick_precision",
    "seed_everything",
    "synchronize",
]

PRECISIONS = {
    "float32": torch.float32,
    "fp32": torch.float32,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
    "float16": torch.float16,
    "fp16": torch.float16,
}


def pick_device(prefer: str | torch.device | None = None) -> torch.device:
    """Return the device to run on: CUDA, else Apple's MPS, else the CPU; or ``prefer``.

    Raises
    ------
    ValueError: ``prefer`` names a device that torch does not know or that is not here.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if prefer is None:
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    here = ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count() if cuda else 0)]
    here += ["mps"] if mps else []
    try:
        device = torch.device(prefer)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"{prefer!r} is not a device; here there is {', '.join(here)}") from error
    if not (device.type in here or str(device) in here or (device.type == "cuda" and cuda)):
        raise ValueError(
            f"device {str(device)!r} is not available; here there is {', '.join(here)}. "
            "Pass one of these, or nothing to have one picked."
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {str(device)!r} does not exist; here there is {', '.join(here)}")
    return device


def native_precisions(device: str | torch.device) -> list[torch.dtype]:
    """Return the dtypes that the device multiplies in hardware, best default first.

    CUDA: bfloat16 from compute capability 8.0 (Ampere), float16 from 7.0 (Volta, Turing: the T4).
    MPS: float32 first, then whatever of the two halves a small product runs in.
    CPU: float32 first; halves only where the processor has instructions for them
    (x86 AVX512_BF16, AMX_BF16, AVX512_FP16, AMX_FP16; Arm BF16, FP16 arithmetic).
    """
    device = torch.device(device)
    if device.type == "cuda":
        return _cuda_precisions(device)
    if device.type == "mps":
        halves = [torch.float16, torch.bfloat16]
        return [torch.float32] + [dtype for dtype in halves if _multiplies(device, dtype)]
    native = [torch.float32]
    flags = cpu_flags()
    if flags & {"avx512_bf16", "amx_bf16", "bf16"}:
        native.append(torch.bfloat16)
    if flags & {"avx512_fp16", "amx_fp16", "asimdhp", "fp16"}:
        native.append(torch.float16)
    return native


def _cuda_precisions(device: torch.device) -> list[torch.dtype]:
    if torch.version.hip:
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return [torch.bfloat16] * bf16 + [torch.float16, torch.float32]
    capability = torch.cuda.get_device_capability(device)
    if capability >= (8, 0):
        return [torch.bfloat16, torch.float16, torch.float32]
    return [torch.float16, torch.float32] if capability >= (7, 0) else [torch.float32]


def _multiplies(device: torch.device, dtype: torch.dtype) -> bool:
    try:
        ones = torch.ones(8, 8, device=device, dtype=dtype)
        return bool((ones @ ones == 8).all())
    except (RuntimeError, TypeError):
        return False


def pick_precision(
    device: str | torch.device,
    prefer: str | torch.dtype | None = None,
    *,
    emulate: bool = False,
) -> torch.dtype:
    """Return the dtype to compute in: the device's best, or ``prefer`` where it is supported.

    ``prefer`` is a dtype or one of "float32", "bfloat16", "float16" ("fp32", "bf16", "fp16").
    ``emulate=True`` allows a precision that torch only emulates, with a warning: right numbers,
    slower than float32.

    Raises
    ------
    ValueError: ``prefer`` is unknown, or the device has no instructions for it.
    """
    device = torch.device(device)
    native = native_precisions(device)
    if prefer is None:
        return native[0]
    dtype = PRECISIONS.get(prefer) if isinstance(prefer, str) else prefer
    if dtype not in PRECISIONS.values():
        raise ValueError(f"precision {prefer!r} is unknown; choose one of {', '.join(PRECISIONS)}")
    if dtype not in native:
        name, names = _name(dtype), ", ".join(map(_name, native))
        message = f"this {device.type} device has no instructions for {name} (it has {names})"
        if not emulate:
            raise ValueError(f"{message}. Choose one of these, or emulate=True to run it slowly.")
        warnings.warn(f"{message}: {name} is emulated, slower than float32", stacklevel=2)
    return dtype


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def autocast(device: str | torch.device, precision: torch.dtype):
    """Return the context in which to compute the loss: autocast for the half precisions."""
    if precision == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(torch.device(device).type, precision)


def seed_everything(seed: int) -> int:
    """Seed the generators of Python, NumPy and torch (all devices); return the seed.

    Same seed, same machine, same versions: same numbers on the CPU. On a GPU some sums have no
    fixed order; ``torch.use_deterministic_algorithms(True)`` makes torch refuse those.

    Raises
    ------
    TypeError, ValueError: the seed is not an integer from 0 to 2^32 - 1 (NumPy's range).
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise TypeError(f"seed must be an integer, got {seed!r}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must lie between 0 and 2**32 - 1, got {seed}")
    random.seed(int(seed))
    np.random.seed(int(seed))
    torch.manual_seed(int(seed))
    return int(seed)


def memory(device: str | torch.device = "cpu") -> dict[str, int]:
    """Return bytes: ``total``, ``available``, ``used`` by this process, and its ``peak``.

    On an accelerator ``used`` counts torch's tensors; on the CPU the whole process. MPS keeps
    no peak, so there ``peak`` equals what the driver holds for torch now.
    """
    device = torch.device(device)
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        used, peak = torch.cuda.memory_allocated(device), torch.cuda.max_memory_allocated(device)
        return {"total": total, "available": free, "used": used, "peak": peak}
    if device.type == "mps":
        total, used = torch.mps.recommended_max_memory(), torch.mps.current_allocated_memory()
        peak = torch.mps.driver_allocated_memory()
        return {"total": total, "available": max(0, total - peak), "used": used, "peak": peak}
    total, used = usable_ram(), psutil.Process().memory_info()
    peak = getattr(used, "peak_wset", None) or _peak_resident_bytes()
    available = min(psutil.virtual_memory().available, total)
    return {"total": total, "available": available, "used": used.rss, "peak": max(peak, used.rss)}


def _peak_resident_bytes() -> int:
    try:
        import resource
    except ImportError:  # Windows, where psutil knows the peak itself
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure(device: str | torch.device | None = None, seconds: float = 0.5) -> dict:
    """Measure the device in a few seconds: about ``seconds`` for each figure.

    Returns {"device", "gflops": {dtype name: 10^9 operations per second},
    "memory_gbytes_per_second"}; gflops covers float32 and every half precision the device has.
    """
    device = pick_device(device)
    names = {_name(dtype): dtype for dtype in native_precisions(device)}
    gflops = {name: matmul_gflops(device, dtype, seconds=seconds) for name, dtype in names.items()}
    bandwidth = memory_gbytes_per_second(device, seconds=seconds)
    return {"device": device.type, "gflops": gflops, "memory_gbytes_per_second": bandwidth}


def _describe(facts: dict, figures: list[dict]) -> list[str]:
    lines = [
        f"Processor    {facts['processor']}, {facts['cores']} cores "
        f"({facts['threads']} used by torch), {facts['ram_bytes'] / 1e9:.1f} GB of memory",
        f"Accelerator  {facts['accelerator'] or 'none: everything runs on the processor'}",
        f"Software     {facts['system']}, Python {facts['python']}, torch {facts['torch']}",
    ]
    for figure in figures:
        lines.append(f"\nMeasured on {figure['device']}")
        for name, gflops in figure["gflops"].items():
            lines.append(f"  matrix product, {name:9} {gflops:12,.0f} GFLOP/s")
        lines.append(f"  memory (copy) {figure['memory_gbytes_per_second']:22,.1f} GB/s")
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Print what this machine is, how fast it is, and what the course will take on it."""
    parser = argparse.ArgumentParser(prog="python -m utils.device", description=main.__doc__)
    parser.add_argument("--chapters", help="folder of the notebooks (default: found)")
    parser.add_argument("--seconds", type=float, default=0.5, help="time for each measurement")
    options = parser.parse_args(arguments)
    try:
        folder = find_pages(options.chapters)
        figures = [measure("cpu", options.seconds)]
        if pick_device().type != "cpu":
            figures.append(measure(None, options.seconds))
    except ValueError as error:
        parser.error(str(error))
    print("\n".join(_describe(machine(), figures)))
    best = pick_device()
    print(f"\nThe course will run on {best.type} in {_name(pick_precision(best))} here.\n")
    if folder is None:
        print("No folder of pages found: run this in the course's folder, or pass --chapters.")
    else:
        rows = course_estimate(folder, figures[0]["gflops"]["float32"])
        print("\n".join(describe_estimate(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
