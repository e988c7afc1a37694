"""What a text is turned into for pretraining, and the contrastive loss.

Legend: B batch, T tokens, S tokens of a source, D width of vectors.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

IGNORED = -100  # a label that does not count, as in torch's cross-entropy


class Masked(NamedTuple):
    """Inputs and labels, both (B, T) int64; a label is -100 where nothing is asked."""

    inputs: Tensor
    labels: Tensor


def mask_tokens(
    tokens: Tensor,
    mask_token: int,
    words: tuple[int, int],
    *,
    rate: float | Tensor = 0.15,
    replace: float = 0.8,
    random: float = 0.1,
    special: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Masked:
    """BERT's masking (Devlin et al. 2019, section 3.1 and appendix A.1).

    Each token is chosen with probability `rate`, and is asked for. Of the chosen ones `replace`
    become `mask_token`, `random` a random one of the tokens from ``words[0]`` to below
    ``words[1]``, and the rest stay as they are.

    tokens (B, T) int64; rate a number, or a tensor that broadcasts to (B, T); special (B, T),
    true where a token is never chosen.

    Raises
    ------
    ValueError: shares outside 0 to 1 or with a sum above 1; an empty range of words.
    """
    if not (replace >= 0 and random >= 0 and replace + random <= 1):
        raise ValueError(f"replace {replace} and random {random}: at least 0, their sum at most 1")
    rate_BT = torch.as_tensor(rate, dtype=torch.float32)
    if not ((rate_BT >= 0) & (rate_BT <= 1)).all():
        raise ValueError(f"rate must lie in 0 to 1, got {rate}")
    if not words[0] < words[1]:
        raise ValueError(f"words are a range (first, end), got {words}")
    draws = {"generator": generator, "device": tokens.device}
    chosen = torch.rand(tokens.shape, **draws) < rate_BT
    chosen = chosen if special is None else chosen & ~special
    fate = torch.rand(tokens.shape, **draws)
    other = torch.randint(*words, tokens.shape, **draws)
    inputs = torch.where(chosen & (fate < replace), mask_token, tokens)
    swapped = chosen & (fate >= replace) & (fate < replace + random)
    return Masked(torch.where(swapped, other, inputs), torch.where(chosen, tokens, IGNORED))


def random_spans(
    rows: int, length: int, noise: int, spans: int, generator: torch.Generator | None = None
) -> Tensor:
    """Masks (rows, length), true at `noise` tokens that lie in `spans` spans, all as likely.

    The spans do not touch; the first may begin the text and the last may end it.

    Raises
    ------
    ValueError: no such mask exists.
    """
    if not (1 <= spans <= noise and spans - 1 <= length - noise):
        raise ValueError(
            f"{noise} tokens in {spans} spans do not fit into {length}: expected "
            "1 <= spans <= noise, and spans - 1 other tokens between them"
        )
    hidden = _parts(rows, noise, spans, generator)
    shown = _parts(rows, length - noise + 2, spans + 1, generator)  # the ends may be empty
    shown[:, 0] -= 1
    edges = torch.stack([shown[:, :-1], hidden], 2).flatten(1).cumsum(1)  # begin, end, begin, ...
    place = torch.arange(length)
    return ((place >= edges[:, 0::2, None]) & (place < edges[:, 1::2, None])).any(1)


def _parts(rows: int, total: int, count: int, generator: torch.Generator | None) -> Tensor:
    """(rows, count) whole numbers of at least 1 with the sum `total`, all ways as likely."""
    draw = torch.rand(rows, total - 1, generator=generator)
    cuts = draw.topk(count - 1, dim=1).indices.sort(1).values + 1
    ends = torch.cat([cuts, torch.full((rows, 1), total)], 1)
    return ends.diff(dim=1, prepend=torch.zeros(rows, 1, dtype=torch.int64))


def corrupt_spans(
    tokens: list[int], mask: list[bool], sentinels: list[int], end: int
) -> tuple[list[int], list[int]]:
    """T5's source and target (Raffel et al. 2020, section 3.1.4).

    In the source each span of the mask is one sentinel, in their order; the target has each
    sentinel followed by the tokens it stands for, and `end`.

    Raises
    ------
    ValueError: mask and tokens of different length, or more spans than sentinels.
    """
    if len(mask) != len(tokens):
        raise ValueError(f"got {len(tokens)} tokens and a mask of {len(mask)}; expected one each")
    source, target, used, before = [], [], 0, False
    for token, hidden in zip(tokens, mask, strict=True):
        if hidden and not before:
            if used == len(sentinels):
                raise ValueError(f"more than {used} spans: give as many sentinels as spans")
            source.append(sentinels[used])
            target.append(sentinels[used])
            used += 1
        (target if hidden else source).append(token)
        before = hidden
    return source, [*target, end]


def restore_spans(source: list[int], target: list[int], sentinels: list[int], end: int) -> list:
    """The tokens that `corrupt_spans` made source and target of."""
    spans: dict[int, list[int]] = {}
    for token in target:
        if token == end:
            break
        if token in sentinels:
            now = spans.setdefault(token, [])
        else:
            now.append(token)
    return [part for token in source for part in spans.get(token, [token])]


def info_nce(image_BD: Tensor, text_BD: Tensor, log_scale: Tensor | float) -> Tensor:
    """CLIP's loss (Radford et al. 2021, figure 3), a scalar: row i of both belong together.

    Cosines of all pairs times ``exp(log_scale)``; the mean of two cross-entropies, of the text
    among all texts for each image, and of the image among all images for each text.

    Raises
    ------
    ValueError: not two tensors (B, D) of one shape.
    """
    if image_BD.ndim != 2 or image_BD.shape != text_BD.shape:
        raise ValueError(
            f"needs two tensors (B, D), got {tuple(image_BD.shape)} and {tuple(text_BD.shape)}"
        )
    scale = torch.as_tensor(log_scale).exp()
    z_BB = scale * F.normalize(image_BD, dim=1) @ F.normalize(text_BD, dim=1).T
    own_B = torch.arange(len(z_BB), device=z_BB.device)
    return (F.cross_entropy(z_BB, own_B) + F.cross_entropy(z_BB.T, own_B)) / 2
