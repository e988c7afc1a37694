"""The training loops that the benchmark compares: bare, in our Trainer, in transformers'.

All take a model and `Batches`, clip the gradient to norm 1 and read no loss, except for our
Trainer, which reads it in every step.
"""

import functools
import tempfile
from collections.abc import Iterable
from pathlib import Path

import torch
import transformers
from gpt_peers import PlainGPT, Shape, hugging_face, load_nanogpt, ours
from torch.utils.data import DataLoader, IterableDataset

from utils import optim
from utils.train import Trainer

SEED, LEARNING_RATE, CLIP = 0, 1e-3, 1.0
PLAIN, OURS_PLAIN = "plain torch loop (nanoGPT's architecture)", "ours as nanoGPT"
ADAMW = {"lr": LEARNING_RATE, "betas": (0.9, 0.95), "weight_decay": 0.1}


class Batches(IterableDataset):
    """One batch, again and again; the contender's side of a `Gate`."""

    def __init__(self, source: Iterable, length: int, device: torch.device):
        self.source, self.length, self.device = source, length, device

    def __len__(self):
        return self.length

    def __iter__(self):
        return iter(self.source)


def make_batch(shape: Shape, device: torch.device) -> dict:
    """Random tokens and targets (B, T), under transformers' names."""
    generator = torch.Generator().manual_seed(SEED)
    size = (shape.batch_size, shape.context_length + 1)
    tokens = torch.randint(shape.vocab_size, size, generator=generator).to(device)
    return {"input_ids": tokens[:, :-1].contiguous(), "labels": tokens[:, 1:].contiguous()}


def our_loss(model, batch: dict) -> torch.Tensor:
    return model(batch["input_ids"], batch["labels"])


def plain_loss(model, batch: dict) -> torch.Tensor:
    return model(batch["input_ids"], batch["labels"])[1]


def hugging_face_loss(model, batch: dict) -> torch.Tensor:
    """transformers shifts ``labels`` itself; ``shift_labels`` are taken as they are."""
    labels = batch["labels"]
    return model(input_ids=batch["input_ids"], labels=labels, shift_labels=labels).loss


def bare(loss_fn, model, data: Batches, *, fused: bool = True, mixed: bool = False) -> None:
    """The loop that all peers could have: gradient, clip, step."""
    groups = optim.decay_groups(model, ADAMW["weight_decay"])
    optimizer = torch.optim.AdamW(groups, fused=fused, **ADAMW)
    parameters = list(model.parameters())
    for batch in data:
        with torch.autocast(data.device.type, torch.bfloat16, enabled=mixed):
            loss = loss_fn(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def our_trainer(model, data: Batches) -> None:
    """Our Trainer, which reads the loss and looks for NaN in every step."""
    groups = optim.decay_groups(model, ADAMW["weight_decay"])
    optimizer = optim.AdamW(groups, fused=True, **ADAMW)
    how = {"clip": CLIP, "device": data.device, "precision": "float32", "progress": False}
    Trainer(model, optimizer, our_loss, **how).fit(data, epochs=1)


class HuggingFaceTrainer(transformers.Trainer):
    """Takes the batches as they are, as every contender here."""

    def get_train_dataloader(self):
        return DataLoader(self.train_dataset, batch_size=None)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        return hugging_face_loss(model, inputs)


def hugging_face_trainer(model, data: Batches) -> None:
    """transformers' Trainer with its default optimizer, AdamW in its fused form."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            output_dir=folder,
            max_steps=len(data),
            learning_rate=LEARNING_RATE,
            weight_decay=ADAMW["weight_decay"],
            lr_scheduler_type="constant",
            optim="adamw_torch_fused",
            max_grad_norm=CLIP,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            log_level="error",
            use_cpu=data.device.type == "cpu",
        )
        trainer = HuggingFaceTrainer(model=model, args=arguments, train_dataset=data)
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()


def contenders(nanogpt: Path | None) -> dict[str, tuple]:
    """By name: how to make the model of a shape, its loss, how to train it."""
    as_nanogpt = functools.partial(ours, like_nanogpt=True)
    as_gpt2 = functools.partial(ours, like_nanogpt=False)
    bare_ours = functools.partial(bare, our_loss)
    unfused = functools.partial(bare, plain_loss, fused=False)
    rows = {
        OURS_PLAIN: (as_nanogpt, our_loss, bare_ours),
        PLAIN: (PlainGPT, plain_loss, unfused),
        "ours": (as_gpt2, our_loss, bare_ours),
        "ours in our Trainer": (as_gpt2, our_loss, our_trainer),
        "transformers": (
            hugging_face,
            hugging_face_loss,
            functools.partial(bare, hugging_face_loss),
        ),
        "transformers in its Trainer": (hugging_face, hugging_face_loss, hugging_face_trainer),
    }
    if nanogpt:
        rows["nanoGPT's file"] = (functools.partial(load_nanogpt, nanogpt), plain_loss, unfused)
    return rows
