"""Kinds of submission: honest, broken and hostile. None gains a point that is not earned."""

import copy
import json
import os
import socket
import threading
import types
from pathlib import Path

import pytest
from conftest import as_bytes, cell, write
from nbformat.v4 import new_code_cell, new_markdown_cell

from utils.course.grading import one

FULL, NONE = {"double": 2.0, "average": 3.0}, {"double": 0.0, "average": 0.0}
AVERAGE_ONLY = {"double": 0.0, "average": 3.0}


def with_double(solved, body: str, before: str = ""):
    """The solved notebook with another `double`; `body` is indented into the function."""
    nb = copy.deepcopy(solved)
    lines = "\n".join("    " + line for line in body.splitlines())
    write(nb, "double", f"{before}\ndef double(x):\n{lines}\n")
    return nb


def task(result, name="double"):
    return next(t for t in result.tasks if t.task == name)


# --- honest -----------------------------------------------------------------------------------
def test_right(mark, solved):
    points, result = mark(solved)
    assert points == FULL
    assert result.repairs == [] and result.answered == {"reflection-1": True}


def test_wrong_is_named(mark, solved):
    nb = copy.deepcopy(solved)
    write(nb, "average", "def average(x):\n    return x.sum(-1)")
    points, result = mark(nb)
    assert points == {"double": 2.0, "average": 0.0}
    assert task(result, "average").mistake == "sum"
    assert task(result, "average").hints[0] == "Divide."


def test_untouched(mark, release):
    points, result = mark(release)
    assert points == NONE
    assert {t.kind for t in result.tasks} == {"not_implemented"}
    assert result.answered == {"reflection-1": False}


def test_partly_done(mark, release):
    nb = copy.deepcopy(release)
    write(nb, "average", "def average(x):\n    return torch.einsum('ij->i', x) / x.size(1)")
    assert mark(nb)[0] == AVERAGE_ONLY


def test_helpers_aliases_and_classes_of_ones_own(mark, solved):
    nb = copy.deepcopy(solved)
    own = "FACTOR = 2\nclass Scale:\n    def __init__(self, by):\n        self.by = by"
    place = nb.cells.index(cell(nb, "solve-double"))
    nb.cells.insert(place, new_code_cell(own))
    nb.cells.insert(place + 1, new_code_cell("Scale.apply = lambda self, x: x * self.by"))
    write(nb, "double", "def double(x):\n    return Scale(FACTOR).apply(x)")
    nb.cells.append(new_code_cell("double = double(torch.ones(3))  # an experiment"))
    assert mark(nb)[0] == FULL


def test_one_broken_cell_costs_no_other(mark, solved):
    nb = copy.deepcopy(solved)
    write(nb, "double", "def double(x:\n    return")
    points, result = mark(nb)
    assert points == AVERAGE_ONLY
    assert any("No valid Python" in text for text in result.repairs)
    assert task(result).kind == "missing" and "solve-double, line" in task(result).sentence


# --- damaged on the way -------------------------------------------------------------------------
def strip(nb):
    for c in nb.cells:
        c.metadata = {}
        c.id = os.urandom(4).hex()


def test_metadata_stripped(mark, solved):
    nb = copy.deepcopy(solved)
    strip(nb)
    points, result = mark(nb)
    assert points == FULL and result.answered == {"reflection-1": True}
    assert any("metadata" in text for text in result.repairs)


def test_cells_deleted(mark, solved):
    nb = copy.deepcopy(solved)
    gone = [cell(nb, "solve-double"), cell(nb, "check-average"), cell(nb, "reflection-1")]
    nb.cells = [c for c in nb.cells if c not in gone]
    points, result = mark(nb)
    assert points == AVERAGE_ONLY
    assert sum("deleted" in text for text in result.repairs) == 3


@pytest.mark.parametrize("stub_last", (True, False))
def test_cells_duplicated(mark, solved, release, stub_last):
    nb = copy.deepcopy(solved)
    again = copy.deepcopy(cell(release, "solve-double"))
    nb.cells.insert(len(nb.cells) if stub_last else 0, again)
    points, result = mark(nb)
    assert points == FULL
    assert any("2 cells define double" in text for text in result.repairs)


def test_cells_reordered(mark, solved):
    nb = copy.deepcopy(solved)
    nb.cells.reverse()
    points, result = mark(nb)
    assert points == FULL
    assert any("another order" in text for text in result.repairs)


def test_cell_turned_to_markdown(mark, solved):
    nb = copy.deepcopy(solved)
    old = cell(nb, "solve-double")
    new = new_markdown_cell(old.source, id=old.id, metadata=old.metadata)
    nb.cells[nb.cells.index(old)] = new
    points, result = mark(nb)
    assert points == FULL
    assert any("turned into markdown" in text for text in result.repairs)


def test_all_in_one_cell(mark, solved):
    nb = copy.deepcopy(solved)
    both = cell(nb, "solve-double").source + "\n\n" + cell(nb, "solve-average").source
    nb.cells.remove(cell(nb, "solve-average"))
    write(nb, "double", both)
    assert mark(nb)[0] == FULL


def test_check_cells_edited(mark, release):
    nb = copy.deepcopy(release)
    cell(nb, "check-double").source = "print('passed')  # check.tiny.double(double)"
    points, result = mark(nb)
    assert points == NONE
    assert any("check-double was edited" in text for text in result.repairs)


def test_colab_and_old_formats(mark, solved):
    raw = json.loads(json.dumps(solved))
    for number, c in enumerate(raw["cells"]):
        c.pop("id")
        c["metadata"] = {**c["metadata"], "id": f"colab{number}"}
        c["source"] = c["source"].splitlines(keepends=True)
    raw.update(nbformat=4, nbformat_minor=0, metadata={"colab": {"provenance": []}})
    assert mark(json.dumps(raw).encode())[0] == FULL
    assert mark(b"\xef\xbb\xbf" + json.dumps(raw).encode())[0] == FULL


@pytest.mark.parametrize(
    ("data", "said"),
    (
        (b"", "empty"),
        (b"   \n", "empty"),
        (b"hello", "no notebook"),
        (b"<html>sign in</html>", "web page"),
        (b'{"a": 1}', "no cells"),
        (b'{"cells": 3}', "no cells"),
        (b"[" * 100_000, "no notebook"),
        (b"\xff\xfe\x00", "no notebook"),
    ),
)
def test_no_notebook(mark, data, said):
    points, result = mark(data)
    assert result.status == "unreadable" and said in result.problem and points == NONE


def test_cells_of_any_shape(mark):
    odd = {"cells": [None, 3, {"source": 5}, {"cell_type": 7, "source": ["x", 2]},
                     {"cell_type": "code", "source": "def double(x): return x * 2",
                      "metadata": "none"}]}  # fmt: skip
    assert mark(json.dumps(odd).encode())[0] == {"double": 2.0, "average": 0.0}


# --- hostile or careless --------------------------------------------------------------------------
BODIES = {
    "endless loop": ("while True:\n    pass", "timed_out"),
    "loop that swallows the alarm": (
        "import time\nwhile True:\n    try:\n        time.sleep(5)\n    except BaseException:\n"
        "        pass",
        "timed_out",
    ),
    "endless memory": (
        "return [torch.empty(2**26, dtype=torch.uint8) for _ in range(1000)]",
        "raised",
    ),
    "endless memory of torch": ("return torch.ones(2**34)", "raised"),
    "endless recursion": ("return double(x)", "raised"),
    "os._exit": ("import os\nos._exit(0)", "raised"),
    "sys.exit": ("raise SystemExit(0)", "raised"),
    "crash": ("import ctypes\nctypes.string_at(0)", "raised"),
    "a signal to the supervisor": ("import os\nos.kill(os.getppid(), 9)\nos.kill(-1, 9)", "raised"),
    "a huge result": ("return torch.zeros(2**27, dtype=torch.uint8)", "bad_value"),
    "an object": ("return lambda: x", "bad_value"),
    "a nest without end": ("a = []\na.append(a)\nreturn a", "bad_value"),
    "a file without end": (
        "with open('big', 'wb') as f:\n    while True:\n        f.write(b'0' * 2**20)",
        "raised",
    ),
    "a shell": ("import subprocess\nreturn subprocess.check_output(['id'])", "raised"),
}


@pytest.mark.parametrize("kind", BODIES)
def test_harm_is_contained(mark, solved, kind):
    body, expected = BODIES[kind]
    points, result = mark(with_double(solved, body))
    assert points == AVERAGE_ONLY
    assert task(result).kind == expected, task(result)


def test_fork_bomb(mark, solved, box):
    """At most 200 forks are tried; the filter of system calls refuses the first one."""
    body = (
        "import os\nmade = 0\nfor _ in range(200):\n    try:\n        if os.fork() == 0:\n"
        "            os._exit(0)\n        made += 1\n    except OSError:\n        break\n"
        "raise RuntimeError(f'{made} processes')"
    )
    points, result = mark(with_double(solved, body))
    assert points == AVERAGE_ONLY
    if box.way in ("root", "user"):
        assert "0 processes" in task(result).sentence


def test_huge_output(mark, solved):
    body = "import sys\nfor _ in range(2000):\n    print('x' * 10_000)\nreturn 2 * x"
    points, result = mark(with_double(solved, body))
    assert points == FULL
    assert len(json.dumps(result.as_dict())) < 50_000


def test_huge_message(mark, solved):
    _, result = mark(with_double(solved, "raise ValueError('y' * 10**7)"))
    assert len(task(result).sentence) < 2000


def test_deleting_files(mark, solved, tmp_path, box):
    if box.way == "spawn" or any("delete" in text for text in box.weak):
        pytest.skip("this platform cannot keep code from deleting files, and the report says so")
    kept = tmp_path / "kept.txt"
    kept.write_text("here")
    body = (
        f"import os, pathlib\nfor p in [pathlib.Path({str(tmp_path)!r}), "
        f"pathlib.Path({str(Path(one.__file__).parent)!r}), pathlib.Path('.')]:\n"
        "    for f in p.rglob('*'):\n        try:\n            os.unlink(f)\n"
        "        except OSError:\n            pass\nreturn 2 * x"
    )
    assert mark(with_double(solved, body))[0] == FULL
    assert kept.read_text() == "here" and Path(one.__file__).is_file()


def test_libraries_are_read_only(mark, solved, box):
    if box.way not in ("root", "user"):
        pytest.skip("no namespaces here: only file permissions keep libraries safe")
    body = "p = torch.__file__ + '.x'\nopen(p, 'w').write('1')\nreturn 2 * x"
    points, result = mark(with_double(solved, body))
    assert points == AVERAGE_ONLY and "torch" in task(result).sentence
    assert not Path(__import__("torch").__file__ + ".x").exists()


def test_socket(mark, solved, box):
    """Only an address of this machine is tried."""
    heard = []
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(2.5)

    def listen():
        try:
            server.accept()
            heard.append(True)
        except TimeoutError:
            pass

    thread = threading.Thread(target=listen)
    thread.start()
    body = (
        "import socket\ns = socket.create_connection(('127.0.0.1', "
        f"{server.getsockname()[1]}), timeout=1)\nreturn 2 * x"
    )
    points, _ = mark(with_double(solved, body))
    thread.join()
    server.close()
    if box.way in ("root", "user"):
        assert points == AVERAGE_ONLY and not heard


def test_reading_solutions_and_others(mark, solved, box, tmp_path):
    if box.way not in ("root", "user"):
        pytest.skip("no namespaces here: public files can be read, and the report says so")
    (tmp_path / "other.ipynb").write_text("another's work")
    tmp_path.chmod(0o755)
    root = Path(one.__file__).parents[3]
    for place in (root / "labs", root / "utils" / "check", root / "chapters", tmp_path, "/proc"):
        body = f"import os\nraise ValueError('saw ' + str(os.listdir({str(place)!r})))"
        points, result = mark(with_double(solved, body))
        assert points == AVERAGE_ONLY and "FileNotFoundError" in task(result).sentence, place


def test_importing_checks_and_references(mark, solved):
    for name in ("utils.check.attention", "utils.check.trial", "utils.models", "utils.course"):
        body = f"import importlib\nimportlib.import_module({name!r})\nreturn 2 * x"
        points, result = mark(with_double(solved, body))
        assert points == AVERAGE_ONLY, name
        assert "ModuleNotFoundError" in task(result).sentence
        assert task(result).dynamic == ["importlib"]


def test_patching_the_checks(mark, release):
    nb = copy.deepcopy(release)
    patch = (
        "import sys, torch\nimport utils.check.core as core, utils.check.data as data\n"
        "core.Task.check = lambda *a, **k: core.Report('double', 'Double', True, 1.0)\n"
        "data.difference = lambda *a, **k: None\ntorch.equal = torch.allclose = lambda *a: True\n"
        "class Any:\n    def __eq__(self, other):\n        return True\n"
        "    __hash__ = None\n"
    )
    write(nb, "double", f"{patch}\ndef double(x):\n    core.Task\n    return Any()")
    write(nb, "average", f"{patch}\ndef average(x):\n    data.difference\n    return x")
    assert mark(nb)[0] == NONE


def test_reading_the_environment(mark, solved, monkeypatch, box):
    monkeypatch.setenv("SECRET_OF_THE_GRADER", "s3cret")
    body = "import os\nraise ValueError(sorted(os.environ.items()))"
    _, result = mark(with_double(solved, body))
    assert "HOME" in task(result).sentence and "s3cret" not in json.dumps(result.as_dict())
    if box.way in ("root", "user"):
        body = "raise ValueError(open('/proc/1/environ').read())"
        assert "FileNotFoundError" in task(mark(with_double(solved, body))[1]).sentence


FAKES = {
    "prints": "print('score: 100%', {'points': 2.0})\nreturn None",
    "writes to every descriptor": (
        "import os, json\nfor fd in range(3, 64):\n    try:\n"
        "        os.write(fd, json.dumps({'score': 1.0, 'passed': True}).encode())\n"
        "    except OSError:\n        pass\nreturn None"
    ),
    "answers for the process": (
        "import os, struct\nfrom gradebox import wire\n"
        "wire.write(3, {'number': 2, 'value': x, 'changed': [], 'passed': True, 'score': 1.0})\n"
        "wire.write(3, {'number': 3, 'value': x, 'changed': [], 'passed': True})\nreturn x"
    ),
    "raises a report": (
        "from utils.check.core import Refused, Report\n"
        "raise Refused(Report('double', 'Double', True, 1.0))"
    ),
}


@pytest.mark.parametrize("kind", FAKES)
def test_faking_a_score(mark, solved, kind):
    assert mark(with_double(solved, FAKES[kind]))[0] == AVERAGE_ONLY


CALLS = {
    "utils": ("from utils.metrics import accuracy", "return accuracy(x, x)"),
    "library": ("", "return torch.ldexp(x, torch.ones(1))"),
    "library under another name": ("from torch import ldexp as f", "return f(x, torch.ones(1))"),
    "library by a computed name": ("", "return getattr(torch, 'ld' + 'exp')(x, torch.ones(1))"),
    "library by the dispatcher": ("", "return torch.ops.aten.ldexp(x, torch.ones(1))"),
}


@pytest.mark.parametrize("kind", CALLS)
def test_calling_what_does_not_count(mark, solved, kind):
    before, body = CALLS[kind]
    points, result = mark(with_double(solved, body, before))
    assert points == AVERAGE_ONLY
    assert task(result).kind == "forbidden", task(result)


def test_comparing_with_the_library_in_an_experiment_is_fine(mark, solved):
    nb = copy.deepcopy(solved)
    nb.cells.append(new_code_cell("assert torch.allclose(average(a), a.mean(-1)); torch.ldexp"))
    assert mark(nb)[0] == FULL


@pytest.mark.parametrize(("body", "points"), (("x.mean(-1)", 1.5), ("x.mean(0)", 0.0)))
def test_a_part_of_the_points_for_a_right_result(mark, solved, body, points):
    nb = copy.deepcopy(solved)
    write(nb, "average", f"def average(x):\n    return {body}")
    got, result = mark(nb)
    assert got["average"] == points and task(result, "average").kind == "forbidden"


def test_waiting_for_the_inputs_of_the_check(mark, solved):
    """A table of answers seen before, and right answers for the first shape alone."""
    body = (
        "if not hasattr(double, 'seen'):\n    double.seen = {}\n"
        "key = tuple(x.shape)\nif key in double.seen:\n    return double.seen[key]\n"
        "if key == (3,):\n    return 2 * x\nreturn torch.zeros_like(x)"
    )
    assert mark(with_double(solved, body))[0] == AVERAGE_ONLY


def test_another_file_gets_other_inputs(mark, solved):
    body = "raise ValueError(x.tolist())"
    first, again = (task(mark(with_double(solved, body))[1]).sentence for _ in range(2))
    other = task(mark(with_double(solved, body + "  # other"))[1]).sentence
    assert first == again and first != other
    assert task(mark(with_double(solved, body), seed=1)[1]).sentence != first


def test_instructors_own_check(mark, solved, tmp_path):
    (tmp_path / "tiny.py").write_text(
        "def double(t):\n    x = t.normal(2, 0)\n    t.equal('double', x, expected=x * 2)\n"
        "    t.require(False, came='nothing', expected='more')\n"
    )
    extra = one.instructor_checks(tmp_path, "tiny")
    points, result = mark(solved, extra=extra)
    assert points == AVERAGE_ONLY and task(result).expected == "more"


def test_an_instructors_check_that_compares_nothing_costs_no_learner_a_point(mark, solved):
    extra = types.ModuleType("extra")
    exec("def double(t):\n    t.normal(3)", extra.__dict__)
    with pytest.raises(RuntimeError, match="compared nothing"):
        mark(solved, extra=extra)


def test_instructors_check_must_name_a_task(tmp_path):
    (tmp_path / "attention.py").write_text("def nothing(t):\n    pass\n")
    with pytest.raises(ValueError, match="name no task"):
        one.lab_for("attention", one.instructor_checks(tmp_path, "attention"))


def test_a_variant_is_drawn_from_the_learners_id(solved, release, box):
    from utils.check.core import Lab, variant_seed

    lab = Lab("tiny", "Tiny", points=7, variant=True)
    seen = []

    def double(t):
        seen.append(t.variant)
        t.equal("double", t.normal(3), expected=None)

    about = {"points": 2, "minutes": 5, "difficulty": 1, "hints": ("a", "b"), "seconds": 1.0}
    lab.task("Double", functions=("double",), **about)(double)
    nb = copy.deepcopy(solved)
    nb.cells.insert(0, new_code_cell('check.learner_id("Jane ")'))
    data = as_bytes(nb)
    result = one.grade_one("x", data, lab, release, box)
    one.grade_one("x", data, lab, release, box, variant_id="bob")
    assert seen == [variant_seed("jane"), variant_seed("bob")] and result.declared_id == "Jane "
