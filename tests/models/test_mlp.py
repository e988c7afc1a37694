import pytest
import torch
from torch import nn

from utils.models.mlp import ACTIVATIONS, MLP, initialize_


def test_equals_the_same_layers_written_out():
    torch.manual_seed(0)
    model = MLP((12, 32, 16, 5), activation="gelu", norm="layer")
    reference = nn.Sequential(
        nn.Linear(12, 32), nn.LayerNorm(32), nn.GELU(),
        nn.Linear(32, 16), nn.LayerNorm(16), nn.GELU(),
        nn.Linear(16, 5),
    )  # fmt: skip
    reference.load_state_dict(model.layers.state_dict())
    x = torch.randn(7, 12)
    torch.testing.assert_close(model(x), reference(x), rtol=0, atol=0)


def test_equals_the_formula():
    model = MLP((3, 4, 2), activation="tanh").double()
    x = torch.randn(5, 3, dtype=torch.float64)
    first, _, second = model.layers
    expected = torch.tanh(x @ first.weight.T + first.bias) @ second.weight.T + second.bias
    torch.testing.assert_close(model(x), expected, rtol=0, atol=1e-14)


def test_number_of_parameters_of_the_1024_1024_network():
    model = MLP((784, 1024, 1024, 10))
    expected = 784 * 1024 + 1024 + 1024 * 1024 + 1024 + 1024 * 10 + 10
    assert sum(p.numel() for p in model.parameters()) == expected == 1_863_690


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_gradients_in_float64(activation):
    torch.manual_seed(1)
    model = MLP((4, 6, 3), activation=activation, norm="layer").double()
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(model, x)


def test_flatten_takes_images():
    model = MLP((64, 10), flatten=True)
    images = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(model(images), model(images.reshape(2, 64)))


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    model = MLP((8, 256, 4), dropout=0.5)
    x = torch.randn(3, 8)
    assert not torch.equal(model(x), model(x))
    model.eval()
    torch.testing.assert_close(model(x), model(x), rtol=0, atol=0)


def test_batch_norm_normalizes_hidden_units():
    torch.manual_seed(0)
    model = MLP((8, 16, 4), norm="batch")
    hidden = model.layers[1](model.layers[0](torch.randn(500, 8) * 7 + 3))
    torch.testing.assert_close(hidden.mean(0), torch.zeros(16), atol=1e-5, rtol=0)
    torch.testing.assert_close(hidden.std(0, correction=0), torch.ones(16), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("scheme", "variance"),
    [("he", 2 / 400), ("lecun", 1 / 400), ("xavier", 2 / (400 + 600))],
)
def test_initialization_has_the_stated_variance(scheme, variance):
    torch.manual_seed(0)
    layer = MLP((400, 600), init=scheme).layers[0]
    assert layer.weight.var().item() == pytest.approx(variance, rel=0.02)
    assert not layer.bias.any()


def test_other_initializations():
    torch.manual_seed(0)
    assert not any(p.any() for p in MLP((4, 3, 2), init="zeros").parameters())
    weight = MLP((40, 20), init="orthogonal").layers[0].weight
    torch.testing.assert_close(weight @ weight.T, torch.eye(20), atol=1e-5, rtol=0)
    layer = initialize_(nn.Conv2d(8, 64, 3), "he", std=0.5)
    assert layer.weight.std().item() == pytest.approx(0.5, rel=0.05)
    convolution = initialize_(nn.Conv2d(64, 64, 3), "he")
    assert convolution.weight.var().item() == pytest.approx(2 / (64 * 9), rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "error", "phrase"),
    [
        ({"sizes": (4,)}, ValueError, "input and an output width"),
        ({"sizes": (4, 0)}, ValueError, r"sizes\[1\] must be at least 1, got 0"),
        ({"sizes": (4, 2.5)}, TypeError, r"sizes\[1\] must be an integer"),
        ({"sizes": (4, True)}, TypeError, "must be an integer"),
        ({"sizes": (4, 2), "activation": "swish"}, ValueError, "activation 'swish' is not known"),
        ({"sizes": (4, 2), "norm": "group"}, ValueError, "norm 'group' is not known"),
        ({"sizes": (4, 2), "init": "magic"}, ValueError, "initialization 'magic' is not known"),
        ({"sizes": (4, 2), "dropout": 1.0}, ValueError, r"dropout must be in \[0, 1\), got 1.0"),
    ],
)
def test_bad_arguments(arguments, error, phrase):
    with pytest.raises(error, match=phrase):
        MLP(**arguments)


def test_bad_inputs():
    with pytest.raises(ValueError, match=r"last axis 64, got shape \(2, 8, 8\).*flatten=True"):
        MLP((64, 10))(torch.zeros(2, 8, 8))
    with pytest.raises(ValueError, match=r"last axis 64, got shape \(2, 9, 9\)"):
        MLP((64, 10), flatten=True)(torch.zeros(2, 9, 9))
    with pytest.raises(ValueError, match=r"must be \(B, D\)"):
        MLP((4, 4, 2), norm="batch")(torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match="std must not be negative"):
        initialize_(nn.Linear(2, 2), "he", std=-1)
