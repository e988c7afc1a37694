"""Name the letters of a text, once each: a small task with prompts, answers and exact points.

A prompt holds six of eight letters, repeats allowed, and the token `ASK`; an answer holds up to
ten tokens, letters and then `STOP`, which also fills what is left.

Legend: B prompts, P = 7 tokens of a prompt, L = 10 tokens of an answer.
"""

from __future__ import annotations

import torch
from torch import Tensor

LETTERS = "abcdefgh"
STOP, ASK, VOCABULARY = 8, 9, 10
PROMPT_LENGTH, ANSWER_LENGTH = 7, 10


def prompts(count: int, generator: torch.Generator | None = None) -> Tensor:
    """Prompts (count, 7), whole numbers: six letters drawn with replacement, then `ASK`."""
    letters = torch.randint(len(LETTERS), (count, PROMPT_LENGTH - 1), generator=generator)
    return torch.cat([letters, torch.full((count, 1), ASK)], 1)


def demonstrations(
    prompts_BP: Tensor,
    generator: torch.Generator | None = None,
    *,
    named: float = 0.7,
    slips: float = 0.2,
) -> Tensor:
    """Answers (B, 10) as a hasty person writes them.

    Each letter of the prompt is named with chance `named`, in the order of its first place; with
    chance `slips` one more letter follows, drawn from all eight.
    """
    text_BT = prompts_BP[:, :-1]
    B, T = text_BT.shape
    earlier = (text_BT[:, :, None] == text_BT[:, None, :]).tril(-1).any(-1)
    kept = ~earlier & (torch.rand(B, T, generator=generator) < named)
    order = (~kept).int().argsort(dim=1, stable=True)
    length_B1 = kept.sum(1, keepdim=True)
    answers_BL = torch.full((B, ANSWER_LENGTH), STOP)
    answers_BL[:, :T] = text_BT.gather(1, order).where(torch.arange(T) < length_B1, STOP)
    extra_B1 = torch.randint(len(LETTERS), (B, 1), generator=generator)
    slip_B1 = torch.rand(B, 1, generator=generator) < slips
    return answers_BL.scatter(1, length_B1, extra_B1.where(slip_B1, STOP))


def counted(answers_BL: Tensor) -> Tensor:
    """Booleans (B, L): True up to and with the first `STOP`; what follows is filler."""
    stops = (answers_BL == STOP).int()
    return stops.cumsum(1) - stops == 0


def points(prompts_BP: Tensor, answers_BL: Tensor) -> Tensor:
    """The true reward (B,): 1 for each letter of the prompt that is named, -1 for each other token.

    A letter named again counts as other, as does a letter that is not in the prompt.

    Raises
    ------
    ValueError: numbers of prompts and answers differ.
    """
    if len(prompts_BP) != len(answers_BL):
        raise ValueError(
            f"got {len(prompts_BP)} prompts and {len(answers_BL)} answers; give one for each"
        )
    written = counted(answers_BL) & (answers_BL != STOP)
    letters = torch.arange(len(LETTERS))
    present = (prompts_BP[:, :, None] == letters).any(1)
    named = ((answers_BL[:, :, None] == letters) & written[:, :, None]).any(1)
    right = (present & named).sum(1)
    return (2 * right - written.sum(1)).float()


def text(tokens: Tensor) -> str:
    """Tokens (T,) as letters, `.` for `STOP` and `?` for `ASK`; filler is left out."""
    return "".join(f"{LETTERS}.?"[token] for token in tokens.tolist()).split(".")[0]
