"""Batches as the Trainer sees them: nested tensors, their place in the data, and their splits.

Legend: B samples in a batch. A batch is a tensor or any nesting of tuples, lists and dicts of
tensors; the first axis of every tensor with axes is B. Other leaves (None, numbers, strings)
pass through untouched.
"""

import itertools

import torch
from torch import nn
from torch.utils.data import DataLoader

from utils.checkpoint import CheckpointError, host_rng_state, set_rng_state


def map_tensors(call, batch):
    """Return the batch with ``call`` applied to every tensor in it, structure kept."""
    if isinstance(batch, torch.Tensor):
        return call(batch)
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(map_tensors(call, part) for part in batch))
    if isinstance(batch, tuple | list):
        return type(batch)([map_tensors(call, part) for part in batch])
    if isinstance(batch, dict):
        return {key: map_tensors(call, part) for key, part in batch.items()}
    return batch


def move(batch, device: torch.device):
    """Return the batch with every tensor on the device."""
    if device.type == "cpu":  # the common case costs next to nothing
        return map_tensors(lambda t: t if t.device.type == "cpu" else t.to(device), batch)
    return map_tensors(lambda t: t.to(device, non_blocking=True), batch)


def tensors(batch) -> list[torch.Tensor]:
    """Return the tensors of the batch, in order."""
    found: list[torch.Tensor] = []
    map_tensors(lambda tensor: found.append(tensor) or tensor, batch)
    return found


def batch_size(batch) -> int:
    """Return B, the length of the first axis of the first tensor that has axes (1 if none)."""
    if isinstance(batch, tuple | list) and batch and isinstance(batch[0], torch.Tensor):
        return len(batch[0]) if batch[0].ndim else 1  # (x, y), the usual batch
    return next((len(tensor) for tensor in tensors(batch) if tensor.ndim), 1)


def describe(batch) -> str:
    """Return dtype and shape of every tensor in words, for error messages."""
    found = [f"{str(t.dtype).removeprefix('torch.')} {tuple(t.shape)}" for t in tensors(batch)]
    return ", ".join(found) if found else f"{type(batch).__name__} without tensors"


def split(batch, parts: int) -> list:
    """Split the batch along B into at most ``parts`` batches whose sizes differ by at most one.

    Raises
    ------
    ValueError: tensors of the batch differ in the length of their first axis.
    """
    if parts == 1:
        return [batch]
    lengths = {len(tensor) for tensor in tensors(batch) if tensor.ndim}
    if len(lengths) != 1:
        raise ValueError(
            f"a batch of {describe(batch)} cannot be split into micro-batches: every tensor needs "
            "the same first axis. Use a smaller batch in the loader and accumulate=..."
        )
    size = lengths.pop()
    parts = min(parts, size)
    edges = [size * i // parts for i in range(parts + 1)]
    pairs = itertools.pairwise(edges)
    return [map_tensors(lambda t, a=a, b=b: t[a:b] if t.ndim else t, batch) for a, b in pairs]


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether the error is a lack of memory on any device, as torch words it."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    phrases = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, RuntimeError) and any(p in str(error).lower() for p in phrases)


def halve(model: nn.Module, parts: int, batches: list) -> int:
    """Return twice the parts for the next try after running out of memory.

    The gradient of a mean over B samples is the mean of the gradients of its parts, weighted by
    their sizes, so smaller micro-batches leave the step as it was. Not so where samples see each
    other (batch statistics); and processes that wait for each other must split alike.

    Raises
    ------
    RuntimeError: BatchNorm in training mode, several processes, or nothing left to split.
    """
    why = None
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training:
            why = (
                f"layer {name!r} ({type(module).__name__}) takes statistics over the whole batch, "
                "so a smaller micro-batch would change the result. Use a smaller batch, or a "
                "normalization without batch statistics (GroupNorm, LayerNorm)"
            )
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    if distributed and torch.distributed.get_world_size() > 1:
        why = "several processes train together. Use a smaller batch in the loader"
    if parts >= max(batch_size(batch) for batch in batches):
        why = "the micro-batch is one sample already. Use a smaller model or shorter inputs"
    if why:
        raise RuntimeError(f"out of memory, and the micro-batch cannot be halved: {why}.")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return 2 * parts


class Stream:
    """An endless walk over a loader, epoch after epoch, that can be continued bit-exactly.

    The place is ``epoch`` and ``batch`` (batches taken in it). A loader with ``state_dict`` and
    ``load_state_dict`` is asked for its own place. Any other is walked again to the place, from
    the random state that it had when the epoch began: the same shuffle, the same augmentation.
    (Exception: workers with ``persistent_workers=True`` draw from states that nobody can set.)
    """

    def __init__(self):
        self.epoch, self.batch = 0, 0
        self._begin: dict = {}
        self._loader = self._iterator = self.pending_rng = None

    def open(self, loader) -> None:
        """Take up the loader at the place where the walk stands.

        Raises
        ------
        TypeError: the loader cannot be iterated. ValueError: it is shorter than the place.
        """
        if not hasattr(loader, "__iter__"):
            raise TypeError(
                f"loader must be an iterable of batches, got {type(loader).__name__}; "
                "a torch DataLoader or a list of batches will do"
            )
        if loader is self._loader and self._iterator is not None:
            return
        self._loader, self._iterator = loader, None
        if self._begin.get("loader") is not None:
            loader.load_state_dict(self._begin["loader"])
            self._iterator = self._iter() if self.batch else None
        else:
            if "generators" in self._begin:
                self._restore_generators(loader)
            if self.batch:
                self._walk_to_place()
        if self.pending_rng is not None:
            set_rng_state(self.pending_rng)
            self.pending_rng = None

    def _walk_to_place(self) -> None:
        now = host_rng_state()
        if "rng" in self._begin:
            set_rng_state(self._begin["rng"])
        self._iterator = self._iter()
        for taken in range(self.batch):
            if next(self._iterator, self) is self:
                self._iterator = None
                raise ValueError(
                    f"training stands at batch {self.batch} of its epoch, but this loader ends "
                    f"after {taken}: continue with the data that training began with"
                )
        set_rng_state(now)

    def take(self, count: int) -> list:
        """Return the next ``count`` batches; fewer at the end of an epoch; none after the end.

        After the empty list the next call begins the next epoch.

        Raises
        ------
        ValueError: the loader has no batches (or is a generator that is used up).
        """
        if self._iterator is None:
            self._begin = self._random_states()
            self._iterator = self._iter()
        batches = []
        for batch in self._iterator:
            batches.append(batch)
            if len(batches) == count:
                break
        self.batch += len(batches)
        if not batches:
            if self.batch == 0:
                raise ValueError(
                    "the loader has no batches: its data set is empty, drop_last drops all there "
                    "is, or it is a generator that is used up (pass a list or a DataLoader)"
                )
            self.epoch, self.batch, self._iterator, self._begin = self.epoch + 1, 0, None, {}
        return batches

    def _iter(self):
        for sampler in (getattr(self._loader, name, None) for name in ("sampler", "batch_sampler")):
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(self.epoch)
        return iter(self._loader)

    def _generators(self, loader) -> list[torch.Generator]:
        """Return the loader's own random generators, each once, in a fixed order."""
        if not isinstance(loader, DataLoader):
            return []
        batch_sampler = loader.batch_sampler
        owners = [loader, loader.sampler, batch_sampler, getattr(batch_sampler, "sampler", None)]
        found = [getattr(owner, "generator", None) for owner in owners]
        return list({id(g): g for g in found if isinstance(g, torch.Generator)}.values())

    def _random_states(self) -> dict:
        """Return the states that the loader's order depends on; a list has none, at no cost."""
        if isinstance(self._loader, list | tuple):
            return {}
        own = [generator.get_state() for generator in self._generators(self._loader)]
        return {"rng": host_rng_state(), "generators": own}

    def _restore_generators(self, loader) -> None:
        generators, states = self._generators(loader), self._begin.get("generators", [])
        if len(generators) != len(states):
            raise CheckpointError(
                f"the loader has {len(generators)} random generators of its own, the checkpoint "
                f"has {len(states)}: build the loader as it was built when training began"
            )
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)

    def state_dict(self) -> dict:
        """Return the place, as plain values and tensors."""
        begin = dict(self._begin)
        if hasattr(self._loader, "load_state_dict"):
            begin["loader"] = self._loader.state_dict()
        elif not begin and self._loader is not None:  # between epochs: the generators as they are
            begin = self._random_states()
        return {"epoch": self.epoch, "batch": self.batch, "begin": begin}

    def load_state_dict(self, state: dict, rng: dict) -> None:
        """Set the place; ``open`` walks there and then sets the random states ``rng``."""
        self.pending_rng = rng
        self.epoch, self.batch, self._begin = state["epoch"], state["batch"], state["begin"]
        self._loader = self._iterator = None
