"""Images: scikit-learn's digits and photographs, and MNIST, Fashion-MNIST, CIFAR-10 on demand.

Legend: ``n`` images, ``H`` height, ``W`` width.
"""

from __future__ import annotations

import gzip
import math
import tarfile
import zlib
from pathlib import Path

import numpy as np
from sklearn import datasets

from utils.arguments import choose
from utils.data.download import fetch
from utils.data.sets import ImageSet

DIGITS = tuple("0123456789")
FASHION = (
    *("t-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)
CIFAR = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
_CIFAR_ROW = 1 + 3 * 32 * 32  # a label, then the red, green and blue planes


def digits() -> ImageSet:
    """1797 handwritten digits, (n, 8, 8), gray values 0 to 16, from 13 writers.

    Comes with scikit-learn: no download. Writers are not recorded, so a random split (`split`)
    has the same writers on both sides, and is easier than new writers would be. Source: Alpaydin
    and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (the test part).
    """
    found = datasets.load_digits()
    return ImageSet(found.images.astype(np.uint8), found.target.astype(np.int64), DIGITS, top=16)


def sample_images() -> dict[str, np.ndarray]:
    """Two photographs, ``"china"`` and ``"flower"``, each (427, 640, 3) uint8; no download."""
    found = datasets.load_sample_images()
    names = (Path(name).stem for name in found.filenames)
    return {name: np.asarray(image) for name, image in zip(names, found.images, strict=True)}


def mnist(split: str = "train") -> ImageSet:
    """MNIST, (n, 28, 28) uint8: 60,000 for ``"train"``, 10,000 for ``"test"``; fetched once.

    Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
    recognition", 1998.

    Raises
    ------
    ValueError
        For another split, or a file whose content is not what it should be.
    DataUnavailable
        Where the files are not here and cannot be fetched.
    """
    return _idx_set("mnist", split, DIGITS)


def fashion_mnist(split: str = "train") -> ImageSet:
    """Fashion-MNIST, shaped like MNIST; raises like `mnist`.

    Source: Xiao, Rasul and Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking
    Machine Learning Algorithms", arXiv:1708.07747, 2017.
    """
    return _idx_set("fashion_mnist", split, FASHION)


def cifar10(split: str = "train") -> ImageSet:
    """CIFAR-10, (n, 32, 32, 3) uint8: 50,000 for ``"train"``, 10,000 for ``"test"``.

    Read from the binary version: the one for Python is a pickle, which can run any code.
    Raises like `mnist`. Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny
    Images", 2009.
    """
    choose("split", split, ("train", "test"))
    names = [f"data_batch_{i}" for i in range(1, 6)] if split == "train" else ["test_batch"]
    return read_cifar10(fetch("cifar10/cifar-10-binary.tar.gz"), names)


def _idx_set(folder: str, split: str, classes: tuple[str, ...]) -> ImageSet:
    choose("split", split, ("train", "test"))
    prefix, count = ("train", 60_000) if split == "train" else ("t10k", 10_000)
    images = read_idx(fetch(f"{folder}/{prefix}-images-idx3-ubyte.gz"))
    labels = read_idx(fetch(f"{folder}/{prefix}-labels-idx1-ubyte.gz"))
    return checked_set(images, labels, classes, (count, 28, 28), folder)


def checked_set(
    images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], shape: tuple, name: str
) -> ImageSet:
    """An ImageSet, if the images have this shape, and there is one known label for each."""
    if images.shape != shape or labels.shape != shape[:1]:
        raise ValueError(
            f"{name}: found images {images.shape} and labels {labels.shape}, "
            f"expected {shape} and {shape[:1]}"
        )
    if labels.max(initial=0) >= len(classes):
        raise ValueError(f"{name}: found label {labels.max()}, expected 0 to {len(classes) - 1}")
    return ImageSet(images, labels.astype(np.int64), classes, top=255)


def read_idx(path: str | Path) -> np.ndarray:
    """Array of bytes from a gzipped IDX file (the format of MNIST).

    Two zero bytes, the element type (8: unsigned byte), the number of axes, each axis' length as
    a big-endian 32-bit integer, then the elements.

    Raises
    ------
    ValueError
        For a truncated or damaged file, another element type, or more or less data than announced.
    """
    try:
        with gzip.open(path, "rb") as file:
            content = file.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(_damaged(path, f"not a complete gzip file ({error})")) from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[3] == 0:
        raise ValueError(_damaged(path, f"not an IDX file: it begins with {content[:4].hex()}"))
    if content[2] != 8:
        raise ValueError(_damaged(path, f"IDX element type {content[2]:#x}, expected 0x8 (uint8)"))
    axes = content[3]
    start = 4 + 4 * axes
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    if len(content) < start or len(content) - start != math.prod(shape):
        raise ValueError(
            _damaged(path, f"announces shape {shape}, holds {len(content) - start} elements")
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()


def read_cifar10(path: str | Path, batches: list[str]) -> ImageSet:
    """The named batches of 10,000 from the binary archive, in order; raises like `read_idx`."""
    rows = []
    try:
        with tarfile.open(path, "r:gz") as archive:
            for batch in batches:
                member = archive.extractfile(f"cifar-10-batches-bin/{batch}.bin")
                if member is None:
                    raise ValueError(_damaged(path, f"{batch}.bin is not a plain file"))
                rows.append(np.frombuffer(member.read(), np.uint8))
    except (EOFError, tarfile.TarError, gzip.BadGzipFile, zlib.error, KeyError) as error:
        raise ValueError(_damaged(path, f"not the whole archive ({error})")) from error
    for batch, row in zip(batches, rows, strict=True):
        if len(row) != 10_000 * _CIFAR_ROW:
            raise ValueError(
                _damaged(path, f"{batch}.bin has {len(row)} bytes, not {10_000 * _CIFAR_ROW}")
            )
    table = np.concatenate(rows).reshape(-1, _CIFAR_ROW)
    images = table[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return checked_set(
        np.ascontiguousarray(images), table[:, 0], CIFAR, (len(table), 32, 32, 3), "cifar10"
    )


def _damaged(path: str | Path, what: str) -> str:
    return f"{path}: {what}. Delete the file and load again, or fetch it anew by hand"
