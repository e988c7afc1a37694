"""The passages are what the page says of them: one text in two languages."""

import unicodedata

from utils.data.passages import passages


def han(text: str) -> int:
    return sum(unicodedata.name(c, "").startswith("CJK UNIFIED") for c in text)


def test_each_passage_is_in_both_languages():
    found = passages()
    assert len(found) == 8
    for english, chinese in found:
        assert english.isascii() and 190 <= len(english) <= 260
        assert 50 <= len(chinese) <= 90 and han(chinese) > 0.6 * len(chinese)


def test_all_are_different():
    for language in zip(*passages(), strict=True):
        assert len(set(language)) == 8
