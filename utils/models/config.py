"""The one dataclass that says which transformer to build.

The fields are the choices in which GPT-2, Llama, Qwen, Mistral, Mixtral, BERT and the
encoder-decoder of 2017 differ; everything else is the same code. `of` starts from a
family's choices, so that a reader states sizes only::

    TransformerConfig.of("llama", vocab_size=256, context_length=64,
                         d_model=128, num_layers=4, num_heads=4)
"""

from __future__ import annotations

from dataclasses import dataclass, fields

CHOICES = {
    "positions": ("learned", "rope", "sinusoidal", "none"),
    "norm": ("layernorm", "rmsnorm"),
    "norm_position": ("pre", "post"),
    "activation": ("gelu_tanh", "gelu", "relu", "swiglu"),
    "head": ("lm", "mlm", "none"),
}

_LLAMA = {
    "positions": "rope",
    "norm": "rmsnorm",
    "norm_eps": 1e-6,
    "activation": "swiglu",
    "bias": False,
    "tied": False,
}

FAMILIES: dict[str, dict] = {
    "gpt2": {},
    "llama": _LLAMA,
    "mistral": _LLAMA | {"sliding_window": 4096},
    "mixtral": _LLAMA | {"norm_eps": 1e-5, "num_experts": 8, "rope_theta": 1e6},
    "qwen2": _LLAMA | {"qkv_bias": True},
    "qwen3": _LLAMA | {"qk_norm": True},
    "bert": {
        "norm_position": "post",
        "norm_eps": 1e-12,
        "activation": "gelu",
        "embedding_norm": True,
        "causal": False,
        "head": "mlm",
        "token_types": 2,
    },
    # Vaswani et al. 2017, "Attention Is All You Need", section 3; encoder_layers is a size.
    "encoder-decoder": {
        "positions": "sinusoidal",
        "norm_position": "post",
        "activation": "relu",
    },
}


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes and choices of a transformer. The defaults are GPT-2's.

    Sizes: `vocab_size` tokens, at most `context_length` positions, width `d_model`,
    `num_layers` blocks (of the decoder, where there are two), `num_heads` query heads,
    `num_kv_heads` key and value heads (None: as many as query heads), `head_dim`
    (None: d_model / num_heads), `d_ff` (None: 4 d_model), `encoder_layers` (0: no encoder
    beside the decoder), `num_experts` (0: a dense feed-forward part), of which
    `experts_per_token` work on each token.

    Raises ValueError where sizes do not fit together or a choice is unknown.
    """

    vocab_size: int
    context_length: int
    d_model: int
    num_layers: int
    num_heads: int
    num_kv_heads: int | None = None
    head_dim: int | None = None
    d_ff: int | None = None
    encoder_layers: int = 0
    positions: str = "learned"
    rope_theta: float = 10_000.0
    rope_scaling: dict | None = None  # see utils.models.rope
    norm: str = "layernorm"
    norm_position: str = "pre"
    norm_eps: float = 1e-5
    embedding_norm: bool = False
    activation: str = "gelu_tanh"
    bias: bool = True  # in every linear layer but the head, and in LayerNorm
    qkv_bias: bool | None = None  # None: as bias
    qk_norm: bool = False  # RMSNorm over each query's and key's head_dim (Qwen 3)
    causal: bool = True
    sliding_window: int | None = None  # a query sees itself and the window - 1 keys before it
    full_layers: int = 0  # the first layers that ignore the window (Qwen 2)
    num_experts: int = 0
    experts_per_token: int = 2
    balance_weight: float = 0.01  # of the load-balancing loss, in training only
    tied: bool = True  # the head reuses the embedding matrix
    head: str = "lm"
    pooler: bool = False  # BERT's dense layer over the first token
    token_types: int = 0  # BERT's segments
    dropout: float = 0.0

    @classmethod
    def of(cls, family: str, **sizes) -> TransformerConfig:
        """A config with a family's choices; `sizes` adds to them and overrides them.

        Raises ValueError for an unknown family, TypeError for an unknown field.
        """
        if family not in FAMILIES:
            raise ValueError(f"unknown architecture {family!r}: known are {', '.join(FAMILIES)}")
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(sizes) - known)
        if unknown:
            raise TypeError(f"unknown fields {unknown}: a TransformerConfig has {sorted(known)}")
        return cls(**(FAMILIES[family] | sizes))

    @property
    def kv_heads(self) -> int:
        """Number of key and value heads."""
        return self.num_heads if self.num_kv_heads is None else self.num_kv_heads

    @property
    def head_size(self) -> int:
        """Width of one head."""
        return self.d_model // self.num_heads if self.head_dim is None else self.head_dim

    @property
    def ff_size(self) -> int:
        """Width of the feed-forward layer (of each expert, where there are several)."""
        return 4 * self.d_model if self.d_ff is None else self.d_ff

    @property
    def has_qkv_bias(self) -> bool:
        """Whether queries, keys and values have a bias."""
        return self.bias if self.qkv_bias is None else self.qkv_bias

    @property
    def max_length(self) -> int:
        """Longest sequence the model takes: dynamic RoPE scaling stretches the context."""
        scaling = self.rope_scaling or {}
        stretch = scaling.get("factor", 1.0) if _rope_type(scaling) == "dynamic" else 1.0
        return int(self.context_length * stretch)

    def window_of(self, layer: int) -> int | None:
        """The sliding window of a layer, None where it sees everything."""
        return None if layer < self.full_layers else self.sliding_window

    def __post_init__(self) -> None:
        self._check_sizes()
        self._check_choices()
        self._check_combinations()

    def _check_sizes(self) -> None:
        names = ["vocab_size", "context_length", "d_model", "num_layers", "num_heads"]
        names += ["kv_heads", "head_size", "ff_size", "experts_per_token"]
        for name in names:
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        for name in ("encoder_layers", "num_experts", "token_types", "full_layers"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)!r}")
        if self.head_dim is None and self.d_model % self.num_heads:
            raise ValueError(
                f"d_model {self.d_model} is not a multiple of num_heads {self.num_heads}: "
                "change one of them or give head_dim"
            )
        if self.num_heads % self.kv_heads:
            raise ValueError(
                f"num_heads {self.num_heads} is not a multiple of num_kv_heads {self.kv_heads}: "
                "each key head serves the same number of query heads"
            )
        if self.num_experts and self.experts_per_token > self.num_experts:
            raise ValueError(
                f"experts_per_token {self.experts_per_token} exceeds num_experts {self.num_experts}"
            )

    def _check_choices(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}"
                )
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")

    def _check_combinations(self) -> None:
        if self.positions == "rope" and self.head_size % 2:
            raise ValueError(f"RoPE rotates pairs: head_dim {self.head_size} must be even")
        if self.rope_scaling is not None and self.positions != "rope":
            raise ValueError(f"rope_scaling needs positions='rope', got {self.positions!r}")
        if self.sliding_window is not None and (self.sliding_window < 1 or not self.causal):
            raise ValueError(
                "sliding_window must be at least 1 and needs causal=True, got "
                f"{self.sliding_window} with causal={self.causal}"
            )
        if self.num_experts and self.activation != "swiglu":
            raise ValueError(f"experts need activation='swiglu', got {self.activation!r}")
        if self.encoder_layers and not self.causal:
            raise ValueError("an encoder-decoder needs causal=True: it is its decoder that is")
        if self.head == "mlm" and not self.tied:
            raise ValueError("head='mlm' shares the embedding matrix: it needs tied=True")
        if self.pooler and self.encoder_layers:
            raise ValueError("pooler belongs to an encoder without a decoder")


def _rope_type(scaling: dict) -> str:
    return scaling.get("rope_type", scaling.get("type", "default"))
