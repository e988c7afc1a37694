"""A process that has torch loaded, knows nothing of any submission, and forks for each one.

It is started with an empty environment and answers on a socket: each message brings two file
descriptors, one for the learner's data and one whose closing ends the fork and all in it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from typing import Any

from . import child, confine, wire


def main(fd: int, settings: dict[str, Any]) -> None:
    """Warm up, say which way of confinement works, then fork on request until closed."""
    warm(settings)
    way = settings["way"] or confine.best(settings)
    control = socket.socket(fileno=fd)
    wire.write(fd, {"way": way, "weak": confine.weaknesses(way)})
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()
    while True:
        _, fds, _, _ = socket.recv_fds(control, 1, 2)
        if len(fds) != 2:
            return
        if os.fork() == 0:
            control.close()
            with contextlib.suppress(BaseException):
                _supervise(way, settings, *fds)
            os._exit(1)
        for number in fds:
            os.close(number)


def warm(settings: dict[str, Any]) -> None:
    """Import and touch what every lab uses, so that forks begin with it."""
    import torch

    torch.set_num_threads(1)
    for name in settings["warm"]:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    importlib.import_module("utils.check.local")
    torch.softmax(torch.randn(8, 8) @ torch.randn(8, 8), -1).numpy()


def _supervise(way: str, settings: dict[str, Any], data: int, life: int) -> None:
    """Fork the confined process, wait for its end or for ours, say how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    confine.separate(way)
    pid = os.fork()
    if pid == 0:
        os.close(life)
        _confined(way, settings, data)
    os.close(data)
    done, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    status = None
    while status is None:
        ended, found = os.waitpid(pid, os.WNOHANG)
        if ended:
            status = found
        elif life in select.select([life, done], [], [], 0.5)[0]:
            break
    if status is None:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
        if way == "bare":
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    with contextlib.suppress(OSError):
        os.write(life, json.dumps({"code": os.waitstatus_to_exitcode(status)}).encode())
    os._exit(0)


def _confined(way: str, settings: dict[str, Any], data: int) -> None:
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        child.quiet()
        confine.seal(way, settings)
        os.dup2(data, 3)
        os.closerange(4, 4096)
        os.environ.clear()
        os.environ.update({"HOME": os.getcwd(), "PATH": "/usr/bin:/bin", "TMPDIR": "/tmp"})
        child.serve(3, 3)
        code = 0
    except MemoryError:
        code = 99
    finally:
        os._exit(code)


def spawned(settings: dict[str, Any]) -> None:
    """One process for one submission, without fork, over standard input and output (Windows)."""
    incoming, outgoing = os.dup(0), os.dup(1)
    child.quiet()
    warm(settings)
    wire.write(outgoing, {"way": "bare", "weak": confine.weaknesses("bare")})
    with contextlib.suppress(ImportError):
        confine.seal("bare", settings)
    child.serve(incoming, outgoing)
    sys.exit(0)
