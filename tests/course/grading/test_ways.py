"""The weaker ways of confinement work too, and say what they lack; nothing is left running."""

import os
import sys
import time

import pytest
import torch

from utils.check.core import LearnerError
from utils.course.grading.remote import RemoteLearner
from utils.course.grading.sandbox import Box, Limits

SOURCE = """
import os
def twice(x):
    print("hello")
    return 2 * x
def loop():
    while True:
        try:
            while True: pass
        except BaseException:
            pass
def leave():
    os._exit(3)
def remove(path):
    os.unlink(path)
def environment():
    return dict(os.environ)
"""
LIMITS = Limits(memory=2**29, seconds=10)


def learner(box):
    load = {"cells": [("cell", SOURCE, [0, 1, 2, 3, 4, 5])], "lab": "", "forbidden": [],
            "watch": False, "seconds": 0.5, "lazy_annotations": False}  # fmt: skip
    return RemoteLearner(box, load, 0.5)


@pytest.mark.parametrize("way", ("bare", "spawn"))
def test_weaker_ways(way, tmp_path):
    torch.set_num_threads(1)
    kept = tmp_path / "kept"
    kept.touch()
    tmp_path.chmod(0o777)
    with Box(limits=LIMITS, way=way) as box:
        one = learner(box)
        assert one.call("twice", torch.ones(2)).tolist() == [2, 2]
        assert "SECRET" not in str(one.call("environment"))
        if sys.platform == "linux" and not any("delete" in text for text in box.weak):
            with pytest.raises(LearnerError, match="PermissionError"):
                one.call("remove", str(kept))
            assert kept.exists()
        with pytest.raises(LearnerError, match="took longer"):
            one.call("loop")
        one.close()
        one = learner(box)
        with pytest.raises(LearnerError, match="ended the Python process"):
            one.call("leave")
        one.close()
        assert any("No namespaces" in text for text in box.weak)
        folder = box._folder
    assert not folder.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_nothing_is_left_running():
    with Box(limits=LIMITS) as box:
        zygote = box._zygote.pid
        one = learner(box)
        one.call("twice", torch.ones(1))
        assert os.path.exists(f"/proc/{zygote}")
        # the box is closed while the learner's process still runs
    children = [
        pid
        for pid in os.listdir("/proc")
        if pid.isdigit() and "gradebox" in _command(pid) and str(box._view) in _command(pid)
    ]
    for _ in range(50):
        children = [pid for pid in children if os.path.exists(f"/proc/{pid}")]
        if not children:
            break
        one.close()
        time.sleep(0.1)
    assert not children


def _command(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read()
    except OSError:
        return ""
