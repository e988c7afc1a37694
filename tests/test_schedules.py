import math

import pytest
import torch

from utils import schedules

transformers = pytest.importorskip("transformers")


def rates(make_scheduler, steps, lr=3e-4):
    """What an optimizer's learning rate is at each step, relative to its peak."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = make_scheduler(optimizer)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"] / lr)
        optimizer.step()
        scheduler.step()
    return seen


PAIRS = [
    (
        schedules.constant(7),
        lambda o: transformers.get_constant_schedule_with_warmup(o, 7),
    ),
    (schedules.constant(), transformers.get_constant_schedule),
    (schedules.linear(50, 7), lambda o: transformers.get_linear_schedule_with_warmup(o, 7, 50)),
    (schedules.linear(50), lambda o: transformers.get_linear_schedule_with_warmup(o, 0, 50)),
    (schedules.cosine(50, 7), lambda o: transformers.get_cosine_schedule_with_warmup(o, 7, 50)),
    (
        schedules.cosine(50, 7, floor=0.1),
        lambda o: transformers.get_cosine_with_min_lr_schedule_with_warmup(
            o, 7, 50, min_lr_rate=0.1
        ),
    ),
    (schedules.inverse_sqrt(7), lambda o: transformers.get_inverse_sqrt_schedule(o, 7)),
    (schedules.inverse_sqrt(7, 20), lambda o: transformers.get_inverse_sqrt_schedule(o, 7, 20)),
    (schedules.inverse_sqrt(0, 20), lambda o: transformers.get_inverse_sqrt_schedule(o, 0, 20)),
    *(
        (
            schedules.wsd(50, 7, 15, shape=shape),
            lambda o, shape=shape: transformers.get_wsd_schedule(
                o, 7, 15, num_training_steps=50, decay_type=shape
            ),
        )
        for shape in ("linear", "cosine", "1-sqrt")
    ),
]


@pytest.mark.parametrize(("factor", "reference"), PAIRS)
def test_equals_transformers(factor, reference):
    # Up to the last training step; beyond it transformers' cosine turns up again in one variant.
    expected = rates(reference, 51)
    assert [factor(t) for t in range(51)] == pytest.approx(expected, abs=1e-12)
    with_lambda = rates(lambda o: torch.optim.lr_scheduler.LambdaLR(o, factor), 51)
    assert with_lambda == pytest.approx(expected, abs=1e-12)


def test_formulas():
    cosine = schedules.cosine(110, 10, floor=0.2)
    for t in range(10, 111):
        by_hand = 0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi * (t - 10) / 100))
        assert cosine(t) == pytest.approx(by_hand)
    linear = schedules.linear(110, 10, floor=0.2)
    assert [linear(t) for t in (0, 5, 10, 60, 110)] == pytest.approx([0, 0.5, 1, 0.6, 0.2])
    wsd = schedules.wsd(100, 10, 20, floor=0.1, shape="linear")
    assert [wsd(t) for t in (0, 5, 10, 80, 90, 100)] == pytest.approx([0, 0.5, 1, 1, 0.55, 0.1])
    root = schedules.wsd(100, 10, 20)
    assert root(85) == pytest.approx(1 - math.sqrt(0.25))
    inverse = schedules.inverse_sqrt(400)
    for t in (1, 100, 400, 1600, 40_000):
        assert inverse(t) == pytest.approx(min(t / 400, math.sqrt(400 / t)))


def test_the_last_value_stays():
    for factor, last in (
        (schedules.cosine(50, 5, 0.1), 0.1),
        (schedules.linear(50, 5), 0),
        (schedules.wsd(50, 5, 10, 0.3), 0.3),
        (schedules.wsd(50, 5), 1),
        (schedules.cosine(5, 5, 0.1), None),
    ):
        if last is not None:
            assert factor(50) == pytest.approx(last)
            assert factor(10_000) == pytest.approx(last)
        assert all(0 <= factor(t) <= 1 for t in range(60))


def test_by_name():
    factor = schedules.schedule("wsd", total=100, warmup=10, decay=20)
    assert [factor(t) for t in range(110)] == [schedules.wsd(100, 10, 20)(t) for t in range(110)]
    assert set(schedules.SCHEDULES) == {"constant", "linear", "cosine", "wsd", "inverse_sqrt"}


@pytest.mark.parametrize(
    ("call", "error", "phrase"),
    [
        (lambda: schedules.schedule("step"), ValueError, "schedule 'step' is not known"),
        (lambda: schedules.cosine(10, 11), ValueError, "at least 1 and warmup 11, got 10"),
        (lambda: schedules.wsd(10, 6, 5), ValueError, r"warmup 6 \+ decay 5, got 10"),
        (lambda: schedules.linear(0), ValueError, "total must be at least 1"),
        (lambda: schedules.linear(-5), ValueError, "total must not be negative"),
        (lambda: schedules.cosine(10.5), TypeError, "total must be an integer"),
        (lambda: schedules.cosine(10, True), TypeError, "warmup must be an integer"),
        (lambda: schedules.cosine(10, floor=1.0), ValueError, r"floor must be in \[0, 1\)"),
        (lambda: schedules.wsd(10, shape="sqrt"), ValueError, "shape 'sqrt' is not known"),
        (lambda: schedules.inverse_sqrt(0), ValueError, "timescale must be"),
        (lambda: schedules.cosine(10)(-1), ValueError, "step must not be negative, got -1"),
        (lambda: schedules.constant()(-1), ValueError, "step must not be negative"),
    ],
)
def test_wrong_use(call, error, phrase):
    with pytest.raises(error, match=phrase):
        call()
