"""The files that can be fetched: where they are, how long, with what checksum, under what terms.

The key of a file is its path in the data folder. To add one, add an entry here; sizes and
checksums are those of the original publication.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Remote:
    """A file with its addresses, tried in order; ``path`` is relative, with forward slashes."""

    path: str
    size: int  # bytes
    sha256: str  # 64 hexadecimal digits
    urls: tuple[str, ...]
    terms: str


_MNIST_TERMS = "CC BY-SA 3.0, Y. LeCun and C. Cortes"
_MNIST_HOSTS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_FASHION_TERMS = "MIT, Zalando SE"
_FASHION_HOSTS = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
)
_IDX_FILES = (  # file, then size and sha256 for MNIST and for Fashion-MNIST
    (
        "train-images-idx3-ubyte.gz",
        (9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        (26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
    ),
    (
        "train-labels-idx1-ubyte.gz",
        (28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        (29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
    ),
    (
        "t10k-images-idx3-ubyte.gz",
        (1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        (4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
    ),
    (
        "t10k-labels-idx1-ubyte.gz",
        (4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        (5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    ),
)


def _idx_remotes(folder: str, place: int, hosts: tuple[str, ...], terms: str) -> list[Remote]:
    return [
        Remote(f"{folder}/{row[0]}", *row[place], tuple(host + row[0] for host in hosts), terms)
        for row in _IDX_FILES
    ]


_ALL = [
    *_idx_remotes("mnist", 1, _MNIST_HOSTS, _MNIST_TERMS),
    *_idx_remotes("fashion_mnist", 2, _FASHION_HOSTS, _FASHION_TERMS),
    Remote(
        "cifar10/cifar-10-binary.tar.gz",
        170052171,
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
        "no license stated; cite Krizhevsky (2009), Learning Multiple Layers of Features",
    ),
    Remote(
        "tinyshakespeare/input.txt",
        1115394,
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        (
            "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        ),
        "public domain",
    ),
]

FILES: dict[str, Remote] = {remote.path: remote for remote in _ALL}
