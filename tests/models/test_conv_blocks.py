"""The six blocks: shapes, wiring by hand, gradients that reach every weight, refusals."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from utils.models.conv_blocks import BLOCKS, Gate, SmallNet, conv, matched_width


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("channels", [(8, 8), (8, 16)])
def test_shapes_and_gradients(name, channels):
    torch.manual_seed(0)
    block, x = BLOCKS[name](*channels), torch.randn(3, channels[0], 7, 5)
    y = block(x)
    assert y.shape == (3, channels[1], 7, 5)
    (y * torch.randn_like(y)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in block.parameters())


def test_conv_is_convolution_norm_activation():
    torch.manual_seed(0)
    layer, x = conv(4, 6, 5, groups=2), torch.randn(2, 4, 6, 6)
    expected = F.conv2d(x, layer[0].weight, padding=2, groups=2)
    expected = torch.relu(F.batch_norm(expected, None, None, training=True))
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-6)


def test_residual_with_silent_body_is_its_shortcut():
    x = torch.randn(2, 8, 4, 4)
    for name in ("ResNet", "SE"):
        block = BLOCKS[name](8, 8)
        nn.init.zeros_(block.body[1][1].weight)
        torch.testing.assert_close(block(x), torch.relu(x))
    block = BLOCKS["EfficientNet"](8, 8)
    nn.init.zeros_(block.body[3][1].weight)
    torch.testing.assert_close(block(x), x)


def test_dense_block_keeps_its_input():
    block, x, seen = BLOCKS["DenseNet"](4, 8), torch.randn(2, 4, 5, 5), []
    for layer in (*block.layers, block.mix):
        layer.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    block(x)
    assert [part.shape[1] for part in seen] == [4, 8, 12, 16]
    for before, after in itertools.pairwise(seen):
        torch.testing.assert_close(after[:, : before.shape[1]], before)


def test_gate_scales_each_channel_by_one_factor():
    torch.manual_seed(0)
    gate, x = Gate(8), torch.rand(3, 8, 4, 4) + 0.1
    factor = gate(x) / x
    torch.testing.assert_close(factor, factor[:, :, :1, :1].expand_as(factor))
    assert ((factor > 0) & (factor < 1)).all()


def test_matched_width_is_the_nearest():
    def count(net):
        return sum(p.numel() for p in net.parameters())

    for name in BLOCKS:
        width = matched_width(name, 5000, count)
        gaps = {w: abs(count(SmallNet(name, w)) - 5000) for w in range(4, 41, 4)}
        assert gaps[width] == min(gaps.values())


def test_refusals():
    with pytest.raises(ValueError, match="choose one of VGG"):
        SmallNet("AlexNet", 8)
    with pytest.raises(ValueError, match="multiple of 4"):
        BLOCKS["Inception"](8, 6)
    with pytest.raises(ValueError, match="width must be at least 1"):
        SmallNet("VGG", 0)
    assert SmallNet("VGG", 4, 3, 5)(torch.zeros(2, 3, 9, 9)).shape == (2, 5)
