"""Known mistakes of the lab `pretraining-objectives`: spans; what wrong code returns."""

from __future__ import annotations

from utils.check.core import Mistake


def _cut(tokens, hidden, names, *, each=False, in_source=True, in_target=True):
    source, target, used = [], [], 0
    for i, token in enumerate(tokens):
        if not hidden[i]:
            source.append(token)
            continue
        if each or i == 0 or not hidden[i - 1]:
            source += [names[used]] * in_source
            target += [names[used]] * in_target
            used += 1
        target.append(token)
    return source, target


CUT = [
    Mistake(
        "sentinel-each",
        "Every hidden token has a sentinel of its own; a span shares one.",
        lambda x, h, s, e: (lambda a, b: (a, [*b, e]))(*_cut(x, h, s, each=True)),
        "A new sentinel only where the token before is in sight.",
    ),
    Mistake(
        "one-sentinel",
        "All spans have the same sentinel: nobody can tell which is which.",
        lambda x, h, s, e: (lambda a, b: (a, [*b, e]))(*_cut(x, h, [s[0]] * len(x))),
        "Take the next sentinel for each span.",
    ),
    Mistake(
        "no-end",
        "The end token is missing: a model would not learn when to stop.",
        lambda x, h, s, e: _cut(x, h, s),
        "The target ends with `end`.",
    ),
    Mistake(
        "end-in-source",
        "The end token stands at the end of the source as well.",
        lambda x, h, s, e: (lambda a, b: ([*a, e], [*b, e]))(*_cut(x, h, s)),
        "Only the target ends with `end` here.",
    ),
    Mistake(
        "no-sentinel-in-target",
        "The target has no sentinels: nobody can tell where a span ends and the next begins.",
        lambda x, h, s, e: (lambda a, b: (a, [*b, e]))(*_cut(x, h, s, in_target=False)),
        "A span in the target begins with its sentinel.",
    ),
    Mistake(
        "no-sentinel-in-source",
        "The source has no sentinels: the model is not told where something is missing.",
        lambda x, h, s, e: (lambda a, b: (a, [*b, e]))(*_cut(x, h, s, in_source=False)),
        "In the source each span is one sentinel.",
    ),
    Mistake(
        "inverted",
        "What was to be hidden is in sight, and the rest is hidden.",
        lambda x, h, s, e: (lambda a, b: (a, [*b, e]))(*_cut(x, [not out for out in h], s)),
        "hidden is true for tokens that go to the target.",
    ),
    Mistake(
        "whole-text",
        "The target is the whole text; only what was cut out is asked for.",
        lambda x, h, s, e: (_cut(x, h, s)[0], [*x, e]),
        "A token goes to the source or to the target, never to both.",
    ),
]


def _spans(target, sentinels, end):
    """{sentinel: tokens}, and the sentinels in the order in which they came."""
    spans, now = {}, None
    for token in target:
        if token == end:
            break
        if token in sentinels:
            now = token
            spans[now] = []
        elif now is not None:
            spans[now].append(token)
    return spans


def _put(source, sentinels, look):
    return [part for token in source for part in (look(token) if token in sentinels else [token])]


def _in_order(source, target, sentinels, end):
    rows = iter(_spans(target, sentinels, end).values())
    return _put(source, sentinels, lambda _: next(rows, []))


RESTORE = [
    Mistake(
        "by-order",
        "The spans were put in by their order in the target, not by their sentinels.",
        _in_order,
        "Look up the span of each sentinel by its name.",
    ),
    Mistake(
        "sentinels-kept",
        "The sentinels are still in the text.",
        lambda s, t, n, e: [
            part for x in s for part in ([x, *_spans(t, n, e).get(x, [])] if x in n else [x])
        ],
        "The tokens of a span stand in place of the sentinel.",
    ),
    Mistake(
        "end-kept",
        "The end token, or what stands behind it, is in the text.",
        lambda s, t, n, e: _put(s, n, lambda x: _spans(t, n, None).get(x, [])),
        "Stop reading the target at `end`.",
    ),
    Mistake(
        "end-skipped",
        "What stands behind the end token was read as well.",
        lambda s, t, n, e: _put(s, n, lambda x: _spans([y for y in t if y != e], n, e).get(x, [])),
        "Stop reading the target at `end`.",
    ),
    Mistake(
        "first-token-only",
        "Only the first token of each span was put back.",
        lambda s, t, n, e: _put(s, n, lambda x: _spans(t, n, e).get(x, [])[:1]),
        "A span may have several tokens.",
    ),
    Mistake(
        "last-token-only",
        "Only the last token of each span was put back.",
        lambda s, t, n, e: _put(s, n, lambda x: _spans(t, n, e).get(x, [])[-1:]),
        "Append to the span; do not replace it.",
    ),
    Mistake(
        "missing-kept",
        "The sentinel of a span that was not written is still in the text; it is empty.",
        lambda s, t, n, e: _put(s, n, lambda x: _spans(t, n, e).get(x, [x])),
        "dict.get takes a second argument, for what is missing.",
    ),
    Mistake(
        "source-returned",
        "The source came back as it was.",
        lambda s, t, n, e: list(s),
        "Put the span of each sentinel in its place.",
    ),
]
