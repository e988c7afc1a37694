"""Every term that a page sets in bold, which is where it defines it, stands in the glossary."""

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "chapters").rglob("*.ipynb"))


def bold_terms(text: str) -> set[str]:
    """Bold phrases, without labels such as **Time:** and **Verdict.**"""
    found = re.findall(r"\*\*([^*\n]+)\*\*", text)
    return {term.strip().lower() for term in found if not term.strip().endswith((".", ":"))}


def glossary_terms(text: str) -> set[str]:
    block = re.search(r"^:::\{glossary\}\n(.*?)^:::", text, re.M | re.S)[1]
    return {line.split(" (")[0].lower() for line in block.splitlines() if re.match(r"\S", line)}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_bold_terms_stand_in_the_glossary(path):
    known = glossary_terms((ROOT / "chapters/outlook/glossary.md").read_text(encoding="utf-8"))
    cells = nbformat.read(path, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert bold_terms(text) - known == set()


def test_a_missing_term_is_noticed():
    known = glossary_terms(":::{glossary}\nlogit (对数几率)\n  A score.\n:::")
    assert bold_terms("A **logit** is no **margin**. **Time:** now.") - known == {"margin"}
