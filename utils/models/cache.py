"""Keys and values of the tokens seen so far, in memory set aside once.

Legend: B batch, T new tokens, S slots, K key and value heads, D head_dim, L layers.

A slot is a place in the cache; all rows fill the same slots. Where rows differ in length, the
slots that hold padding are marked as not real: they are never attended to and take no
position. So left padding, right padding, and rows that go on at different positions all work.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from utils.models.config import TransformerConfig


class KVCache:
    """Static memory for `batch_size` rows of up to `max_length` slots.

    `max_length` None means the model's longest sequence. Costs
    2 L B K S D elements; `length` is the number of slots in use.
    Raises ValueError where the sizes are out of range.
    """

    def __init__(
        self,
        config: TransformerConfig,
        batch_size: int,
        max_length: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        max_length = config.max_length if max_length is None else max_length
        if batch_size < 1 or not 1 <= max_length <= config.max_length:
            raise ValueError(
                f"a cache needs at least one row and 1 to {config.max_length} slots (the "
                f"model's context), got batch_size {batch_size} and max_length {max_length}"
            )
        shape = (config.num_layers, 2, batch_size, config.kv_heads, max_length, config.head_size)
        # Zeros, not empty: a masked slot has weight 0, and 0 times an arbitrary NaN is NaN.
        self.store_L2BKSD = torch.zeros(shape, device=device, dtype=dtype)
        self.layers = self.store_L2BKSD.unbind(0)  # views, made once
        self.length = 0
        self.real_BS: Tensor | None = None  # None: every used slot is real
        self.position_BS: Tensor | None = None
        self.cross: list[tuple[Tensor, Tensor]] | None = None  # of an encoder's output

    @property
    def batch_size(self) -> int:
        """Number of rows."""
        return self.store_L2BKSD.shape[2]

    @property
    def max_length(self) -> int:
        """Number of slots."""
        return self.store_L2BKSD.shape[4]

    def write(self, layer: int, k_BKTD: Tensor, v_BKTD: Tensor) -> tuple[Tensor, Tensor]:
        """Put new keys and values behind the old ones; all of them, (B, K, S, D), as views.

        The length moves on with `advance`, once for all layers. Raises ValueError for keys
        that need a gradient.
        """
        new = k_BKTD.shape[2]
        end = self.length + new
        if k_BKTD.requires_grad:
            raise ValueError(
                "a cache is overwritten in place and carries no gradient: call the model under "
                "torch.no_grad() or torch.inference_mode()"
            )
        keys_BKSD, values_BKSD = self.layers[layer].unbind(0)
        with torch.no_grad():
            keys_BKSD.narrow(2, self.length, new).copy_(k_BKTD)
            values_BKSD.narrow(2, self.length, new).copy_(v_BKTD)
        return keys_BKSD.narrow(2, 0, end), values_BKSD.narrow(2, 0, end)

    def check_room(self, batch_size: int, new: int) -> None:
        """Raise ValueError if `new` tokens in `batch_size` rows do not fit."""
        if batch_size != self.batch_size:
            raise ValueError(f"the cache has {self.batch_size} rows, the tokens {batch_size}")
        if self.length + new > self.max_length:
            raise ValueError(
                f"context overflow: the cache holds {self.length} of {self.max_length} slots, "
                f"{new} more do not fit; make it larger or drop the oldest tokens"
            )

    def place(
        self, real_BT: Tensor | None, positions: Tensor | None, new: int
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Give `new` slots their positions; note padding, if `real_BT` (B, T) is False somewhere.

        Returns the new positions, (T,) or (B, T), and for all slots used so far, these
        included, which are real and their positions, (B, S) each, or None and None as long as
        there was neither padding nor a position of one's own.
        """
        now = slice(self.length, self.length + new)
        if real_BT is None and positions is None and self.real_BS is None:
            device = self.store_L2BKSD.device
            return torch.arange(now.start, now.stop, device=device), None, None
        self.start_marks()
        if positions is None:
            before_BS = self.position_BS[:, : now.start]
            before_BS = before_BS.masked_fill(~self.real_BS[:, : now.start], -1)
            last_B1 = F.pad(before_BS, (1, 0), value=-1).amax(1, keepdim=True)
            step_BT = torch.ones_like(self.real_BS[:, now]) if real_BT is None else real_BT
            positions = (last_B1 + step_BT.long().cumsum(-1)).clamp_min(0)
        self.real_BS[:, now] = True if real_BT is None else real_BT
        self.position_BS[:, now] = positions
        used = slice(0, now.stop)
        return self.position_BS[:, now], self.real_BS[:, used], self.position_BS[:, used]

    def start_marks(self) -> None:
        """From now on keep a mark and a position for each slot of each row."""
        if self.real_BS is None:
            device, shape = self.store_L2BKSD.device, (self.batch_size, self.max_length)
            slot_S = torch.arange(self.max_length, device=device)
            self.real_BS = torch.ones(shape, dtype=torch.bool, device=device)
            self.position_BS = slot_S.expand(shape).clone()

    def advance(self, new: int) -> None:
        """Count `new` slots as used."""
        self.length += new

    def truncate(self, length: int) -> None:
        """Forget all slots from `length` on. Raises ValueError for more than there are."""
        if not 0 <= length <= self.length:
            raise ValueError(f"cannot truncate to {length} slots: {self.length} are in use")
        self.length = length

    def reorder(self, rows_B: Tensor) -> None:
        """Row i becomes a copy of row `rows_B[i]`; (B,) whole numbers, as beam search needs."""
        used = self.store_L2BKSD[..., : self.length, :]
        used.copy_(used.index_select(2, rows_B))
        if self.real_BS is not None:
            self.real_BS = self.real_BS[rows_B]
            self.position_BS = self.position_BS[rows_B]
        if self.cross is not None:
            self.cross = [(k[rows_B], v[rows_B]) for k, v in self.cross]
