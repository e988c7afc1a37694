"""Weights from and to Hugging Face's folders: `config.json` and safetensors, sharded or not.

Our module keeps queries, keys and values in one matrix, gate and up in another, experts in
stacks; the files keep them apart, GPT-2's the other way round as well (it stores x W, not
x W^T). A `Source` says for each of our tensors which of theirs it is made of.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from utils.models.config import TransformerConfig
from utils.models.hf_config import from_hf_config, to_hf_config
from utils.models.hf_names import PREFIX, Source, ignorable, plain_name, sources
from utils.models.transformer import Transformer


class Checkpoint(NamedTuple):
    """Names without the family's prefix, and how to read one tensor."""

    shapes: dict[str, tuple[int, ...]]
    read: Callable[[str], Tensor]


def load_hf(
    folder: str | Path,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    **changes,
) -> Transformer:
    """The model in a folder, in evaluation mode; `dtype` None keeps the files' dtype.

    `changes` override fields of the config, as `head="none"` for an encoder without its
    prediction head. Tensors are read one at a time, so the peak is the model's own size.

    Raises FileNotFoundError for missing files; ValueError for an unknown architecture and for
    a checkpoint whose tensors are missing, extra, or of another shape: all are named.
    """
    folder = Path(folder)
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"no config.json in {folder}: give the folder of a model")
    raw = json.loads(path.read_text(encoding="utf-8"))
    config = replace(from_hf_config(raw), **changes)
    state = from_hf_state(config, _open(folder, raw["model_type"]), raw["model_type"])
    with torch.device("meta"):
        model = Transformer(config)
    state = {name: value.to(device, dtype) for name, value in state.items()}
    model.load_state_dict(state, assign=True)
    return model.eval()


def save_hf(
    model: Transformer,
    folder: str | Path,
    max_shard_bytes: int = 5_000_000_000,
    **extra_config,
) -> None:
    """Write `config.json` and `model.safetensors` (more than one, with an index, if larger).

    `extra_config` goes into config.json as it is, e.g. `eos_token_id=2`. Raises ValueError if
    no Hugging Face architecture is this model.
    """
    raw = to_hf_config(model.config) | extra_config
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    text = json.dumps(raw | {"torch_dtype": dtype}, indent=2, sort_keys=True)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")
    shards = _shards(to_hf_state(model), max_shard_bytes)
    if len(shards) == 1:
        save_file(shards[0], folder / "model.safetensors", metadata={"format": "pt"})
        return
    index: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file(shard, folder / name, metadata={"format": "pt"})
        index |= dict.fromkeys(shard, name)
    total = sum(t.numel() * t.element_size() for shard in shards for t in shard.values())
    text = json.dumps({"metadata": {"total_size": total}, "weight_map": index}, indent=2)
    (folder / "model.safetensors.index.json").write_text(text + "\n", encoding="utf-8")


def from_hf_state(
    config: TransformerConfig, theirs: Checkpoint | dict[str, Tensor], family: str
) -> dict[str, Tensor]:
    """Our state dict made of theirs, after a check of every name and shape."""
    if isinstance(theirs, dict):
        named = {plain_name(name, family): value for name, value in theirs.items()}
        theirs = Checkpoint({k: tuple(v.shape) for k, v in named.items()}, named.__getitem__)
    with torch.device("meta"):
        shapes = {k: tuple(v.shape) for k, v in Transformer(config).state_dict().items()}
    wanted = sources(config, family)
    _check(config, family, theirs, wanted, shapes)
    return {name: _join(theirs.read, source) for name, source in wanted.items()}


def to_hf_state(model: Transformer) -> dict[str, Tensor]:
    """Their state dict made of ours; tensors are copied only where they must be."""
    family = to_hf_config(model.config)["model_type"]
    bare = family == "bert" and model.config.head == "none"
    state, theirs = model.state_dict(), {}
    for name, source in sources(model.config, family).items():
        for key, value in _split(model.config, state[name].detach(), source):
            with_prefix = not bare and not key.startswith(("lm_head.", "cls."))
            theirs[PREFIX[family] + key if with_prefix else key] = value.contiguous()
    return theirs


def _open(folder: Path, family: str) -> Checkpoint:
    """All safetensors files of a folder as one checkpoint."""
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if index.is_file():
        weights = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files = sorted(set(weights.values()))
    elif single.is_file():
        files = [single.name]
    else:
        raise FileNotFoundError(f"neither {single.name} nor {index.name} in {folder}")
    absent = [name for name in files if not (folder / name).is_file()]
    if absent:
        raise FileNotFoundError(f"{folder} lacks the shards {', '.join(absent)}")
    where, shapes = {}, {}
    for name in files:
        with safe_open(folder / name, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 (the handle is no mapping)
                where[plain_name(key, family)] = (folder / name, key)
                shapes[plain_name(key, family)] = tuple(file.get_slice(key).get_shape())

    def read(name: str) -> Tensor:
        path, key = where[name]
        with safe_open(path, framework="pt") as file:
            return file.get_tensor(key)

    return Checkpoint(shapes, read)


def _check(
    config: TransformerConfig,
    family: str,
    theirs: Checkpoint,
    wanted: dict[str, Source],
    shapes: dict[str, tuple[int, ...]],
) -> None:
    """Raise one ValueError that names what is missing, extra and mis-shaped."""
    expected = {}
    for name, source in wanted.items():
        meta = torch.empty(shapes[name], device="meta")
        expected |= {key: tuple(value.shape) for key, value in _split(config, meta, source)}
    found = {key: shape for key, shape in theirs.shapes.items()}
    missing = sorted(set(expected) - set(found))
    extra = sorted(k for k in set(found) - set(expected) if not ignorable(k, config, family))
    wrong = [
        f"{key} is {found[key]}, expected {shape}"
        for key, shape in expected.items()
        if key in found and found[key] != shape
    ]
    problems = [
        f"{len(keys)} {kind}: {', '.join(keys[:5])}{', …' if len(keys) > 5 else ''}"
        for kind, keys in (("missing", missing), ("extra", extra), ("mis-shaped", wrong))
        if keys
    ]
    if problems:
        raise ValueError(f"the checkpoint is not the {family} of its config: {'; '.join(problems)}")


def _join(read: Callable[[str], Tensor], source: Source) -> Tensor:
    def piece(names: tuple[str, ...]) -> Tensor:
        parts = [read(name) for name in names]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    if source.stacked:
        return torch.stack([piece(names) for names in source.names])
    joined = piece(source.names)
    return joined.t().contiguous() if source.transposed else joined


def _split(config: TransformerConfig, value: Tensor, source: Source) -> list[tuple[str, Tensor]]:
    """The inverse of `_join`, as (their name, tensor) pairs."""
    if source.stacked:
        return [
            pair
            for names, row in zip(source.names, value, strict=True)
            for pair in _split(config, row, Source(names))
        ]
    value = value.t() if source.transposed else value
    if len(source.names) == 1:
        return [(source.names[0], value)]
    if len(source.names) == 2:
        return list(zip(source.names, value.chunk(2), strict=True))
    rows = [h * config.head_size for h in (config.num_heads, config.kv_heads, config.kv_heads)]
    return list(zip(source.names, value.split(rows), strict=True))


def _shards(state: dict[str, Tensor], max_bytes: int) -> list[dict[str, Tensor]]:
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, value in state.items():
        nbytes = value.numel() * value.element_size()
        if shards[-1] and size + nbytes > max_bytes:
            shards.append({})
            size = 0
        shards[-1][name] = value
        size += nbytes
    return shards
