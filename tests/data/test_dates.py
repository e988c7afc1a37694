"""Dates and their eight digits."""

import datetime

import pytest

from utils.data.dates import CHARS, dates, encode, writings


def read(numbers) -> str:
    return "".join(CHARS[n] for n in numbers).rstrip("\0")


def test_each_way_of_writing_is_read_back_by_another_reader():
    found = dates()
    assert found.sources.shape == (36525, 3, 18) and found.targets.shape == (36525, 9)
    formats = ("%d %B %Y", "%B %d, %Y", "%d.%m.%Y")
    for row in [*range(0, 36525, 997), 36524]:
        truth = read(found.targets[row])
        for way, form in zip(found.sources[row], formats, strict=True):
            day = datetime.datetime.strptime(read(way), form)
            assert truth == f"^{day:%Y%m%d}"


def test_first_and_last_day_of_the_hundred_years():
    found = dates().targets
    assert (read(found[0]), read(found[-1])) == ("^19500101", "^20491231")


def test_days_are_all_different():
    found = dates()
    assert len(found.targets.unique(dim=0)) == len(found.targets)
    assert len(found.sources.flatten(0, 1).unique(dim=0)) == 3 * len(found.sources)


@pytest.mark.parametrize("text", ["ä", "25 november 20260", "A"])
def test_what_cannot_be_encoded_is_refused(text):
    with pytest.raises(ValueError, match="cannot be encoded"):
        encode(text, 16)


def test_a_day_in_three_ways():
    ways = writings(datetime.date(2026, 11, 25))
    assert ways == ("25 november 2026", "november 25, 2026", "25.11.2026")
