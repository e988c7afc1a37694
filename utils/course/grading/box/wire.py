"""Plain data as bytes, and bytes as plain data that nobody has to trust.

A frame is an 8-byte length, then a 4-byte length of a JSON header, the header, and the raw
bytes that it points to. Decoding builds numbers, strings, containers and tensors, and nothing
else: no pickle, no code, no name is looked up. What exceeds the limits is refused.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

MAX_FRAME = 64 * 2**20  # bytes
MAX_NODES = 500_000
MAX_DEPTH = 40
MAX_AXES = 16
TENSORS = {
    str(t).removeprefix("torch."): t
    for t in (
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
        torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64, torch.complex128,
    )
}  # fmt: skip
ARRAYS = {np.dtype(f"<{kind}").str for kind in ("f8", "f4", "f2", "c8", "c16")} | {
    np.dtype(f"<{kind}{size}").str for kind in "iu" for size in (1, 2, 4, 8)
}
ARRAYS |= {np.dtype(bool).str}
_CONTAINERS = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}


class WireError(ValueError):
    """Bytes that are no message within the limits, or data that cannot be sent."""


class Closed(WireError):
    """The other side has gone."""


def encode(value: Any) -> bytes:
    """Plain data (see `utils.check.data`) as a frame without its length. Raises WireError."""
    blobs: list[bytes] = []
    packer = _Packer(blobs)
    header = json.dumps(packer.pack(value, 0)).encode()
    body = struct.pack(">I", len(header)) + header + b"".join(blobs)
    if len(body) > MAX_FRAME:
        raise WireError(f"{len(body):,} bytes; at most {MAX_FRAME:,} are passed on")
    return body


def decode(body: bytes) -> Any:
    """The data in a frame. Raises WireError for whatever is not as `encode` writes it."""
    try:
        (length,) = struct.unpack(">I", body[:4])
        header = json.loads(body[4 : 4 + length].decode())
        unpacker = _Unpacker(memoryview(body)[4 + length :])
        return unpacker.unpack(header, 0)
    except WireError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError) as error:
        raise WireError(f"no message: {type(error).__name__}") from None
    except (struct.error, RuntimeError, MemoryError) as error:
        raise WireError(f"no message: {type(error).__name__}") from None


class _Packer:
    def __init__(self, blobs: list[bytes]):
        self.blobs, self.offset, self.nodes = blobs, 0, 0

    def blob(self, data: bytes) -> list[int]:
        if self.offset + len(data) > MAX_FRAME:
            raise WireError(f"more than {MAX_FRAME:,} bytes")
        self.blobs.append(data)
        self.offset += len(data)
        return [self.offset - len(data), len(data)]

    def pack(self, value: Any, depth: int) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            raise WireError(f"more than {MAX_NODES:,} values, or nested more than {MAX_DEPTH} deep")
        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, int):
            return value if abs(value) < 2**53 else {"int": hex(value)}
        if isinstance(value, float):
            return value if math.isfinite(value) else {"float": repr(value)}
        if isinstance(value, complex):
            return {"complex": [repr(value.real), repr(value.imag)]}
        if isinstance(value, bytes):
            return {"bytes": self.blob(value)}
        if isinstance(value, torch.Tensor):
            return self.tensor(value)
        if isinstance(value, np.ndarray):
            return self.array(value, depth)
        if isinstance(value, dict):
            pairs = [[self.pack(k, depth + 1), self.pack(v, depth + 1)] for k, v in value.items()]
            return {"dict": pairs}
        for name, kind in _CONTAINERS.items():
            if isinstance(value, kind):
                return {name: [self.pack(item, depth + 1) for item in value]}
        raise WireError(f"an object of type {type(value).__name__}")

    def tensor(self, value: torch.Tensor) -> dict:
        name = str(value.dtype).removeprefix("torch.")
        if name not in TENSORS or value.layout != torch.strided or value.is_quantized:
            raise WireError(f"a tensor of dtype {value.dtype}, layout {value.layout}")
        size = value.numel() * value.element_size()
        if size > MAX_FRAME:
            raise WireError(f"a tensor of {size:,} bytes; at most {MAX_FRAME:,} are passed on")
        flat = value.detach().to("cpu").resolve_conj().resolve_neg().contiguous().reshape(-1)
        data = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
        return {"tensor": [name, list(value.shape), self.blob(data)]}

    def array(self, value: np.ndarray, depth: int) -> dict:
        if value.dtype.kind in "US":
            return {"strings": [list(value.shape), self.pack(value.reshape(-1).tolist(), depth)]}
        little = value.astype(value.dtype.newbyteorder("<"), copy=False)
        if little.dtype.str not in ARRAYS:
            raise WireError(f"an array of dtype {value.dtype}")
        if value.nbytes > MAX_FRAME:
            raise WireError(f"an array of {value.nbytes:,} bytes")
        return {"array": [little.dtype.str, list(value.shape), self.blob(little.tobytes())]}


class _Unpacker:
    def __init__(self, blobs: memoryview):
        self.blobs, self.nodes = blobs, 0

    def unpack(self, node: Any, depth: int) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            raise WireError("too many values, or nested too deep")
        if node is None or isinstance(node, bool | str | int | float):
            return node
        if not isinstance(node, dict) or len(node) != 1:
            raise WireError("no message: a node without a kind")
        ((kind, data),) = node.items()
        if kind in _CONTAINERS:
            return _CONTAINERS[kind](self.unpack(item, depth + 1) for item in _list(data))
        if kind == "dict":
            return {self.unpack(k, depth + 1): self.unpack(v, depth + 1) for k, v in _list(data)}
        reader: Callable[[Any], Any] | None = {
            "int": lambda text: int(_short(text), 16),
            "float": lambda text: float(_short(text)),
            "complex": lambda parts: complex(float(_short(parts[0])), float(_short(parts[1]))),
            "bytes": self.blob,
            "tensor": self.tensor,
            "array": self.array,
            "strings": lambda parts: self.strings(parts, depth),
        }.get(kind)
        if reader is None:
            raise WireError("no message: an unknown kind")
        return reader(data)

    def blob(self, place: Any) -> bytes:
        start, size = place
        if type(start) is not int or type(size) is not int or start < 0 or size < 0:
            raise WireError("no message: a place that is none")
        if start + size > len(self.blobs):
            raise WireError("no message: a place outside the frame")
        return bytes(self.blobs[start : start + size])

    def tensor(self, parts: Any) -> torch.Tensor:
        name, shape, place = parts
        dtype, shape, data = TENSORS[name], _shape(shape), self.blob(place)
        size = torch.empty(0, dtype=dtype).element_size()
        if math.prod(shape) * size != len(data):
            raise WireError("no message: a shape that its bytes do not fill")
        if not data:
            return torch.empty(shape, dtype=dtype)
        raw = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        return (raw != 0 if dtype is torch.bool else raw.view(dtype)).reshape(shape)

    def array(self, parts: Any) -> np.ndarray:
        name, shape, place = parts
        shape, data = _shape(shape), self.blob(place)
        if name not in ARRAYS or math.prod(shape) * np.dtype(name).itemsize != len(data):
            raise WireError("no message: a shape that its bytes do not fill")
        return np.frombuffer(data, dtype=name).reshape(shape).copy()

    def strings(self, parts: Any, depth: int) -> np.ndarray:
        shape, items = _shape(parts[0]), self.unpack(parts[1], depth + 1)
        if not isinstance(items, list) or not all(isinstance(i, str | bytes) for i in items):
            raise WireError("no message: strings that are none")
        if len(items) * max((len(i) for i in items), default=0) > MAX_FRAME:
            raise WireError("strings too long for an array")
        return np.array(items, dtype=None if items else "U1").reshape(shape)


def _list(data: Any) -> list:
    if not isinstance(data, list):
        raise WireError("no message: a container that is none")
    return data


def _short(text: Any) -> str:
    if not isinstance(text, str) or len(text) > 100_000:
        raise WireError("a number that is too long")
    return text


def _shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, list) or len(shape) > MAX_AXES:
        raise WireError("no message: a shape that is none")
    if not all(type(n) is int and 0 <= n <= 2**40 for n in shape):
        raise WireError("no message: a shape that is none")
    return tuple(shape)


def write(fd: int, value: Any) -> None:
    """Send one message. Raises WireError for what cannot be sent, Closed where nobody reads."""
    body = encode(value)
    view = memoryview(struct.pack(">Q", len(body)) + body)
    try:
        while view:
            view = view[os.write(fd, view[: 2**20]) :]
    except OSError as error:
        raise Closed(f"the other side has gone: {error}") from None


def read(fd: int) -> Any:
    """Receive one message. Raises Closed at the end, WireError for what is no message."""
    (length,) = struct.unpack(">Q", _exactly(fd, 8))
    if length > MAX_FRAME:
        raise WireError(f"a message of {length:,} bytes; at most {MAX_FRAME:,} are taken")
    return decode(_exactly(fd, length))


def _exactly(fd: int, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        try:
            part = os.read(fd, min(size - len(parts), 2**20))
        except OSError as error:
            raise Closed(f"the other side has gone: {error}") from None
        if not part:
            raise Closed("the other side has gone")
        parts += part
    return bytes(parts)
