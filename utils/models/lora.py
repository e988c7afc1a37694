"""Low-rank adaptation (LoRA, Hu et al. 2022): train a product of two thin matrices, not the weight.

Design: a target layer is wrapped, its own weights are frozen, and what is saved is the adapter
alone, in the file format of the peft library: either library loads what the other saved.

Dimensions: ``I`` inputs and ``O`` outputs of a layer, ``r`` rank, ``V`` vocabulary.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from utils.arguments import check_positive_int, check_range

__all__ = [
    "LoRAConfig",
    "LoRAEmbedding",
    "LoRALinear",
    "add_lora",
    "count_parameters",
    "load_lora",
    "lora_layers",
    "merge_lora",
    "remove_lora",
    "save_lora",
    "unmerge_lora",
]

PREFIX = "base_model.model."
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
# Variants of peft's that change the formula.
UNSUPPORTED = ("use_dora", "lora_bias", "fan_in_fan_out", "rank_pattern", "alpha_pattern")
UNSUPPORTED += ("modules_to_save", "layers_to_transform", "exclude_modules", "target_parameters")


@dataclass(frozen=True)
class LoRAConfig:
    """What to adapt and how. The adapter is scaled by alpha / r, or alpha / sqrt(r) with ``rslora``
    (Kalajdzievski 2023), so that large ranks learn too.

    ``targets``: last parts of module names, such as ``("q_proj", "v_proj")``, or one regular
    expression for whole names. ``dropout`` acts on the adapter's input, in training, for linear
    layers. Raises TypeError or ValueError for bad values.
    """

    targets: Sequence[str] | str
    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    rslora: bool = False

    def __post_init__(self) -> None:
        check_positive_int(rank=self.rank)
        check_range(0, alpha=self.alpha)
        check_range(0, 1, dropout=self.dropout)
        if not self.targets:
            raise ValueError("targets is empty; name the layers to adapt")

    @property
    def scale(self) -> float:
        """The factor before B A."""
        return self.alpha / (math.sqrt(self.rank) if self.rslora else self.rank)

    def matches(self, name: str) -> bool:
        """Whether the module of that name is a target."""
        if isinstance(self.targets, str):
            return re.fullmatch(self.targets, name) is not None
        return any(name == target or name.endswith(f".{target}") for target in self.targets)


class LoRALayer(nn.Module):
    """A frozen layer and its adapter; subclasses give ``delta`` and ``forward``."""

    def __init__(self, base_layer: nn.Module, config: LoRAConfig):
        super().__init__()
        self.base_layer = base_layer.requires_grad_(False)
        self.scale, self.merged = config.scale, False

    def delta(self) -> Tensor:
        """What the adapter adds to the base layer's weight: same shape."""
        raise NotImplementedError

    @torch.no_grad()
    def add_to_base(self, sign: int) -> None:
        """Add (1) or subtract (-1) the adapter; the weight's dtype rounds."""
        weight = self.base_layer.weight
        weight.add_(self.delta().to(weight.dtype), alpha=sign)
        self.merged = sign > 0


def _adapter_options(weight: Tensor) -> dict:
    """Device of the base weight; its dtype too, but float32 where it has fewer than 32 bits."""
    small = weight.dtype.itemsize < 4 or not weight.is_floating_point()
    return {"device": weight.device, "dtype": torch.float32 if small else weight.dtype}


class LoRALinear(LoRALayer):
    """y = W x + b + scale B A dropout(x), A ``(r, I)``, B ``(O, r)`` (Hu et al. 2022).

    A starts as a linear layer of torch's, B at zero, so that training starts from the base.
    ``(..., I)`` to ``(..., O)``. While merged the base layer alone computes, without dropout.
    """

    def __init__(self, base_layer: nn.Linear, config: LoRAConfig):
        super().__init__(base_layer, config)
        options = _adapter_options(base_layer.weight)
        self.dropout = nn.Dropout(config.dropout)
        self.lora_A = nn.Linear(base_layer.in_features, config.rank, bias=False, **options)
        self.lora_B = nn.Linear(config.rank, base_layer.out_features, bias=False, **options)
        nn.init.zeros_(self.lora_B.weight)

    def delta(self) -> Tensor:
        """scale B A, ``(O, I)``."""
        return self.scale * (self.lora_B.weight @ self.lora_A.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., I)`` to ``(..., O)``, in the base layer's dtype."""
        out = self.base_layer(x)
        if self.merged:
            return out
        x = self.dropout(x.to(self.lora_A.weight.dtype))
        return (out + self.scale * self.lora_B(self.lora_A(x))).to(out.dtype)


class LoRAEmbedding(LoRALayer):
    """Row t of the table plus scale B A[:, t]; A ``(r, V)`` starts at zero, B ``(D, r)`` normal.

    Token ids ``(...)`` to ``(..., D)``.
    """

    def __init__(self, base_layer: nn.Embedding, config: LoRAConfig):
        super().__init__(base_layer, config)
        options = _adapter_options(base_layer.weight)
        vocab_size, d_model = base_layer.weight.shape
        self.lora_embedding_A = nn.Parameter(torch.zeros(config.rank, vocab_size, **options))
        self.lora_embedding_B = nn.Parameter(torch.randn(d_model, config.rank, **options))

    def delta(self) -> Tensor:
        """scale (B A)^T, ``(V, D)``."""
        return self.scale * (self.lora_embedding_B @ self.lora_embedding_A).T

    def forward(self, tokens: Tensor) -> Tensor:
        """Map ids ``(...)`` to vectors ``(..., D)``, in the base layer's dtype."""
        out = self.base_layer(tokens)
        if self.merged:
            return out
        rows = F.embedding(tokens, self.lora_embedding_A.T, self.base_layer.padding_idx)
        return (out + self.scale * (rows @ self.lora_embedding_B.T)).to(out.dtype)


WRAPPERS = {nn.Linear: LoRALinear, nn.Embedding: LoRAEmbedding}


def add_lora(model: nn.Module, config: LoRAConfig) -> list[str]:
    """Wrap the targets in place, freeze all other parameters, return the names of the targets.

    Raises ValueError if nothing matches, a match is neither ``nn.Linear`` nor ``nn.Embedding``,
    or the model has adapters already.
    """
    if any(True for _ in lora_layers(model)):
        raise ValueError("the model has LoRA layers already; merge them with remove_lora first")
    found = [name for name, _ in model.named_modules() if name and config.matches(name)]
    usable = {n: m for n, m in model.named_modules() if n and isinstance(m, tuple(WRAPPERS))}
    if not found:
        kinds = sorted({re.sub(r".*\.", "", name) for name in usable})
        raise ValueError(f"no module matches {config.targets!r}; layers here are named {kinds}")
    for name in found:
        if name not in usable:
            kind = type(model.get_submodule(name)).__name__
            raise ValueError(f"target {name!r} is a {kind}; LoRA adapts nn.Linear and nn.Embedding")
    model.requires_grad_(False)
    for name in found:
        base = usable[name]
        kind = next(kind for kind in WRAPPERS if isinstance(base, kind))
        model.set_submodule(name, WRAPPERS[kind](base, config))
    return found


def lora_layers(model: nn.Module) -> Iterator[tuple[str, LoRALayer]]:
    """Names and modules of all adapted layers."""
    return ((name, m) for name, m in model.named_modules() if isinstance(m, LoRALayer))


def _layers_or_error(model: nn.Module) -> list[tuple[str, LoRALayer]]:
    layers = list(lora_layers(model))
    if not layers:
        raise ValueError("the model has no LoRA layers; call add_lora first")
    return layers


def merge_lora(model: nn.Module) -> None:
    """Add every adapter to its weight, so that the model runs at its old cost.

    Raises ValueError without adapters, or if another layer shares a weight that would change.
    """
    layers = _layers_or_error(model)
    users: dict[int, int] = {}
    for _, parameter in model.named_parameters(remove_duplicate=False):
        users[id(parameter)] = users.get(id(parameter), 0) + 1
    shared = [name for name, layer in layers if users[id(layer.base_layer.weight)] > 1]
    if shared:
        raise ValueError(f"other layers share the weights of {shared}: untie them before merging")
    for _, layer in layers:
        if not layer.merged:
            layer.add_to_base(1)


def unmerge_lora(model: nn.Module) -> None:
    """Take every merged adapter out again; the weights come back to rounding, not to the bit.

    Raises ValueError without adapters.
    """
    for _, layer in _layers_or_error(model):
        if layer.merged:
            layer.add_to_base(-1)


def remove_lora(model: nn.Module) -> None:
    """Merge, then put the plain layers back in place; they stay frozen. Raises as `merge_lora`."""
    merge_lora(model)
    for name, layer in list(lora_layers(model)):
        model.set_submodule(name, layer.base_layer)


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """Trainable parameters, and all of them; shared ones counted once."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(size for size, trained in sizes if trained), sum(size for size, _ in sizes)


def _adapter_weights(model: nn.Module) -> dict[str, Tensor]:
    """The adapters' parameters under peft's names."""
    return {
        f"{PREFIX}{name}.{key}": parameter.detach()
        for name, layer in _layers_or_error(model)
        for key, parameter in layer.named_parameters()
        if key.startswith("lora_")
    }


def save_lora(model: nn.Module, config: LoRAConfig, folder: str | Path) -> Path:
    """Write the adapters, and nothing else, to ``folder`` in peft's format; return the folder.

    Raises ValueError if the model has no adapters.
    """
    weights = {name: tensor.contiguous() for name, tensor in _adapter_weights(model).items()}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    ours = asdict(config)
    targets = ours["targets"]
    written = {
        "peft_type": "LORA",
        "target_modules": targets if isinstance(targets, str) else list(targets),
        "r": ours["rank"],
        "lora_alpha": ours["alpha"],
        "lora_dropout": ours["dropout"],
        "use_rslora": ours["rslora"],
        "bias": "none",
        "base_model_name_or_path": None,
    }
    (folder / CONFIG).write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    return folder


def read_config(folder: str | Path) -> LoRAConfig:
    """Read an adapter's configuration; ValueError for variants that change the formula."""
    saved = json.loads((Path(folder) / CONFIG).read_text(encoding="utf-8"))
    odd = [name for name in UNSUPPORTED if saved.get(name)]
    if saved.get("peft_type") != "LORA" or saved.get("bias", "none") != "none" or odd:
        raise ValueError(
            f"the adapter in {folder} is not plain LoRA: peft_type {saved.get('peft_type')!r}, "
            f"bias {saved.get('bias')!r}, {', '.join(odd) or 'nothing else'}"
        )
    targets = saved["target_modules"]
    return LoRAConfig(
        targets if isinstance(targets, str) else tuple(targets),
        saved["r"],
        saved["lora_alpha"],
        saved.get("lora_dropout", 0.0),
        saved.get("use_rslora", False),
    )


@torch.no_grad()
def load_lora(model: nn.Module, folder: str | Path) -> LoRAConfig:
    """Add the adapters that `save_lora` or peft wrote to a plain model; return their configuration.

    Raises FileNotFoundError without the two files; ValueError as `add_lora`, and where keys are
    missing, extra or of another shape, which it names (the model is then without adapters).
    """
    config = read_config(folder)
    saved = load_file(Path(folder) / WEIGHTS)
    # peft also stores adapted embeddings' frozen tables; the model has them.
    saved = {name: t for name, t in saved.items() if not name.endswith("base_layer.weight")}
    add_lora(model, config)
    ours = _adapter_weights(model)
    faults = [f"missing {name}" for name in ours.keys() - saved.keys()]
    faults += [f"extra {name}" for name in saved.keys() - ours.keys()]
    for name in ours.keys() & saved.keys():
        if ours[name].shape != saved[name].shape:
            faults.append(f"{name} is {tuple(saved[name].shape)}, not {tuple(ours[name].shape)}")
    if faults:
        for name, layer in list(lora_layers(model)):
            model.set_submodule(name, layer.base_layer)
        raise ValueError("the adapter does not fit the model: " + "; ".join(sorted(faults)))
    for name, tensor in saved.items():
        ours[name].copy_(tensor)
    return config
