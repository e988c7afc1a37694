"""Find the notebooks of the course, read and write them, and run them."""

from __future__ import annotations

import datetime
import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from utils.course.fingerprint import fingerprint
from utils.course.normalize import normalize

CELL_TIMEOUT = 600
STAMPED_VERSIONS = ("torch", "numpy", "scikit-learn", "transformers")


def course_root(start: Path | None = None) -> Path:
    """The folder that holds ``chapters`` and ``utils``, at or above `start`.

    Raises
    ------
    FileNotFoundError
        When there is none: the command was started outside a checkout of the course.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "chapters").is_dir() and (folder / "utils").is_dir():
            return folder
    raise FileNotFoundError(
        f"{start} is not inside a checkout of the course; change to its folder and try again"
    )


def pages(root: Path) -> list[Path]:
    """All notebooks that are pages of the book: the front page and those in ``chapters``."""
    front = [root / "index.ipynb"] if (root / "index.ipynb").is_file() else []
    return front + sorted(p for p in (root / "chapters").rglob("*.ipynb") if _real(p))


def labs(root: Path) -> list[Path]:
    """The labs in the form that authors edit."""
    return sorted(p for p in (root / "labs" / "solutions").glob("*.ipynb") if _real(p))


def _real(path: Path) -> bool:
    return ".ipynb_checkpoints" not in path.parts


def read(path: Path) -> nbformat.NotebookNode:
    """Read and validate a notebook.

    Raises
    ------
    ValueError
        When the file is no valid notebook.
    """
    try:
        nb = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
        nbformat.validate(nb)
    except (nbformat.ValidationError, nbformat.reader.NotJSONError, KeyError) as error:
        raise ValueError(f"{path} is not a valid notebook: {error}") from error
    return nb


def dumps(nb: nbformat.NotebookNode) -> str:
    """The text in which a notebook is stored."""
    return nbformat.writes(nb, version=4).rstrip("\n") + "\n"


def run(path: Path, root: Path) -> float:
    """Execute a notebook, normalize it, stamp it and write it back; return its cells' seconds.

    From the first cell's start to the last one's end: starting the kernel is not the page's work.

    Nothing is written when a cell fails. The stamp, and outputs of cells tagged
    ``timing``, stay as they are while the fingerprint is the stored one.

    Raises
    ------
    RuntimeError
        When a cell raises without being tagged ``raises-exception``.
    """
    nb = read(path)
    before = {cell.get("id"): cell for cell in read(path).cells}
    stored = nb.metadata.get("lmm", {})
    client = NotebookClient(
        nb,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )
    os.environ["LMM_CHECKS_RAISE"] = "1"  # a check of a lab that fails is then an error
    moments: list[float] = []
    client.on_cell_execute = client.on_cell_executed = lambda **_: moments.append(
        time.perf_counter()
    )
    try:
        client.execute()
    except CellExecutionError as error:
        raise RuntimeError(f"{path}: a cell failed\n{error}") from error
    seconds = moments[-1] - moments[0] if moments else 0.0
    print_now = fingerprint(nb, root)
    unchanged = stored.get("fingerprint") == print_now and "stamp" in stored
    if unchanged:
        _keep_timing_outputs(nb, before)
    stamp = stored["stamp"] if unchanged else _stamp(seconds)
    nb.metadata["lmm"] = {"fingerprint": print_now, "stamp": stamp}
    path.write_text(dumps(normalize(nb, root)), encoding="utf-8")
    return seconds


def _keep_timing_outputs(nb, before: dict) -> None:
    for cell in nb.cells:
        old = before.get(cell.get("id"))
        if "timing" in cell.metadata.get("tags", []) and old is not None:
            cell.outputs = old.outputs


def _stamp(seconds: float) -> dict:
    """When, with what and on what a page was run."""
    from utils import hardware  # needs torch, which checking and building do without

    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seconds": round(seconds, 1),
        "processor": hardware.machine()["processor"],
        "gflops": round(hardware.matmul_gflops(), 1),
        "versions": {"python": platform.python_version()} | _versions(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in STAMPED_VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
