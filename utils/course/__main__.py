"""``python -m utils.course COMMAND``: write and check pages, release labs, grade.

``run`` and ``check`` take notebooks (without one: all of them); ``labs`` writes the student
forms of the labs, with ``--to FOLDER`` copies for publishing that know their home address;
``mutate LAB`` measures the checks of a lab.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from utils.course.notebooks import course_root, labs, pages

PAGE_COMMANDS = ("run", "check")
# Commands that live in a module of their own: utils.course.MODULE with main(arguments) -> int.
MODULES = {"mutate": "mutate"}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in MODULES:
        from importlib import import_module

        return import_module(f"utils.course.{MODULES[arguments[0]]}").main(arguments[1:])
    parser = argparse.ArgumentParser(prog="python -m utils.course", description=__doc__)
    parser.add_argument("command", choices=(*PAGE_COMMANDS, "labs", *MODULES))
    parser.add_argument("page", nargs="*", type=Path, help="a notebook; all when none is given")
    parser.add_argument("--to", type=Path, help="labs: folder for copies that know their home")
    options = parser.parse_args(arguments)
    root = course_root()
    missing = [str(page) for page in options.page if not page.is_file()]
    if missing:
        parser.error(f"no such file: {', '.join(missing)}")
    chosen = [page.resolve() for page in options.page]
    if options.command == "labs":
        return _labs(root, chosen, options.to)
    chosen = chosen or pages(root) + labs(root)
    return _run(chosen, root) if options.command == "run" else _check(chosen, root)


def _run(chosen: list[Path], root: Path) -> int:
    from utils.course.notebooks import run

    for number, page in enumerate(chosen, 1):
        name = page.relative_to(root)
        print(f"[{number}/{len(chosen)}] {name} …", end=" ", flush=True)
        print(f"{run(page, root):.1f} s", flush=True)
    return 0


def _check(chosen: list[Path], root: Path) -> int:
    from utils.course import check

    found = [problem for page in chosen for problem in check.check_page(page, root)]
    found += check.check_course(chosen, root)
    print("\n".join(found) or f"{len(chosen)} notebooks, nothing to mend")
    return 1 if found else 0


def _labs(root: Path, chosen: list[Path], to: Path | None) -> int:
    from utils.course import home
    from utils.course.labs import LabError, write_all, write_stamped

    try:
        version = os.environ.get("LMM_VERSION", home.BRANCH)  # a tag, where a term keeps to one
        made = write_stamped(root, to, home.home(), version) if to else write_all(root, chosen)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(str(path) for path in made) or "there are no labs yet")
    return 0


if __name__ == "__main__":
    sys.exit(main())
