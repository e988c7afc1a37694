"""The record of what GPT-2's vocabulary makes of texts is what its script gives."""

import importlib
import sys
from pathlib import Path

import pytest

from utils.data.download import data_folder
from utils.data.passages import passages
from utils.record import recorded_run

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "benchmarks" / "results" / "gpt2_text_costs.json"


def test_the_record_fits_the_passages():
    figures = recorded_run(RECORD)["figures"]
    for name, texts in zip(("english", "chinese"), zip(*passages(), strict=True), strict=True):
        rows = figures[f"passages_{name}"].values()
        assert [row["characters"] for row in rows] == [len(text) for text in texts]
        assert [row["bytes"] for row in rows] == [len(text.encode()) for text in texts]
    assert sum(figures["number_cuts"].values()) == 9000


def test_the_script_gives_the_record_again(monkeypatch, tmp_path):
    if not (data_folder() / "gpt2_bpe" / "vocab.bpe").is_file():
        pytest.skip("GPT-2's encoder.json and vocab.bpe are not here (set LMM_DATA)")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    script = importlib.import_module("gpt2_text_costs")
    monkeypatch.setattr(sys, "argv", ["gpt2_text_costs.py", "--output", str(tmp_path / "new.json")])
    script.main()
    assert recorded_run(tmp_path / "new.json")["figures"] == recorded_run(RECORD)["figures"]
