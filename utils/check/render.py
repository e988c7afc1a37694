"""A report as text, and as HTML that a screen reader can follow."""

from __future__ import annotations

from html import escape

from utils.check.core import Report

_BOX = "border-left:0.3em solid {};padding:0.2em 0.8em;margin:0.4em 0;max-width:48em"


def as_text(report: Report, hints: int = 1) -> str:
    """Lines for a terminal: what was called, came back, was expected, the mistake, hints."""
    if report.passed:
        many = "comparison" if report.checks == 1 else "comparisons"
        return f"✓ {report.title}: passed ({report.checks} {many})"
    lines = [f"✗ {report.title}: not yet", *(f"  {k:<11}{v}" for k, v in _rows(report))]
    lines += [f"    {line}" for line in report.trace.splitlines()]
    for number, hint in enumerate(report.hints[:hints], 1):
        lines.append(f"  Hint {number}: {hint}")
    if len(report.hints) > hints:
        lines.append("  The next hint: check.hint()")
    return "\n".join(lines)


def as_html(report: Report) -> str:
    """The same as HTML: a region with a label, colour never alone, further hints folded."""
    title = escape(report.title)
    if report.passed:
        return (
            f'<div role="status" style="{_BOX.format("#2e7d32")}"><strong>✓ {title}: passed'
            f"</strong> ({report.checks} comparisons)</div>"
        )
    rows = "".join(
        f"<dt><strong>{key}</strong></dt><dd>{escape(value)}</dd>" for key, value in _rows(report)
    )
    trace = f"<pre>{escape(report.trace)}</pre>" if report.trace else ""
    folded = "".join(
        f"<details><summary>Hint {number}</summary>{escape(hint)}</details>"
        for number, hint in enumerate(report.hints[1:], 2)
    )
    first = f"<p><strong>Hint 1.</strong> {escape(report.hints[0])}</p>" if report.hints else ""
    return (
        f'<div role="region" aria-label="Check of {title}" style="{_BOX.format("#c62828")}">'
        f"<strong>✗ {title}: not yet</strong><dl>{rows}</dl>{trace}{first}{folded}</div>"
    )


def _rows(report: Report) -> list[tuple[str, str]]:
    rows = [("called", report.called), ("came back", report.came)]
    rows += [("expected", report.expected), ("mistake", report.sentence)]
    return [(key, value) for key, value in rows if value]
