import pytest
import torch
from torch import nn

from utils.models.convnet import (
    BasicBlock,
    ConvNet,
    ResNet,
    narrow_resnet,
    resnet18,
    resnet_from_hf,
)

transformers = pytest.importorskip("transformers")


def count(model):
    return sum(p.numel() for p in model.parameters())


def hf_resnet(in_channels=3, widths=(64, 128, 256, 512), depths=(2, 2, 2, 2), num_labels=1000):
    config = transformers.ResNetConfig(
        num_channels=in_channels,
        embedding_size=widths[0],
        hidden_sizes=list(widths),
        depths=list(depths),
        layer_type="basic",
        num_labels=num_labels,
    )
    return transformers.ResNetForImageClassification(config)


def randomize_statistics_(model):
    """Give batch norms statistics and scales that a mistake would show in."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return model


def test_resnet18_has_the_published_number_of_parameters():
    with torch.device("meta"):
        assert count(resnet18()) == 11_689_512
        assert count(resnet18(num_classes=10, stem="cifar")) == 11_173_962


def test_resnet18_equals_transformers():
    torch.manual_seed(0)
    reference = randomize_statistics_(hf_resnet()).eval()
    model = resnet18().eval()
    model.load_state_dict(resnet_from_hf(reference.state_dict()))
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(model(images), reference(images).logits, rtol=1e-5, atol=1e-5)


def test_narrow_resnet_with_cifar_stem_equals_transformers_in_training():
    torch.manual_seed(1)
    reference = hf_resnet(1, (8, 16, 32), (1, 1, 1), 10)
    reference.resnet.embedder.embedder.convolution = nn.Conv2d(1, 8, 3, padding=1, bias=False)
    reference.resnet.embedder.pooler = nn.Identity()
    randomize_statistics_(reference).train()
    model = narrow_resnet(width=8)
    model.load_state_dict(resnet_from_hf(reference.state_dict()))
    images = torch.randn(16, 1, 8, 8)
    logits, expected = model(images), reference(images).logits
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    logits.square().sum().backward()
    expected.square().sum().backward()
    theirs = {name: p.grad for name, p in reference.named_parameters()}
    for name, gradient in resnet_from_hf(theirs).items():
        torch.testing.assert_close(
            model.get_parameter(name).grad, gradient, rtol=1e-4, atol=1e-4, msg=name
        )
    for name, statistic in resnet_from_hf(dict(reference.named_buffers())).items():
        torch.testing.assert_close(model.get_buffer(name), statistic, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("side", [8, 16, 28, 32])
def test_sizes_from_digits_to_cifar(side):
    model = narrow_resnet(width=4)
    images = torch.randn(3, 1, side, side)
    assert model(images).shape == (3, 10)
    assert model.features(images).shape == (3, 16)
    assert ConvNet(7)(images).shape == (3, 7)


def test_gradients_in_float64():
    torch.manual_seed(0)
    x = torch.randn(3, 2, 5, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(BasicBlock(2, 3, stride=2).double(), x)
    model = ConvNet(3, 2, (4,)).double()
    assert torch.autograd.gradcheck(model, x)


def test_zero_last_norm_starts_as_the_shortcuts():
    model = ResNet(10, 1, (4, 4), (2, 2), zero_last_norm=True)
    block = model.stages[0][1]
    x = torch.rand(2, 4, 6, 6)
    torch.testing.assert_close(block(x), x)


def test_convnet_equals_the_same_layers_written_out():
    torch.manual_seed(0)
    model = ConvNet(5, 1, (6, 8), norm=False)
    first, second = model.features[0], model.features[3]
    x = torch.randn(2, 1, 9, 9)
    pooled = nn.functional.max_pool2d(torch.relu(first(x)), 2)
    pooled = nn.functional.max_pool2d(torch.relu(second(pooled)), 2)
    expected = model.head(nn.functional.adaptive_avg_pool2d(pooled, 1).flatten(1))
    torch.testing.assert_close(model(x), expected)


@pytest.mark.parametrize(
    ("arguments", "error", "phrase"),
    [
        ({"widths": (8, 16), "depths": (1,)}, ValueError, "the same length"),
        ({"widths": (), "depths": ()}, ValueError, "the same length"),
        ({"stem": "mnist"}, ValueError, "stem 'mnist' is not known"),
        ({"depths": (1, 0, 1)}, ValueError, r"depths\[1\] must be at least 1"),
        ({"num_classes": 2.0}, TypeError, "num_classes must be an integer"),
    ],
)
def test_bad_arguments(arguments, error, phrase):
    with pytest.raises(error, match=phrase):
        ResNet(**arguments)


def test_bad_images():
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\), got \(2, 1, 32, 32\)"):
        resnet18()(torch.zeros(2, 1, 32, 32))
    with pytest.raises(ValueError, match=r"8 by 8 pixels are too small.*at least 32 by 32"):
        resnet18()(torch.zeros(2, 3, 8, 8))
    with pytest.raises(ValueError, match=r"got \(1, 28, 28\)"):
        ConvNet()(torch.zeros(1, 28, 28))
    with pytest.raises(ValueError, match="widths is empty"):
        ConvNet(widths=())


def test_weights_of_another_architecture():
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[16], depths=[1], layer_type="bottleneck"
    )
    bottleneck = transformers.ResNetForImageClassification(config)
    with pytest.raises(ValueError, match="not the weights of a ResNet of basic blocks"):
        resnet_from_hf(bottleneck.state_dict())
    with pytest.raises(ValueError, match="not the weights of a ResNet"):
        resnet_from_hf({})
    with pytest.raises(ValueError, match="1 of 1 keys are unknown"):
        resnet_from_hf({"lstm.weight": torch.zeros(1)})
