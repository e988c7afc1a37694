"""Text corpora.

`source_text` is the course's pinned corpus: the Python source of sympy 1.14.0, a package that
torch brings along and that the requirements pin. It needs no download, is the same, byte for byte,
on every machine, and is large enough to train small language models on. It is read, never
imported. Sympy is under the three-clause BSD license; no part of it is kept here.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from utils.data.download import fetch

SYMPY_VERSION = "1.14.0"
_PINNED = {  # sha256 as `fingerprint` computes it, with and without the tests
    False: "19b4d733644ecba55a7fdbac4a467db6fa6751099ea14e6224b312a25f6fa8ed",
    True: "5a6909e19d1ffdf433fab60cf2b2b93a9a28afcf6c6b2dfcd89c9a3d500244e2",
}
# Not written by hand, or one expression of 400 KB: nothing to learn a language from.
_LEFT_OUT = ("_antlr", "benchmarks")


@dataclass(frozen=True)
class Corpus:
    """Documents, split into train and validation; ``names`` are relative paths or titles."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    train_names: tuple[str, ...]
    validation_names: tuple[str, ...]

    def text(self, part: str = "train", separator: str = "\n") -> str:
        """All documents of ``"train"`` or ``"validation"`` as one string."""
        if part not in ("train", "validation"):
            raise ValueError(f"part is 'train' or 'validation', got {part!r}")
        return separator.join(getattr(self, part))


def source_text(*, tests: bool = False) -> Corpus:
    """Python source of sympy 1.14.0: 818 files, 15.9 MB, one document a file.

    One file in about twenty is for validation, chosen by a hash of its path: always the same
    ones, and never a part of a file in train. The folders ``tests`` are left out, as they are long
    lists of nearly equal lines, which make a language model look better than it is, and so are
    ``benchmarks`` and machine-written parsers (``_antlr``).

    Parameters
    ----------
    tests : take the folders ``tests`` as well (1,496 files, 25.4 MB).

    Raises
    ------
    ModuleNotFoundError
        Where sympy is not installed.
    ValueError
        Where another version is installed, or its files were changed.
    """
    root = _sympy_folder()
    documents = read_sources(root, tests=tests)
    found, expected = fingerprint(documents), _PINNED[tests]
    if found != expected:
        raise ValueError(
            f"the source text of sympy {SYMPY_VERSION} in {root} differs from the pinned one "
            f"(sha256 {found[:12]}…, expected {expected[:12]}…); install it anew:\n"
            f"  pip install --force-reinstall --no-deps sympy=={SYMPY_VERSION}"
        )
    names = {False: [], True: []}
    for name in documents:
        names[_for_validation(name)].append(name)
    return Corpus(
        train=tuple(documents[name] for name in names[False]),
        validation=tuple(documents[name] for name in names[True]),
        train_names=tuple(names[False]),
        validation_names=tuple(names[True]),
    )


def tiny_shakespeare() -> Corpus:
    """Tiny Shakespeare, 1,115,394 characters: the first 90 % train, the rest validation.

    Fetched once (see `utils.data.download`). Source: the char-rnn repository of A. Karpathy,
    2015; the text is in the public domain.

    Raises
    ------
    DataUnavailable
        Where the file is not here and cannot be fetched.
    """
    text = fetch("tinyshakespeare/input.txt").read_text(encoding="utf-8")
    cut = len(text) * 9 // 10
    return Corpus((text[:cut],), (text[cut:],), ("first 90 %",), ("last 10 %",))


def _sympy_folder() -> Path:
    advice = f"the source-text corpus needs it; run: pip install sympy=={SYMPY_VERSION}"
    spec = importlib.util.find_spec("sympy")  # finds, does not import
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"sympy is not installed; {advice}", name="sympy")
    version = importlib.metadata.version("sympy")
    if version != SYMPY_VERSION:
        raise ValueError(f"sympy {version} is installed, not {SYMPY_VERSION}; {advice}")
    return Path(spec.origin).parent


def read_sources(root: Path, *, tests: bool = False) -> dict[str, str]:
    """Text of all ``.py`` files below a folder, by relative path, in order of path."""
    skipped = {*_LEFT_OUT} if tests else {*_LEFT_OUT, "tests"}
    paths = {path.relative_to(root).as_posix(): path for path in root.rglob("*.py")}
    return {
        name: paths[name].read_bytes().decode("utf-8")
        for name in sorted(paths)
        if not skipped.intersection(name.split("/"))
    }


def fingerprint(documents: dict[str, str]) -> str:
    """sha256 over names and contents, each preceded by its length, so that none can shift."""
    digest = hashlib.sha256()
    for name in sorted(documents):
        for part in (name.encode(), documents[name].encode()):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()


def _for_validation(name: str) -> bool:
    return hashlib.sha256(name.encode()).digest()[0] < 13  # 13 of 256: 5 %
