import pytest
import torch
from torch.nn import functional as F

from utils.models.vit import ViT, patchify, vit_from_hf

transformers = pytest.importorskip("transformers")


def hf_vit(image_size, patch_size, channels, **changes):
    config = transformers.ViTConfig(
        image_size=image_size,
        patch_size=patch_size,
        num_channels=channels,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=48,
        num_labels=7,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **changes,
    )
    model = transformers.ViTForImageClassification(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    return model


def our_vit(image_size, patch_size, channels, **changes):
    arguments = {"d_model": 32, "num_heads": 4, "num_layers": 3, "d_mlp": 48} | changes
    return ViT(image_size, patch_size, channels, 7, **arguments)


@pytest.mark.parametrize(("image_size", "patch_size", "channels"), [(8, 2, 1), (32, 8, 3)])
def test_equals_transformers_forward_and_backward(image_size, patch_size, channels):
    torch.manual_seed(0)
    reference = hf_vit(image_size, patch_size, channels)
    model = our_vit(image_size, patch_size, channels)
    model.load_state_dict(vit_from_hf(reference.state_dict()))
    images = torch.randn(5, channels, image_size, image_size)
    logits, expected = model(images), reference(images).logits
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    F.cross_entropy(logits, torch.arange(5)).backward()
    F.cross_entropy(expected, torch.arange(5)).backward()
    theirs = {name: parameter.grad for name, parameter in reference.named_parameters()}
    for name, gradient in vit_from_hf(theirs).items():
        ours = model.get_parameter(name).grad
        torch.testing.assert_close(ours, gradient, rtol=1e-4, atol=1e-5, msg=name)


def test_takes_the_names_of_transformers_files(tmp_path):
    from safetensors.torch import load_file

    reference = hf_vit(8, 4, 1)
    reference.save_pretrained(tmp_path)
    model = our_vit(8, 4, 1)
    model.load_state_dict(vit_from_hf(load_file(tmp_path / "model.safetensors")))
    images = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(model(images), reference(images).logits, rtol=1e-5, atol=1e-5)


def test_vit_base_has_the_published_number_of_parameters():
    with torch.device("meta"):
        model = ViT(224, 16, 3, 1000, d_model=768, num_heads=12, num_layers=12)
    assert sum(p.numel() for p in model.parameters()) == 86_567_656


def test_patch_embedding_is_a_linear_map_of_patches():
    torch.manual_seed(0)
    model = our_vit(8, 2, 3)
    images = torch.randn(2, 3, 8, 8)
    patches = patchify(images, 2)
    assert patches.shape == (2, 16, 12)
    torch.testing.assert_close(patches[1, 5], images[1, :, 2:4, 2:4].flatten())
    linear = F.linear(patches, model.patches.weight.flatten(1), model.patches.bias)
    torch.testing.assert_close(linear, model.patches(images).flatten(2).transpose(1, 2))


def test_without_positions_patches_may_be_shuffled():
    torch.manual_seed(0)
    images = torch.randn(3, 1, 8, 8)
    shuffled = images.reshape(3, 1, 4, 2, 8)[:, :, torch.tensor([2, 0, 3, 1])].reshape(3, 1, 8, 8)
    blind = our_vit(8, 2, 1, positions=False).eval()
    assert (blind(images)[0] - blind(images)[1]).abs().max() > 0.01
    torch.testing.assert_close(blind(images), blind(shuffled), rtol=1e-4, atol=1e-5)
    seeing = our_vit(8, 2, 1).eval()
    torch.nn.init.normal_(seeing.positions)
    assert (seeing(images) - seeing(shuffled)).abs().max() > 0.01


def test_mean_pooling_has_no_class_token():
    model = our_vit(8, 4, 1, pool="mean")
    images = torch.randn(2, 1, 8, 8)
    assert model.features(images).shape == (2, 4, 32)
    torch.testing.assert_close(model(images), model.head(model.features(images).mean(1)))
    assert our_vit(8, 4, 1).features(images).shape == (2, 5, 32)


def test_gradients_in_float64():
    torch.manual_seed(0)
    model = ViT(4, 2, 1, 3, d_model=8, num_heads=2, num_layers=1, d_mlp=8, norm_eps=1e-6).double()
    torch.nn.init.normal_(model.positions)
    images = torch.randn(2, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(model, images)


def test_dropout_acts_in_training_only():
    model = our_vit(8, 4, 1, dropout=0.3)
    images = torch.randn(2, 1, 8, 8)
    assert not torch.equal(model(images), model(images))
    model.eval()
    torch.testing.assert_close(model(images), model(images))


@pytest.mark.parametrize(
    ("arguments", "error", "phrase"),
    [
        ({"patch_size": 5}, ValueError, "patch_size 5 does not divide image_size 28"),
        ({"num_heads": 3}, ValueError, "num_heads 3 does not divide d_model 64"),
        ({"pool": "max"}, ValueError, "pool 'max' is not known; choose one of class, mean"),
        ({"dropout": -0.1}, ValueError, "dropout must be in"),
        ({"num_layers": 0}, ValueError, "num_layers must be at least 1"),
        ({"d_model": 64.0}, TypeError, "d_model must be an integer"),
    ],
)
def test_bad_arguments(arguments, error, phrase):
    with pytest.raises(error, match=phrase):
        ViT(**arguments)


def test_bad_inputs():
    with pytest.raises(ValueError, match=r"\(B, 1, 28, 28\), got \(2, 3, 28, 28\)"):
        ViT()(torch.zeros(2, 3, 28, 28))
    with pytest.raises(ValueError, match="multiples of 3"):
        patchify(torch.zeros(1, 1, 8, 8), 3)
    with pytest.raises(ValueError, match="not the weights of a ViT"):
        vit_from_hf({"conv.weight": torch.zeros(1)})
    weights = hf_vit(8, 4, 1).state_dict()
    del weights["vit.layers.1.attention.v_proj.bias"]
    with pytest.raises(ValueError, match=r"missing.*blocks\.1\.value\.bias"):
        vit_from_hf(weights)
