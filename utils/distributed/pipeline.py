"""Pipeline parallelism of a Transformer: each process has some of the layers.

A batch goes through in micro-batches, so that the processes work at the same time on different
ones. Huang et al. 2019, "GPipe" (all forward, then all backward); Narayanan et al. 2019,
"PipeDream" (one forward, one backward, which keeps fewer activations; here, unlike there, the
weights change after the whole batch only).

Legend: B batch, T sequence, M = d_model, V vocab_size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn

from utils.distributed.world import agree, process_device, processes, rank, union
from utils.models.attention import make_mask
from utils.models.block import Step
from utils.models.embedding import count_positions
from utils.models.transformer import Transformer

SCHEDULES = ("gpipe", "1f1b")


class PipelinePart(nn.Module):
    """Blocks `first` to `last` - 1 of a model, under the names that they have there.

    The part with block 0 has the embedding, the one with the last block norm and head. Where
    the head is the embedding matrix, the last part has a copy, ``tied``.
    """

    def __init__(self, model: Transformer, first: int, last: int) -> None:
        super().__init__()
        self.config, self.rotary = model.config, model.rotary
        self.blocks = nn.ModuleDict({str(i): model.blocks[i] for i in range(first, last)})
        self.embedding = model.embedding if first == 0 else None
        self.is_last = last == len(model.blocks)
        self.norm = model.norm if self.is_last else None
        self.head = model.head if self.is_last else None
        self.tied = None
        if self.is_last and model.head is None:
            self.tied = nn.Parameter(model.embedding.tokens.weight.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, T) or the part before's output (B, T, M), to (B, T, M) or logits (B, T, V)."""
        length = x.shape[1]
        positions = count_positions(length, None, x.device)
        x_BTM = x if self.embedding is None else self.embedding(x, positions, None)
        step = Step(masks={})
        for window in {block.window for block in self.blocks.values()}:
            step.masks[window] = make_mask(
                length, length, causal=self.config.causal, window=window, device=x.device
            )
        if self.rotary is not None:
            step.rotation = self.rotary(positions, x_BTM.dtype, length)
        for block in self.blocks.values():
            x_BTM = block(x_BTM, step)
        x_BTM = x_BTM if self.norm is None else self.norm(x_BTM)
        weight = self.tied if self.head is None else self.head.weight
        return F.linear(x_BTM, weight) if self.is_last else x_BTM


class Pipeline:
    """A Transformer over all processes; `part` is this one's, for its optimizer.

    Loss of `step`: the mean of the micro-batches' mean cross-entropies, as of one batch when all
    targets count. All processes start from rank 0's weights and host random state.

    Raises
    ------
    TypeError: not a Transformer. ValueError: an unknown schedule, one process, fewer layers
    than processes, or a model with parts that a pipeline of blocks does not have.
    """

    def __init__(self, model: Transformer, micro_batches: int, schedule: str = "1f1b") -> None:
        _check(model, micro_batches, schedule)
        from torch.distributed import pipelining

        count, mine = processes(), rank()
        model.to(process_device())
        agree(model)
        self.micro_batches, self.count = micro_batches, count
        edges = [model.config.num_layers * i // count for i in range(count + 1)]
        self.part = PipelinePart(model, edges[mine], edges[mine + 1])
        self.names = [name for name, _ in model.named_parameters()]
        ends = distributed.new_group([0, count - 1])  # made by all, used by two
        self.ends = ends if model.head is None and mine in (0, count - 1) else None
        stage = pipelining.PipelineStage(self.part, mine, count, process_device())
        kind = pipelining.ScheduleGPipe if schedule == "gpipe" else pipelining.Schedule1F1B
        self.schedule = kind(stage, micro_batches, loss_fn=_cross_entropy)

    def step(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Leave gradients in the parts; the mean loss, a scalar, in every process.

        tokens, targets (B, T): the first process reads the one, the last one the other.
        Raises ValueError where B is not a multiple of the micro-batches.
        """
        if len(tokens) % self.micro_batches:
            raise ValueError(
                f"a batch of {len(tokens)} cannot be cut into {self.micro_batches} equal "
                "micro-batches"
            )
        losses: list[Tensor] = []
        mine = rank()
        inputs = (tokens,) if mine == 0 else ()
        if mine == self.count - 1:
            self.schedule.step(*inputs, target=targets, losses=losses, return_outputs=False)
        else:
            self.schedule.step(*inputs, return_outputs=False)
        if self.ends is not None:
            tied = self.part.tied if mine else self.part.embedding.tokens.weight
            distributed.all_reduce(tied.grad, group=self.ends)
        loss = torch.stack(losses).mean().detach() if losses else torch.zeros(())
        loss = loss.to(process_device(), torch.float64)
        distributed.broadcast(loss, self.count - 1)
        return loss

    def whole(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Every part's tensors by name (such as gradients), in the model's order, in rank 0."""
        values = {name: value.detach().cpu() for name, value in values.items() if name != "tied"}
        boxes: list | None = [None] * self.count if rank() == 0 else None
        distributed.gather_object(values, boxes)
        found = {name: value for box in boxes or [] for name, value in box.items()}
        return {name: found[name] for name in self.names if name in found}

    def whole_state(self, optimizer: torch.optim.Optimizer) -> dict:
        """{"model", "optimizer"}: what one process's ``load_state_dict`` takes; valid in rank 0.

        For optimizers of one group of parameters; raises ValueError for more.
        """
        if len(optimizer.param_groups) != 1:
            raise ValueError(f"one group of parameters, got {len(optimizer.param_groups)}")
        held = dict(self.part.named_parameters())
        model = self.whole(held)
        entries: dict[int, dict] = {i: {} for i in range(len(self.names))}
        keys = sorted(union([key for entry in optimizer.state.values() for key in entry]))
        for key in keys:
            have = {n: optimizer.state[p][key] for n, p in held.items() if p in optimizer.state}
            for name, value in self.whole(have).items():
                entries[self.names.index(name)][key] = value
        group = optimizer.state_dict()["param_groups"][0]
        group = group | {"params": list(range(len(self.names)))}
        state = {i: entry for i, entry in entries.items() if entry}
        return {"model": model, "optimizer": {"state": state, "param_groups": [group]}}

    def load_optimizer(self, optimizer: torch.optim.Optimizer, state: dict) -> None:
        """Load the ``state_dict`` of the whole model's optimizer, which every process has."""
        number = {name: i for i, name in enumerate(self.names)}
        number["tied"] = number["embedding.tokens.weight"]
        mine = [number[name] for name, _ in self.part.named_parameters()]
        entries = {i: state["state"][j] for i, j in enumerate(mine) if j in state["state"]}
        group = state["param_groups"][0] | {"params": list(range(len(mine)))}
        optimizer.load_state_dict({"state": entries, "param_groups": [group]})


def _cross_entropy(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    return F.cross_entropy(logits_BTV.flatten(0, 1), targets_BT.flatten())


def _check(model: Transformer, micro_batches: int, schedule: str) -> None:
    if not isinstance(model, Transformer):
        raise TypeError(f"a Pipeline takes a Transformer, got {type(model).__name__}")
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {schedule!r}")
    if processes() == 1:
        raise ValueError("a Pipeline needs several processes: torchrun --nproc-per-node 2 …")
    config, count = model.config, processes()
    if config.num_layers < count:
        raise ValueError(f"{config.num_layers} layers cannot be shared by {count} processes")
    if config.encoder_layers or config.num_experts or config.head != "lm":
        raise ValueError(
            "a Pipeline takes a decoder with head 'lm', without encoder and experts (their "
            "load-balancing loss would need every layer at once)"
        )
    if schedule == "1f1b" and micro_batches < count:
        raise ValueError(
            f"schedule '1f1b' needs at least as many micro-batches as processes ({count}), "
            f"got {micro_batches}"
        )
