"""Text from a transformer: batches of prompts, a cache, streaming, stop tokens and strings.

Legend: B prompts, T positions, V vocab_size.

`stream` is the loop, one token a row at a time; `generate` collects it; `stream_text` and
`generate_text` do the same for strings. Beam search and speculative decoding have modules of
their own: `utils.beam_search`, `utils.speculative`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from utils.models.cache import KVCache
from utils.models.decode import Decoder, is_plain
from utils.models.transformer import Transformer
from utils.sampling import Sampling, choose

Prompts = Tensor | Sequence[Sequence[int]]


def generate(model: Transformer, prompts: Prompts, max_new_tokens: int, **how) -> list[list[int]]:
    """New tokens of each prompt, without the prompt, up to and with a stop token.

    `how` is that of `stream`.
    """
    steps = list(stream(model, prompts, max_new_tokens, **how))
    if not steps:
        return [[] for _ in prompts]
    rows = torch.stack(steps, dim=1).tolist()
    return [[token for token in row if token >= 0] for row in rows]


def stream(
    model: Transformer,
    prompts: Prompts,
    max_new_tokens: int,
    *,
    sampling: Sampling | None = None,
    seed: int | None = None,
    stop_tokens: Sequence[int] = (),
    stop: Callable[[int, list[int]], bool] | None = None,
    use_cache: bool = True,
    source: Tensor | None = None,
    source_mask: Tensor | None = None,
) -> Iterator[Tensor]:
    """Yield the next token of every row, (B,), -1 in rows that have ended.

    `prompts` is a (B, T) tensor or a list of token lists of any lengths (padded on the left
    here, which changes no row). `sampling` None samples from the model as it is; the same
    `seed` on the same device gives the same tokens. A row ends with one of `stop_tokens`, or
    when `stop(row, its new tokens)` is true. An encoder-decoder takes `source` (B, S).
    `use_cache=False` computes everything anew for each token: slow, and the measure of what a
    cache must give.

    Raises ValueError for empty prompts, prompts that leave no room for `max_new_tokens`, and
    models that cannot continue a text.
    """
    sampling = sampling or Sampling()
    tokens_BT, mask_BT = pad_prompts(prompts, next(model.parameters()).device)
    check_model(model, tokens_BT.shape[1], max_new_tokens)
    generator = make_generator(seed, tokens_BT.device)
    reader = _Reader(model, tokens_BT, mask_BT, max_new_tokens, use_cache, source, source_mask)
    seen_BV = None
    if sampling.repetition_penalty != 1.0:
        seen_BV = mark_seen(tokens_BT, mask_BT, model.config.vocab_size)
    ended = _Ended(len(tokens_BT), stop_tokens, stop, tokens_BT.device)
    for number in range(max_new_tokens):
        with evaluation(model):
            logits_BV = reader.next_logits()
            token_B = choose(logits_BV, sampling, generator, seen_BV)
        if seen_BV is not None:
            seen_BV.scatter_(1, token_B[:, None], True)
        visible_B = ended.see(token_B)
        yield visible_B
        if ended.all():
            return
        if number + 1 < max_new_tokens:
            reader.append(token_B)


def generate_text(
    model: Transformer, tokenizer, prompts: str | Sequence[str], max_new_tokens: int, **how
) -> list[str]:
    """Continuations of one or more prompts, cut before the first of `stop_strings`.

    `tokenizer` has `encode(text) -> list of ids` and `decode(ids) -> text`; `how` is that of
    `stream` plus `stop_strings`.
    """
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    strings = _strings(how.pop("stop_strings", ()))
    how["stop"] = _stopper(tokenizer, strings)
    rows = generate(model, [tokenizer.encode(p) for p in prompts], max_new_tokens, **how)
    stops = set(how.get("stop_tokens", ()))
    texts = [tokenizer.decode([t for t in row if t not in stops]) for row in rows]
    return [_cut(text, strings) for text in texts]


def stream_text(
    model: Transformer, tokenizer, prompt: str, max_new_tokens: int, **how
) -> Iterator[str]:
    """The continuation of one prompt in pieces, as soon as they are certain.

    Held back are bytes that do not make a character yet and text that may become a stop
    string; the pieces join to what `generate_text` returns.
    """
    strings = _strings(how.pop("stop_strings", ()))
    how["stop"] = _stopper(tokenizer, strings)
    stops, tokens, shown = set(how.get("stop_tokens", ())), [], ""
    for token_B in stream(model, [tokenizer.encode(prompt)], max_new_tokens, **how):
        tokens += [t for t in token_B.tolist() if t not in stops]
        text = _cut(tokenizer.decode(tokens), strings)
        certain = text.rstrip("\ufffd")
        certain = certain[: len(certain) - _pending(certain, strings)]
        if certain.startswith(shown) and len(certain) > len(shown):
            yield certain[len(shown) :]
            shown = certain
    rest = _cut(tokenizer.decode(tokens), strings)[len(shown) :]
    if rest:
        yield rest


def pad_prompts(prompts: Prompts, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Prompts as (B, T) ids, padded on the left, and their mask (None: all of one length)."""
    if isinstance(prompts, Tensor):
        if prompts.dim() != 2 or 0 in prompts.shape:
            raise ValueError(f"prompts must have shape (batch, tokens), got {tuple(prompts.shape)}")
        return prompts.to(device), None
    lengths = [len(prompt) for prompt in prompts]
    if not lengths or min(lengths) == 0:
        raise ValueError(f"each prompt needs at least one token, got lengths {lengths}")
    longest = max(lengths)
    rows = [[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
    tokens_BT = torch.tensor(rows, device=device)
    if min(lengths) == longest:
        return tokens_BT, None
    start_B1 = torch.tensor([longest - n for n in lengths], device=device)[:, None]
    return tokens_BT, torch.arange(longest, device=device) >= start_B1


def check_model(model: Transformer, prompt: int, new: int) -> None:
    """Raise ValueError if the model cannot continue `prompt` tokens by `new` ones."""
    config = model.config
    if not config.causal or config.head != "lm":
        raise ValueError(
            f"this model cannot continue a text: it needs causal=True and head='lm', has "
            f"causal={config.causal} and head={config.head!r}"
        )
    if new < 0:
        raise ValueError(f"max_new_tokens must not be negative, got {new}")
    if prompt + new > config.max_length:
        raise ValueError(
            f"context overflow: a prompt of {prompt} and {new} new tokens exceed the model's "
            f"{config.max_length} positions; shorten the prompt or generate less"
        )


def make_generator(seed: int | None, device: torch.device) -> torch.Generator | None:
    """A generator of its own for a seed; None: torch's global one."""
    return None if seed is None else torch.Generator(device).manual_seed(seed)


def mark_seen(tokens_BT: Tensor, mask_BT: Tensor | None, vocab_size: int) -> Tensor:
    """(B, V), True at the tokens that occur in each row, padding left out."""
    real_BT = torch.ones_like(tokens_BT, dtype=torch.bool) if mask_BT is None else mask_BT
    count_BV = torch.zeros(len(tokens_BT), vocab_size, dtype=torch.long, device=tokens_BT.device)
    return count_BV.scatter_add(1, tokens_BT.long(), real_BT.long()) > 0


@contextmanager
def evaluation(model: Transformer):
    """Inference mode and evaluation mode; the model's own mode comes back afterwards."""
    training = model.training
    model.train(False) if training else None
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(True) if training else None


class _Reader:
    """Feeds tokens to the model and gives the logits behind the last one."""

    def __init__(self, model, tokens_BT, mask_BT, new, use_cache, source, source_mask) -> None:
        self.model, self.tokens_BT, self.mask_BT = model, tokens_BT, mask_BT
        self.given = {}
        if model.config.encoder_layers:
            if source is None:
                raise ValueError("an encoder-decoder generates from a source: give source")
            with evaluation(model):
                self.given = {"memory": model.encode(source, source_mask)}
            self.given["source_mask"] = source_mask
        self.cache = self.decoder = None
        if use_cache:
            slots = tokens_BT.shape[1] + max(new, 1)
            dtype = next(model.parameters()).dtype
            with torch.inference_mode():
                self.cache = KVCache(model.config, len(tokens_BT), slots, tokens_BT.device, dtype)

            self.decoder = Decoder(model) if is_plain(model) else None

    def next_logits(self) -> Tensor:
        started = self.cache is not None and self.cache.length > 0
        if self.decoder is not None and started and self.decoder.fits(self.cache):
            return self.decoder(self.tokens_BT, self.cache)
        logits_B1V = self.model(
            self.tokens_BT,
            attention_mask=self.mask_BT,
            cache=self.cache,
            last_only=True,
            **self.given,
        )
        return logits_B1V[:, 0]

    def append(self, token_B: Tensor) -> None:
        if self.cache is not None:
            self.tokens_BT, self.mask_BT = token_B[:, None], None
            return
        self.tokens_BT = torch.cat((self.tokens_BT, token_B[:, None]), dim=1)
        if self.mask_BT is not None:
            new_B1 = torch.ones_like(self.mask_BT[:, :1])
            self.mask_BT = torch.cat((self.mask_BT, new_B1), dim=1)


class _Ended:
    """Which rows have ended. Asks the device only if there is something to wait for."""

    def __init__(self, rows: int, stop_tokens: Sequence[int], stop, device) -> None:
        self.stop_tokens = torch.tensor(list(stop_tokens), dtype=torch.long, device=device)
        self.stop, self.new = stop, [[] for _ in range(rows)]
        self.waits = len(stop_tokens) > 0 or stop is not None
        self.ended_B = torch.zeros(rows, dtype=torch.bool, device=device)

    def see(self, token_B: Tensor) -> Tensor:
        if not self.waits:
            return token_B
        visible_B = token_B.masked_fill(self.ended_B, -1)
        self.ended_B = self.ended_B | torch.isin(token_B, self.stop_tokens)
        if self.stop is not None:
            for row, token in enumerate(visible_B.tolist()):
                if token >= 0:
                    self.new[row].append(token)
                    if self.stop(row, self.new[row]):
                        self.ended_B[row] = True
        return visible_B

    def all(self) -> bool:
        return self.waits and bool(self.ended_B.all())


def _strings(stop_strings: str | Sequence[str]) -> tuple[str, ...]:
    strings = (stop_strings,) if isinstance(stop_strings, str) else tuple(stop_strings)
    if "" in strings:
        raise ValueError("an empty stop string would end every text at once")
    return strings


def _stopper(tokenizer, strings: tuple[str, ...]) -> Callable[[int, list[int]], bool] | None:
    """Whether a stop string has just been completed. Each token holds at least one byte."""
    if not strings:
        return None
    tail = max(len(string.encode()) for string in strings) + 4

    def stop(row: int, tokens: list[int]) -> bool:
        text = tokenizer.decode(tokens[-tail:])
        return any(string in text for string in strings)

    return stop


def _cut(text: str, strings: tuple[str, ...]) -> str:
    starts = [text.find(string) for string in strings if string in text]
    return text[: min(starts)] if starts else text


def _pending(text: str, strings: tuple[str, ...]) -> int:
    """Length of the longest end of the text that begins a stop string."""
    lengths = [n for s in strings for n in range(1, len(s)) if text.endswith(s[:n])]
    return max(lengths, default=0)
