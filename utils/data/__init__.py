"""Data sets: one module a modality, one function a data set.

What is always there, on any machine, without a network: `digits`, `sample_images`,
`breast_cancer`, `diabetes`, `wine`, `series`, `source_text` and the generators in
`utils.data.synthetic`. What is fetched once, checked and kept in the data folder (`data_folder`):
`mnist`, `fashion_mnist`, `cifar10`, `tiny_shakespeare`. Where one cannot be had the function says
so and how to get it by hand; nothing is put in its place.
"""

from utils.data.download import DataUnavailable, data_folder, fetch
from utils.data.images import cifar10, digits, fashion_mnist, mnist, sample_images
from utils.data.series import series
from utils.data.sets import ImageSet, Table, split
from utils.data.tabular import breast_cancer, diabetes, wine
from utils.data.text import Corpus, source_text, tiny_shakespeare

__all__ = [
    "Corpus",
    "DataUnavailable",
    "ImageSet",
    "Table",
    "breast_cancer",
    "cifar10",
    "data_folder",
    "diabetes",
    "digits",
    "fashion_mnist",
    "fetch",
    "mnist",
    "sample_images",
    "series",
    "source_text",
    "split",
    "tiny_shakespeare",
    "wine",
]
