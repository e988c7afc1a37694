"""A token's way through a block of a transformer: stations, shapes, parameters, operations."""

from __future__ import annotations

import traitlets

from utils.explore.base import Explorable, source

KINDS = ("encoder", "decoder", "decoder with a source")


def stations(kind: str, T: int, S: int, D: int, H: int, d_ff: int) -> list[dict]:
    """What a text of `T` tokens passes in one block with biases and norms in front.

    Parameters
    ----------
    kind: one of `KINDS`. The third attends to a source of `S` tokens as well.
    T, S, D, H, d_ff: tokens, tokens of the source, model width, heads, inner width.

    Returns
    -------
    For each station ``name``, ``shape`` (a list, without the batch), ``parameters`` and
    ``flops`` (two for a multiplication with its addition, as PyTorch counts; norms, softmax,
    additions and activations are not counted). Hidden pairs are counted: plain attention
    computes them all.

    Raises
    ------
    ValueError
        For an unknown kind, and where `D` is no multiple of `H`.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; expected one of {', '.join(KINDS)}")
    if D % H:
        raise ValueError(f"width {D} is no multiple of {H} heads; expected one that is")
    rows = [_station("token vectors", [T, D]), *_attention("attention", T, T, D, H)]
    if kind == KINDS[2]:
        rows += _attention("cross-attention", T, S, D, H)
    return [
        *rows,
        _station("feed-forward: norm", [T, D], 2 * D),
        _station("feed-forward: up, activation", [T, d_ff], D * d_ff + d_ff, 2 * T * D * d_ff),
        _station("feed-forward: down", [T, D], D * d_ff + D, 2 * T * D * d_ff),
        _station("feed-forward: added", [T, D]),
    ]


def _station(name: str, shape: list[int], parameters: int = 0, flops: int = 0) -> dict:
    return {"name": name, "shape": shape, "parameters": parameters, "flops": flops}


def _attention(part: str, T: int, S: int, D: int, H: int) -> list[dict]:
    square, pairs = D * D + D, 2 * T * S * D
    return [
        _station(f"{part}: norm", [T, D], 2 * D),
        _station(f"{part}: queries", [H, T, D // H], square, 2 * T * D * D),
        _station(f"{part}: keys and values", [2, H, S, D // H], 2 * square, 4 * S * D * D),
        _station(f"{part}: weights", [H, T, S], 0, pairs),
        _station(f"{part}: means of values", [H, T, D // H], 0, pairs),
        _station(f"{part}: output matrix", [T, D], square, 2 * T * D * D),
        _station(f"{part}: added", [T, D]),
    ]


def path(kind: str, log_T: int, log_S: int, log_D: int, log_H: int, factor: int) -> dict:
    """`stations` for powers of two, an inner width of `factor` times D, and the sums.

    Returns ``stations``, ``parameters``, ``flops`` and ``largest``, the place in the list of
    the first station with the most numbers. `log_H` is cut to `log_D`.
    """
    T, S, D, H = 2**log_T, 2**log_S, 2**log_D, 2 ** min(log_H, log_D)
    rows = stations(kind, T, S, D, H, factor * D)
    sizes = [_product(row["shape"]) for row in rows]
    return {
        "stations": rows,
        "parameters": sum(row["parameters"] for row in rows),
        "flops": sum(row["flops"] for row in rows),
        "largest": sizes.index(max(sizes)),
    }


def _product(shape: list[int]) -> int:
    product = 1
    for side in shape:
        product *= side
    return product


class BlockPath(Explorable):
    """The stations of a block as bars of how many numbers each holds, with a walk through."""

    _esm = source("block_path.js")
    title = "A token's way through a block"
    fallback = (
        "With JavaScript, you walk through a block of a Transformer here, station by station, "
        "with the shape, the parameters and the operations of each."
    )
    heights = ("66rem", "105rem")
    kind = traitlets.Enum(KINDS, "decoder").tag(sync=True)
    log_T = traitlets.Int(4, min=0, max=12).tag(sync=True)
    log_S = traitlets.Int(4, min=0, max=12).tag(sync=True)
    log_D = traitlets.Int(6, min=3, max=13).tag(sync=True)
    log_H = traitlets.Int(2, min=0, max=6).tag(sync=True)
    factor = traitlets.Int(4, min=1, max=8).tag(sync=True)
    step = traitlets.Int(0, min=0, max=18).tag(sync=True)
