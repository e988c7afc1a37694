"""The scripts of two recorded runs on convolutional networks: smoke runs and refusals."""

import sys
from pathlib import Path

import torch

from utils.record import recorded_run

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import conv_blocks
import resnet_small_images


def test_without_shortcuts_a_block_is_its_body_alone():
    plain, images = resnet_small_images.deep(1, shortcuts=False), torch.rand(2, 1, 8, 8)
    block = plain.stages[0][0]
    x = plain.stem(images)
    body = block.norm2(block.conv2(torch.relu(block.norm1(block.conv1(x)))))
    torch.testing.assert_close(block(x), torch.relu(body))


def test_the_recorded_sizes_are_those_of_the_networks():
    for name, row in recorded_run(conv_blocks.RESULT)["figures"].items():
        model = conv_blocks.SmallNet(name, row["width"])
        assert sum(p.numel() for p in model.parameters()) == row["parameters"]
        assert conv_blocks.flops(model) == row["flops"]
