"""Grade a folder of submissions: ``make grade SUBMISSIONS=folder`` or `grade`.

::

    submissions ─ intake ─▶ rebuild ─▶ choose ─▶ sandbox ◀─▶ checks ─▶ results
                  files      release    which     confined    trusted   CSV, feedback,
                             form       code      process     process   summary, gradebook

The checks, the references and the solutions stay in the trusted process; a submission's code
runs in a confined one (``box/``) and only data pass between them.
"""

from __future__ import annotations

from typing import Any

__all__ = ["grade"]


def grade(*args: Any, **kwargs: Any) -> Any:
    """Grade a folder; see `utils.course.grading.run.grade`."""
    from utils.course.grading.run import grade as run

    return run(*args, **kwargs)
