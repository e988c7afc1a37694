"""``python -m utils.course mutate LAB``: how many wrong programs do the checks of a lab refuse?

Each function of the reference solution is changed in one small way (`utils.course.mutants`).
Whether a mutant behaves differently is decided without the check: on 1,000 inputs that
``tests/labs/inputs_LAB.py`` draws, it gives another value (beyond 1e-4 relative, 1e-5), raises
where the solution does not, or changes its arguments. Of these the checks have to refuse at
least 95 %, each in every one of three runs on different inputs; the survivors are listed.

The module of inputs has ``INPUTS``: for each task id a function of a NumPy generator that gives
``("call" or "probe", name, arguments)``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import runpy
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from utils.check.core import Lab, LearnerError, Task, lab, task_rng
from utils.check.data import difference
from utils.check.local import LocalLearner
from utils.course.labs import BEGIN, END, defined
from utils.course.mutants import Mutant, mutants
from utils.course.notebooks import course_root, read

INPUTS, CHECK_SEEDS, TARGET = 1000, (1, 2, 3), 0.95
LIMIT = 2.0  # seconds for a call: a mutant may run for ever


@dataclass
class Tally:
    """Counts of a run, and the mutants that a check accepted though they behave differently."""

    mutants: int = 0
    unchanged: int = 0
    refused: int = 0
    survivors: list[str] = field(default_factory=list)

    @property
    def changed(self) -> int:
        """Mutants that behave differently from the solution."""
        return self.refused + len(self.survivors)

    @property
    def share(self) -> float:
        """Share of these that the checks refuse."""
        return self.refused / self.changed if self.changed else 0.0


@dataclass(frozen=True)
class Cell:
    """A solution cell: its source and the lines of it that belong to the solution."""

    source: str
    lines: frozenset[int]


def solution_cells(nb: Any) -> tuple[str, list[Cell]]:
    """The source of the setup cells, and the cells that hold solutions."""
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    setup = [c.source for c in code if "setup" in c.metadata.get("tags", [])]
    cells = []
    for source in (c.source for c in code if BEGIN in c.source):
        inside, lines = False, set()
        for number, line in enumerate(source.split("\n"), 1):
            inside = line.strip() == BEGIN or (inside and line.strip() != END)
            lines |= {number} if inside else set()
        cells.append(Cell(source, frozenset(lines)))
    return "\n".join(setup), cells


def measure(about: Lab, nb: Any, inputs: dict[str, Callable], say: Callable = print) -> Tally:
    """Try every mutant of every solution cell; see the module's text."""
    setup, cells = solution_cells(nb)
    base: dict[str, Any] = {"__name__": "solutions"}
    exec(setup, base)
    tally, right = Tally(), {}
    for cell in cells:
        tasks = [t for t in about.tasks if set(t.functions) & set(defined(cell.source))]
        for task in tasks:
            if task.id not in right:
                right[task.id] = _outcomes(task, _learner(base, cells, None, None, task), inputs)
        for mutant in mutants(cell.source, set(cell.lines)):
            _judge(mutant, cell, cells, base, tasks, right, tally)
        names = ", ".join(defined(cell.source))
        say(f"{names}: {tally.mutants} mutants so far, {tally.refused} of {tally.changed} refused")
    return tally


def _judge(mutant: Mutant, cell, cells, base, tasks: list[Task], right, tally: Tally) -> None:
    tally.mutants += 1
    try:
        learners = [_learner(base, cells, cell, mutant, task) for task in tasks]
    except Exception:
        tally.refused += 1  # the cell itself does not run
        return
    pairs = list(zip(tasks, learners, strict=True))
    if not any(_differs(learner, right[task.id]) for task, learner in pairs):
        tally.unchanged += 1
        return
    accepted = any(
        all(t.check(learner, task_rng(t.id, seed)).passed for t, learner in pairs)
        for seed in CHECK_SEEDS
    )
    if accepted:
        tally.survivors.append(f"{', '.join(defined(cell.source))}, {mutant}")
    else:
        tally.refused += 1


def _learner(base: dict, cells: list[Cell], changed, mutant, task: Task) -> LocalLearner:
    namespace = dict(base)
    for cell in cells:
        exec(mutant.source if cell is changed else cell.source, namespace)
    return LocalLearner(namespace, task.lab, limit=LIMIT)


def _outcomes(task: Task, learner: LocalLearner, inputs: dict[str, Callable]) -> list:
    """1,000 inputs of a task and what the solution gives for each."""
    rng = np.random.default_rng([7, *task.id.encode()])  # not the seed of any check
    drawn = [inputs[task.id](rng) for _ in range(INPUTS)]
    return [(what, _outcome(learner, what)) for what in drawn]


def _outcome(learner: LocalLearner, what: tuple) -> tuple[str, Any]:
    way, name, arguments = what
    try:
        return "value", (getattr(learner, way)(name, *arguments), learner.changed)
    except LearnerError as error:
        return "error", error.kind + (error.text.split(":")[0] if error.kind == "raised" else "")


def _differs(learner: LocalLearner, right: list) -> bool:
    for what, (kind, value) in right:
        now, other = _outcome(learner, what)
        if now != kind or (kind == "error" and other != value):
            return True
        if kind == "value" and (other[1] != value[1] or difference(other[0], value[0]) is not None):
            return True
    return False


def main(arguments: list[str]) -> int:
    """Run the command line; 1 where fewer than 95 % are refused."""
    parser = argparse.ArgumentParser(prog="python -m utils.course mutate", description=__doc__)
    parser.add_argument("lab", help="name of a lab, such as attention")
    parser.add_argument("--to", type=Path, help="write the result to this JSON file")
    options = parser.parse_args(arguments)
    root = course_root()
    import matplotlib
    import torch

    matplotlib.use("Agg")
    torch.set_num_threads(1)  # small tensors: threads only wait for each other
    inputs = runpy.run_path(str(root / f"tests/labs/inputs_{options.lab.replace('-', '_')}.py"))
    nb = read(root / "labs" / "solutions" / f"{options.lab}.ipynb")
    tally = measure(lab(options.lab), nb, inputs["INPUTS"])
    print(
        f"{tally.mutants} mutants, {tally.unchanged} behave like the solution, "
        f"{tally.refused} of the other {tally.changed} refused: {tally.share:.1%}"
    )
    print("\n".join(f"  survived: {text}" for text in tally.survivors))
    if options.to:
        options.to.write_text(_record(options.lab, tally), encoding="utf-8")
    return 0 if tally.share >= TARGET else 1


def _record(name: str, tally: Tally) -> str:
    """The run as JSON, with the keys that `utils.record.recorded_run` asks for."""
    from utils.hardware import machine

    facts = machine()
    versions = {key: facts.pop(key) for key in ("python", "numpy", "torch")}
    figures = {key: getattr(tally, key) for key in ("mutants", "unchanged", "changed", "refused")}
    figures |= {"share": round(tally.share, 4), "survivors": tally.survivors, "inputs": INPUTS}
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    record = {
        "command": f"python -m utils.course mutate {name} --to FILE",
        "commit": git.stdout.strip() or "unknown",
        "machine": facts,
        "versions": versions,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seeds": list(CHECK_SEEDS),
        "figures": figures,
    }
    return json.dumps(record, indent=2) + "\n"
