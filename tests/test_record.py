"""Measured numbers: what is kept, and what is refused."""

import json

import numpy as np
import pytest
import torch

from utils.record import MIME, Recorded, record, recorded_run


def test_numbers_of_every_kind_are_shown(capsys):
    record(a=1234567, b=np.float32(0.5), c=torch.tensor(2.0))
    assert capsys.readouterr().out == "a = 1,234,567   b = 0.5   c = 2\n"


def test_jupyter_gets_text_and_numbers():
    assert Recorded({"a": 0.25})._repr_mimebundle_() == {
        "text/plain": "a = 0.25",
        MIME: {"a": 0.25},
    }


@pytest.mark.parametrize(
    ("values", "error", "phrase"),
    [
        ({}, ValueError, "at least one"),
        ({"Accuracy": 1.0}, ValueError, "lower_snake_case"),
        ({"a": float("nan")}, ValueError, "finite"),
        ({"a": "1"}, TypeError, "takes numbers"),
        ({"a": True}, TypeError, "takes numbers"),
    ],
)
def test_what_is_no_number_is_refused(values, error, phrase):
    with pytest.raises(error, match=phrase):
        record(**values)


def test_recorded_runs_are_read_whole_or_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"benchmarks/speed\.py"):
        recorded_run(tmp_path / "speed.json")
    path = tmp_path / "speed.json"
    path.write_text(json.dumps({"command": "x"}))
    with pytest.raises(ValueError, match="commit, machine"):
        recorded_run(path)
