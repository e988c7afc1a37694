"""Checkpoints that are whole or absent, and that say why when they are refused.

Writing: into a temporary file beside the target, flushed to the disk, then renamed over the
target; what was there before stays as NAME.previous. A kill or a full disk at any moment leaves
the last good checkpoint in place. Reading: checksum first, then ``torch.load`` with
``weights_only=True``, which builds tensors and plain values and runs no code from the file.

The file is what ``torch.save`` writes plus 40 bytes: a mark and the SHA-256 of all before it.
``torch.load`` reads it as it is.
"""

import contextlib
import hashlib
import os
import random
from collections import Counter
from pathlib import Path

import numpy as np
import torch

MARK = b"LMMSHA2\n"


class CheckpointError(ValueError):
    """A checkpoint that cannot be used, with the reason."""


class _HashingFile:
    """A file for ``torch.save`` that hashes what it writes and keeps the first error.

    The error is kept rather than raised: torch's writer is native code, which does not end well
    when a write fails halfway.
    """

    def __init__(self, file):
        self.file, self.sha256, self.error = file, hashlib.sha256(), None

    def write(self, data) -> int:
        size = memoryview(data).nbytes
        if self.error is None:
            try:
                self.file.write(data)
                self.sha256.update(data)
            except OSError as error:
                self.error = error
        return size

    def flush(self) -> None:
        pass


def write(state: dict, path: str | os.PathLike) -> Path:
    """Write a dict of tensors and plain values to ``path``, atomically; return the path.

    The previous file at ``path`` stays as ``path`` + ".previous".

    Raises
    ------
    OSError: the disk is full, or the folder is missing or not writable; ``path`` is unchanged.
    TypeError: the state holds something that ``read`` would refuse; it is named.
    """
    path = Path(path)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            sink = _HashingFile(file)
            torch.save(plain(state), sink)
            if sink.error:
                raise sink.error
            file.write(MARK + sink.sha256.digest())
            file.flush()
            os.fsync(file.fileno())
        _keep_previous(path)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except (OSError, TypeError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
            _spare(path).unlink(missing_ok=True)
        if isinstance(error, TypeError):
            raise
        stays = "The checkpoint that was there is unchanged." if path.exists() else ""
        if not stays and previous_of(path).exists():
            stays = f"The one before it is {previous_of(path).name!r}."
        message = f"checkpoint {path.name!r} could not be written: {error.strerror}. {stays}"
        raise OSError(error.errno, message.strip()) from error
    return path


def plain(state, name: str = "state"):
    """Return the state with NumPy's numbers as Python's, after checking that all is plain.

    Raises
    ------
    TypeError: an entry is neither a tensor, a number, a string, None nor a container of these.
    """
    if isinstance(state, np.generic):
        return state.item()
    if isinstance(state, str):
        return str.__str__(state)  # drops subclasses, such as the type of torch.__version__
    if state is None or isinstance(state, torch.Tensor | bytes | int | float | complex | Counter):
        return state
    if isinstance(state, dict):
        return {key: plain(value, f"{name}[{key!r}]") for key, value in state.items()}
    if isinstance(state, tuple | list | set):
        kind = type(state) if type(state) in (tuple, list, set) else list
        return kind(plain(value, f"{name}[{i}]") for i, value in enumerate(state))
    raise TypeError(
        f"{name} is a {type(state).__name__}, which a checkpoint cannot hold; it takes tensors, "
        "numbers, strings, None, and dicts, lists and tuples of these"
    )


def _keep_previous(path: Path) -> None:
    """Give the old file its second name before the new one takes the first."""
    if not path.exists():
        return
    spare = _spare(path)
    spare.unlink(missing_ok=True)
    try:
        os.link(path, spare)  # so that there is a file at ``path`` at every moment
    except OSError:  # a file system without hard links
        os.replace(path, previous_of(path))
    else:
        os.replace(spare, previous_of(path))


def _spare(path: Path) -> Path:
    return path.with_name(path.name + ".previous.tmp")


def previous_of(path: str | os.PathLike) -> Path:
    """Return where ``write`` keeps the checkpoint before the last one."""
    path = Path(path)
    return path.with_name(path.name + ".previous")


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut, where a folder can be synced (not on Windows)."""
    with contextlib.suppress(OSError, AttributeError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read(path: str | os.PathLike) -> dict:
    """Read what ``write`` wrote; tensors come on the CPU.

    Raises
    ------
    FileNotFoundError: there is no such file.
    CheckpointError: truncated, damaged, foreign, or holding more than tensors and plain values.
    """
    path = Path(path)
    previous = previous_of(path)
    hint = f" The one before it is {previous.name!r}." if previous.exists() else ""
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path.name!r} in that folder.{hint}")
    reason = _fault(path)
    if reason:
        raise CheckpointError(f"checkpoint {path.name!r} is refused: {reason}.{hint}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds; all mean "not ours"
        raise CheckpointError(
            f"checkpoint {path.name!r} is refused: it holds more than tensors and plain values, "
            f"and loading that could run foreign code ({type(error).__name__}).{hint}"
        ) from error


def _fault(path: Path) -> str | None:
    """Return why the file's checksum does not hold, or None."""
    tail = len(MARK) + 32
    size = path.stat().st_size
    with open(path, "rb") as file:
        if size > tail:
            file.seek(size - tail)
            end = file.read(tail)
        else:
            end = b""
        if not end.startswith(MARK):
            return (
                f"its {size} bytes do not end with a checksum, so it is cut short or was not "
                "written by utils.checkpoint"
            )
        file.seek(0)
        sha256, left = hashlib.sha256(), size - tail
        while left:
            block = file.read(min(left, 1 << 20))
            sha256.update(block)
            left -= len(block)
    if sha256.digest() != end[len(MARK) :]:
        return "its content does not match its checksum, so it was damaged after it was written"
    return None


def host_rng_state() -> dict:
    """Return the states of Python's, NumPy's and torch's CPU generator, as plain values."""
    name, keys, *rest = np.random.get_state()
    numpy_state = (name, torch.from_numpy(keys.astype(np.int64)), *rest)
    version, words, gauss = random.getstate()
    python_state = (version, torch.from_numpy(np.array(words, dtype=np.int64)), gauss)
    return {"python": python_state, "numpy": numpy_state, "torch": torch.get_rng_state()}


def rng_state() -> dict:
    """Return ``host_rng_state`` and the states of every CUDA device's generator, or MPS's."""
    state = host_rng_state()
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_rng_state(state: dict) -> None:
    """Set every generator that the state holds and that this machine has."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all(state["cuda"])
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])
