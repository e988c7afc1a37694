"""Run many submissions on a few trusted worker processes, each with a box of its own."""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from utils.course import fingerprint
from utils.course.grading import one
from utils.course.grading.sandbox import Box, Limits

_worker: dict[str, Any] = {}
_HIDDEN = ("utils/check/", "utils/course/")


@dataclass(frozen=True)
class Job:
    """What a worker needs for every submission of one lab; passed once, at its start."""

    lab: str
    release: str
    checks: Path | None = None
    seed: int = 0
    limits: Limits = field(default_factory=Limits)
    way: str = ""
    parent: str | None = None


@dataclass(frozen=True)
class Piece:
    """One submission: the learner's id, the file's bytes, the id that seeds the variant."""

    learner: str
    data: bytes
    variant_id: str = ""


def imported_modules(release: nbformat.NotebookNode, root: Path) -> list[str]:
    """Files of the course that the given cells of a lab import, without checks."""
    import ast

    trees = []
    for cell, source in zip(
        [c for c in release.cells if c.cell_type == "code"],
        fingerprint.code_sources(release),
        strict=True,
    ):
        about = cell.metadata.get("nbgrader", {})
        if not about.get("grade") and about.get("grade_id") not in ("bootstrap", "everything"):
            trees.append(ast.parse(source))
    names = [p.relative_to(root).as_posix() for p in fingerprint._closure(trees, root)]
    return sorted(n for n in names if not n.startswith(_HIDDEN) and n != "utils/__init__.py")


def _start(job: Job, slots: Any) -> None:
    import torch

    torch.set_num_threads(1)
    with slots.get_lock():
        slot, slots.value = slots.value, slots.value + 1
    extra = one.instructor_checks(job.checks, job.lab)
    release = nbformat.reads(job.release, as_version=4)
    modules = tuple(imported_modules(release, Path(__file__).parents[3]))
    probes = f"utils.check.probes_{job.lab.replace('-', '_')}"
    box = Box(job.lab, modules, ("torch.nn.functional", probes), job.limits, slot, job.way,
              job.parent)  # fmt: skip
    box.__enter__()
    multiprocessing.util.Finalize(box, box.__exit__, args=(None, None, None), exitpriority=10)
    about = one.lab_for(job.lab, extra)
    _worker.update(box=box, lab=about, release=release, extra=extra, seed=job.seed)


def _grade(piece: Piece) -> one.Result:
    w = _worker
    return one.grade_one(
        piece.learner, piece.data, w["lab"], w["release"], w["box"],
        piece.variant_id, w["extra"], w["seed"],
    )  # fmt: skip


def run_all(job: Job, pieces: list[Piece], workers: int) -> Iterator[one.Result]:
    """Results as they are ready. A worker that breaks costs nobody else a point.

    What was under way when a worker broke is tried once more, alone; if it breaks again its
    result has the status "failed".
    """
    left = {piece.learner: piece for piece in pieces}
    for result in _round(job, pieces, workers):
        left.pop(result.learner, None)
        yield result
    for piece in list(left.values()):
        again = list(_round(job, [piece], 1))
        yield again[0] if again else _failed(job, piece)


def _round(job: Job, pieces: list[Piece], workers: int) -> Iterator[one.Result]:
    context = multiprocessing.get_context("spawn")
    slots = context.Value("i", 0)
    count = max(1, min(workers, -(-len(pieces) // 4)))  # a worker takes seconds to start
    with ProcessPoolExecutor(count, context, _start, (job, slots)) as pool:
        futures = {pool.submit(_grade, piece): piece for piece in pieces}
        for future in as_completed(futures):
            try:
                yield future.result()
            except BrokenProcessPool:
                continue
            except Exception as error:
                yield _failed(job, futures[future], f"{type(error).__name__}: {error}")


def _failed(job: Job, piece: Piece, why: str = "the grading process was ended") -> one.Result:
    import hashlib

    digest = hashlib.sha256(piece.data).hexdigest()
    text = f"Grading this file failed ({why[:300]}); please look at it by hand."
    return one.Result(piece.learner, job.lab, digest, status="failed", problem=text)


def default_workers() -> int:
    """One a core, at most 8."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, min(len(os.sched_getaffinity(0)), 8))
    return max(1, min(os.cpu_count() or 1, 8))
