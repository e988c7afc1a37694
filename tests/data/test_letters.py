"""The task of naming letters: points by hand, demonstrations, filler."""

import pytest
import torch

from utils.data.letters import (
    ANSWER_LENGTH,
    ASK,
    LETTERS,
    PROMPT_LENGTH,
    STOP,
    counted,
    demonstrations,
    points,
    prompts,
    text,
)


def answer(word: str) -> torch.Tensor:
    tokens = [LETTERS.index(letter) for letter in word]
    return torch.tensor([tokens + [STOP] * (ANSWER_LENGTH - len(tokens))])


ABACAD = torch.tensor([[0, 1, 0, 2, 0, 3, ASK]])


@pytest.mark.parametrize(
    ("word", "right"),
    [
        ("", 0), ("a", 1), ("abcd", 4), ("dcba", 4), ("abcda", 3), ("abcde", 3), ("hhh", -3),
        ("aaaaaaaaaa", -8), ("abcdefghgh", -2),
    ],
)  # fmt: skip
def test_points_by_hand(word, right):
    assert points(ABACAD, answer(word)).tolist() == [right]


def test_what_follows_the_first_stop_does_not_count():
    cut = answer("ab")
    cut[0, 5:] = 4
    assert points(ABACAD, cut).tolist() == [2]
    assert counted(cut).sum().item() == 3 and text(cut[0]) == "ab"
    assert counted(answer("abcdefghgh")).all()


def test_prompts_and_demonstrations():
    draw = torch.Generator().manual_seed(0)
    asked = prompts(4000, draw)
    assert asked.shape == (4000, PROMPT_LENGTH) and (asked[:, -1] == ASK).all()
    assert asked[:, :-1].unique().tolist() == list(range(len(LETTERS)))
    full = demonstrations(asked, draw, named=1.0, slips=0.0)
    best = torch.tensor([len(set(row)) for row in asked[:, :-1].tolist()])
    assert torch.equal(points(asked, full), best.float())
    for row, shown in zip(asked[:50, :-1], full[:50], strict=True):
        assert text(shown) == "".join(dict.fromkeys(text(row)))
    hasty = demonstrations(asked, draw)
    # 70 % of the letters named, and in 20 % one more of the eight, seldom one that was left out
    missed = 0.3 * best.float().mean() / len(LETTERS)
    expected = 0.7 * best.float().mean() + 0.2 * (2 * missed - 1)
    assert points(asked, hasty).mean().item() == pytest.approx(expected.item(), abs=0.1)


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="1 prompts and 2 answers"):
        points(ABACAD, answer("ab").repeat(2, 1))
