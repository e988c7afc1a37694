"""How long the notebooks of a folder take here, from the times recorded in them.

Each notebook may carry ``metadata.lmm.stamp``: the date, processor, versions and ``seconds`` of
the run that made its outputs, and the ``gflops`` (float32 matrix product, measured by
``utils.hardware.matmul_gflops``) of the machine it ran on.
"""

import json
import math
import os
from pathlib import Path


def find_pages(folder: str | os.PathLike | None = None) -> Path | None:
    """Return the folder of pages: the one given, ./chapters, the one beside this package; or None.

    Raises
    ------
    ValueError: a folder was given and is not there.
    """
    if folder is not None:
        if not Path(folder).is_dir():
            raise ValueError(f"{str(folder)!r} is not a folder; pass the folder of the notebooks")
        return Path(folder)
    candidates = [Path("chapters"), Path(__file__).resolve().parents[1] / "chapters"]
    return next((path for path in candidates if path.is_dir()), None)


def course_estimate(folder: str | os.PathLike, gflops: float) -> list[dict]:
    """Estimate how long each stamped notebook under ``folder`` takes on this machine.

    A page's stamp holds the seconds it took and the float32 ``gflops`` of the machine that
    recorded it; the seconds are scaled by gflops_there / gflops_here, as if all were matrix
    products. Returns one dict a notebook: ``page`` (relative, without suffix), ``recorded`` and
    ``estimate`` in seconds. Both are None where there is no readable stamp, ``estimate`` alone
    where the stamp has no speed.

    Raises
    ------
    ValueError: gflops is not a positive number.
    """
    if not (gflops > 0 and math.isfinite(gflops)):
        raise ValueError(f"gflops must be a positive number, got {gflops}; matmul_gflops() has it")
    rows = []
    for path in sorted(Path(folder).rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts:
            continue
        seconds, there = _stamp(path)
        estimate = seconds * there / gflops if seconds is not None and there else None
        page = path.relative_to(folder).with_suffix("").as_posix()
        rows.append({"page": page, "recorded": seconds, "estimate": estimate})
    return rows


def _stamp(path: Path) -> tuple[float | None, float | None]:
    """Read (seconds, gflops) of a notebook's stamp; None for what is missing or damaged."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        stamp = notebook["metadata"]["lmm"]["stamp"]
        values = [stamp.get("seconds"), stamp.get("gflops")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None, None
    good = [isinstance(v, int | float) and math.isfinite(v) and v > 0 for v in values]
    return (values[0] if good[0] else None), (values[1] if good[1] else None)


def describe_estimate(rows: list[dict]) -> list[str]:
    """Return the rows of ``course_estimate`` as lines in plain words."""
    timed = [row for row in rows if row["estimate"] is not None]
    if not timed:
        return ["No page here carries a recorded time, so there is nothing to estimate."]
    width = max(len(row["page"]) for row in rows)
    lines = ["What the course takes here (an estimate: recorded seconds, scaled by matrix speed)"]
    for row in rows:
        said = "no recorded time"
        if row["estimate"] is not None:
            said = f"{row['estimate']:6.0f} s   (recorded: {row['recorded']:.0f} s)"
        elif row["recorded"] is not None:
            said = f"{row['recorded']:6.0f} s   (as recorded, not scaled)"
        lines.append(f"  {row['page']:{width}}  {said}")
    total = sum(row["estimate"] for row in timed)
    lines.append(
        f"  All {len(timed)} together about {max(total / 60, 0.1):.1f} minutes on the CPU."
    )
    return lines
