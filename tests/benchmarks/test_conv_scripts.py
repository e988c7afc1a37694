"""The scripts of two recorded runs on convolutional networks: smoke runs and refusals."""

import sys
from pathlib import Path

import pytest
import torch

from utils.record import recorded_run

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import conv_blocks
import resnet_small_images


@pytest.mark.slow
@pytest.mark.parametrize("script", [conv_blocks, resnet_small_images], ids=lambda s: s.__name__)
def test_a_smoke_run_writes_a_record_that_pages_can_read(script, tmp_path):
    path, threads = tmp_path / "smoke.json", torch.get_num_threads()
    try:
        assert script.main(["--smoke", "--output", str(path)]) == 0
    finally:
        torch.set_num_threads(threads)
    smoke = recorded_run(path)["figures"]
    assert smoke.keys() == recorded_run(script.RESULT)["figures"].keys()


@pytest.mark.parametrize("script", [conv_blocks, resnet_small_images], ids=lambda s: s.__name__)
@pytest.mark.parametrize("words", [["--smoke"], ["--seeds", "0"]])
def test_wrong_settings_end_the_program(script, words):
    with pytest.raises(SystemExit) as caught:
        script.main(words)
    assert caught.value.code == 2


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
