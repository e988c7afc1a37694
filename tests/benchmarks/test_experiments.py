"""Recorded experiments: smoke runs write what pages read, unusable settings are refused."""

import sys
from pathlib import Path

import pytest
import torch

from utils.record import recorded_run

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import conv_blocks
import date_reading
import first_networks
import lstm_transformer
import modern_transformer_ablation
import parallel_traffic
import recurrent_copy
import resnet_small_images
from common import RESULTS

READ = [
    conv_blocks,
    date_reading,
    first_networks,
    lstm_transformer,
    recurrent_copy,
    resnet_small_images,
]


@pytest.mark.slow
@pytest.mark.parametrize("script", READ, ids=lambda s: s.__name__)
@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value")
def test_a_smoke_run_writes_a_record_that_pages_can_read(script, tmp_path):
    path, threads = tmp_path / "smoke.json", torch.get_num_threads()
    try:
        assert script.main(["--smoke", "--output", str(path)]) == 0
    finally:
        torch.set_num_threads(threads)
    smoke = recorded_run(path)["figures"]
    assert smoke.keys() == recorded_run(script.RESULT)["figures"].keys()


WRONG = [["--smoke"], ["--smoke", "--output", str(RESULTS / "smoke.json")], ["--seeds", "0"]]


@pytest.mark.parametrize("script", [*READ, modern_transformer_ablation], ids=lambda s: s.__name__)
@pytest.mark.parametrize("words", WRONG, ids=["no output", "output among results", "no seeds"])
def test_wrong_settings_end_the_program(script, words, monkeypatch):
    # Were they not refused, no record may be lost.
    monkeypatch.setattr(script, "write_record", lambda *record, **more: None)
    with pytest.raises(SystemExit) as caught:
        script.main(words)
    assert caught.value.code == 2


@pytest.mark.parametrize("steps", ["10", "25"])
def test_steps_that_do_not_fall_into_tens_are_refused(steps):
    with pytest.raises(SystemExit, match=f"--steps {steps}: expected a multiple of 10"):
        date_reading.main(["--steps", steps])


def test_the_record_of_traffic_holds_the_formulas_of_its_script():
    figures = recorded_run(RESULTS / "parallel_traffic.json")["figures"]
    assert set(figures) == {*parallel_traffic.COLLECTIVES, *parallel_traffic.WAYS}
    for way, rows in figures.items():
        for d, row in rows.items():
            assert row["formula"] == parallel_traffic.predicted(way, int(d))
            assert row["ratio"] == pytest.approx(row["bytes"] / row["formula"], rel=1e-3)


def test_formulas_of_traffic_by_hand():
    weights = 4 * sum(p.numel() for p in parallel_traffic.make().parameters())
    message = 4 * 16 * 64 * 256  # bytes, tokens of the batch, width
    assert parallel_traffic.predicted("data", 4) == 6 * weights
    assert parallel_traffic.predicted("tensor", 2) == 4 * 4 * 2 * message
    assert parallel_traffic.predicted("expert", 2) == 4 * 4 * message // 2
    assert parallel_traffic.predicted("pipeline", 3) == 4 * message + 2 * 4 * 512 * 256
