"""What stands between a check and a learner's code: calls, data, reports, named mistakes."""

import contextlib
import math
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from utils import check
from utils.check import forbidden, session
from utils.check.core import (
    WITHOUT_ANSWERS,
    CheckFailed,
    Lab,
    Mistake,
    lab,
    lab_names,
    task_rng,
    variant_seed,
)
from utils.check.data import difference, plain, short
from utils.check.local import LocalLearner

HINTS = ("think of the size", "divide by its root")
UNSCALED = Mistake("no-scale", "The scores were not divided.", lambda q, k: q @ k.T, "look at q·k")


def make_lab(**about):
    made = Lab("demo", "A lab", points=4)

    @made.task("Scores", **{"points": 2, "minutes": 5, "difficulty": 1, "functions": ("scores",),
                            "hints": HINTS, "seconds": 0.5} | about)  # fmt: skip
    def scores(t):
        T, S, D = t.distinct(3, 2, 9)
        q, k = t.normal(T, D), t.normal(S, D)
        t.equal("scores", q, k, expected=q @ k.T / D**0.5, mistakes=[UNSCALED])

    return made


def report(function, seed=1, **about):
    task = make_lab(**about)["scores"]
    learner = LocalLearner({"scores": function}, "demo", task.forbidden, task.seconds)
    return task.check(learner, task_rng("scores", seed))


def right(q, k):
    return q @ k.T / q.shape[-1] ** 0.5


def endless(q, k):
    while True:
        with contextlib.suppress(Exception):  # must not swallow the end of the time
            len("")


def in_place(q, k):
    q /= q.shape[-1] ** 0.5
    return q @ k.T


def uses_utils(q, k):
    from utils.metrics import accuracy

    accuracy([1, 0], [1, 0])
    return right(q, k)


def deep(q, k):
    return deep(q, k)


def leaves(q, k):
    raise SystemExit(0)


def unwritten(q, k):
    raise NotImplementedError


OUTCOMES = [
    (lambda q, k: q @ k.T, "no-scale", "not divided"),
    (lambda q, k: right(q, k).T, None, "shape"),
    (lambda q, k: math.nan * right(q, k), None, "numbers are NaN"),
    (lambda q, k: None, None, "NoneType where a tensor was expected"),
    (lambda q, k: [1.0], None, "list where a tensor was expected"),
    (lambda q, k: right(q, k) > 0, None, "dtype torch.bool"),
    (lambda q, k: right(q, k) + 0.01, None, "numbers differ"),
    (lambda q, k: right, "bad-value", "an object of type function"),
    (lambda q: q, "raised", "TypeError"),
    (in_place, "changed-input", "the first argument"),
    (endless, "timed-out", "longer than 0.5 s"),
    (uses_utils, "forbidden", "utils.metrics"),
    (deep, "raised", "RecursionError"),
    (leaves, "raised", "SystemExit"),
    (unwritten, "not-implemented", "is not written yet"),
    (7, "missing", "is int, not a function"),
]


@pytest.mark.parametrize(("function", "mistake", "phrase"), OUTCOMES)
def test_wrong_answers_are_reported(function, mistake, phrase):
    found = report(function)
    assert not found.passed and found.score == 0 and found.mistake == mistake
    text = found.as_text()
    assert phrase in text and "Hint 1: " in text and "Hint 2" not in text
    assert "scores(" in found.called and found.came and found.expected


def test_right_answers_pass_in_any_width():
    for function in (right, lambda q, k: right(q.double(), k.double())):
        found = report(function)
        assert found.passed and found.score == 1 and found.mistake is None
    assert report(lambda q, k: right(q, k).numpy()).passed
    parameter = torch.nn.Parameter(torch.ones(()))
    assert report(lambda q, k: right(q, k) * parameter).passed  # with a gradient


def test_inputs_are_fresh_without_a_seed_and_repeat_with_one():
    seen = []
    for seed in (None, None, 1, 1, 2):
        report(lambda q, k: seen.append(q) or right(q, k), seed=seed)
    assert not torch.equal(seen[0].flatten()[:4], seen[1].flatten()[:4])
    assert torch.equal(seen[2], seen[3]) and seen[2].shape != seen[4].shape


def test_a_mistakes_hint_comes_first_then_those_of_the_task():
    assert report(lambda q, k: q @ k.T).hints == ("look at q·k", *HINTS)
    assert report(unwritten).hints == HINTS


def test_the_learner_sees_the_lines_that_failed_and_not_ours():
    def scores(q, k):
        return q @ k

    trace = report(scores).trace
    assert "return q @ k" in trace and "local.py" not in trace and "_watched" not in trace


def test_a_forbidden_call_may_earn_a_share():
    found = report(uses_utils, forbidden_score=0.25)
    assert not found.passed and found.score == 0.25


@pytest.mark.parametrize(
    ("about", "phrase"),
    [
        ({"hints": ("one",)}, "1 hints; give 2"),
        ({"points": 0}, "points, minutes"),
        ({"difficulty": 4}, "difficulty"),
        ({"functions": ()}, "no function"),
    ],
)
def test_incomplete_tasks_are_refused(about, phrase):
    with pytest.raises(ValueError, match=phrase):
        make_lab(**about)


def test_a_check_that_compares_nothing_is_an_error():
    made = Lab("demo", "A lab", points=1)

    @made.task("Idle", points=1, minutes=1, difficulty=1, functions=("f",), hints=HINTS)
    def idle(t):
        t.call("f", 1)

    with pytest.raises(RuntimeError, match="compared nothing"):
        idle.check(LocalLearner({"f": abs}), task_rng("idle", 1))


def test_data_of_an_unforeseen_form_are_reported_and_end_nothing():
    made = Lab("demo", "A lab", points=1)

    @made.task("Parts", points=1, minutes=1, difficulty=1, functions=("f",), hints=HINTS)
    def parts(t):
        first, _ = t.call("f", 1)
        t.same(first, 1)

    found = parts.check(LocalLearner({"f": abs}), task_rng("parts", 1))
    assert found.mistake == "bad-value" and "another form" in found.sentence


def test_raises_wants_the_error_it_names():
    made = Lab("demo", "A lab", points=1)
    mistake = Mistake("no-error", "A negative size must be refused.")

    @made.task("Size", points=1, minutes=1, difficulty=1, functions=("f",), hints=HINTS)
    def size(t):
        t.raises("ValueError", "f", -1, why="the size is negative", mistake=mistake)

    def outcome(f):
        return size.check(LocalLearner({"f": f}), task_rng("size", 1))

    def refuse(kind):
        def f(n):
            raise kind("no")

        return f

    assert outcome(refuse(ValueError)).passed
    for f in (abs, refuse(TypeError), lambda n: None):
        assert outcome(f).mistake == "no-error"


def test_a_ratio_to_a_yardstick_does_not_depend_on_the_machine(monkeypatch):
    """Watched calls come first, untimed; both are timed in turns; the shortest counts."""
    from utils.check import local

    def spin(loops):
        total = 0
        for n in range(loops):
            total += n * n
        return total

    monkeypatch.setattr(local, "probes", lambda lab: SimpleNamespace(stick=lambda ns, n: spin(n)))
    seen = []
    made = Lab("demo", "A lab", points=1)

    @made.task("Speed", points=1, minutes=1, difficulty=1, functions=("f",), hints=HINTS)
    def speed(t):
        seen.append(t.ratio("f", (300_000,), "stick", (100_000,)))
        t.require(True, came="", expected="")

    assert speed.check(LocalLearner({"f": spin}, "demo", ("utils.*",)), task_rng("x", 1)).passed
    assert 2 < seen[0] < 4.5


# --- data -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("came", "expected", "same"),
    [
        (torch.tensor([1.0, math.inf]), torch.tensor([1.0, math.inf], dtype=torch.float64), True),
        (torch.tensor([math.nan]), torch.tensor([math.nan]), True),
        (torch.tensor([math.nan]), torch.tensor([0.0]), False),
        (torch.ones(2, dtype=torch.bfloat16), torch.ones(2), True),
        (np.ones(2), torch.ones(2), True),
        (torch.ones(2), torch.ones(2, 1), False),
        (torch.ones(2), torch.ones(2, dtype=torch.int64), False),
        (torch.ones(2, dtype=torch.int64), torch.ones(2), True),
        (torch.ones(2, dtype=torch.int64), torch.ones(2, dtype=torch.bool), False),
        (torch.tensor(3), 3, True),
        (3.0, 3, True),
        (3.5, 3, False),
        (True, 1, False),
        (1, True, False),
        (float("nan"), 1.0, False),
        ("a", "a", True),
        (b"a", "a", False),
        ([1, 2.0], (1, 2.0), True),
        ([1], [1, 2], False),
        (torch.tensor([1, 2]), [1, 2], True),
        ({"a": 1.0}, {"a": 1.0}, True),
        ({"a": 1.0}, {"b": 1.0}, False),
        ({"a": 1.0}, {"a": 2.0}, False),
        (None, None, True),
        (0, None, False),
        ({1, 2}, {2, 1}, True),
    ],
)
def test_difference(came, expected, same):
    assert (difference(came, expected) is None) is same


def test_plain_copies_and_refuses_objects():
    tensor = torch.ones(2, requires_grad=True)
    copy = plain({"x": [tensor, np.float32(1.5), np.bool_(True), range(2)]})
    assert copy["x"][1:] == [1.5, True, [0, 1]] and not copy["x"][0].requires_grad
    copy["x"][0].add_(1)
    assert tensor.sum() == 2
    loop = []
    loop.append(loop)
    for bad in (object(), lambda: 0, np.array([object()]), loop, SimpleNamespace()):
        with pytest.raises(TypeError):
            plain(bad)


@pytest.mark.parametrize("value", [
    torch.zeros(3, 0), torch.zeros(()), torch.randn(50, 50), "x" * 999, [1.5] * 500,
    [torch.ones(2), torch.ones(3)], {"a": 1}, None, 1e-30, (1,), np.zeros((2, 2)),
])  # fmt: skip
def test_short_is_short(value):
    assert 0 < len(short(value)) <= 330


# --- forbidden calls ------------------------------------------------------------------------
NAMES = ("torch.nn.functional.softmax", "torch.softmax", "torch.Tensor.softmax", "utils.*")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import torch\ntorch.softmax(x, 0)", ["torch.softmax"]),
        ("import torch.nn.functional as F\nF.softmax(x)", ["torch.nn.functional.softmax"]),
        ("from torch import softmax as s\ns(x)", ["torch.softmax"]),
        ("(x + 1).softmax(0)", ["torch.Tensor.softmax"]),
        ("from utils.models.attention import attend\nattend()", ["utils.models.attention.attend"]),
        ("def f():\n    import utils.generate as g\n    g.generate()", ["utils.generate.generate"]),
        ("from utils import check, plot\ncheck.attention.softmax(softmax)\nplot.use_style()", []),
        ("def softmax(x): ...\nsoftmax(x)", []),
        ("not python (", []),
    ],
)
def test_forbidden_names_in_a_source(source, found):
    assert [name for name in found if name in forbidden.in_source(source, NAMES)] == found
    assert bool(forbidden.in_source(source, NAMES)) == bool(found)


@pytest.mark.parametrize(
    ("call", "seen"),
    [
        (lambda x, s=torch.softmax: s(x, 0), True),  # an alias hides nothing
        (lambda x: torch.nn.functional.softmax(x, 0), True),
        (lambda x: x.softmax(0), True),
        (lambda x: check.metrics_by_hand(x), True),
        (lambda x: torch.exp(x) / torch.exp(x).sum(), False),
    ],
)
def test_forbidden_calls_while_running(call, seen, monkeypatch):
    from utils import metrics

    def by_hand(x):
        return metrics.accuracy([1], [1])

    monkeypatch.setattr(check, "metrics_by_hand", by_hand, raising=False)
    before = sys.getprofile()
    with forbidden.guard(NAMES) as used:
        call(torch.ones(3))
    assert bool(used) is seen and sys.getprofile() is before


# --- in a notebook --------------------------------------------------------------------------
def test_a_line_a_task_and_hints_on_request(capsys, monkeypatch):
    for name in session.STRICT:
        monkeypatch.delenv(name, raising=False)
    shown = check.attention.softmax(lambda s: s)
    assert not shown.passed
    for _ in range(9):
        check.hint()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Hint 2: ") and lines[-1].startswith("That was the last hint")
    with pytest.raises(TypeError, match=r"write check.attention.heads\(split_heads, merge_heads\)"):
        check.attention.heads(1)
    with pytest.raises(AttributeError, match="no checks named 'nothing'"):
        _ = check.nothing


def test_a_failed_check_raises_where_a_program_runs_the_notebook(monkeypatch):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(CheckFailed, match="not yet"):
        check.attention.softmax(lambda s: s)


def test_everything_says_points_and_what_to_hand_in():
    summary = check.everything("attention", {})
    assert summary.points == 0
    text = repr(summary)
    assert "0 of 22 points" in text and "8 more" in text and "attention.ipynb" in text
    assert text.count("not yet") == len(lab("attention").tasks)


def test_a_probe_says_which_name_is_missing():
    found = session.everything("attention", {}).reports[-1]
    assert found.mistake == "missing" and found.sentence.startswith("KVCache is not defined")


def test_the_seed_of_a_learner():
    assert variant_seed("Ada  Lovelace") == variant_seed("ada lovelace ") != variant_seed("Ada")
    assert variant_seed("") == 0 and check.learner_id("x") == variant_seed("x")
    check.learner_id("")


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.attributes = [], [], {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.append(tag)
        self.attributes.update(attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html_is_balanced_labelled_and_escaped():
    bad = report(lambda q, k: "<script>")._repr_mimebundle_()["text/html"]
    tags = Tags(bad)
    assert not tags.open and "script" not in tags.seen and "details" in tags.seen
    assert tags.attributes["role"] == "region" and "Scores" in tags.attributes["aria-label"]
    good = Tags(report(right)._repr_mimebundle_()["text/html"])
    assert not good.open and good.attributes["role"] == "status"
    table = Tags(check.everything("attention", {})._repr_mimebundle_()["text/html"])
    assert not table.open and "caption" in table.seen and "th" in table.seen


# --- registry -------------------------------------------------------------------------------
def test_labs_are_found_by_name():
    assert "attention" in lab_names() and lab("attention").name == "attention"
    assert not set(lab_names()) & {"core", "trial", "attention-mistakes", "probes-attention"}
    for bad in ("nothing", "../x", "core"):
        with pytest.raises(ValueError, match="lab"):
            lab(bad)
    with pytest.raises(KeyError, match="has no task nothing"):
        lab("attention")["nothing"]


@pytest.mark.parametrize("name", lab_names())
def test_points_and_times_of_labs(name):
    about = lab(name)
    assert about.name == name and 4 <= len(about.tasks) <= 8
    assert sum(task.points for task in about.tasks) < about.points
    assert sum(task.minutes for task in about.tasks) <= 90


def test_what_a_learners_process_may_hold_runs_without_the_answers(tmp_path):
    """The modules without answers work alone, and none of them holds a lab."""
    from pathlib import Path

    folder = Path(check.__file__).parent
    (tmp_path / "utils" / "check").mkdir(parents=True)
    (tmp_path / "utils" / "__init__.py").touch()
    for name in WITHOUT_ANSWERS:
        text = (folder / f"{name}.py").read_text(encoding="utf-8")
        assert not re.search(r"^LAB = ", text, re.M)
        (tmp_path / "utils" / "check" / f"{name}.py").write_text(text, encoding="utf-8")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from utils.check.local import LocalLearner\nfrom utils import check\n"
        "print(check.lab_names(), check.__file__, LocalLearner({'f': abs}).call('f', -2))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("[] ") and str(tmp_path) in done.stdout, done.stderr
    assert done.stdout.endswith(" 2\n") and os.sep in done.stdout
