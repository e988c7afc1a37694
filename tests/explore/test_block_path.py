"""A token's way through a block: JavaScript and Python agree, and Python agrees with torch."""

import random

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from utils.explore.block_path import KINDS, BlockPath, path, stations
from utils.models.attention import Mask
from utils.models.block import Block, Step
from utils.models.config import TransformerConfig

RANGES = {"log_T": (0, 12), "log_S": (0, 12), "log_D": (3, 13), "log_H": (0, 6), "factor": (1, 8)}


def settings() -> list[dict]:
    rng = random.Random(0)
    drawn = [{key: rng.randint(*ends) for key, ends in RANGES.items()} for _ in range(200)]
    edges = [{key: ends[i] for key, ends in RANGES.items()} for i in (0, 1)]
    edges.append(edges[0] | {"log_H": 6})  # more heads than columns
    return [{"kind": rng.choice(KINDS), **case} for case in drawn] + [
        {"kind": kind, **case} for kind in KINDS for case in edges
    ]


def test_javascript_computes_what_python_computes(javascript):
    cases = settings()
    for case, result in zip(cases, javascript("block_path.js", cases), strict=True):
        assert result == path(**case), case


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sizes", [(5, 7, 16, 4, 48), (8, 3, 12, 1, 12)])
def test_parameters_and_operations_are_those_of_our_block(kind, sizes):
    T, S, D, H, d_ff = sizes
    config = TransformerConfig(9, 9, D, 1, H, d_ff=d_ff, activation="relu")
    cross = kind == KINDS[2]
    block = Block(config, 0, cross=cross)
    rows = stations(kind, *sizes)
    assert sum(row["parameters"] for row in rows) == sum(p.numel() for p in block.parameters())
    step = Step(masks={None: Mask(causal=kind != "encoder")})
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        if cross:
            step.cross = [block.cross.keys_values(torch.randn(1, S, D))]
        block(torch.randn(1, T, D), step)
    assert sum(row["flops"] for row in rows) == counter.get_total_flops()


def test_the_way_ends_in_the_shape_in_which_it_began():
    for case in settings():
        rows = path(**case)["stations"]
        assert rows[0]["shape"] == rows[-1]["shape"]
        assert len(rows) <= BlockPath.step.max + 1


def test_weights_outgrow_the_inner_width_where_heads_times_source_do():
    short = path("decoder", 5, 4, 6, 2, 4)  # H T = 128 below 4 D = 256
    long = path("decoder", 7, 4, 6, 2, 4)  # H T = 512 above it
    assert short["stations"][short["largest"]]["name"] == "feed-forward: up, activation"
    assert long["stations"][long["largest"]]["name"] == "attention: weights"
    assert short["parameters"] == long["parameters"]


def test_box_holds_state_and_no_script():
    bundle = BlockPath(log_T=3)._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert 'data-name="BlockPath"' in data["text/html"] and "<script" not in data["text/html"]


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="expected one of"):
        stations("coder", 1, 1, 8, 1, 8)
    with pytest.raises(ValueError, match="no multiple of 3 heads"):
        stations("encoder", 1, 1, 8, 3, 8)
