"""A headless Chromium and the built book, for the tests of the pages."""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HTML = ROOT / "_build" / "html"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def book() -> Path:
    """The folder of the built book; fails when it was not built."""
    if not (HTML / "index.html").is_file():
        pytest.fail("the book is not built; run `make book` first")
    return HTML


@pytest.fixture(scope="session")
def browser():
    """A Chromium; without one the tests are skipped here and fail in CI."""
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        message = "NO BROWSER: the pages were not tested; install Chromium"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def view(browser):
    """Open a page in a context of its own: view(width, scheme, **options)."""
    contexts = []

    def open_view(width=1280, scheme="light", **options):
        size = {"width": width, "height": 900}
        contexts.append(browser.new_context(viewport=size, color_scheme=scheme, **options))
        return contexts[-1].new_page()

    yield open_view
    for context in contexts:
        context.close()
