"""The parallelism planner: JavaScript and Python agree, and known results come out."""

import random

import pytest

from utils.explore.parallelism_planner import (
    MEMORY,
    MODELS,
    ParallelismPlanner,
    parallelism_plan,
    pipeline_schedule,
)


def cases(count: int = 220) -> list[dict]:
    rng = random.Random(0)
    drawn = []
    for _ in range(count):
        model = rng.choice(list(MODELS))
        layers, _, heads = MODELS[model]
        drawn.append(
            {
                "model": model,
                "data": rng.randint(1, 128),
                "tensor": rng.choice([t for t in (1, 2, 4, 8, 16) if heads % t == 0]),
                "pipeline": rng.randint(1, min(24, layers)),
                "micro_batch": rng.randint(1, 8),
                "micro_batches": rng.randint(1, 64),
                "zero": rng.randint(0, 3),
                "utilisation": rng.uniform(0.1, 1),
                "node_gbytes": rng.uniform(10, 900),
                "network_gbytes": rng.uniform(1, 100),
            }
        )
    one = dict.fromkeys(("data", "tensor", "pipeline", "micro_batch", "micro_batches"), 1)
    return [drawn[0] | one | {"zero": 3}, drawn[1] | {"micro_batches": 1}, *drawn]


def test_javascript_computes_what_python_computes(javascript):
    settings = cases()
    results = javascript("parallelism_planner.js", settings)
    assert len(results) >= 200
    for case, result in zip(settings, results, strict=True):
        expected = parallelism_plan(**case)
        assert set(result) == set(expected)
        for name, value in expected.items():
            assert result[name] == pytest.approx(value, rel=1e-9, abs=1e-12), (case, name)


@pytest.mark.parametrize(("stages", "count"), [(1, 1), (1, 5), (2, 1), (4, 4), (4, 9), (8, 3)])
def test_the_schedule_runs_everything_in_order_and_idles_as_the_formula_says(stages, count):
    rows = pipeline_schedule(stages, count)
    ends = {}
    for stage, row in enumerate(rows):
        assert sorted(row[:], key=lambda op: op[2]) == row
        assert {(kind, k) for kind, k, _ in row} == {(x, k) for x in "FB" for k in range(count)}
        for kind, k, start in row:
            ends[kind, k, stage] = start + (1 if kind == "F" else 2)
    for stage, row in enumerate(rows):
        for kind, k, start in row:
            if kind == "F" and stage:
                assert start >= ends["F", k, stage - 1]
            if kind == "B":
                last = stage == stages - 1
                assert start >= (ends["F", k, stage] if last else ends["B", k, stage + 1])
    length = max(ends.values())
    idle = 1 - 3 * count / length
    plan = parallelism_plan(model="175B", pipeline=stages, micro_batches=count)
    assert idle == pytest.approx(plan["bubble"], abs=1e-12)
    # No more than min(p, m) micro-batches wait for their backward pass in the first stage.
    waiting, most = 0, 0
    for kind, _, _ in rows[0]:
        waiting += 1 if kind == "F" else -1
        most = max(most, waiting)
    assert most == min(stages, count)


def test_known_results_come_out():
    alone = parallelism_plan(model="175B", data=1, tensor=1, pipeline=1, micro_batches=1)
    assert alone["weights"] + alone["gradients"] + alone["optimizer"] == pytest.approx(
        16 * (12 * 96 * 12288**2 + (51200 + 2048) * 12288)
    )
    assert alone["bubble_seconds"] == alone["data_traffic"] == alone["tensor_traffic"] == 0
    # ZeRO stage 3 sends half as much again as plain data parallelism, stages 1 and 2 the same.
    traffic = [parallelism_plan(zero=stage)["data_traffic"] for stage in range(4)]
    assert traffic[0] == traffic[1] == traffic[2] and traffic[3] == 1.5 * traffic[0]
    # Where nothing is lost to traffic and bubble, the share of the peak is the utilisation.
    plan = parallelism_plan(data=1, tensor=1, micro_batches=4, utilisation=0.5)
    assert 0.45 < plan["mfu"] < 0.5


def test_the_answer_to_its_question_holds():
    fit = {"model": "175B", "data": 1, "tensor": 8, "pipeline": 8, "micro_batch": 1}
    before = parallelism_plan(**fit, micro_batches=8)
    after = parallelism_plan(**fit, micro_batches=32)
    assert before["gpus"] == 64 and before["memory"] < MEMORY and after["memory"] < MEMORY
    assert after["bubble"] < 0.5 * before["bubble"]


@pytest.mark.parametrize(
    ("wrong", "phrase"),
    [
        ({"model": "2B"}, "is unknown; choose one of 1.3B"),
        ({"data": 0}, "expected 1 or more"),
        ({"model": "1.3B", "pipeline": 25}, "at most 24 stages"),
        ({"model": "1.3B", "tensor": 3}, "a divisor of 16 heads"),
    ],
)
def test_wrong_settings_are_refused(wrong, phrase):
    with pytest.raises(ValueError, match=phrase):
        parallelism_plan(**wrong)
    assert ParallelismPlanner().state()["zero"] == 0
