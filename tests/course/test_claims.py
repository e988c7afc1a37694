"""Numbered claim checks stand on their page, once; faults are planted and found."""

import nbformat
import pytest

from utils.course import claims
from utils.course.notebooks import course_root, pages


def plant(root, page, *headings):
    path = root / "chapters" / f"{page}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nb = nbformat.v4.new_notebook()
    nb.cells = [
        nbformat.v4.new_markdown_cell(f":::{{admonition}} {h}\n:class: claim\n\nWhy.\n:::")
        for h in headings
    ]
    nbformat.write(nb, path)
    return path


def test_the_pages_hold_their_claim_checks():
    root = course_root()
    assert claims.problems(pages(root), root) == []
    assert len(pages(root)) >= 2


def test_right_pages_pass(tmp_path):
    path = plant(tmp_path, "math/probability-losses", 'Claim check 16: "x"', 'Claim check: "own"')
    assert claims.problems([path], tmp_path) == []


@pytest.mark.parametrize(
    ("headings", "phrase"),
    [
        ([], "claim check 16 is missing"),
        (["Claim check 16: a", "Claim check 16: b"], "twice"),
        (["Claim check 16: a", "Claim check 8: b"], "belongs to algorithms/optimizers"),
        (["Claim check 16: a", "Claim check 99: b"], "belongs to no page"),
    ],
)
def test_faults_are_found(tmp_path, headings, phrase):
    path = plant(tmp_path, "math/probability-losses", *headings)
    assert any(phrase in problem for problem in claims.problems([path], tmp_path))
