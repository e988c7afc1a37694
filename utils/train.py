"""The training loop that you could have written, with what long runs need.

A step: take ``accumulate`` batches, average their loss, backpropagate, look at loss and gradient
once, clip, update, advance the schedule. Design: no callbacks, and no flag for what a few lines
of your own do as well; ``fit`` can be called again and goes on where it stood. Around the loop:
``batches`` (splitting, out of memory, place in the data), ``finite`` (NaN), ``checkpoint``.

Legend: B samples in a batch, C classes.
"""

import time

import torch
from torch import nn

from utils import learning_rate
from utils import trainer_checks as check
from utils.batches import Stream, batch_size, halve, is_out_of_memory, move, split
from utils.device import autocast, pick_device, pick_precision
from utils.distributed.world import processes, share
from utils.finite import judge, read_step
from utils.history import History, progress_bar
from utils.objectives import accuracy_and_loss, cross_entropy, evaluate
from utils.trainer_state import read_trainer, write_trainer

__all__ = ["History", "Trainer", "accuracy_and_loss", "cross_entropy", "evaluate"]


class Trainer:
    """Train a model.

    ``loss_fn(model, batch)`` returns the mean loss over the batch, a scalar tensor (default:
    cross-entropy of ``model(x)`` (B, C) and labels (B,) for batches (x, y)).
    ``metrics(model, batch)`` returns a dict of means for evaluation, "loss" among them (default:
    the loss, and the accuracy with the default loss). ``schedule``: a function of the step
    (from 0) that returns a factor of the learning rate, or a torch scheduler. ``precision``: a
    dtype or its name; halves run under autocast, float16 with loss scaling. ``clip``: largest
    L2 norm of the gradient. ``progress``: None shows a bar on a terminal; a notebook never does.

    Raises
    ------
    TypeError, ValueError: a setting is of the wrong kind or out of range.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        loss_fn=cross_entropy,
        *,
        metrics=None,
        schedule=None,
        device=None,
        precision=None,
        accumulate: int = 1,
        clip: float | None = None,
        compile: bool = False,
        progress: bool | None = None,
    ):
        check.check_settings(model, optimizer, loss_fn, metrics, schedule, accumulate, clip)
        self.device = pick_device(device)
        self.precision = pick_precision(self.device, precision, emulate=True)
        self.model, self.optimizer = model.to(self.device), optimizer
        self.named = check.check_optimizer(model, optimizer, self.device)
        self.parameters = [parameter for _, parameter in self.named]
        self.loss_fn, self.schedule, self.progress = loss_fn, schedule, progress
        default = accuracy_and_loss if loss_fn is cross_entropy else None
        self.metrics = metrics or default or (lambda model, batch: {"loss": loss_fn(model, batch)})
        self.accumulate, self.clip = accumulate, clip
        self.history, self.stream = History(), Stream()
        self.step, self.parts = 0, 1
        scaled = self.precision == torch.float16
        self.scaler = torch.amp.GradScaler(self.device.type) if scaled else None
        learning_rate.remember_base(optimizer)
        if compile:
            model.compile()

    def fit(
        self,
        loader,
        *,
        steps: int | None = None,
        epochs: int | None = None,
        evaluate=None,
        evaluate_every: int | None = None,
        checkpoint=None,
        checkpoint_every: int | None = None,
    ) -> History:
        """Train until ``steps`` updates or ``epochs`` passes over the loader have been made.

        Both count from the very beginning, also after ``load``. ``evaluate``, a loader, is
        evaluated every ``evaluate_every`` steps (default: after each epoch) and at the end.
        ``checkpoint``, a path, is written every ``checkpoint_every`` steps and at the end.

        Raises
        ------
        TypeError, ValueError: arguments, loader, batch or loss are not what they must be.
        FloatingPointError: loss or gradient is NaN or infinite; the weights are as before.
        RuntimeError: out of memory where smaller micro-batches cannot help.
        """
        check.check_fit(steps, epochs, evaluate, evaluate_every, checkpoint, checkpoint_every)
        self.stream.open(loader)
        begin, before = time.perf_counter(), self.history.seconds
        saved, training = -1, self.model.training
        self.model.train()
        try:
            with progress_bar(self.progress, steps, self.step) as bar:
                while self.step < steps if steps is not None else self.stream.epoch < epochs:
                    batches = self.stream.take(self.accumulate)  # none: an epoch has ended
                    if batches:
                        self.update(batches)
                        if bar.update():
                            bar.set_postfix_str(f"loss {self.history.loss[-1]:.4f}", refresh=False)
                    due = self.step % evaluate_every == 0 if evaluate_every else not batches
                    if evaluate is not None and due:
                        self._record_evaluation(evaluate)
                    self.history.seconds = before + time.perf_counter() - begin
                    if checkpoint_every and batches and self.step % checkpoint_every == 0:
                        saved = self.save(checkpoint)
            if evaluate is not None:
                self._record_evaluation(evaluate)
            if checkpoint is not None and saved < self.step:
                self.save(checkpoint)
        finally:
            self.model.train(training)
        return self.history

    def update(self, batches: list) -> None:
        """Make one step from the batches, as ``fit`` does."""
        while (loss := self._backpropagate(batches)) is None:  # out of memory: smaller pieces
            self.parts = halve(self.model, self.parts, batches)
        if self.scaler:
            self.scaler.unscale_(self.optimizer)
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        check.check_gradients(gradients)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.clip) if self.clip else None
        loss, norm, finite = read_step(loss, gradients, norm)
        lr = learning_rate.before_step(self.optimizer, self.schedule, self.step)
        if not finite:
            scale = self.scaler.get_scale() if self.scaler else None
            if judge(self.step + 1, loss, norm, lr, self.named, batches, scale):
                self.history.skipped.append(self.step + 1)
        if self.scaler:
            self.scaler.step(self.optimizer)  # skips the update if the gradient is not finite
            self.scaler.update()
        else:
            self.optimizer.step()
        self.step += 1
        learning_rate.after_step(self.schedule)
        self.history.record(loss, lr, norm)

    def _backpropagate(self, batches: list) -> torch.Tensor | None:
        """Leave the gradient of the mean loss in the weights; return the loss, None if too big."""
        self.optimizer.zero_grad()
        samples, mean = check.count_samples(batches) / processes(), None
        try:
            for batch in batches:
                for part in split(share(batch), self.parts):
                    part = move(part, self.device)
                    with autocast(self.device, self.precision):
                        loss = check.checked_loss(self.loss_fn, self.model, part, self.step + 1)
                    if (size := batch_size(part)) != samples:
                        loss = loss * (size / samples)
                    (self.scaler.scale(loss) if self.scaler else loss).backward()
                    mean = loss.detach() if mean is None else mean + loss.detach()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            self.optimizer.zero_grad()
            return None
        return mean

    def evaluate(self, loader) -> dict[str, float]:
        """Return the means of the metrics over the loader's samples; training does not notice."""
        return evaluate(self.model, loader, self.metrics, self.precision, self.parts)

    def _record_evaluation(self, loader) -> None:
        rows = self.history.evaluations
        if not rows or rows[-1]["step"] < self.step:
            rows.append({"step": self.step, "epoch": self.stream.epoch, **self.evaluate(loader)})
            learning_rate.after_evaluation(self.schedule, rows[-1]["loss"])

    def save(self, path) -> int:
        """Write all that is needed to go on bit-exactly, atomically; return the step."""
        write_trainer(self, path)
        return self.step

    def load(self, path) -> "Trainer":
        """Take up the training that ``save`` or ``fit`` wrote to ``path``; return self.

        With model, optimizer, schedule and loader built as then, ``fit`` now ends with weights
        bit-identical to those of a run that never stopped.

        Raises
        ------
        FileNotFoundError, CheckpointError: no such file; damaged, foreign, of another model.
        """
        read_trainer(self, path)
        return self
