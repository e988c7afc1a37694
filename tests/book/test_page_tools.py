"""What stands below each page and beside the pages: progress, citation, zip, 404, sitemap."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
PAGE = "chapters/math/probability-losses.html"
HOME = "https://github.com/someone/a-fork"
SITE = "https://someone.github.io/a-fork"
TOC = "format: jb-book\nroot: chapters/start/notation\n"
TICKED = ".bd-sidenav a:has(.read-tick)"


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """Two pages of the book, built as the workflow that publishes a fork does."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "toc.yml").write_text(TOC, encoding="utf-8")
    jupyter_book = str(Path(sys.executable).with_name("jupyter-book"))
    build = [jupyter_book, "build", str(ROOT), "--all", "--quiet"]
    options = ["--toc", str(folder / "toc.yml"), "--path-output", str(folder)]
    subprocess.run(
        [*build, *options], check=True, env=os.environ | {"LMM_HOME": HOME, "LMM_SITE": SITE + "/"}
    )
    return folder / "_build" / "html"


def test_a_page_that_was_read_is_ticked_until_progress_is_cleared(book, view):
    page = view()
    page.goto(f"{book.as_uri()}/{PAGE}")
    assert page.locator(TICKED).count() == 0
    page.get_by_label("I have read this page").focus()
    page.keyboard.press("Space")
    assert page.locator(TICKED).inner_text().startswith("Probability and losses")
    page.locator(".quiz").first.locator(".wrong summary").first.click()
    page.locator(".quiz").first.locator(".right summary").first.click()
    page.locator(".quiz").nth(1).locator(".right summary").first.click()
    page.goto(f"{book.as_uri()}/chapters/start/how-to-use.html")
    assert page.locator(TICKED).count() == 1
    box = page.locator(".reading-progress")
    assert "as read: 1." in box.inner_text() and "answered: 2, 1 of them" in box.inner_text()
    box.get_by_role("button").click()
    assert "as read: 0." in box.inner_text() and "answered: 0." in box.inner_text()
    assert page.locator(TICKED).count() == 0


def test_a_page_can_be_cited_and_downloaded(book, view):
    page = view()
    page.goto(f"{book.as_uri()}/{PAGE}")
    tools = page.locator(".page-tools")
    tools.get_by_text("Cite this page").click()
    assert "@incollection{lmm-probability-losses," in tools.inner_text()
    link = tools.get_by_text("Download the notebook").get_attribute("href")
    assert (book / PAGE).parent.joinpath(link).resolve().is_file()
    # Without a home address no link pretends to know one.
    assert tools.get_by_text("Report an error").count() == 0


def test_the_zip_is_the_site(book, tmp_path, view):
    with zipfile.ZipFile(book / "large-models-measured.zip") as archive:
        archive.extractall(tmp_path)
    folder = tmp_path / "large-models-measured"
    here = {p.relative_to(book) for p in book.rglob("*") if p.is_file() and p.suffix != ".zip"}
    assert {p.relative_to(folder) for p in folder.rglob("*") if p.is_file()} == here
    page = view()
    page.goto(f"{folder.as_uri()}/{PAGE}")
    page.locator(".explorable svg").first.wait_for()


def test_a_published_fork_names_itself_everywhere(published, view):
    page = view()
    page.goto(f"{published.as_uri()}/chapters/start/notation.html")
    tools = page.locator(".page-tools")
    report = tools.get_by_text("Report an error").get_attribute("href")
    edit = tools.get_by_text("Propose a change").get_attribute("href")
    assert report == f"{HOME}/issues/new"
    assert edit == f"{HOME}/edit/main/chapters/start/notation.md"
    image = page.locator('meta[property="og:image"]').get_attribute("content")
    assert image == f"{SITE}/preview.png" and (published / "preview.png").is_file()
    sitemap = (published / "sitemap.xml").read_text(encoding="utf-8")
    assert f"<loc>{SITE}/chapters/start/notation.html</loc>" in sitemap
    lost = (published / "404.html").read_text(encoding="utf-8")
    assert f'href="{SITE}/index.html"' in lost


def test_a_bad_home_address_is_refused(monkeypatch):
    from utils.course.home import home, site

    monkeypatch.setenv("LMM_HOME", "someone/a-fork")
    with pytest.raises(ValueError, match="expected an address such as"):
        home()
    monkeypatch.setenv("LMM_SITE", "file:///tmp/book")
    with pytest.raises(ValueError, match="LMM_SITE"):
        site()


def test_a_page_prints_without_menus_and_with_its_answers(book, view):
    page = view()
    page.goto(f"{book.as_uri()}/{PAGE}")
    page.emulate_media(media="print")
    assert not page.locator(".bd-sidebar-primary").is_visible()
    assert not page.locator(".page-tools").is_visible()
    assert page.locator(".quiz-answer p").first.bounding_box()["height"] > 10
