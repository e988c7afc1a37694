"""Submissions from Moodle, Canvas, nbgrader, mail and loose files, in folders and zips."""

import datetime
import os
import zipfile
from email.message import EmailMessage

import pytest

from utils.course.grading.intake import collect, hours_late

NOTEBOOK = b'{"cells": [{"cell_type": "code", "source": "check.tiny.double(double)"}]}'
OTHER = b'{"cells": [{"cell_type": "code", "source": "check.other.task(f)"}]}'


def put(path, data=NOTEBOOK, when="2026-11-01T10:00:00"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    stamp = datetime.datetime.fromisoformat(when).timestamp()
    os.utime(path, (stamp, stamp))


SHAPES = {
    "Jane Doe_12345_assignsubmission_file_/tiny.ipynb": ("12345", "Jane Doe", "moodle"),
    "Jane Doe_12345_assignsubmission_file/tiny (2).ipynb": ("12345", "Jane Doe", "moodle"),
    "Jane Doe_12345_assignsubmission_file_tiny.ipynb": ("12345", "Jane Doe", "moodle"),
    "Ann-Lee O'Hara_7_assignsubmission_file_/deep/er/x.ipynb": ("7", "Ann-Lee O'Hara", "moodle"),
    "doejane_12345_67890_tiny.ipynb": ("12345", "doejane", "canvas"),
    "doejane_LATE_12345_67890_tiny-2.ipynb": ("12345", "doejane", "canvas"),
    "submitted/jdoe/tiny/tiny.ipynb": ("jdoe", "jdoe", "nbgrader"),
    "jane@example.org/homework.ipynb": ("jane@example.org", "jane@example.org", "folder"),
    "tiny_jane (1).ipynb": ("jane", "jane", "file"),
}  # fmt: skip


@pytest.mark.parametrize("path", SHAPES)
@pytest.mark.parametrize("zipped", (False, True, "twice"))
def test_shapes(tmp_path, path, zipped):
    source = tmp_path / "in"
    if zipped:
        source.mkdir()
        with zipfile.ZipFile(source / "all.zip", "w") as archive:
            archive.writestr(path, NOTEBOOK)
        if zipped == "twice":
            with zipfile.ZipFile(tmp_path / "outer.zip", "w") as outer:
                outer.write(source / "all.zip", "all.zip")
            source = tmp_path / "outer.zip"
    else:
        put(source / path)
    found, remarks = collect(source, "tiny")
    assert [(s.learner, s.name, s.platform) for s in found] == [SHAPES[path]]
    assert remarks == []
    assert found[0].late == ({"canvas": "LATE" in path}.get(found[0].platform))


def test_zips_of_single_learners(tmp_path):
    for name in ("jane.zip", "doe_12_34_work.zip", "Jo Lee_5_assignsubmission_file_work.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("tiny.ipynb", NOTEBOOK)
    found, _ = collect(tmp_path, "tiny")
    expected = [("12", "canvas"), ("5", "moodle"), ("jane", "folder")]
    assert [(s.learner, s.platform) for s in found] == expected


def test_the_last_submission_counts_and_lateness_is_told(tmp_path):
    put(tmp_path / "Jo_1_assignsubmission_file_/tiny.ipynb", NOTEBOOK + b" ", "2026-11-01T09:00:00")
    put(tmp_path / "Jo_1_assignsubmission_file_/new/tiny.ipynb", NOTEBOOK, "2026-11-01T12:30:00")
    put(tmp_path / "doe_2_31_tiny-1.ipynb", NOTEBOOK)
    put(tmp_path / "doe_2_30_tiny.ipynb", NOTEBOOK + b" ")
    found, _ = collect(tmp_path, "tiny")
    assert [(s.learner, s.data, s.replaced) for s in found] == [
        ("1", NOTEBOOK, 1),
        ("2", NOTEBOOK, 1),
    ]
    due = datetime.datetime(2026, 11, 1, 12)
    assert [hours_late(s, due) for s in found] == [0.5, 0.0]
    assert hours_late(found[0], None) is None


def test_timestamp_of_nbgrader(tmp_path):
    put(tmp_path / "jo" / "tiny" / "tiny.ipynb")
    (tmp_path / "jo" / "tiny" / "timestamp.txt").write_text("2026-10-05 12:00:00.123456 UTC")
    (one,), _ = collect(tmp_path, "tiny")
    expected = datetime.datetime(2026, 10, 5, 12, tzinfo=datetime.UTC)
    assert one.when == expected.astimezone().replace(tzinfo=None)


def test_mail(tmp_path):
    message = EmailMessage()
    message["From"] = "Jane Doe <jane@example.org>"
    message["Date"] = "Sun, 01 Nov 2026 10:00:00 +0000"
    message.set_content("Here it is.")
    message.add_attachment(
        NOTEBOOK, maintype="application", subtype="octet-stream", filename="tiny.ipynb"
    )
    (tmp_path / "mail 1.eml").write_bytes(message.as_bytes())
    (one,), _ = collect(tmp_path, "tiny")
    assert (one.learner, one.name, one.data) == ("jane@example.org", "Jane Doe", NOTEBOOK)
    assert one.when == datetime.datetime(2026, 11, 1, 10, tzinfo=datetime.UTC).astimezone().replace(
        tzinfo=None
    )


def test_other_labs_and_debris_are_left_out(tmp_path):
    put(tmp_path / "jo" / "tiny.ipynb")
    put(tmp_path / "jo" / ".ipynb_checkpoints" / "tiny-checkpoint.ipynb")
    put(tmp_path / "__MACOSX" / "jo" / "._tiny.ipynb")
    put(tmp_path / "ann" / "work.ipynb", OTHER)
    put(tmp_path / "broken.zip", b"no zip")
    found, remarks = collect(tmp_path, "tiny")
    assert [s.learner for s in found] == ["jo"]
    assert any("1 notebooks" in text for text in remarks)
    assert any("no zip" in text for text in remarks)


def test_a_name_never_leaves_the_folder(tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../../../evil/tiny.ipynb", NOTEBOOK)
        archive.writestr("a/../../b:c/tiny.ipynb", NOTEBOOK)
    found, _ = collect(tmp_path / "evil.zip", "tiny")
    for one in found:
        assert "/" not in one.learner and ".." not in one.learner and ":" not in one.learner
    assert not (tmp_path.parent / "evil").exists()


def test_a_zip_bomb_is_left_out(tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("jo/tiny.ipynb", b"0" * (31 * 2**20))
        archive.writestr("ann/tiny.ipynb", NOTEBOOK)
    found, remarks = collect(tmp_path, "tiny")
    assert [s.learner for s in found] == ["ann"] and "too large" in remarks[0]


def test_nothing_there(tmp_path):
    with pytest.raises(ValueError, match="holds no submission"):
        collect(tmp_path, "tiny")
    with pytest.raises(ValueError, match="there is no folder"):
        collect(tmp_path / "none", "tiny")
