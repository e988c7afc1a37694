"""What one process and two must compute alike; used by the worker and by the tests.

Legend: B batch, T sequence.
"""

import copy

import torch
from torch.utils.data import DataLoader, TensorDataset

from utils.models.config import TransformerConfig
from utils.models.transformer import Transformer
from utils.train import Trainer

SIZES = {
    "vocab_size": 13,
    "context_length": 8,
    "d_model": 16,
    "num_layers": 2,
    "num_heads": 4,
    "d_ff": 24,
}
FAMILIES = {
    "gpt2": {},
    "llama": {"num_kv_heads": 2},
    "qwen3": {"num_kv_heads": 2},
    "mistral": {"num_kv_heads": 2, "sliding_window": 3},
    "mixtral": {"num_experts": 3},
    "encoder-decoder": {"encoder_layers": 1},
}
STEPS = 4
DTYPES = {"64": torch.float64, "32": torch.float32}
NAMES = [  # how, family, bits
    *("ddp gpt2 64", "fsdp gpt2 64", "fsdp llama 64"),
    *("tp gpt2 64", "tp qwen3 64", "tp mixtral 64", "tp encoder-decoder 64"),
    *("pp gpt2 64", "pp mistral 64"),
    *("ddp gpt2 32", "fsdp gpt2 32", "tp llama 32", "pp llama 32"),
]


def make(family: str, dtype: torch.dtype = torch.float64, **more) -> Transformer:
    """A small model, always the same; no weight is zero."""
    torch.manual_seed(0)
    config = TransformerConfig.of(family, **(SIZES | FAMILIES[family] | more))
    model = Transformer(config).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape), alpha=0.1)
    return model


def batch(step: int, rows: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and targets, each (rows, T)."""
    generator = torch.Generator().manual_seed(100 + step)
    tokens = torch.randint(13, (rows, 9), generator=generator)
    return tokens[:, :-1], tokens[:, 1:]


def optimizer_of(model: torch.nn.Module) -> torch.optim.Optimizer:
    """AdamW, whose steps show every error in a gradient."""
    return torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)


def loss_fn(model: torch.nn.Module, data) -> torch.Tensor:
    """Mean cross-entropy of a language model."""
    return model(*data)


def call(model: torch.nn.Module, family: str, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The loss; an encoder-decoder reads the tokens in reverse as its source."""
    more = {"source": x.flip(1)} if family == "encoder-decoder" else {}
    return model(x, y, **more)


def one_process(family: str, dtype: torch.dtype = torch.float64, clip: float | None = None) -> dict:
    """Losses of all steps, gradients of the first, weights and optimizer state at the end."""
    model = make(family, dtype)
    optimizer, losses, gradients = optimizer_of(model), [], None
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = call(model, family, *batch(step))
        loss.backward()
        gradients = gradients or {n: p.grad.clone() for n, p in model.named_parameters()}
        if clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        losses.append(loss.item())
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    return {"losses": losses, "gradients": gradients} | state


def one_more_step(state: dict, family: str, dtype: torch.dtype = torch.float64) -> float:
    """Take a state up in this process alone; the loss after one more step."""
    model = make(family, dtype)
    optimizer = optimizer_of(model)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))  # torch would write into it
    call(model, family, *batch(STEPS)).backward()
    optimizer.step()
    with torch.no_grad():
        return call(model, family, *batch(STEPS + 1)).item()


def trainer_of(wrap, **more) -> Trainer:
    """The Trainer of every run; `wrap` is `replicate`, `shard`, or nothing in one process."""
    model = wrap(make("llama")) if wrap else make("llama")
    settings = {"device": "cpu", "clip": 0.5, "accumulate": 2, "progress": False}
    return Trainer(model, optimizer_of(model), loss_fn, **(settings | more))


def loaders() -> tuple[DataLoader, DataLoader]:
    """Shuffled batches of 5, the last of 4; and batches of 3 of which the last has one row."""
    torch.manual_seed(7)
    train, test = (
        DataLoader(TensorDataset(*batch(9, n)), b, shuffle=n > 9) for n, b in ((24, 5), (7, 3))
    )
    return train, test


def fit(trainer: Trainer, data: tuple, steps: int, path=None) -> dict:
    """Train to a step with `loaders()`; what the history says."""
    train, test = data
    history = trainer.fit(train, steps=steps, evaluate=test, evaluate_every=2, checkpoint=path)
    losses = [row["loss"] for row in history.evaluations]
    return {"losses": history.loss, "norms": history.grad_norm, "evaluations": losses}
