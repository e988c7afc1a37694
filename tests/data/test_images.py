"""Images: bundled ones, the real files where they are, and damaged ones."""

import gzip
import io
import os
import struct
import tarfile

import numpy as np
import pytest
import torch
from sklearn import datasets

from utils.data import data_folder, digits, mnist, sample_images
from utils.data.images import CIFAR, FASHION, checked_set, cifar10, read_cifar10, read_idx


def idx(array, type_code=8, shape=None):
    shape = array.shape if shape is None else shape
    return (
        bytes([0, 0, type_code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + bytes(array)
    )


def write(path, content, level=6):
    path.write_bytes(gzip.compress(content, level))
    return path


def test_digits_are_those_of_sklearn():
    found, theirs = digits(), datasets.load_digits()
    assert found.images.shape == (1797, 8, 8) and found.images.dtype == np.uint8
    np.testing.assert_array_equal(found.images, theirs.images)
    np.testing.assert_array_equal(found.labels, theirs.target)
    images, labels = found.tensors()
    assert images.shape == (1797, 1, 8, 8) and images.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert images.min() == 0 and images.max() == 1


def test_sample_images():
    found = sample_images()
    assert sorted(found) == ["china", "flower"]
    for image in found.values():
        assert image.shape == (427, 640, 3) and image.dtype == np.uint8 and image.std() > 20


def test_idx_round_trip(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (5, 4, 3), np.uint8)
    np.testing.assert_array_equal(read_idx(write(tmp_path / "a.gz", idx(array))), array)


@pytest.mark.parametrize(
    ("content", "phrase"),
    [
        (idx(np.zeros((2, 3), np.uint8), shape=(2, 4)), r"shape \(2, 4\), holds 6"),
        (idx(np.zeros((2, 3), np.uint8), shape=(2, 2)), r"shape \(2, 2\), holds 6"),
        (idx(np.zeros((2, 3), np.uint8), type_code=13), "element type 0xd"),
        (b"\x89PNG1234", "begins with 89504e47"),
        (b"\0\0\x08", "not an IDX file"),
        (b"\0\0\x08\x03\0\0", "holds"),
        (b"", "not an IDX file"),
    ],
)
def test_damaged_idx(tmp_path, content, phrase):
    path = write(tmp_path / "a.gz", content)
    with pytest.raises(ValueError, match=phrase) as caught:
        read_idx(path)
    assert str(path) in str(caught.value) and "Delete the file" in str(caught.value)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "no gzip"])
def test_damaged_gzip(tmp_path, damage):
    array = np.random.default_rng(0).integers(0, 256, (50, 8, 8), np.uint8)
    path = write(tmp_path / "a.gz", idx(array))
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[:-20]
    elif damage == "flipped":
        content[len(content) // 2] ^= 0xFF
    else:
        content = idx(array)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not a complete gzip file"):
        read_idx(path)


def test_images_and_labels_must_fit():
    images, labels = np.zeros((3, 2, 2), np.uint8), np.array([0, 1, 2], np.uint8)
    assert len(checked_set(images, labels, ("a", "b", "c"), (3, 2, 2), "toy")) == 3
    with pytest.raises(ValueError, match=r"toy: found images \(3, 2, 2\) and labels \(2,\)"):
        checked_set(images, labels[:2], ("a", "b", "c"), (3, 2, 2), "toy")
    with pytest.raises(ValueError, match="toy: found label 2, expected 0 to 1"):
        checked_set(images, labels, ("a", "b"), (3, 2, 2), "toy")


def test_unknown_split():
    for load in (mnist, cifar10):
        with pytest.raises(ValueError, match="choose one of train, test"):
            load("validation")


def archive(path, batches):
    with tarfile.open(path, "w:gz", compresslevel=1) as file:
        for name, content in batches.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return path


def test_cifar10_planes_and_labels(tmp_path):
    rows = np.zeros((10_000, 3073), np.uint8)
    rows[:, 0] = np.arange(10_000) % 10
    rows[7, 1 : 1 + 1024] = 200  # the red plane
    rows[7, 1 + 1024 + 32] = 9  # green, second row, first column
    path = archive(
        tmp_path / "c.tar.gz", {"data_batch_1": bytes(rows), "data_batch_2": bytes(rows)}
    )
    found = read_cifar10(path, ["data_batch_1", "data_batch_2"])
    assert found.images.shape == (20_000, 32, 32, 3) and found.classes == CIFAR
    np.testing.assert_array_equal(found.images[10_007, 1, 0], [200, 9, 0])
    np.testing.assert_array_equal(found.labels[:11], [*range(10), 0])
    images, _ = found.take([7]).tensors()
    assert images.shape == (1, 3, 32, 32)
    assert images[0, 0].mean().item() == pytest.approx(200 / 255)


def test_damaged_cifar10(tmp_path):
    rows = np.full((10_000, 3073), 10, np.uint8)
    with pytest.raises(ValueError, match="found label 10"):
        read_cifar10(archive(tmp_path / "label.gz", {"test_batch": bytes(rows)}), ["test_batch"])
    short = archive(tmp_path / "short.gz", {"test_batch": b"1234"})
    with pytest.raises(ValueError, match="has 4 bytes, not 30730000"):
        read_cifar10(short, ["test_batch"])
    with pytest.raises(ValueError, match=r"not the whole archive .*data_batch_1"):
        read_cifar10(short, ["data_batch_1"])
    content = archive(tmp_path / "cut.gz", {"test_batch": os.urandom(30_730_00)}).read_bytes()
    (tmp_path / "cut.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="not the whole archive"):
        read_cifar10(tmp_path / "cut.gz", ["test_batch"])


def test_class_names():
    assert len(set(FASHION)) == len(set(CIFAR)) == 10


def test_real_mnist_test_images():
    path = data_folder() / "mnist" / "t10k-images-idx3-ubyte.gz"
    if not os.environ.get("LMM_DATA") or not path.exists():
        pytest.skip("LMM_DATA is not set to a folder that holds MNIST's test images")
    found = mnist("test")
    assert found.images.shape == (10_000, 28, 28)
    np.testing.assert_array_equal(found.labels[:10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9])
    np.testing.assert_array_equal(np.bincount(found.labels)[[0, 1]], [980, 1135])
    assert found.images.mean() == pytest.approx(33.79, abs=0.01)
