"""Vision Transformer: patches of an image as tokens (Dosovitskiy et al. 2021, eq. 1 to 4).

Design: pre-norm blocks with one product for queries, keys and values and PyTorch's fused
attention; the class token or the mean over patches feeds the head.

Dimensions: ``B`` batch, ``C`` channels of the image, ``S`` side in pixels, ``P`` side of a patch,
``T`` tokens, ``1 + (S / P) ** 2`` with the class token, ``D`` model width, ``H`` heads.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils.arguments import check_positive_int, check_range, choose

__all__ = ["ViT", "patchify", "vit_from_hf"]


def patchify(images: Tensor, patch_size: int) -> Tensor:
    """Cut images ``(B, C, S, S)`` into flat patches ``(B, (S / P) ** 2, C * P * P)``, row by row.

    A linear map of these patches is the convolution with kernel and stride P that `ViT` uses.
    Raises ValueError if the sides are not multiples of ``patch_size``.
    """
    if images.ndim != 4 or images.shape[2] % patch_size or images.shape[3] % patch_size:
        raise ValueError(
            f"expected images (B, C, S, S) with sides that are multiples of {patch_size}, "
            f"got shape {tuple(images.shape)}"
        )
    return F.unfold(images, patch_size, stride=patch_size).transpose(1, 2)


class ViTBlock(nn.Module):
    """Pre-norm Transformer block without mask: ``(B, T, D)`` to ``(B, T, D)`` (eq. 2 and 3)."""

    def __init__(
        self, d_model: int, num_heads: int, d_mlp: int, dropout: float, norm_eps: float
    ) -> None:
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.norm1 = nn.LayerNorm(d_model, eps=norm_eps)
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.out = nn.Linear(d_model, d_model)
        self.norm2 = nn.LayerNorm(d_model, eps=norm_eps)
        self.fc1 = nn.Linear(d_model, d_mlp)
        self.fc2 = nn.Linear(d_mlp, d_model)

    def attend(self, x_BTD: Tensor) -> Tensor:
        """Multi-head self-attention among all tokens: ``(B, T, D)`` to ``(B, T, D)``."""
        B, T, D = x_BTD.shape
        heads = self.qkv(x_BTD).view(B, T, 3, self.num_heads, D // self.num_heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        mixed_BHTd = F.scaled_dot_product_attention(query, key, value)
        return self.out(mixed_BHTd.transpose(1, 2).reshape(B, T, D))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Attention, then MLP, each added to its input; dropout before each addition."""
        x_BTD = x_BTD + F.dropout(self.attend(self.norm1(x_BTD)), self.dropout, self.training)
        hidden = self.fc2(F.gelu(self.fc1(self.norm2(x_BTD))))
        return x_BTD + F.dropout(hidden, self.dropout, self.training)


class ViT(nn.Module):
    """Vision Transformer for square images of one size.

    Parameters
    ----------
    image_size, patch_size: sides in pixels; the second divides the first.
    d_mlp: width of the MLP; None for ``4 * d_model``.
    pool: what feeds the head: ``"class"`` (class token) or ``"mean"`` (mean over patches; then
        there is no class token).
    positions: learned positions, or none at all with False.

    Input ``(B, in_channels, image_size, image_size)``; output ``(B, num_classes)``.
    Raises TypeError or ValueError for bad arguments, ValueError for images of another shape.
    """

    def __init__(
        self,
        image_size: int = 28,
        patch_size: int = 4,
        in_channels: int = 1,
        num_classes: int = 10,
        *,
        d_model: int = 64,
        num_heads: int = 4,
        num_layers: int = 4,
        d_mlp: int | None = None,
        dropout: float = 0.0,
        pool: str = "class",
        positions: bool = True,
        norm_eps: float = 1e-12,
    ):
        super().__init__()
        d_mlp = 4 * d_model if d_mlp is None else d_mlp
        check_positive_int(image_size=image_size, patch_size=patch_size, in_channels=in_channels)
        check_positive_int(num_classes=num_classes, d_model=d_model, num_heads=num_heads)
        check_positive_int(num_layers=num_layers, d_mlp=d_mlp)
        check_range(0, 1, dropout=dropout)
        choose("pool", pool, ("class", "mean"))
        if image_size % patch_size:
            raise ValueError(f"patch_size {patch_size} does not divide image_size {image_size}")
        if d_model % num_heads:
            raise ValueError(f"num_heads {num_heads} does not divide d_model {d_model}")
        self.image_shape = (in_channels, image_size, image_size)
        self.dropout, self.pool = dropout, pool
        tokens = (image_size // patch_size) ** 2 + (pool == "class")
        self.patches = nn.Conv2d(in_channels, d_model, patch_size, stride=patch_size)
        self.class_token = nn.Parameter(torch.empty(1, 1, d_model)) if pool == "class" else None
        self.positions = nn.Parameter(torch.empty(1, tokens, d_model)) if positions else None
        self.blocks = nn.Sequential(
            *(ViTBlock(d_model, num_heads, d_mlp, dropout, norm_eps) for _ in range(num_layers))
        )
        self.norm = nn.LayerNorm(d_model, eps=norm_eps)
        self.head = nn.Linear(d_model, num_classes)
        self._initialize()

    @torch.no_grad()
    def _initialize(self) -> None:
        # Xavier for the blocks, variance 1 / fan-in for the patches. With the deviation of 0.02
        # that suits a width of 768, narrow models start almost blind to their input.
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                nn.init.zeros_(module.bias)
        for block in self.blocks:
            for weight in (*block.qkv.weight.chunk(3), block.out.weight):
                nn.init.xavier_uniform_(weight)
            nn.init.xavier_uniform_(block.fc1.weight)
            nn.init.xavier_uniform_(block.fc2.weight)
        nn.init.normal_(self.patches.weight, std=self.patches.weight[0].numel() ** -0.5)
        for parameter in (self.class_token, self.positions):
            if parameter is not None:
                nn.init.normal_(parameter, std=0.02)

    def features(self, images: Tensor) -> Tensor:
        """Map images ``(B, C, S, S)`` to normalized tokens ``(B, T, D)``."""
        if images.ndim != 4 or tuple(images.shape[1:]) != self.image_shape:
            expected = ", ".join(map(str, self.image_shape))
            raise ValueError(
                f"expected images of shape (B, {expected}), got {tuple(images.shape)}; "
                "resize them, or build a ViT for their size"
            )
        tokens_BTD = self.patches(images).flatten(2).transpose(1, 2)
        if self.class_token is not None:
            start = self.class_token.expand(len(images), -1, -1)
            tokens_BTD = torch.cat((start, tokens_BTD), dim=1)
        if self.positions is not None:
            tokens_BTD = tokens_BTD + self.positions
        tokens_BTD = F.dropout(tokens_BTD, self.dropout, self.training)
        return self.norm(self.blocks(tokens_BTD))

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, C, S, S)`` to logits ``(B, num_classes)``."""
        tokens_BTD = self.features(images)
        return self.head(tokens_BTD[:, 0] if self.pool == "class" else tokens_BTD.mean(1))


# transformers' names, those of its module and those of the files on the hub, and ours.
_HF_NAMES = [
    (r"^vit\.", ""),
    (r"^(encoder\.layer|layers)\.", "blocks."),
    (r"^embeddings\.cls_token$", "class_token"),
    (r"^embeddings\.position_embeddings$", "positions"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patches."),
    (r"^layernorm\.", "norm."),
    (r"^classifier\.", "head."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.attention\.attention\.(query|key|value)\.", r".\1."),
    (r"\.attention\.q_proj\.", ".query."),
    (r"\.attention\.k_proj\.", ".key."),
    (r"\.attention\.v_proj\.", ".value."),
    (r"\.attention\.(output\.dense|o_proj)\.", ".out."),
    (r"\.(intermediate\.dense|mlp\.fc1)\.", ".fc1."),
    (r"\.(output\.dense|mlp\.fc2)\.", ".fc2."),
]


def vit_from_hf(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of transformers' ``ViTForImageClassification`` for ``ViT``.

    Takes the names of transformers' module and those of its files. Load the result with
    ``ViT.load_state_dict``, which names missing, extra and mis-shaped keys.
    Raises ValueError if queries, keys and values are incomplete, as in another architecture.
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in state_dict.items():
        for pattern, ours in _HF_NAMES:
            name = re.sub(pattern, ours, name)
        renamed[name] = tensor
    queries = [name for name in renamed if ".query." in name]
    if not queries:
        raise ValueError(
            f"these are not the weights of a ViT: none of {len(state_dict)} keys is a query's, "
            f"first: {list(state_dict)[:3]}"
        )
    for name in queries:
        parts = [name.replace(".query.", f".{part}.") for part in ("query", "key", "value")]
        missing = [part for part in parts if part not in renamed]
        if missing:
            raise ValueError(f"keys are missing (by our names): {', '.join(missing)}")
        joined = torch.cat([renamed.pop(part) for part in parts])
        renamed[name.replace(".query.", ".qkv.")] = joined
    return renamed
