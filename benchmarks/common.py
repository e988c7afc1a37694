"""What the benchmarks share: timing by turns, peak memory of a part, the record of a run.

Machines are shared and their clocks change, so contenders take turns within a round, in an order
that is drawn anew each round, and what is compared are ratios within a round. On a CPU the clock
is the processor time of all threads: it does not count the time that other programs take.
"""

import argparse
import ctypes
import datetime
import gc
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

import torch
from scipy import stats

from utils.device import machine, memory

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def take_turns(
    contenders: dict[str, Callable[[], object]],
    rounds: int,
    *,
    warm_up: int = 1,
    clock: Callable[[], float] = time.process_time,
    seed: int = 0,
) -> dict[str, list[float]]:
    """Seconds of each contender in each round, the round being the pair.

    A contender that returns a number has timed itself, and this number counts. The first
    ``warm_up`` rounds are run and not kept. Garbage is collected before each reading, not in it.
    """
    order, draw = list(contenders), random.Random(seed)
    times: dict[str, list[float]] = {name: [] for name in order}
    for number in range(warm_up + rounds):
        draw.shuffle(order)
        for name in order:
            gc.collect()
            gc.disable()
            start = clock()
            own = contenders[name]()
            seconds = clock() - start
            gc.enable()
            if number >= warm_up:
                times[name].append(own if isinstance(own, float) else seconds)
    return times


class _Closed(BaseException):
    """Ends the loop of a contender that is no longer needed."""


class Gate:
    """Lets a loop that another thread runs make one step at a time, and takes its time.

    The loop draws from ``batches``; `step` lets it go on from one draw to the next. So any
    loop, also one inside a Trainer, takes turns with others step by step.
    """

    def __init__(self, loop: Callable[[Iterable], None], batches: Iterable, clock: Callable):
        self.batches, self.clock, self.start, self.seconds = batches, clock, 0.0, 0.0
        self.go, self.done, self.error = threading.Semaphore(0), threading.Semaphore(0), None
        self.closing = False
        self.thread = threading.Thread(target=self._run, args=(loop,), daemon=True)
        self.thread.start()

    def __iter__(self) -> Iterator:
        for batch in self.batches:
            self._pause()
            yield batch

    def step(self) -> float:
        """Seconds from one draw to the next; RuntimeError where the loop failed or ended."""
        self.go.release()
        self.done.acquire()
        if self.error is not None:
            raise RuntimeError("a contender failed") from self.error
        if not self.thread.is_alive():
            raise RuntimeError("a contender ended before its turns were over")
        return self.seconds

    def close(self) -> None:
        """End the loop: its next draw raises."""
        self.closing = True
        self.go.release()
        self.thread.join()

    def _pause(self) -> None:
        self.seconds = self.clock() - self.start
        self.done.release()
        self.go.acquire()
        if self.closing:
            raise _Closed
        self.start = self.clock()

    def _run(self, loop: Callable[[Iterable], None]) -> None:
        self.go.acquire()
        try:
            if not self.closing:
                loop(self)
        except _Closed:
            pass
        except BaseException as error:
            self.error = error
        self.done.release()


def spread(values: Iterable[float], digits: int = 4) -> dict[str, float]:
    """Median and a distribution-free interval of it, rounded to significant ``digits``.

    The ends are order statistics that hold the median with at least 95 % (Conover 1999, section
    3.2); with fewer than six values no such pair exists and they are the extremes.
    """
    values = sorted(values)
    rank = max(0, int(stats.binom.ppf(0.025, len(values), 0.5)) - 1)
    ends = {"median": statistics.median(values), "low": values[rank], "high": values[-1 - rank]}
    return {name: float(f"{value:.{digits}g}") for name, value in ends.items()}


def ratio(first: Iterable[float], second: Iterable[float]) -> dict[str, float]:
    """Spread of ``first / second`` taken round by round."""
    return spread(a / b for a, b in zip(first, second, strict=True))


def against(value: float, at_least: float | None = None, at_most: float | None = None) -> dict:
    """A figure beside its target and whether it is reached."""
    bound = at_least if at_most is None else at_most
    reached = value >= bound if at_most is None else value <= bound
    return {"value": value, "at_least" if at_most is None else "at_most": bound, "reached": reached}


def keep_freed_memory() -> None:
    """Tell glibc to reuse freed memory (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD), M_ARENA_MAX 1.

    Else a thread other than the first asks the kernel for fresh pages in every step.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    for parameter, value in ((-1, 2**30), (-3, 2**25), (-8, 1)) if mallopt else ():
        mallopt(parameter, value)


def peak_memory(function: Callable, *arguments) -> int:
    """Bytes by which ``function(*arguments)`` raises a fresh process at its peak.

    The process has imported the script and nothing else. The function is one of the script's own.
    On systems other than Linux the peak counts from the largest size during the imports.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_peak_in_process, args=(sender, function, arguments))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        raise RuntimeError(f"{function.__name__} failed in its own process, see above") from None
    finally:
        process.join()


def _peak_in_process(sender, function: Callable, arguments: tuple) -> None:
    before = _reset_peak()
    function(*arguments)
    sender.send(_peak() - before)


def _reset_peak() -> int:
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return memory("cpu")["peak"]
    return memory("cpu")["used"]


def _peak() -> int:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return memory("cpu")["peak"]
    return 1024 * next(int(s.split()[1]) for s in status.splitlines() if s.startswith("VmHWM"))


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


_AT_START = _git("rev-parse", "HEAD")


def commit(*used: str | Path) -> str:
    """The revision at the start; "with changes" if one of the files ``used`` differs from it."""
    if _AT_START is None:
        return "unknown"
    changed = _git("diff", "--name-only", _AT_START, "--", *map(str, used))
    changed = changed or _git("status", "--porcelain", "--", *map(str, used))
    return _AT_START + (" with changes" if changed else "")


def experiment(
    words: list[str] | None,
    doc: str,
    *,
    seeds: int,
    smoke: str,
    steps: int | None = None,
    at_least: int = 1,
    more: Iterable[tuple[str, dict]] = (),
) -> argparse.Namespace:
    """The settings of a recorded experiment: ``seeds``, ``steps``, ``smoke`` and ``output``.

    words: the command line (None: the program's own). doc: the script's docstring. seeds, steps:
    defaults; ``--steps`` exists where its default is given. smoke: what ``--smoke`` runs, in
    words. at_least: the fewest seeds. more: further options, for ``add_argument``. Torch is set
    to one thread. Ends the program (status 2) where settings cannot be used.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=seeds, help="seeds 0 to this, exclusive")
    if steps is not None:
        parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--smoke", action="store_true", help=smoke)
    parser.add_argument("--output", type=Path, default=None)
    for name, how in more:
        parser.add_argument(name, **how)
    settings = parser.parse_args(words)
    if settings.seeds < at_least:
        parser.error(f"--seeds must be at least {at_least}")
    if steps is not None and settings.steps < 1:
        parser.error("--steps must be at least 1")
    if settings.smoke and (not settings.output or settings.output.resolve().parent == RESULTS):
        parser.error("--smoke is not a result: give an --output outside benchmarks/results")
    torch.set_num_threads(1)
    return settings


def write_record(
    path: Path,
    figures: dict,
    *,
    script: str,
    used: Iterable[str],
    packages: Iterable[str],
    seeds: Iterable[int],
    **more,
) -> None:
    """Write a recorded run as `utils.record.recorded_run` reads it; ``more`` adds entries."""
    facts = machine()
    versions = {name: facts.pop(name) for name in ("python", "numpy", "torch")}
    record = {
        "command": " ".join(["python", f"benchmarks/{Path(script).name}", *sys.argv[1:]]),
        "commit": commit(script, ROOT / "benchmarks" / "common.py", *used),
        "machine": facts,
        "versions": versions | {name: version(name) for name in packages},
        "date": datetime.date.today().isoformat(),
        "seeds": list(seeds),
        **more,
        "figures": figures,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
