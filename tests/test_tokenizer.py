"""The tokenizer, equal to Hugging Face's trainer and to GPT-2's encoding."""

import os
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as HFTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers

from utils.tokenizer import Tokenizer

TEXT = (
    "The cat sat on the mat. The cats' mats aren't flat, they're 1,024 mats!\n"
    "def train(self, text):\n    return [merge for merge in text if merge != 0]\n"
    "大模型，逐一测量。大模型的模型。 Größe, naïve, Ελλάδα, мир, 👩‍💻🙂\n"
) * 20
VOCAB = 400
GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


@pytest.fixture(scope="module")
def ours():
    return Tokenizer.train([TEXT], VOCAB)


@pytest.fixture(scope="module")
def theirs():
    tokenizer = HFTokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([TEXT], trainer)
    return tokenizer


def test_training_gives_hugging_faces_merges(ours, theirs, tmp_path):
    ours.save(tmp_path / "tokenizer.json")
    loaded = HFTokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert loaded.get_vocab() == theirs.get_vocab()
    assert loaded.encode(TEXT).tokens == theirs.encode(TEXT).tokens


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cn"]), max_size=60))
def test_any_text_comes_back_and_encodes_as_tiktoken_does(ours, text):
    ids = ours.encode_ordinary(text)
    assert ours.decode(ids) == text
    pieces = [ours.token_bytes(id) for id in ids]
    reference = tiktoken.Encoding(
        "test",
        pat_str=GPT2,
        mergeable_ranks={ours.token_bytes(id): id for id in range(ours.vocab_size)},
        special_tokens={},
    )
    assert b"".join(pieces) == text.encode()
    assert ids == reference.encode_ordinary(text)


def test_saved_and_loaded_it_is_the_same(ours, tmp_path):
    ours.save(tmp_path / "tokenizer.json")
    again = Tokenizer.load(tmp_path / "tokenizer.json")
    assert again.encode_ordinary(TEXT) == ours.encode_ordinary(TEXT)


def test_gpt2_itself():
    folder = Path(os.environ.get("LMM_DATA", "")) / "gpt2_bpe"
    if not (folder / "vocab.bpe").is_file():
        pytest.skip("LMM_DATA does not hold gpt2_bpe/")
    tokenizer = Tokenizer.from_gpt2(folder)
    assert tokenizer.vocab_size == 50257
    assert tokenizer.encode_ordinary("Hello world") == [15496, 995]
    assert tokenizer.decode(tokenizer.encode_ordinary(TEXT)) == TEXT


def test_wrong_use_is_refused(ours):
    with pytest.raises(TypeError):
        ours.encode(b"bytes")
    with pytest.raises(ValueError):
        ours.decode([10**6])
    with pytest.raises(ValueError):
        Tokenizer.train([TEXT], 100)
