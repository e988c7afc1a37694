"""Checks of the labs: ``from utils import check``, then one line a task.

``check.attention.scores(scores)`` checks the learner's function ``scores``; ``check.hint()``
gives the next hint; ``check.everything("attention", globals())`` checks the whole lab.
A lab is a module here with a `Lab` named ``LAB`` (see CONTRIBUTING, "A new lab").
"""

from __future__ import annotations

import importlib
from typing import Any

from utils.check.core import lab, lab_names

__all__ = ["everything", "hint", "lab", "lab_names", "learner_id"]
_SESSION = ("everything", "hint", "learner_id")


def __getattr__(name: str) -> Any:
    if name in _SESSION:
        return getattr(importlib.import_module("utils.check.session"), name)
    if name.replace("_", "-") in lab_names():
        return importlib.import_module(f"utils.check.{name}")
    known = ", ".join(n.replace("-", "_") for n in lab_names())
    raise AttributeError(f"there are no checks named {name!r}; the labs are {known}")
