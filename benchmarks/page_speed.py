"""How fast the pages are: Lighthouse's performance score, beside a default Jupyter Book.

    python benchmarks/page_speed.py [--rounds 5]

Build the book (`make book`) and install Lighthouse (`make .venv/lighthouse-ready`) first. One page
of each kind, mobile and desktop, in an order drawn anew in each round. The peer is the first page
of the kind "content", built from the same notebook by Jupyter Book 1 with nothing configured but
that notebooks are not run. What such a page loads from other hosts is asked for here too; where
the internet is cut off it fails at once, which is in the peer's favor.

Lighthouse simulates a slow network and a slow processor from what it measures; the score still
depends on the machine, so what counts is the distance to the peer in the same run.
"""

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from common import RESULTS, ROOT, against, write_record
from tqdm import tqdm

from utils.course.lighthouse import audit, scores, served

SEED = 0
CONTENT = "chapters/math/probability-losses"
KINDS = {  # kind of page: an example
    "front page": "index",
    "content": CONTENT,
    "longest content": "chapters/algorithms/backpropagation",
    "gallery of pictures": "chapters/start/explorables",
    "tables": "chapters/start/notation",
    "glossary": "chapters/outlook/glossary",
}
PEER = "content in a default Jupyter Book"
TARGETS = {"mobile": 95, "desktop": 99}
PARTS = ("first-contentful-paint", "largest-contentful-paint", "total-blocking-time")


def build_peer(folder: Path) -> Path:
    """Build the one-page default book; return the folder of its pages."""
    (folder / "page.ipynb").write_bytes((ROOT / f"{CONTENT}.ipynb").read_bytes())
    (folder / "_toc.yml").write_text("format: jb-book\nroot: page\n", encoding="utf-8")
    config = "title: Default\nexecute:\n  execute_notebooks: 'off'\n"
    (folder / "_config.yml").write_text(config, encoding="utf-8")
    command = [Path(sys.executable).with_name("jupyter-book"), "build", folder, "--quiet"]
    run = subprocess.run(command, capture_output=True, text=True)
    pages = folder / "_build" / "html"
    if not (pages / "page.html").is_file():
        raise SystemExit(f"the default book was not built:\n{run.stderr[-2000:]}")
    return pages


def measure(addresses: dict[str, str], rounds: int) -> dict[tuple[str, str], list[dict]]:
    """The reports of every page and form factor, by round."""
    cases = [(kind, form) for kind in addresses for form in TARGETS]
    reports, draw = {case: [] for case in cases}, random.Random(SEED)
    bar = tqdm(total=rounds * len(cases), unit="page")
    for _ in range(rounds):
        draw.shuffle(cases)
        for kind, form in cases:
            report = audit(addresses[kind], ["performance"], desktop=form == "desktop")
            reports[kind, form].append(report)
            bar.update()
    bar.close()
    return reports


def summary(reports: list[dict]) -> dict:
    """Median, lowest and highest score; medians of the parts in milliseconds; bytes."""
    marks = [scores(report)["performance"] for report in reports]
    audits = [report["audits"] for report in reports]
    return {
        "score": {"median": statistics.median(marks), "low": min(marks), "high": max(marks)},
        "milliseconds": {
            name: round(statistics.median(a[name]["numericValue"] for a in audits))
            for name in PARTS
        },
        "bytes": round(statistics.median(a["total-byte-weight"]["numericValue"] for a in audits)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    book = ROOT / "_build" / "html"
    if not (book / "index.html").is_file():
        raise SystemExit("build the book first: make book")
    with tempfile.TemporaryDirectory() as folder:
        peer = build_peer(Path(folder))
        with served(book) as ours, served(peer) as theirs:
            addresses = {kind: f"{ours}/{page}.html" for kind, page in KINDS.items()}
            addresses[PEER] = f"{theirs}/page.html"
            reports = measure(addresses, options.rounds)
    figures = {f"{kind}, {form}": summary(found) for (kind, form), found in reports.items()}
    targets = {
        case: against(row["score"]["median"], at_least=TARGETS[case.rsplit(", ", 1)[1]])
        for case, row in figures.items()
        if not case.startswith(PEER)
    }
    for case, row in figures.items():
        print(
            f"{case:45} {row['score']['median']:5} ({row['score']['low']}–{row['score']['high']})"
        )
    write_record(
        RESULTS / "page_speed.json",
        figures,
        script=__file__,
        used=["_ext", "_static", "_config.yml"],
        packages=["jupyter-book", "sphinx-book-theme"],
        seeds=[SEED],
        lighthouse="12.2.3",
        rounds=options.rounds,
        targets=targets,
    )


if __name__ == "__main__":
    main()
