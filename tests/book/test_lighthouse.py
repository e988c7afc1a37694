"""Lighthouse gives full marks for what does not depend on how fast this machine is.

Three pages, one of each kind, are audited each time, and of the rest one a day, in turn.
"""

import datetime
import os

import pytest

from utils.course.lighthouse import COMMAND, audit, failed, scores, served

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

CATEGORIES = ["accessibility", "best-practices", "seo"]
FULL = dict.fromkeys(CATEGORIES, 100)
ALWAYS = ["index.html", "chapters/math/probability-losses.html", "chapters/start/notation.html"]
TWICE = 2  # a busy machine can keep the browser from answering at all


@pytest.fixture(scope="module")
def site(book, browser):
    """The address of the served book; without Lighthouse the tests are skipped, and fail in CI."""
    if not COMMAND.is_file():
        message = "NO LIGHTHOUSE: the pages were not audited; run `make .venv/lighthouse-ready`"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    with served(book) as address:
        yield address


def report_on(address: str) -> dict:
    for left in reversed(range(TWICE)):
        try:
            return audit(address, CATEGORIES)
        except RuntimeError:
            if not left:
                raise


@pytest.mark.parametrize("page", ALWAYS)
def test_full_marks(site, page):
    report = report_on(f"{site}/{page}")
    assert (scores(report), failed(report)) == (FULL, [])


def test_full_marks_for_the_page_whose_turn_it_is(site, book):
    pages = sorted(path.relative_to(book).as_posix() for path in book.glob("chapters/*/*.html"))
    pages = [page for page in pages if page not in ALWAYS]
    page = pages[datetime.date.today().toordinal() % len(pages)]
    report = report_on(f"{site}/{page}")
    assert (page, scores(report), failed(report)) == (page, FULL, [])


def test_a_page_with_faults_loses_marks(site, tmp_path):
    (tmp_path / "index.html").write_text(
        "<!doctype html><html><head><title>Faults</title></head><body><main><h1>Faults</h1>"
        '<img src="data:," width="9" height="9"><p style="color:#ddd">pale</p></main></body></html>'
    )
    with served(tmp_path) as address:
        report = report_on(f"{address}/index.html")
    assert all(scores(report)[name] < 100 for name in ("accessibility", "seo"))
    assert {"image-alt", "color-contrast", "html-has-lang", "meta-description"} <= {*failed(report)}
