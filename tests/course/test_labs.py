"""Labs from source to student form: planted faults, nbgrader's own tools, the bootstrap."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from utils.check.core import lab
from utils.course import bootstrap, lab_anatomy, labs, normalize
from utils.course.__main__ import main
from utils.course.notebooks import dumps, read

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "labs" / "solutions").glob("*.ipynb"))
NAME = "attention"


@pytest.fixture
def source():
    return read(ROOT / "labs" / "solutions" / f"{NAME}.ipynb")


def cell_with(nb, phrase):
    return next(cell for cell in nb.cells if phrase in cell.source)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_labs_are_in_step_and_whole(path):
    assert lab_anatomy.problems(path, read(path), ROOT) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_nothing_of_a_solution_is_left(path):
    text = (ROOT / "labs" / path.name).read_text(encoding="utf-8")
    assert "SOLUTION" not in text
    student = json.loads(text)
    left = "\n".join("".join(cell["source"]) for cell in student["cells"])
    for cell in read(path).cells:
        for region in re.findall(f"{labs.BEGIN}(.*?){labs.END}", cell.source, re.S):
            for line in region.split("\n"):
                if len(line.strip()) > 30:
                    assert line.strip() not in left, f"{cell.id} leaks {line.strip()!r}"
    assert all(not cell.get("outputs") for cell in student["cells"])


def test_release_keeps_signature_and_docstring_and_cuts_the_body():
    code = (
        'def double(x):\n    """Twice x."""\n    y = x\n    ### BEGIN SOLUTION\n'
        "    y = 2 * x\n    ### END SOLUTION\n    return y"
    )
    assert labs.cut(code, True) == (
        'def double(x):\n    """Twice x."""\n    y = x\n    # YOUR CODE HERE\n'
        "    raise NotImplementedError()\n    return y"
    )
    text = "**Reflection 1 (2 points).** Why?\n\n### BEGIN SOLUTION\nSo.\n### END SOLUTION"
    assert labs.cut(text, False) == "**Reflection 1 (2 points).** Why?\n\nYOUR ANSWER HERE"


def test_release_is_stable_and_leaves_the_source_alone(source):
    before = dumps(source)
    first, second = (dumps(labs.release(source, lab(NAME), ROOT)) for _ in range(2))
    assert first == second and dumps(source) == before


def test_nbgrader_makes_the_same_stubs_and_accepts_the_metadata(source):
    from nbgrader.nbgraderformat import MetadataValidator
    from nbgrader.preprocessors import ClearSolutions
    from nbgrader.utils import compute_checksum

    ours = labs.release(source, lab(NAME), ROOT)
    theirs, _ = ClearSolutions().preprocess(labs.instructor(source, lab(NAME), ROOT), {})
    for cell in theirs.cells:
        assert cell.source == next(c.source for c in ours.cells if c.id == cell.id)
    MetadataValidator().validate_nb(ours)
    graded = [c.metadata.nbgrader for c in ours.cells if "nbgrader" in c.metadata]
    assert sum(data.get("points", 0) for data in graded) == lab(NAME).points
    for cell in ours.cells:
        if "nbgrader" in cell.metadata:
            assert cell.metadata.nbgrader["checksum"] == compute_checksum(cell)
            locked = cell.metadata.nbgrader["grade"] and cell.cell_type == "code"
            assert cell.metadata.nbgrader["locked"] or not locked


def replace(phrase, old, new):
    def change(nb):
        cell = cell_with(nb, phrase)
        assert old in cell.source
        cell.source = cell.source.replace(old, new, 1)

    return change


def remove(phrase):
    return lambda nb: nb.cells.remove(cell_with(nb, phrase))


def twice(phrase):
    def change(nb):
        cell = copy.deepcopy(cell_with(nb, phrase))
        cell["id"] += "-again"
        nb.cells.insert(nb.cells.index(cell_with(nb, phrase)) + 1, cell)

    return change


CHECK, SOLVE = "check.attention.softmax(softmax)", "def softmax("
FAULTS = [
    (replace(SOLVE, "    ### END SOLUTION", "    pass"), "without '### END SOLUTION'|BEGIN SOL"),
    (replace(SOLVE, "    ### BEGIN SOLUTION\n", ""), "stands without its partner"),
    (replace(SOLVE, "    ### END", "    ### BEGIN SOLUTION\n    ### END"), "without its partner"),
    (replace(SOLVE, "### BEGIN SOLUTION", "# BEGIN SOLUTION"), "write '# BEGIN SOLUTION' as"),
    (replace(SOLVE, "def softmax(", f"{labs.BEGIN}\n{labs.END}\ndef softmax("), "Run all"),
    (replace(SOLVE, "torch.exp(", "torch.exp(("), "is not valid Python"),
    (replace(CHECK, "softmax(softmax)", "sofmax(softmax)"), "is no task of attention"),
    (replace(CHECK, "check.attention", "check.evaluation"), "is no task of attention"),
    (replace(CHECK, "(softmax)", "(attention)"), r"takes \(softmax\)"),
    (replace(CHECK, CHECK, CHECK + "\n" + CHECK), "one check a cell"),
    (replace(CHECK, CHECK, "x = " + CHECK), "one check a cell"),
    (remove(CHECK), "task softmax has no line check"),
    (twice(CHECK), "task softmax is checked twice"),
    (remove(SOLVE), "no solution cell defines softmax"),
    (twice(SOLVE), "softmax is defined in two solution cells"),
    (replace(SOLVE, "def softmax(", "def another(): pass\n\n\ndef softman("), "defines softmax"),
    (replace("**Reflection 2", "(2 points)", "(3 points)"), "31 points, the lab says 30"),
    (replace("**Reflection 2", "Reflection 2", "Reflection 1"), "two questions are Reflection 1"),
    (replace("**Reflection 2", "**Reflection 2 (2 points).**", "Reflect:"), "a reflection begins"),
    (replace("check.everything", "attention", "other"), "the last code cell is not"),
]  # fmt: skip


@pytest.mark.parametrize(("plant", "phrase"), FAULTS, ids=[p for _, p in FAULTS])
def test_bad_sources_are_refused(source, plant, phrase):
    assert labs.problems(source, lab(NAME)) == []
    plant(source)
    with pytest.raises(labs.LabError, match=phrase):
        labs.release(source, lab(NAME), ROOT)


def test_tasks_in_another_order_are_refused(source):
    spots = [i for i, c in enumerate(source.cells) if c.source.startswith("check.attention.")][:2]
    a, b = spots
    source.cells[a].source, source.cells[b].source = source.cells[b].source, source.cells[a].source
    assert any("another order" in problem for problem in labs.problems(source, lab(NAME)))


def drop_experiment(nb):
    del nb.cells[nb.cells.index(cell_with(nb, "for factor in"))]


ANATOMY = [
    (replace("**Goal:**", "**Goal:**", "Goal:"), "does not say **Goal:**"),
    (replace("**Goal:**", "**Machine:**", "On"), "does not say **Machine:**"),
    (replace("**Goal:**", "90 minutes", "120 minutes"), "says 120 minutes"),
    (replace("**Goal:**", "90 minutes", "60 minutes"), "the tasks take longer"),
    (replace("**Goal:**", "**Points:** 30", "**Points:** 29"), "the opening says 29 points"),
    (replace("## Task 1", "(★, 8", "(★★, 8"), "its heading is not"),
    (replace("## Task 1", "8 minutes", "9 minutes"), "its heading is not"),
    (replace("## Task 2", "## Task 2", "## Task 3"), "its heading is not"),
    (replace("## Task 2", "## Task 2", "### Task 2"), "7 tasks, 6 headings"),
    (drop_experiment, "no small experiment follows"),
    (replace("## Hand in", "## Hand in", "## The end"), "no section '## Hand in'"),
    (replace("## Hand in", "Restart", ":::{note}\nA\n:::\nRestart"), "is not plain Markdown"),
    (replace("## Hand in", "Restart", "{cite:t}`x` Restart"), "is not plain Markdown"),
]


@pytest.mark.parametrize(("plant", "phrase"), ANATOMY, ids=[p for _, p in ANATOMY])
def test_anatomy_faults_are_found(source, plant, phrase):
    plant(source)
    found = [
        *labs.problems(source, lab(NAME)),
        *lab_anatomy.opening(source, lab(NAME)),
        *lab_anatomy.sections(source, lab(NAME)),
        *lab_anatomy.closing(source),
        *lab_anatomy.plain_markdown(source),
    ]
    assert any(phrase in problem for problem in found), found


def test_a_stale_student_form_is_found(tmp_path, monkeypatch):
    (tmp_path / "labs" / "solutions").mkdir(parents=True)
    path = tmp_path / "labs" / "solutions" / f"{NAME}.ipynb"
    shutil.copy(ROOT / "labs" / "solutions" / path.name, path)
    assert "no student form" in lab_anatomy.in_step(path, tmp_path)[0]
    (student,) = labs.write_all(tmp_path)
    assert lab_anatomy.in_step(path, tmp_path) == []
    student.write_text(student.read_text(encoding="utf-8").replace("YOUR CODE", "MY CODE"))
    assert "out of step" in lab_anatomy.in_step(path, tmp_path)[0]


def test_an_unknown_lab_is_told(tmp_path):
    path = tmp_path / "labs" / "solutions" / "nothing.ipynb"
    assert "there is no lab 'nothing'" in lab_anatomy.problems(path, new_notebook(), tmp_path)[0]


# --- the bootstrap --------------------------------------------------------------------------
@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A git repository that stands in for the course's home, with the package and a weight."""
    folder = tmp_path_factory.mktemp("home")
    names = [f.name for f in (ROOT / "utils").iterdir() if f.suffix == ".py"]
    (folder / "utils").mkdir()
    for name in names:
        shutil.copy(ROOT / "utils" / name, folder / "utils" / name)
    shutil.copytree(
        ROOT / "utils" / "check", folder / "utils" / "check", ignore=shutil.ignore_patterns("__py*")
    )
    (folder / "assets").mkdir()
    (folder / "assets" / "heavy.bin").write_bytes(os.urandom(100_000))
    git = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for step in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *step], check=True)
    subprocess.run([*git, "config", "uploadpack.allowFilter", "true"], check=True)
    return folder.as_uri()


def run_bootstrap(folder, address, colab=True, first="", then="from utils import check"):
    """Run the cell where torch is installed and the course is not."""
    nb = new_notebook(cells=[new_code_cell(bootstrap.SOURCE, id=bootstrap.CELL_ID)])
    code = bootstrap.stamp(nb, address, "main" if address else "").cells[0].source
    hide = (  # the editable install of the course goes out of sight
        "import sys\nsys.path = [p for p in sys.path if 'site-packages' in p or 'lib' in p]\n"
        "sys.meta_path = [f for f in sys.meta_path if '__editable__' not in str(f)]\n"
        f"sys.path = [p for p in sys.path if p != {str(ROOT)!r}]\n"
    )
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    env |= {"COLAB_RELEASE_TAG": "test"} if colab else {}
    return subprocess.run(
        [sys.executable, "-c", f"{hide}{first}\n{code}\n{then}"],
        cwd=folder, env=env, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_bootstrap_fetches_the_package_alone(home, tmp_path):
    done = run_bootstrap(tmp_path, home, then="import utils.check; print(utils.__file__)")
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "course" / "utils") in done.stdout
    assert not (tmp_path / "course" / "assets").exists()
    assert run_bootstrap(tmp_path, "file:///gone").returncode == 0  # fetched once is enough


def test_bootstrap_repairs_a_fetch_that_was_cut_off(home, tmp_path):
    (tmp_path / "course" / ".git").mkdir(parents=True)
    assert run_bootstrap(tmp_path, home).returncode == 0


def test_bootstrap_checks_a_solution(home, tmp_path):
    source = read(ROOT / "labs" / "solutions" / f"{NAME}.ipynb")
    code = cell_with(source, SOLVE).source
    then = f"import torch\nfrom torch import Tensor\nfrom utils import check\n{code}\n"
    then += f"print({CHECK})"
    done = run_bootstrap(tmp_path, home, then=then)
    assert "passed (6 comparisons)" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("address", "colab", "phrase"),
    [
        ("", True, "Write the git address of the course into HOME"),
        ("file:///no/such/course", True, "No answer from file:///no/such/course"),
        ("", False, "The course is not installed here"),
    ],
)
def test_bootstrap_says_what_to_do(tmp_path, address, colab, phrase):
    done = run_bootstrap(tmp_path, address, colab)
    assert done.returncode == 1 and phrase in done.stderr
    assert "By hand: put the course's folder `utils` beside this notebook" in done.stderr
    skip = shutil.ignore_patterns("__py*")
    shutil.copytree(ROOT / "utils", tmp_path / "utils", ignore=skip)
    beside = "import sys; sys.path.insert(0, '')"  # as a kernel does
    assert run_bootstrap(tmp_path, address, colab, first=beside).returncode == 0


def test_bootstrap_does_nothing_where_the_course_is(tmp_path):
    code = bootstrap.SOURCE + "\nassert 'subprocess' not in dir(); print('quiet')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "quiet\n", done.stderr
    assert not (ROOT / "course").exists()
    assert "torch" not in re.sub(r"#.*", "", bootstrap.SOURCE)
    assert len(bootstrap.SOURCE.splitlines()) <= 25


def test_published_copies_know_their_home(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LMM_HOME", "https://git.example.org/course")
    monkeypatch.chdir(ROOT)
    assert main(["labs", "--to", str(tmp_path)]) == 0
    made = read(tmp_path / f"{NAME}.ipynb")
    first = next(c for c in made.cells if c.id == bootstrap.CELL_ID).source.splitlines()[1]
    assert first.startswith('HOME, VERSION = "https://git.example.org/course", "main"')
    committed = read(ROOT / "labs" / f"{NAME}.ipynb")
    assert 'HOME, VERSION = "", ""' in cell_with(committed, "HOME, VERSION").source


def test_stamp_refuses_what_would_break_the_cell():
    nb = new_notebook(cells=[new_code_cell(bootstrap.SOURCE, id=bootstrap.CELL_ID)])
    with pytest.raises(ValueError, match="no quotes"):
        bootstrap.stamp(nb, 'https://x"; import os')
    with pytest.raises(ValueError, match="no bootstrap cell"):
        bootstrap.stamp(new_notebook(cells=[new_markdown_cell("x")]), "https://x")


def test_normalizer_keeps_the_student_form(source):
    student = labs.release(source, lab(NAME), ROOT)
    for cell in student.cells:
        assert cell.get("id") and not normalize.RANDOM_ID.match(cell.id)


def test_the_example_of_contributing_is_a_lab():
    """Its check module, its solution and its check line work as they stand there."""
    from utils.check.core import task_rng
    from utils.check.local import LocalLearner

    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## A new lab")[2]
    module, solution, line = re.findall("```python\n(.*?)```", text, re.S)[:3]
    checks, learner = {}, {}
    exec(module, checks)
    exec(solution, learner)
    about = checks["LAB"]
    assert labs.CHECK.search(line).groups() == ("means", "mean", "mean")
    assert sum(1 for text in module.splitlines() if text) <= 11
    assert about["mean"].check(LocalLearner(learner), task_rng("mean", 1)).passed
    wrong = LocalLearner({"mean": lambda x: x.sum()})
    assert about["mean"].check(wrong, task_rng("mean", 1)).mistake == "sum"
    cells = [new_code_cell(solution), new_code_cell(line)]
    cells.append(new_code_cell('check.everything("means", globals())'))
    assert labs.problems(new_notebook(cells=cells), about) == []
