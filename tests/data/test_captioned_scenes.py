"""Pictures with captions: what is said can be read off the pixels."""

import pytest
import torch

from utils.data.captioned_scenes import COLORS, HEIGHT, WIDTH, WORDS, all_captions, scenes


def test_all_captions_are_different_and_have_two_things():
    captions = all_captions()
    assert captions.shape == (132, 6) and len(captions.unique(dim=0)) == 132
    assert not (captions[:, :2] == captions[:, 4:]).all(1).any()
    assert " ".join(WORDS[w] for w in captions[0]) == "red disk left of red square"


def test_colors_can_be_read_off_each_half():
    made = scenes(all_captions(), seed=1)
    assert made.images.shape == (132, 3, HEIGHT, WIDTH) and made.images.dtype == torch.float32
    palette = torch.tensor(list(COLORS.values()))
    halves = made.images.split(WIDTH // 2, 3)
    for half, place in zip(halves, (0, 4), strict=True):
        pixels = half.flatten(2).transpose(1, 2)  # (N, pixels, 3)
        spread = pixels.amax(2) - pixels.amin(2)  # the ground is gray
        colored = pixels[torch.arange(132), spread.argmax(1)]
        unit = colored / colored.norm(dim=1, keepdim=True)
        nearest = (unit @ (palette / palette.norm(dim=1, keepdim=True)).T).argmax(1)
        assert torch.equal(nearest, made.captions[:, place])


def test_a_caption_has_many_pictures_and_a_seed_has_one():
    captions = all_captions()[:1].repeat(2, 1)
    first, second = scenes(captions, seed=0), scenes(captions, seed=0)
    assert torch.equal(first.images, second.images)
    assert not torch.equal(first.images[0], first.images[1])


def test_a_ring_is_a_disk_with_a_hole():
    captions = all_captions()
    made = scenes(captions, seed=2)
    filled = {}
    for shape in (4, 5, 6):
        mine = captions[:, 1] == shape
        left = made.images[mine, :, :, : WIDTH // 2]
        filled[shape] = ((left.amax(1) - left.amin(1)) > 0.3).float().mean().item()
    assert filled[6] < filled[4]


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="captions have shape"):
        scenes(torch.zeros(3, 5, dtype=torch.int64))
