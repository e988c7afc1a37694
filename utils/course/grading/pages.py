"""Pages that work offline: feedback for each learner, a summary of the class."""

from __future__ import annotations

from collections import Counter
from html import escape

from utils.check.core import Lab
from utils.course.grading.one import TaskResult
from utils.course.grading.similar import WARNING, Pair
from utils.course.grading.tables import Row, look_at

STYLE = """
:root { color-scheme: light dark; --text: #1b1f24; --back: #fff; --line: #8a939d; --good: #1a6b2f;
  --bad: #a3231c; --soft: #f3f5f7; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ec; --back: #16191d; --line: #6f7882;
  --good: #7ccf8f; --bad: #ff9c94; --soft: #22272d; } }
body { font: 1rem/1.5 system-ui, sans-serif; color: var(--text); background: var(--back);
  max-width: 52rem; margin: 0 auto; padding: 1rem; }
table { border-collapse: collapse; } caption { text-align: left; font-weight: 600; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .7rem; text-align: left;
  vertical-align: top; } td.n { text-align: right; font-variant-numeric: tabular-nums; }
section.task { border-left: .3rem solid var(--line); padding-left: 1rem; margin: 1.5rem 0; }
section.good { border-color: var(--good); } section.bad { border-color: var(--bad); }
dt { font-weight: 600; } pre, code { background: var(--soft); padding: .1rem .3rem; }
pre { padding: .6rem; white-space: pre-wrap; overflow-wrap: anywhere; }
dd { margin: 0 0 .4rem 0; overflow-wrap: anywhere; } .wide { overflow-x: auto; }
"""


def _page(title: str, body: str) -> str:
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>\n{body}\n</main></body></html>\n"
    )


def feedback(row: Row, about: Lab, questions: dict[str, tuple[str, float]]) -> str:
    """The page for one learner: points, what came back, hints; nobody else is on it."""
    one, result = row.submission, row.result
    parts = [f"<p>{escape(one.name)}: <strong>{row.points:g} of {about.points:g} points</strong>."]
    if row.manual.pending:
        parts.append(f" {len(row.manual.pending)} answers are still to be read by a person.")
    parts.append("</p>")
    if row.late:
        hours = f" ({row.late_hours:g} hours)" if row.late_hours else ""
        parts.append(f"<p>Handed in late{hours}.</p>")
    if one.replaced:
        parts.append(f"<p>You handed in {one.replaced + 1} times; the last one counts.</p>")
    if result.problem:
        parts.append(f"<p><strong>{escape(result.problem)}</strong></p>")
    rows = [(task.title, _points(row, task), task.out_of, _state(task)) for task in result.tasks]
    rows += [_question(row, key, text, most) for key, (text, most) in questions.items()]
    parts.append(_table("Points", ("Task", "Points", "of", "State"), rows))
    parts += [_task(task) for task in result.tasks]
    said = [(key, row.manual.comments[key]) for key in questions if key in row.manual.comments]
    if said:
        items = "".join(
            f"<dt>{escape(_nice(key))}</dt><dd>{escape(text)}</dd>" for key, text in said
        )
        parts.append(f"<h2>Comments</h2><dl>{items}</dl>")
    if result.repairs:
        items = "".join(f"<li>{escape(text)}</li>" for text in result.repairs)
        parts.append(f"<h2>What was repaired in your file</h2><ul>{items}</ul>")
    return _page(f"{about.title}: feedback", "\n".join(parts))


def _nice(key: str) -> str:
    return key.replace("-", " ").capitalize()


def _points(row: Row, task: TaskResult) -> float:
    return row.manual.overrides.get(f"check-{task.task}", task.points)


def _state(task: TaskResult) -> str:
    if task.passed:
        return "passed"
    words = {"not_implemented": "not written yet", "missing": "missing", "timed_out": "too slow",
             "forbidden": "does not count"}  # fmt: skip
    return words.get(task.kind, "not yet")


def _question(row: Row, key: str, text: str, most: float) -> tuple:
    if key in row.manual.scores:
        state = "graded by hand"
    elif key in row.manual.pending:
        state = "to be graded by hand"
    else:
        state = "no answer"
    return (_nice(key), row.manual.scores.get(key, 0.0), most, state)


def _task(task: TaskResult) -> str:
    kind = "good" if task.passed else "bad"
    mark = "✓ passed" if task.passed else f"✗ {_state(task)}"
    label = f"task-{escape(task.task, quote=True)}"
    parts = [
        f'<section class="task {kind}" aria-labelledby="{label}"><h2 id="{label}">'
        f"{escape(task.title)}: {mark}</h2>"
    ]
    lines = (("Called", task.called), ("Came back", task.came), ("Expected", task.expected),
             ("Mistake", task.sentence))  # fmt: skip
    if not task.passed:
        items = "".join(f"<dt>{k}</dt><dd>{escape(v)}</dd>" for k, v in lines if v)
        parts.append(f"<dl>{items}</dl>")
        if task.trace:
            parts.append(f"<pre>{escape(task.trace)}</pre>")
        for number, hint in enumerate(task.hints, 1):
            opened = " open" if number == 1 else ""
            parts.append(
                f"<details{opened}><summary>Hint {number}</summary><p>{escape(hint)}</p></details>"
            )
    return "".join(parts) + "</section>"


def _table(caption: str, head: tuple[str, ...], rows: list[tuple]) -> str:
    top = "".join(f'<th scope="col">{escape(text)}</th>' for text in head)
    body = ""
    for row in rows:
        cells = "".join(
            f'<td class="n">{c:g}</td>' if isinstance(c, int | float) else f"<td>{escape(c)}</td>"
            for c in row[1:]
        )
        body += f'<tr><th scope="row">{escape(str(row[0]))}</th>{cells}</tr>'
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(caption, quote=True)}">'
        f"<table><caption>{escape(caption)}</caption><thead><tr>{top}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def summary(rows: list[Row], about: Lab, alike: list[Pair], remarks: list[str]) -> str:
    """The page for the instructor."""
    count = len(rows)
    mean = sum(row.points for row in rows) / count if count else 0.0
    ready = not any(row.manual.pending for row in rows)
    note = "" if ready else " Answers that a person has yet to grade count as 0 here."
    parts = [f"<p>{count} learners, {mean:.1f} of {about.points:g} points in the mean.{note}</p>"]
    parts.append(_by_task(rows, about))
    parts.append(_mistakes(rows))
    parts.append("<h2>Near-identical solutions</h2>")
    parts.append(f"<p><strong>{escape(WARNING)}</strong></p>")
    pairs = [(f"{p.first} and {p.second}", 100 * p.share, ", ".join(p.tasks)) for p in alike]
    head = ("Learners", "the same, %", "Tasks")
    parts.append(_table("Pairs", head, pairs) if pairs else "<p>No pair is flagged.</p>")
    parts.append(_ids(rows))
    seen = [(row.submission.learner, " ".join(look_at(row.result))) for row in rows]
    seen = [(who, text) for who, text in seen if text]
    parts.append("<h2>To look at</h2>")
    parts.append(
        _table("Submissions to look at", ("Learner", "Why"), seen) if seen else "<p>None.</p>"
    )
    mended = [(r.submission.learner, " ".join(r.result.repairs)) for r in rows if r.result.repairs]
    if mended:
        parts.append("<h2>Repairs</h2>" + _table("Repaired files", ("Learner", "What"), mended))
    parts.append("<h2>How the code was confined</h2>" + _confined(rows))
    if remarks:
        items = "".join(f"<li>{escape(text)}</li>" for text in remarks)
        parts.append(f"<h2>Remarks</h2><ul>{items}</ul>")
    return _page(f"{about.title}: the class", "\n".join(parts))


def _by_task(rows: list[Row], about: Lab) -> str:
    lines = []
    for task in about.tasks:
        mine = [t for row in rows for t in row.result.tasks if t.task == task.id]
        count = max(len(mine), 1)
        states = Counter(_state(t) for t in mine if not t.passed)
        text = ", ".join(f"{name} {n}" for name, n in states.most_common())
        share = 100 * sum(t.passed for t in mine) / count
        lines.append((task.title, sum(t.points for t in mine) / count, task.points, share, text))
    head = ("Task", "Mean points", "of", "Passed, %", "Else")
    return _table(
        "Points by task", head, [(a, round(b, 2), c, round(d), e) for a, b, c, d, e in lines]
    )


def _mistakes(rows: list[Row]) -> str:
    plain = {"", "missing", "not-implemented"}
    others = {"raised": "It raised an exception, or ended its process.",
              "timed-out": "It took longer than the time limit.",
              "bad-value": "It gave back something that is no data."}  # fmt: skip
    found: Counter[tuple[str, str]] = Counter()
    sentence: dict[tuple[str, str], str] = {}
    for row in rows:
        for task in row.result.tasks:
            if not task.passed and task.mistake not in plain:
                key = (task.title, task.mistake)
                found[key] += 1
                sentence.setdefault(key, others.get(task.mistake, task.sentence))
    lines = [(k[0], n, sentence[k]) for k, n in found.most_common(15)]
    head = ("Task", "Learners", "Mistake")
    table = _table("Commonest mistakes", head, lines) if lines else "<p>None with a name.</p>"
    return f"<h2>Commonest mistakes</h2>{table}"


def _ids(rows: list[Row]) -> str:
    """Learners whose notebooks name the same id for their variant."""
    said: dict[str, list[str]] = {}
    for row in rows:
        if row.result.declared_id:
            said.setdefault(row.result.declared_id, []).append(row.submission.learner)
    twice = [(key, ", ".join(who)) for key, who in sorted(said.items()) if len(who) > 1]
    if not twice:
        return ""
    return "<h2>Same learner id</h2>" + _table("Ids used more than once", ("Id", "Learners"), twice)


def _confined(rows: list[Row]) -> str:
    words = {
        "root": "Namespaces for files, processes and network, another user, a filter of system "
        "calls, limits.",
        "user": "A user namespace with its own files, processes and network, a filter of system "
        "calls, limits.",
        "bare": "Limits alone: weaker.",
        "spawn": "A process of its own: weaker.",
        "": "Nothing was run.",
    }
    ways = Counter(row.result.confinement for row in rows)
    weak = dict.fromkeys(text for row in rows for text in row.result.weak)
    lines = [f"<li>{n} submissions: {escape(words.get(w, w))}</li>" for w, n in ways.items()]
    lines += [f"<li><strong>{escape(text)}</strong></li>" for text in weak]
    return f"<ul>{''.join(lines)}</ul>"
