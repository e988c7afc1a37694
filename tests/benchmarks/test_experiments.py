"""Recorded experiments: smoke runs write what pages read, unusable settings are refused."""

import sys
from pathlib import Path

import pytest
import torch

from utils.record import recorded_run

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import contrastive_scenes
import conv_blocks
import date_reading
import first_networks
import lstm_transformer
import modern_transformer_ablation
import optimizers_three_tasks
import parallel_traffic
import pretraining_objectives
import recurrent_copy
import resnet_small_images
import reward_hacking
import scaling_laws
from common import RESULTS

READ = [
    contrastive_scenes,
    conv_blocks,
    date_reading,
    first_networks,
    lstm_transformer,
    modern_transformer_ablation,
    optimizers_three_tasks,
    pretraining_objectives,
    recurrent_copy,
    resnet_small_images,
    reward_hacking,
    scaling_laws,
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


@pytest.mark.parametrize("script", READ, ids=lambda s: s.__name__)
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


@pytest.mark.parametrize("name", optimizers_three_tasks.DECAYS)
def test_networks_that_train_in_one_stack_end_as_alone(name):
    contest, steps = optimizers_three_tasks, 6
    (x, y), *_ = contest.table()
    trials = [(-2.0, 0.1, 3), (-1.5, 0.0, 4)]
    together = contest.train("table", (x, y), name, trials, steps)
    factor = contest.cosine(steps, warmup=0)
    for model, trial in zip(together, trials, strict=True):
        torch.manual_seed(trial[2])
        alone = contest.network("table")
        optimizer = contest.optimizer("table", name, alone, trial)
        draw = torch.Generator().manual_seed(trial[2])
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = 10 ** trial[0] * factor(step + 1)
            rows = torch.randint(len(x), (64,), generator=draw)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(alone(x[rows]), y[rows]).backward()
            optimizer.step()
        for a, b in zip(model.parameters(), alone.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


def test_a_grid_grows_until_its_best_lies_inside(monkeypatch):
    contest = optimizers_three_tasks
    monkeypatch.setattr(contest, "train", lambda task, part, name, trials, steps: trials)
    monkeypatch.setattr(
        contest,
        "scores",
        lambda trials, part: torch.tensor(
            [abs(rate - 0.5) + decay for rate, decay, _ in trials]
        ).numpy(),
    )
    tried = contest.tune("table", [None, None], "SGD", (1000, 1001), 1)
    assert min(tried, key=tried.get) == (0.5, 0.0)
    assert sorted({rate for rate, _ in tried}) == [-2.5 + 0.5 * i for i in range(8)]
