"""The script of the recorded run on starts: its wiring, its four starts, a smoke run."""

import json
import math
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import initialization_starts as script


def test_layers_are_wired_as_torch_wires_them():
    h, W = torch.randn(2, 9, 5), torch.randn(2, 5, 5)
    found = {name: script.layer(h, W, name) for _, name in script.NETWORKS.values()}
    relu = torch.relu(h @ W)
    expected = {
        "plain": relu,
        "layer norm": F.layer_norm(relu, (5,)),
        "RMS norm": F.rms_norm(relu, (5,), eps=1e-5),
        "batch norm": torch.stack(
            [torch.relu(F.batch_norm(z, None, None, training=True)) for z in h @ W]
        ),
        "residual": h + torch.relu(h) @ W,
        "residual / √depth": h + torch.relu(h) @ W / math.sqrt(script.DEPTH),
        "residual, RMS norm": h + torch.relu(F.rms_norm(h, (5,), eps=1e-5)) @ W,
    }
    assert found.keys() == expected.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("start", "write", "read", "embedding"),
    [
        ("GPT-2", 0.02 / math.sqrt(12), 0.02, 0.02),
        ("GPT-2, undivided", 0.02, 0.02, 0.02),
        ("PyTorch", 1 / math.sqrt(3 * 64), 1 / math.sqrt(3 * 64), 1.0),
        ("PyTorch, embeddings 0.02", 1 / math.sqrt(3 * 64), 1 / math.sqrt(3 * 64), 0.02),
    ],
)
def test_starts_have_the_deviations_that_they_are_named_for(start, write, read, embedding):
    weights = dict(script.started(start, 0).named_parameters())
    for ending, expected in (
        ("attention.out.weight", write),
        ("feedforward.up.weight", read),
        ("tokens.weight", embedding),
    ):
        found = [w.std().item() for name, w in weights.items() if name.endswith(ending)]
        assert found and found == pytest.approx([expected] * len(found), rel=0.08), ending


def test_a_smoke_run_writes_every_figure(tmp_path):
    assert script.main(["--smoke", "--output", str(tmp_path / "smoke.json")]) == 0
    figures = json.loads((tmp_path / "smoke.json").read_text(encoding="utf-8"))["figures"]
    assert list(figures["deep"]) == list(script.NETWORKS)
    assert list(figures["gpt"]) == list(script.STARTS)
    assert len(figures["gpt"]["GPT-2"]["tuned"]) == len(script.GPT_RATES)
