"""Byte-level byte-pair encoding: train, encode, decode, save and load.

`Tokenizer` is the whole interface. Training gives the merges of Hugging Face's `BpeTrainer`,
encoding gives the ids of GPT-2, Hugging Face tokenizers and tiktoken, and all of it is pure Python
and NumPy. Its parts: `pretokenize` (text to chunks), `training` (chunks to merges), `bpe` (chunks
to ids and back), `special` (special tokens), `files` (tokenizer.json and GPT-2's own files),
`streaming` (ids to text, one at a time), `inspect` (what a vocabulary does to a text).
"""

from utils.tokenizer.bpe import Tokenizer
from utils.tokenizer.inspect import TextCost, merge_steps, text_costs
from utils.tokenizer.streaming import StreamDecoder

__all__ = ["StreamDecoder", "TextCost", "Tokenizer", "merge_steps", "text_costs"]
