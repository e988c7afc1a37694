"""The script of the recorded run on CIFAR-10: every step on bundled digits, and its refusals."""

import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import torch

from utils.data import sample_images
from utils.data.sets import ImageSet
from utils.record import recorded_run

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import resnet18_cifar10 as script


def random_set(count: int) -> ImageSet:
    photograph = sample_images()["flower"][: 32 * count // 8, : 32 * 8]
    images = photograph.reshape(-1, 32, 8, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3)
    return ImageSet(images, torch.arange(count).numpy() % 10, tuple("0123456789"), top=255)


@pytest.mark.slow
def test_smoke_run_writes_a_record_that_pages_can_read(tmp_path, capsys):
    path = tmp_path / "smoke.json"
    assert script.main(["--smoke", "--stems", "cifar", "--output", str(path)]) == 0
    run = recorded_run(path)
    assert "no CIFAR-10" in run["data"] and run["images"] == {"train": 32, "test": 32}
    found = run["figures"]["cifar"]
    assert found["parameters"] == 11_173_962
    low, high = found["runs"][0]["test_interval"]
    assert 0 <= low <= found["mean_accuracy"] <= high <= 1
    assert "cifar: test accuracy" in capsys.readouterr().out


def test_augmented_images_are_crops_of_the_padded_image_or_its_mirror():
    images = torch.rand(64, 3, 32, 32)
    torch.manual_seed(0)
    cropped = script.crop_and_mirror(images)
    assert cropped.shape == images.shape
    padded = torch.nn.functional.pad(images, (4, 4, 4, 4))
    kinds = set()
    for image, whole in zip(cropped, padded, strict=True):
        places = {
            (row, column, mirrored)
            for row in range(9)
            for column in range(9)
            for mirrored in (False, True)
            if torch.equal(
                image.flip(2) if mirrored else image,
                whole[:, row : row + 32, column : column + 32],
            )
        }
        assert len(places) == 1
        kinds |= places
    rows, columns, mirrored = (set(part) for part in zip(*kinds, strict=True))
    assert mirrored == {False, True} and rows == columns == set(range(9))


def test_both_sets_are_scaled_by_the_training_statistics():
    train, test = random_set(32), random_set(16)
    pairs = script.prepare(train, test, torch.device("cpu"))
    deviation, mean = torch.std_mean(pairs[0][0], (0, 2, 3))
    torch.testing.assert_close(mean, torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(deviation, torch.ones(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(pairs[1][0], pairs[0][0][:16])  # the same images, the same numbers


def test_batches_hold_every_image_once_and_leave_the_rest_out():
    images, labels = torch.zeros(70, 3, 32, 32), torch.arange(70)
    batches = script.Batches(images, labels, 32)
    seen = torch.cat([part for _, part in batches])
    assert len(batches) == 2 and len(seen) == 64 == len(seen.unique())


def test_without_the_data_the_script_stops_and_says_what_to_do(tmp_path, monkeypatch, capsys):
    def refuse(*arguments, **options):
        raise urllib.error.URLError("no network")

    monkeypatch.setenv("LMM_DATA", str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    output = tmp_path / "result.json"
    assert script.main(["--output", str(output)]) == 1
    message = capsys.readouterr().err
    assert "cifar-10-binary.tar.gz" in message and "LMM_DATA" in message and "sha256" in message
    assert not output.exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--smoke", "--output", str(script.RESULT)],
        ["--epochs", "0"],
        ["--stems", "vgg"],
        ["--device", "abacus"],
    ],
)
def test_wrong_settings_end_the_program(words):
    with pytest.raises(SystemExit) as caught:
        script.main(words)
    assert caught.value.code == 2
