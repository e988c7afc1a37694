"""Data sets: one module a modality, one function a data set.

What is always there, on any machine, without a network: `digits`, `sample_images`,
`breast_cancer`, `diabetes`, `wine`, `series`, `source_text` and the generators in
`utils.data.synthetic`. What is fetched once, checked and kept in the data folder (`data_folder`):
`mnist`, `fashion_mnist`, `cifar10`, `tiny_shakespeare`. Where one
cannot be had the function says so and how to get it by hand; nothing is put in its place.

For language models: `write_shards` and `TokenShards` keep token ids in files that are mapped into
memory; `TokenBatches` and `pack` make batches of them.
"""

from utils.data.download import DataUnavailable, data_folder, fetch
from utils.data.images import cifar10, digits, fashion_mnist, mnist, sample_images
from utils.data.series import series
from utils.data.sets import ImageSet, Table, split
from utils.data.shards import TokenShards, write_shards
from utils.data.tabular import breast_cancer, diabetes, wine
from utils.data.text import Corpus, source_text, tiny_shakespeare
from utils.data.token_batches import TokenBatches, pack

__all__ = [
    "Corpus",
    "DataUnavailable",
    "ImageSet",
    "Table",
    "TokenBatches",
    "TokenShards",
    "breast_cancer",
    "cifar10",
    "data_folder",
    "diabetes",
    "digits",
    "fashion_mnist",
    "fetch",
    "mnist",
    "pack",
    "sample_images",
    "series",
    "source_text",
    "split",
    "tiny_shakespeare",
    "wine",
    "write_shards",
]
