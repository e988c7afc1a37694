"""The pinned source text: the same bytes, or a plain error; and tiny Shakespeare."""

import importlib.metadata
import importlib.util
import os
import subprocess
import sys

import pytest

from utils.data import data_folder, source_text, tiny_shakespeare
from utils.data import text as module
from utils.data.text import fingerprint, read_sources


def test_source_text_is_pinned_and_split_by_file():
    corpus = source_text()
    assert (len(corpus.train), len(corpus.validation)) == (763, 55)
    assert not set(corpus.train_names) & set(corpus.validation_names)
    parts = [name.split("/") for name in corpus.train_names + corpus.validation_names]
    assert not any({"tests", "benchmarks", "_antlr"} & set(part) for part in parts)
    assert len(corpus.text("train").encode()) == pytest.approx(14.87e6, rel=0.01)
    assert corpus.text("validation") == "\n".join(corpus.validation)
    assert corpus.train[corpus.train_names.index("core/add.py")].startswith("from __future__")
    assert "@" not in (source_text.__doc__ or "@")


def test_source_text_with_tests_keeps_the_split():
    small, large = source_text(), source_text(tests=True)
    assert len(large.train) + len(large.validation) == 1496
    assert set(small.train_names) < set(large.train_names)
    assert set(small.validation_names) < set(large.validation_names)


def test_source_text_does_not_import_sympy():
    code = (
        "import sys; from utils.data.text import source_text; source_text();"
        "print('imported' if 'sympy' in sys.modules else 'read')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "read"


def test_unknown_part():
    with pytest.raises(ValueError, match="got 'test'"):
        source_text().text("test")


def test_fingerprint_sees_every_change():
    documents = {"a.py": "x = 1\n", "b.py": "y = 2\n"}
    seen = {
        fingerprint(documents),
        fingerprint({"a.py": "x = 1\n"}),
        fingerprint({"a.py": "x = 1\n", "c.py": "y = 2\n"}),
        fingerprint({"a.py": "x = 1\ny", "b.py": " = 2\n"}),
        fingerprint({"a.py": "x = 1\r\n", "b.py": "y = 2\n"}),
        fingerprint({"a.py": "y = 2\n", "b.py": "x = 1\n"}),
    }
    assert len(seen) == 6
    assert fingerprint(dict(reversed(documents.items()))) == fingerprint(documents)


def test_sources_are_read_in_order_and_without_tests(tmp_path):
    for name in ("b.py", "a/z.py", "a/tests/t.py", "benchmarks/x.py", "note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    assert list(read_sources(tmp_path)) == ["a/z.py", "b.py"]
    assert list(read_sources(tmp_path, tests=True)) == ["a/tests/t.py", "a/z.py", "b.py"]


def test_another_version(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.13.3")
    with pytest.raises(ValueError, match=r"1\.13\.3 is installed.*pip install sympy==1\.14\.0"):
        source_text()


def test_not_installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install sympy==1\.14\.0"):
        source_text()


def test_changed_files(monkeypatch):
    real = read_sources(module._sympy_folder())
    real["core/add.py"] += "\n"
    monkeypatch.setattr(module, "read_sources", lambda root, tests: real)
    with pytest.raises(ValueError, match=r"differs from the pinned one.*\n.*force-reinstall"):
        source_text()


def test_real_tiny_shakespeare():
    if not os.environ.get("LMM_DATA") or not (data_folder() / "tinyshakespeare").exists():
        pytest.skip("LMM_DATA is not set to a folder that holds tinyshakespeare/input.txt")
    corpus = tiny_shakespeare()
    whole = corpus.text("train") + corpus.text("validation")
    assert len(whole) == 1_115_394 and len(set(whole)) == 65
    assert whole.startswith("First Citizen:\nBefore we proceed")
    assert len(corpus.text("validation")) == 111_540
