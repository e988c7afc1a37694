"""A folder from end to end: files out, gradebook, points by hand, resuming."""

import copy
import csv
import json
import re

import nbformat
import pytest
from bs4 import BeautifulSoup
from conftest import CHECKS, as_bytes, cell, tiny_source, write

from utils.course import labs
from utils.course.grading import __main__ as command
from utils.course.grading import gradebook, one, pool
from utils.course.grading.run import Options, grade
from utils.course.notebooks import course_root, dumps


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny, release, solved):
    """A course root with the tiny lab, an instructor's folder that holds its checks, a class."""
    root = tmp_path_factory.mktemp("course")
    (root / "labs" / "solutions").mkdir(parents=True)
    (root / "labs" / "tiny.ipynb").write_text(dumps(release))
    (root / "labs" / "solutions" / "tiny.ipynb").write_text(dumps(tiny_source()))
    (root / "checks").mkdir()
    (root / "checks" / "tiny.py").write_text(CHECKS)
    sent = root / "sent"
    wrong = copy.deepcopy(solved)
    write(wrong, "average", "def average(x):\n    return x.sum(-1)")
    cell(wrong, "reflection-1").source = cell(release, "reflection-1").source
    hostile = copy.deepcopy(solved)
    write(hostile, "double", "def double(x):\n    return '<script>alert(1)</script>'")
    for name, data in (
        ("Jane Doe_11_assignsubmission_file_", as_bytes(solved)),
        ("Wrong One_12_assignsubmission_file_", as_bytes(wrong)),
        ("=cmd()_13_assignsubmission_file_", as_bytes(hostile)),
        ("Not A Notebook_14_assignsubmission_file_", b"hello"),
    ):
        (sent / name).mkdir(parents=True)
        (sent / name / "tiny.ipynb").write_bytes(data)
    return root


@pytest.fixture(scope="module")
def graded(place):
    lines = []
    exported = place / "worksheet.csv"
    exported.write_text(
        "Identifier,Full name,Email address,Grade,Maximum Grade,Feedback comments\n"
        "Participant 11,Jane Doe,j@x.org,,7.00,\nParticipant 99,Nobody,n@x.org,,7.00,\n"
    )
    how = Options(checks=place / "checks", exported=exported, workers=1)
    return grade(place / "sent", "tiny", place / "out", how, say=lines.append, root=place), lines


@pytest.fixture
def here(monkeypatch, box):
    """Run submissions in this process: saves the start of a worker."""

    def one_round(job, pieces, workers):
        extra = one.instructor_checks(job.checks, job.lab)
        lab, form = one.lab_for(job.lab, extra), nbformat.reads(job.release, as_version=4)
        for p in pieces:
            yield one.grade_one(p.learner, p.data, lab, form, box, p.variant_id, extra, job.seed)

    monkeypatch.setattr(pool, "_round", one_round)


def table(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_points_and_progress(graded):
    result, lines = graded
    points = {row.submission.learner: row.points for row in result.rows}
    assert points == {"11": 5, "12": 2, "13": 3, "14": 0}
    assert sum(line.startswith("[") for line in lines) == 4
    assert any("not found in" in r.lower() for r in result.remarks)


def test_tables(graded):
    folder = graded[0].folder
    canvas, moodle = table(folder / "canvas.csv"), table(folder / "moodle.csv")
    assert canvas[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "A tiny lab"]
    assert canvas[1] == ["    Points Possible", "", "", "", "", "7"]
    assert canvas[2] == ["Jane Doe", "11", "", "", "", "5"]
    assert canvas[4][0] == "'=cmd()"
    assert moodle[1][:5] == ["Participant 11", "Jane Doe", "", "5", "7"]
    grades = [dict(zip(table(folder / "grades.csv")[0], line, strict=True))
              for line in table(folder / "grades.csv")[1:]]  # fmt: skip
    assert grades[0]["to_grade_by_hand"] == "reflection-1" and grades[1]["to_grade_by_hand"] == ""
    assert grades[3]["status"] == "unreadable"
    filled = table(folder / "filled-worksheet.csv")
    assert filled[1][3] == "5" and filled[2][3] == ""


def test_feedback_is_a_page_of_its_own(graded):
    folder = graded[0].folder / "feedback"
    assert len(list(folder.iterdir())) == 4
    text = (folder / "12.html").read_text()
    page = BeautifulSoup(text, "html5lib")
    assert page.html["lang"] == "en" and page.title.text and page.find("main")
    assert "The sum was taken, not the mean." in page.text and "Divide." in page.text
    assert "Jane" not in text  # nobody else is on it
    hostile = (folder / "13.html").read_text()
    assert "<script" not in hostile and "&lt;script&gt;" in hostile
    for path in [*folder.iterdir(), graded[0].folder / "summary.html"]:
        soup = BeautifulSoup(path.read_text(), "html5lib")
        assert not soup.find_all(["script", "img", "link", "iframe"])
        assert not re.search(r"https?://|@import|url\(", path.read_text())
        assert all(th.get("scope") for th in soup.find_all("th"))


def test_summary(graded):
    text = BeautifulSoup((graded[0].folder / "summary.html").read_text(), "html5lib").text
    assert "The sum was taken, not the mean." in text
    assert "A flag is no proof" in text and "4 learners" in text


def test_a_second_run_runs_nothing_and_keeps_points_by_hand(graded, place, here):
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{place / 'out' / 'nbgrader' / 'gradebook.db'}") as book:
        grade_ = book.find_grade("reflection-1", "tiny", "tiny", "11")
        assert grade_.needs_manual_grade and grade_.auto_score is None
        assert book.find_grade("reflection-1", "tiny", "tiny", "12").auto_score == 0
        assert book.find_submission("tiny", "11").score == 5
        grade_.manual_score, grade_.needs_manual_grade = 1.5, False
        book.find_comment("reflection-1", "tiny", "tiny", "11").manual_comment = "Well put."
        book.db.commit()
    how = Options(checks=place / "checks", workers=1)
    again = grade(place / "sent", "tiny", place / "out", how, root=place)
    assert again.fresh == 0
    assert [row.points for row in again.rows] == [6.5, 2, 3, 0]
    assert again.rows[0].manual.pending == []
    assert "Well put." in (again.folder / "feedback" / "11.html").read_text()
    folder = place / "out" / "nbgrader" / "autograded" / "12" / "tiny"
    nb = nbformat.read(folder / "tiny.ipynb", 4)
    assert "0 of 3" in cell(nb, "check-average").outputs[0].text


def test_resumes_where_it_was_cut_off_with_the_same_points(graded, place, here):
    kept = place / "out" / "tiny" / "state" / "12.json"
    before = json.loads(kept.read_text())
    kept.write_text(kept.read_text()[:100])  # cut off while it was written
    how = Options(checks=place / "checks", workers=1)
    again = grade(place / "sent", "tiny", place / "out", how, root=place)
    assert again.fresh == 1 and json.loads(kept.read_text()) == before


def test_a_new_file_is_run_and_read_again(graded, place, solved, here):
    path = place / "sent" / "Jane Doe_11_assignsubmission_file_" / "tiny.ipynb"
    nb = copy.deepcopy(solved)
    cell(nb, "reflection-1").source += " And more."
    path.write_bytes(as_bytes(nb))
    how = Options(checks=place / "checks", workers=1)
    again = grade(place / "sent", "tiny", place / "out", how, root=place)
    assert again.fresh == 1 and again.rows[0].points == 6.5
    assert again.rows[0].manual.pending == ["reflection-1"]


def test_a_broken_worker_stops_nobody(monkeypatch):
    """The first round loses one submission, the second tries it alone and fails it."""
    rounds = []

    def one_round(job, pieces, workers):
        rounds.append([p.learner for p in pieces])
        for piece in pieces:
            if piece.learner != "bad":
                yield one.Result(piece.learner, "tiny", "")

    monkeypatch.setattr(pool, "_round", one_round)
    pieces = [pool.Piece(name, b"") for name in ("ann", "bad", "cat")]
    got = {r.learner: r.status for r in pool.run_all(pool.Job("tiny", ""), pieces, 2)}
    assert got == {"ann": "graded", "bad": "failed", "cat": "graded"}
    assert rounds == [["ann", "bad", "cat"], ["bad"]]


def test_command_line_says_what_is_wrong(tmp_path, capsys):
    assert command.main([str(tmp_path), "--lab", "attention"]) == 2
    assert "holds no submission" in capsys.readouterr().err
    assert command.main([str(tmp_path), "--lab", "nothing"]) == 2
    assert "there is no lab" in capsys.readouterr().err
    assert command.main([str(tmp_path), "--due", "tomorrow"]) == 2


def test_overrides_by_hand_count():
    result = one.Result("a", "tiny", "", tasks=[one.TaskResult("double", "Double", 0, 2, False)])
    manual = gradebook.Manual(scores={"reflection-1": 1}, overrides={"check-double": 2})
    assert gradebook.total(result, manual) == 3


def test_the_given_cells_of_labs_import_nothing_that_gives_an_answer():
    root = course_root()
    for path in sorted((root / "labs").glob("*.ipynb")):
        shown = pool.imported_modules(nbformat.read(path, 4), root)
        assert not [name for name in shown if name.startswith(("utils/check", "utils/course"))]
        assert "utils/models/attention.py" not in shown
    assert labs.BEGIN  # the source is never shown: it lies outside utils
