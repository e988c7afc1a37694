"""The trusted side of the wall: starts confined processes and speaks with them.

A `Box` belongs to one grading process. It holds a warmed-up process (the zygote), which forks
a confined child for each task of each submission.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from utils.course.grading.box import wire

PACKAGE = Path(__file__).parents[2]
SHOWN = ("__init__", "core", "data", "forbidden", "local")  # of utils.check; no lab's checks
LOAD_SECONDS = 15.0
BOOT = (
    "import sys; sys.path[:0] = [{view!r}]; sys.path += {libraries!r}; import json; "
    "from gradebox import zygote; settings = json.loads({settings!r}); {start}"
)


@dataclass(frozen=True)
class Limits:
    """What one submission may use: bytes of memory and disk, seconds for a task in all."""

    memory: int = 1024 * 2**20
    disk: int = 64 * 2**20
    seconds: float = 60.0


@dataclass
class Box:
    """Starts confined processes. Use as a context manager.

    `lab` names the probes that are shown; `modules` are files of the course that the cells of
    the lab import, as paths relative to the folder of ``utils``; `warm` are imported once.
    Its files lie below `parent`. `way` forces a way of confinement (for tests); "spawn" is the
    way without fork.
    """

    lab: str = ""
    modules: tuple[str, ...] = ()
    warm: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    slot: int = 0
    way: str = ""
    parent: str | None = None
    weak: list[str] = field(default_factory=list)
    _zygote: subprocess.Popen | None = None
    _control: socket.socket | None = None

    def __enter__(self) -> Box:
        self._folder = Path(tempfile.mkdtemp(prefix="grading-", dir=self.parent))
        self._folder.chmod(0o755)
        self._view = self._folder / "course"
        self._copy_view()
        (self._folder / "root").mkdir()
        if self.way != "spawn" and hasattr(os, "fork") and hasattr(socket, "AF_UNIX"):
            self._start_zygote()
        else:
            self.way = "spawn"
        return self

    def __exit__(self, *_: Any) -> None:
        if self._control:
            self._control.close()
        if self._zygote:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._zygote.wait(5)
            self._zygote.kill()
            self._zygote.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _copy_view(self) -> None:
        """The few files of the course that a submission may see, in a folder of their own."""
        for name in ("utils", "utils/check", "gradebox"):
            (self._view / name).mkdir(parents=True)
        (self._view / "utils" / "__init__.py").touch()
        probes = [f"probes_{self.lab.replace('-', '_')}"] if self.lab else []
        for name in (*SHOWN, *probes):
            source = PACKAGE / "check" / f"{name}.py"
            if source.is_file():
                shutil.copy(source, self._view / "utils" / "check")
        for source in sorted((PACKAGE / "course" / "grading" / "box").glob("*.py")):
            shutil.copy(source, self._view / "gradebox")
        for name in self.modules:
            target = self._view / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PACKAGE.parent / name, target)

    def _settings(self) -> dict[str, Any]:
        libraries = self._libraries()
        system = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"]
        visible = [str(self._view), *libraries, sysconfig.get_path("stdlib"), *system]
        return {
            "root": str(self._folder / "root"), "visible": list(dict.fromkeys(visible)),
            "memory": self.limits.memory, "disk": self.limits.disk, "seconds": self.limits.seconds,
            "slot": self.slot, "warm": list(self.warm), "way": self.way,
        }  # fmt: skip

    @staticmethod
    def _libraries() -> list[str]:
        return list(dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]))

    def _command(self, start: str) -> list[str]:
        settings = json.dumps(self._settings())
        boot = BOOT.format(
            view=str(self._view), libraries=self._libraries(), settings=settings, start=start
        )
        return [sys.executable, "-I", "-S", "-c", boot]

    @staticmethod
    def _environment() -> dict[str, str]:
        kept = {"SYSTEMROOT", "WINDIR"} & set(os.environ)  # Windows starts nothing without
        once = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        fixed = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", **dict.fromkeys(once, "1")}
        return {name: os.environ[name] for name in kept} | fixed

    def _start_zygote(self) -> None:
        ours, theirs = socket.socketpair()
        self._zygote = subprocess.Popen(
            self._command(f"zygote.main({theirs.fileno()}, settings)"),
            env=self._environment(), pass_fds=[theirs.fileno()], cwd=self._folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        theirs.close()
        self._control = ours
        said = wire.read(ours.fileno())
        self.way, self.weak = said["way"], said["weak"]

    def child(self) -> Child:
        """A fresh confined process."""
        if self._control is None:
            return self._spawn()
        ours, theirs = socket.socketpair()
        life, far = socket.socketpair()
        socket.send_fds(self._control, [b"x"], [theirs.fileno(), far.fileno()])
        theirs.close()
        far.close()
        fd = ours.detach()
        return Child(fd, fd, life, None)

    def _spawn(self) -> Child:
        process = subprocess.Popen(
            self._command("zygote.spawned(settings)"), env=self._environment(), cwd=self._folder,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        made = Child(process.stdout.fileno(), process.stdin.fileno(), None, process)
        self.weak = made.ask({}, LOAD_SECONDS + 60, read_only=True)["weak"]
        return made


class Child:
    """One confined process: questions go in, answers come out, time is kept on this side."""

    def __init__(self, incoming: int, outgoing: int, life: Any, process: Any):
        self.incoming, self.outgoing, self.life, self.process = incoming, outgoing, life, process
        self.number, self.open, self.late = 0, True, False

    def ask(self, question: dict[str, Any], seconds: float, read_only: bool = False) -> dict:
        """The answer to a question; TimeoutError, or wire.WireError when there is none."""
        self.number += 1
        timer = threading.Timer(seconds, self._too_late)
        timer.start()
        try:
            if read_only:
                return wire.read(self.incoming)
            wire.write(self.outgoing, {**question, "number": self.number})
            answer = wire.read(self.incoming)
        except wire.WireError:
            if self.late:
                raise TimeoutError from None
            raise
        finally:
            timer.cancel()
        if not isinstance(answer, dict) or answer.get("number") != self.number:
            raise wire.WireError("an answer to another question")
        return answer

    def _too_late(self) -> None:
        self.late = True
        self._end()

    def _end(self) -> None:
        if self.process:
            self.process.kill()
        elif self.life:
            with contextlib.suppress(OSError):
                self.life.shutdown(socket.SHUT_WR)

    def close(self) -> str:
        """End the process; how it had ended before, as a phrase ("" if it had not)."""
        if not self.open:
            return ""
        self.open = False
        phrase = self._how() if self.process is None else ""
        self._end()
        if self.process:
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()
        else:
            self.life.close()
            os.close(self.incoming)
        return phrase

    def _how(self) -> str:
        self.life.settimeout(2.0 if self.late else 0.2)
        try:
            code = json.loads(self.life.recv(200) or b"{}").get("code")
        except (OSError, ValueError):
            return ""
        if code is None or self.late:
            return ""
        return f"by signal {-code}" if code < 0 else f"with exit status {code}"
