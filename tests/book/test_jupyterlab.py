"""Explorables live in JupyterLab: what the reader moves reaches Python, and back."""

import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

pytestmark = pytest.mark.browser

CELLS = [
    "from utils.explore.logit_loss import LogitLoss\n\npicture = LogitLoss(logit=-2.0)\npicture",
    'print("Python sees", round(picture.logit, 3))',
    'picture.logit = 5.0\nprint("Python set", picture.logit)',
]
PATIENCE = 60_000  # ms; a cold kernel on a busy machine


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Address of a JupyterLab of its own, with a notebook of three cells, and its folder."""
    folder = tmp_path_factory.mktemp("jupyterlab")
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [nbformat.v4.new_code_cell(code) for code in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, folder / "page.ipynb")
    own = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
    places = {f"JUPYTER_{name}": str(folder / f".{name}") for name in own}
    places |= {f"JUPYTERLAB_{n}_DIR": str(folder / f".{n}") for n in ("SETTINGS", "WORKSPACES")}
    log = folder / "log.txt"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--port=0", "--allow-root"]
    command += ["--IdentityProvider.token=", f"--ServerApp.root_dir={folder}"]
    with log.open("w") as out:
        server = subprocess.Popen(
            [*command, "--LabApp.news_url=None", "--LabApp.extension_manager=readonly"],
            env={**os.environ, **places},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield waited(log, server)
    finally:
        server.terminate()
        server.wait(20)


def waited(log: Path, server: subprocess.Popen) -> str:
    """The address that the server prints, once it answers."""
    for _ in range(300):
        found = re.search(r"http://(?:127\.0\.0\.1|localhost):\d+", log.read_text())
        if found:
            try:
                urllib.request.urlopen(f"{found[0]}/api", timeout=2)
                return found[0]
            except OSError:
                pass
        if server.poll() is not None:
            break
        time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


def test_a_value_reaches_python_and_comes_back(lab, view):
    page = view()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{lab}/lab/tree/page.ipynb?reset")
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    cells.first.locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    box = cells.nth(0).locator(".jp-OutputArea-output")
    slider = box.get_by_label("Logit z")
    slider.wait_for()
    assert float(slider.input_value()) == -2  # the state came from Python
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert "At z = -1.7" in box.locator("[aria-live=polite]").inner_text()
    cells.nth(1).locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    cells.nth(1).get_by_text("Python sees -1.7").wait_for()
    cells.nth(2).locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    cells.nth(2).get_by_text("Python set 5.0").wait_for()
    box.locator("[aria-live=polite]").get_by_text("At z = 5.0").wait_for()
    assert float(slider.input_value()) == 5
    assert box.locator(".explorable").count() == 0  # the live widget, not the static page's box
