"""Fetch a file once, check it, keep it; say plainly when it cannot be had.

Design choices:

- urllib rather than pooch: pooch 1.9 checks and caches, but it neither resumes a cut download,
  nor tries a second address, nor keeps two processes from writing one file. With those three
  added nothing of it would be left in use.
- A file arrives under another name (``.part``), is checked, and only then gets its own by one
  atomic rename: a file under its own name is complete. A ``.part`` outlives a cut connection, a
  full disk and a killed process, and the next call goes on from its end.
- A file that is there already is checked too, each time, so that a damaged cache is found by us
  and not by a strange result. A good file is only read: the data folder may be read-only.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import shutil
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from utils.data.registry import FILES, Remote

CHUNK = 1 << 16  # bytes
TIMEOUT = 30  # seconds without a byte
ATTEMPTS = 20  # at one address, as long as each brings the download further


class DataUnavailable(FileNotFoundError):
    """A data file is not here and could not be fetched; the message says what to do."""


class _Failed(Exception):
    """One address did not deliver; the text is the reason."""


def data_folder() -> Path:
    """Where data files are kept: ``LMM_DATA`` if set, else the user's cache folder."""
    chosen = os.environ.get("LMM_DATA", "").strip()
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "large-models-measured"


def fetch(name: str | Remote, *, folder: str | Path | None = None, progress: bool = True) -> Path:
    """Path of a checked data file, fetched first where it is not in the data folder.

    Parameters
    ----------
    name : a key of `utils.data.registry.FILES`, such as ``"mnist/t10k-images-idx3-ubyte.gz"``.
    folder : the data folder; by default `data_folder()`.

    Raises
    ------
    ValueError
        For a name that is not in the registry.
    DataUnavailable
        Where no address delivered the right bytes. What was fetched of it is kept.
    OSError
        Where the disk is full or the folder cannot be written. What was fetched is kept.
    """
    if not isinstance(name, Remote) and name not in FILES:
        raise ValueError(f"no data file {name!r}; known: {', '.join(sorted(FILES))}")
    remote = name if isinstance(name, Remote) else FILES[name]
    target = Path(data_folder() if folder is None else folder) / remote.path
    if _is_right(target, remote):
        return target
    lock = FileLock(f"{target}.lock")  # a second process waits here, and then finds the file
    with _writing(target, remote):
        target.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        if not _is_right(target, remote):
            _set_aside(target)
            _download(remote, target, progress)
    finally:
        lock.release()
    return target


def _is_right(path: Path, remote: Remote) -> bool:
    if not path.is_file() or path.stat().st_size != remote.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == remote.sha256


def _set_aside(target: Path) -> None:
    """Keep a wrong file under another name: it may be the user's own."""
    if target.exists():
        target.replace(target.with_name(target.name + ".damaged"))


def _download(remote: Remote, target: Path, progress: bool) -> None:
    part = target.with_name(target.name + ".part")
    reasons = []
    for url in remote.urls:
        try:
            _from_one_address(url, remote, part, progress)
        except _Failed as failure:
            reasons.append(f"  {url}\n    {failure}")
        else:
            os.replace(part, target)
            return
    raise DataUnavailable(_how_by_hand(remote, target, reasons))


def _from_one_address(url: str, remote: Remote, part: Path, progress: bool) -> None:
    """Bring the right bytes to ``part``, going on from what it holds, or raise _Failed."""
    cut, restarted = None, False
    for _ in range(ATTEMPTS):
        before = _size(part)
        if before < remote.size:
            cut = _transfer(url, remote, part, before, progress)
            if cut and _size(part) > before:
                continue
            if cut and (restarted or _size(part) == before):
                raise _Failed(cut)
            if cut:  # our piece was longer than the server's file, and was dropped
                restarted = True
                continue
        if _is_right(part, remote):
            return
        found = _size(part)
        part.unlink()  # never to be gone on from, and never to be taken for the file
        if restarted or before == 0:
            raise _Failed(f"wrong content: {found} bytes that do not have the expected sha256")
        restarted = True  # it may be the older piece that was wrong: once more from the start
    raise _Failed(f"{cut}, {ATTEMPTS} times")


def _transfer(url: str, remote: Remote, part: Path, before: int, progress: bool) -> str | None:
    """Append to ``part`` what comes from byte ``before`` on; why it ended early, or None."""
    request = urllib.request.Request(url, headers={"User-Agent": "large-models-measured"})
    if before:
        request.add_header("Range", f"bytes={before}-")
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        if before and getattr(error, "code", None) == 416:
            part.unlink()  # longer than the server's file: one of the two is wrong
            return f"the file there is shorter than the {remote.size} bytes expected"
        raise _Failed(_reason(error)) from error
    with response:
        goes_on = response.status == 206 and _range_start(response) == before
        if response.status == 206 and not goes_on:
            raise _Failed("the server sent another range than the one asked for")
        # a server without ranges sends the whole file again
        start = before if goes_on else 0
        with _writing(part, remote):
            _check_space(part, remote)
        with (
            _writing(part, remote),
            part.open("ab" if goes_on else "wb") as file,
            tqdm(
                total=remote.size,
                initial=start,
                unit="B",
                unit_scale=True,
                desc=remote.path,
                disable=not progress,
                leave=False,
            ) as bar,
        ):
            return _copy(response, file, remote.size - start, bar)


def _copy(response, file, expected: int, bar: tqdm) -> str | None:
    """Copy at most one byte more than expected, so that a wrong file cannot fill the disk."""
    left = expected + 1
    while left > 0:
        try:
            chunk = response.read(min(CHUNK, left))
        except (http.client.HTTPException, OSError) as error:
            return f"cut off: {_reason(error)}"
        if not chunk:
            break
        file.write(chunk)
        left -= len(chunk)
        bar.update(len(chunk))
    missing = left - 1
    return f"ended {missing} bytes early" if missing > 0 else None


def _range_start(response) -> int | None:
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    start = rest.partition("-")[0]
    return int(start) if unit == "bytes" and start.isdigit() else None


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    reason = getattr(error, "reason", error)
    return f"{type(reason).__name__}: {reason}" if isinstance(reason, Exception) else str(reason)


def _check_space(part: Path, remote: Remote) -> None:
    """Refuse before the first byte what cannot fit; the piece that is there counts as room."""
    free = shutil.disk_usage(part.parent).free
    if free + _size(part) < remote.size:
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} ({free} bytes free)")


@contextmanager
def _writing(path: Path, remote: Remote):
    """Turn a failed write into an OSError of the same kind that says which file and what to do."""
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno or errno.EIO,
            f"cannot write {path} ({remote.size} bytes in all): {error.strerror or error}. Free "
            "some space, or set LMM_DATA to a folder elsewhere; what was fetched so far is kept",
        ) from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _how_by_hand(remote: Remote, target: Path, reasons: list[str]) -> str:
    tried = "\n".join(reasons) or "  no address is known"
    return (
        f"cannot get {remote.path} ({remote.size} bytes). Tried:\n{tried}\n"
        f"By hand: download it from one of these addresses and put it at\n  {target}\n"
        f"It is the right file if its sha256 is\n  {remote.sha256}\n"
        "Another data folder can be set by the environment variable LMM_DATA. "
        "A cut download goes on where it stopped when you call again."
    )
