"""``python -m utils.course run|check [PAGE …]``: without a page, all of them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from utils.course import check
from utils.course.notebooks import course_root, labs, pages, run


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m utils.course", description=__doc__)
    parser.add_argument("command", choices=("run", "check"))
    parser.add_argument(
        "page", nargs="*", type=Path, help="a notebook; all pages when none is given"
    )
    options = parser.parse_args(arguments)
    root = course_root()
    missing = [str(page) for page in options.page if not page.is_file()]
    if missing:
        parser.error(f"no such file: {', '.join(missing)}")
    chosen = [page.resolve() for page in options.page] or pages(root) + labs(root)
    if options.command == "run":
        for number, page in enumerate(chosen, 1):
            name = page.relative_to(root)
            print(f"[{number}/{len(chosen)}] {name} …", end=" ", flush=True)
            print(f"{run(page, root):.1f} s", flush=True)
        return 0
    found = [problem for page in chosen for problem in check.check_page(page, root)]
    found += check.check_course(chosen, root)
    print("\n".join(found) or f"{len(chosen)} notebooks, nothing to mend")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
