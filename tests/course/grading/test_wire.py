"""What passes between a submission and the grader: data, and nothing else."""

import json
import math
import os
import struct

import numpy as np
import pytest
import torch

from utils.check.data import difference
from utils.course.grading.box import wire

VALUES = [
    None, True, 0, -(2**90), 1.5, 1 + 2j, "text", b"bytes", [1, (2, {3})], {"a": {1: [None]}},
    frozenset({1}), torch.randn(2, 3), torch.tensor(True), torch.zeros(0, 4), torch.arange(3),
    torch.randn(3).to(torch.bfloat16), torch.randn(2, dtype=torch.complex64).conj(),
    torch.randn(4, 6).t()[1:], np.arange(6).reshape(2, 3), np.array(["a", "bcd"]),
    np.arange(3, dtype=">f4"), np.array(1.5), np.array([True, False]),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_round_trip(value):
    came = wire.decode(wire.encode(value))
    if isinstance(value, torch.Tensor | np.ndarray):
        assert type(came) is type(value) and came.shape == value.shape
        assert came.dtype == getattr(value.dtype, "newbyteorder", lambda _: value.dtype)("=")
        value = value.resolve_conj() if isinstance(value, torch.Tensor) else value
        assert difference(came, value, 0, 0) is None
    else:
        assert came == value and type(came) is type(value)


def test_odd_floats():
    came = wire.decode(wire.encode([math.nan, math.inf, -math.inf, -0.0]))
    assert math.isnan(came[0]) and came[1:3] == [math.inf, -math.inf]
    assert math.copysign(1, came[3]) == -1


def frame(header, blob=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack(">I", len(text)) + text + blob


BAD = [
    b"", b"\0\0\0\5hi", frame(b"not json"), frame({"eval": "1"}), frame({"list": 1}), frame([1]),
    frame({"tensor": ["float32", [2], [0, 4]]}, b"\0" * 4),
    frame({"tensor": ["float32", [-1, -1], [0, 4]]}, b"\0" * 4),
    frame({"tensor": ["object", [1], [0, 8]]}, b"\0" * 8),
    frame({"tensor": ["float32", [2**40, 2**40], [0, 4]]}, b"\0" * 4),
    frame({"tensor": ["float32", [True], [0, 4]]}, b"\0" * 4),
    frame({"array": ["|O", [1], [0, 8]]}, b"\0" * 8),
    frame({"array": ["<f4", [1] * 40, [0, 4]]}, b"\0" * 4),
    frame({"bytes": [0, 10]}, b"123"), frame({"bytes": [-1, 1]}, b"123"),
    frame({"int": "9" * 200_000}), frame({"float": "text"}), frame({"dict": [[{"list": []}, 1]]}),
    frame({"set": [{"list": []}]}), frame({"int": 5}), frame({"strings": [[2], {"list": ["a"]}]}),
    frame(json.dumps([]).encode() * 2), frame(b"[" * 100_000),
    frame(b'{"list":[' * 60 + b"1" + b"]}" * 60),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(BAD)))
def test_what_is_no_message_is_refused(number):
    with pytest.raises(wire.WireError):
        wire.decode(BAD[number])


def test_limits():
    with pytest.raises(wire.WireError, match="bytes"):
        wire.encode(torch.zeros(2**27, dtype=torch.uint8).expand(4, -1))
    with pytest.raises(wire.WireError, match="values"):
        wire.encode([0] * (wire.MAX_NODES + 1))
    with pytest.raises(wire.WireError, match="object of type"):
        wire.encode({"a": object()})
    read, write = os.pipe()
    os.write(write, struct.pack(">Q", 2**50))
    with pytest.raises(wire.WireError, match="at most"):
        wire.read(read)
    os.close(write)
    with pytest.raises(wire.Closed):
        wire.read(read)
    os.close(read)
