"""Special tokens: strings that stand for one id each and that merges never make.

The rules are tiktoken's. A text that holds a special token is refused unless the caller says
whether it is meant (`allowed_special`) or plain text (`disallowed_special=()`): text from users
must not be able to end a document or to open a system message. Where two special tokens match at
the same place, the longer one counts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping


def choose(
    special_tokens: Mapping[str, int],
    allowed: Collection[str] | str,
    disallowed: Collection[str] | str,
) -> tuple[frozenset[str], frozenset[str]]:
    """Sets of allowed and of disallowed special tokens; "all" stands for all (the others).

    Raises
    ------
    ValueError
        For a string that is no special token of this vocabulary.
    """
    known = frozenset(special_tokens)
    chosen_allowed = known if allowed == "all" else _checked(known, allowed, "allowed_special")
    if disallowed == "all":
        return chosen_allowed, known - chosen_allowed
    return chosen_allowed, _checked(known, disallowed, "disallowed_special") - chosen_allowed


def refuse(text: str, disallowed: frozenset[str]) -> None:
    """Raise ValueError if the text holds one of the disallowed special tokens."""
    found = matcher(disallowed).search(text) if disallowed else None
    if found is not None:
        token = found.group()
        raise ValueError(
            f"the text holds the special token {token!r} at position {found.start()}; pass "
            f"allowed_special={{{token!r}}} to encode it as one, or disallowed_special=() to "
            "encode it as plain text"
        )


def parts(text: str, allowed: frozenset[str]) -> Iterator[tuple[str, bool]]:
    """Pieces of the text with True for an allowed special token, False for plain text."""
    start = 0
    for found in matcher(allowed).finditer(text) if allowed else ():
        if found.start() > start:
            yield text[start : found.start()], False
        yield found.group(), True
        start = found.end()
    if start < len(text):
        yield text[start:], False


def matcher(tokens: frozenset[str]) -> re.Pattern[str]:
    """Pattern of the leftmost, then longest special token (`re` keeps the last 512 compiled)."""
    longest_first = sorted(tokens, key=lambda token: (-len(token), token))
    return re.compile("|".join(map(re.escape, longest_first)))


def _checked(known: frozenset[str], chosen: Collection[str] | str, name: str) -> frozenset[str]:
    if isinstance(chosen, str):
        raise ValueError(f"{name} is 'all' or a set of special tokens, got the string {chosen!r}")
    unknown = sorted(set(chosen) - known)
    if unknown:
        raise ValueError(
            f"{name} names {unknown}; the special tokens of this vocabulary are {sorted(known)}"
        )
    return frozenset(chosen)
