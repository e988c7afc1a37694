"""The Trainer: equal to the bare loop, right about memory and NaN, clear about bad input."""

import contextlib
import io
import math
import sys
import warnings
from types import SimpleNamespace

import matplotlib
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from utils import batches as batches_module
from utils.device import seed_everything
from utils.objectives import WeightedMeans
from utils.train import History, Trainer, accuracy_and_loss, cross_entropy, evaluate

matplotlib.use("agg")


def parts(seed=0, dropout=0.0):
    seed_everything(seed)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(dropout), nn.Tanh(), nn.Linear(8, 3))
    x, y = torch.randn(30, 4), torch.randint(3, (30,))
    return model, torch.optim.AdamW(model.parameters(), lr=0.01), (x, y)


def loader_of(data, batch_size=10, shuffle=False):
    return DataLoader(TensorDataset(*data), batch_size=batch_size, shuffle=shuffle)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def trainer_of(model, optimizer, *arguments, **settings):
    return Trainer(model, optimizer, *arguments, device="cpu", **settings)


@contextlib.contextmanager
def quiet():
    """Without the warning that a half precision is emulated: that depends on the machine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_equals_the_bare_loop_to_the_bit():
    model, optimizer, data = parts(dropout=0.2)
    losses = []
    for _ in range(3):
        for x, y in loader_of(data, shuffle=True):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            losses.append(loss.item())
    ours, optimizer, data = parts(dropout=0.2)
    history = trainer_of(ours, optimizer, clip=0.5).fit(loader_of(data, shuffle=True), epochs=3)
    assert torch.equal(weights(ours), weights(model))
    assert history.loss == losses and len(history.grad_norm) == 9


def test_accumulation_equals_one_large_batch_also_when_uneven():
    whole, optimizer, data = parts()
    trainer_of(whole, optimizer).fit([data] * 4, steps=4)
    pieces, optimizer, data = parts()
    cut = [tuple(t[a:b] for t in data) for a, b in ((0, 11), (11, 20), (20, 30))]
    trainer_of(pieces, optimizer, accumulate=3).fit(cut, epochs=4)
    torch.testing.assert_close(weights(pieces), weights(whole), atol=1e-6, rtol=0)


def test_end_of_an_epoch_ends_an_accumulation():
    model, optimizer, data = parts()
    trainer = trainer_of(model, optimizer, accumulate=2)
    trainer.fit(loader_of(data), epochs=2)
    assert (trainer.step, trainer.stream.epoch) == (4, 2)


def test_fit_goes_on_where_it_stood():
    model, optimizer, data = parts()
    trainer_of(model, optimizer).fit(loader_of(data, shuffle=True), steps=8)
    other, optimizer, data = parts()
    trainer, loader = trainer_of(other, optimizer), loader_of(data, shuffle=True)
    for steps in (0, 2, 3, 7, 8, 5):
        trainer.fit(loader, steps=steps)
    assert trainer.step == 8 and torch.equal(weights(other), weights(model))


def test_schedule_by_function_and_by_torch():
    rates = []
    for kind in range(2):
        model, optimizer, data = parts()
        by_torch = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: 1 / (s + 1))
        if kind:
            model, optimizer, data = parts()
        schedule = (lambda s: 1 / (s + 1)) if kind else by_torch
        rates.append(trainer_of(model, optimizer, schedule=schedule).fit([data], steps=5).lr)
    assert rates[0] == pytest.approx([0.01 / (i + 1) for i in range(5)])
    assert rates[1] == pytest.approx(rates[0])


def test_reduce_on_plateau_waits_for_evaluations():
    model, optimizer, data = parts()
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", patience=0)
    history = trainer_of(model, optimizer, schedule=schedule).fit([data], steps=4, evaluate=[data])
    assert history.lr[:2] == [0.01, 0.01] and history.lr[-1] < 0.01


def test_evaluation_weights_samples_and_restores_the_mode():
    model, optimizer, data = parts(dropout=0.5)
    trainer = trainer_of(model, optimizer)
    uneven = [tuple(t[:27] for t in data), tuple(t[27:] for t in data)]
    model.eval()
    expected = accuracy_and_loss(model, data)
    model.train()
    got = trainer.evaluate(uneven)
    assert got["accuracy"] == pytest.approx(expected["accuracy"].item(), abs=1e-7)
    assert got["loss"] == pytest.approx(expected["loss"].item(), abs=1e-6)
    assert model.training and evaluate(model, uneven) == got


def test_language_model_batches_of_any_nesting():
    seed_everything(0)
    model = nn.Sequential(nn.Embedding(11, 8), nn.Linear(8, 11))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    batch = {"ids": [torch.randint(11, (4, 6))], "name": "a corpus", "n": None}

    def next_token(model, batch):
        ids = batch["ids"][0]
        return F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())

    history = trainer_of(model, optimizer, next_token).fit([batch], steps=30, evaluate=[batch])
    assert history.loss[-1] < history.loss[0] / 2
    assert set(history.evaluations[-1]) == {"step", "epoch", "loss"}
    assert history.best()["step"] == 30


def test_bfloat16_runs_under_autocast_with_float32_weights():
    model, optimizer, data = parts()
    seen = []
    with quiet():
        trainer = trainer_of(model, optimizer, precision="bfloat16")
    model[0].register_forward_hook(lambda *a: seen.append(a[2].dtype))
    trainer.fit([data], steps=2)
    assert seen == [torch.bfloat16] * 2 and model[0].weight.dtype == torch.float32


def test_float16_scales_the_loss_and_skips_overflow():
    model, optimizer, data = parts()
    with quiet():
        trainer = trainer_of(model, optimizer, precision="float16", clip=1.0)
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    history = trainer.fit([data], steps=60)
    assert history.skipped and history.skipped[0] == 1
    assert trainer.scaler.get_scale() < 2.0**40 and history.loss[-1] < history.loss[0]
    assert weights(model).isfinite().all()


class Hungry(nn.Module):
    """Runs out of memory, as torch words it, on more than ``limit`` samples."""

    def __init__(self, inner, limit, message):
        super().__init__()
        self.inner, self.limit, self.message, self.sizes = inner, limit, message, []

    def forward(self, x):
        self.sizes.append(len(x))
        if len(x) > self.limit:
            raise RuntimeError(self.message)
        return self.inner(x)


OUT = "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"


@pytest.mark.parametrize("message", [OUT, "CUDA out of memory. Tried", "MPS backend out of memory"])
def test_out_of_memory_halves_the_micro_batch_and_keeps_the_total(message):
    plain, optimizer, data = parts()
    trainer_of(plain, optimizer).fit([data], steps=4)
    inner, _, data = parts()
    model = Hungry(inner, 8, message)
    trainer = trainer_of(model, torch.optim.AdamW(model.parameters(), lr=0.01))
    history = trainer.fit([data], steps=4, evaluate=[data])
    assert model.sizes[:7] == [30, 15, 7, 8, 7, 8, 7] and trainer.parts == 4
    torch.testing.assert_close(weights(model), weights(plain), atol=1e-6, rtol=0)
    assert len(history.loss) == 4


def test_out_of_memory_in_the_middle_of_an_accumulation_starts_the_step_again():
    plain, optimizer, data = parts()
    small, large = tuple(t[:4] for t in data), tuple(t[4:] for t in data)
    trainer_of(plain, optimizer, accumulate=2).fit([small, large], epochs=2)
    inner, _, data = parts()
    model = Hungry(inner, 20, OUT)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    trainer_of(model, optimizer, accumulate=2).fit([small, large], epochs=2)
    torch.testing.assert_close(weights(model), weights(plain), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("limit", "norm", "words"),
    [(0, None, "one sample already"), (8, nn.BatchNorm1d(4), "takes statistics over the whole")],
)
def test_out_of_memory_that_cannot_be_cured(limit, norm, words):
    inner, _, data = parts()
    model = Hungry(nn.Sequential(norm, inner) if norm else inner, limit, OUT)
    trainer = trainer_of(model, torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(RuntimeError, match=words):
        trainer.fit([data], steps=1)


def test_out_of_memory_with_several_processes_is_refused(monkeypatch):
    inner, _, data = parts()
    model = Hungry(inner, 8, OUT)
    trainer = trainer_of(model, torch.optim.SGD(model.parameters(), lr=0.1))
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 0)
    with pytest.raises(RuntimeError, match="several processes"):
        trainer.fit([data], steps=1)


def test_batches_that_cannot_be_split():
    with pytest.raises(ValueError, match="same first axis"):
        batches_module.split((torch.ones(4), torch.ones(3)), 2)
    parts_ = batches_module.split({"x": torch.arange(5), "k": 3, "s": torch.tensor(1.0)}, 2)
    assert [p["x"].tolist() for p in parts_] == [[0, 1], [2, 3, 4]] and parts_[0]["s"] == 1


class Wicked(nn.Module):
    """sqrt(x * w) at w = 0: the value is 0, its gradient infinite."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 3)
        self.root = nn.Parameter(torch.zeros(4))

    def forward(self, x):
        return self.last(self.first(x) + self.root.abs().add(self.root**2).sqrt())


@pytest.mark.parametrize("clip", [None, 1.0])
def test_gradient_that_is_not_finite_names_step_and_parameter(clip):
    _, _, data = parts()
    model = Wicked()
    trainer = trainer_of(model, torch.optim.SGD(model.parameters(), lr=0.1), clip=clip)
    before = weights(model).clone()
    words = r"Step 1: the loss is \d.*gradient is not finite.*'root'.*not updated"
    with pytest.raises(FloatingPointError, match=words):
        trainer.fit([data], steps=1)
    assert torch.equal(weights(model), before) and trainer.step == 0
    assert trainer.history.loss == []


def test_loss_that_is_not_finite_names_the_step_and_the_batch():
    model, optimizer, (x, y) = parts()
    bad = x.clone()
    bad[3, 1] = math.nan
    trainer = trainer_of(model, optimizer)
    with pytest.raises(FloatingPointError, match=r"Step 3: the loss is nan.*batch itself holds"):
        trainer.fit([(x, y), (x, y), (bad, y)], steps=9)
    assert weights(model).isfinite().all() and trainer.step == 2


def test_weights_that_are_not_finite_are_named():
    model, optimizer, data = parts()
    with torch.no_grad():
        model[3].bias[0] = math.inf
    with pytest.raises(FloatingPointError, match=r"Weights not finite before this step: '3.bias'"):
        trainer_of(model, optimizer).fit([data], steps=1)


def test_a_sum_that_overflows_is_not_taken_for_infinity():
    model = nn.Linear(2, 1, bias=False)
    big = torch.full((1, 2), 3e38)
    trainer = trainer_of(
        model, torch.optim.SGD(model.parameters(), lr=0.0), lambda m, b: (m.weight * b).sum() * 0.9
    )
    nn.init.zeros_(model.weight)
    assert trainer.fit([big], steps=1).loss == [0.0]


def test_one_read_of_the_device_a_step(monkeypatch):
    """However many micro-batches: on the CPU the loss is read once, gradients by one sum each."""
    reads = []
    original = torch.Tensor.item
    monkeypatch.setattr(torch.Tensor, "item", lambda t: reads.append(t.shape) or original(t))
    for accumulate in (1, 5):
        model, _, data = parts()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        trainer = trainer_of(model, optimizer, accumulate=accumulate, clip=1.0)
        reads.clear()
        trainer.update([data] * accumulate)
        assert len(reads) == 2  # loss and norm


def test_progress_is_quiet_unless_on_a_terminal(monkeypatch):
    for terminal, kernel in ((False, False), (True, False), (True, True)):
        model, optimizer, data = parts()
        out = io.StringIO()
        out.isatty = lambda terminal=terminal: terminal
        monkeypatch.setattr(sys, "stderr", out)
        if kernel:
            shell = SimpleNamespace(kernel=1)
            monkeypatch.setitem(
                sys.modules, "IPython", SimpleNamespace(get_ipython=lambda shell=shell: shell)
            )
        trainer_of(model, optimizer).fit([data], steps=5)
        assert bool(out.getvalue()) == (terminal and not kernel)


def test_history_plots_itself():
    model, optimizer, data = parts()
    history = trainer_of(model, optimizer).fit(
        [data], steps=120, evaluate=[data], evaluate_every=40
    )
    ax = history.plot(label="tiny")
    assert [row["step"] for row in history.evaluations] == [40, 80, 120]
    assert ax.get_xlabel() == "step" and len(ax.lines) == 3
    smooth = history.smoothed_loss(10)
    assert smooth[-1] == pytest.approx(sum(history.loss[-10:]) / 10) and len(smooth) == 120
    assert history.best("accuracy", largest=True)["accuracy"] >= 0.3
    matplotlib.pyplot.close("all")
    with pytest.raises(ValueError, match="nothing to plot"):
        History().plot()
    with pytest.raises(ValueError, match="no evaluation has 'f1'; there is accuracy"):
        history.best("f1")
    with pytest.raises(ValueError, match="at least 1"):
        history.smoothed_loss(0)


def test_compile_is_asked_of_the_model(monkeypatch):
    model, optimizer, _ = parts()
    called = []
    monkeypatch.setattr(model, "compile", lambda: called.append(True), raising=False)
    trainer_of(model, optimizer)
    assert not called
    trainer_of(model, optimizer, compile=True)
    assert called == [True]


def frozen():
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return model.requires_grad_(False), optimizer


def stranger():
    return nn.Linear(4, 3), torch.optim.SGD(nn.Linear(4, 3).parameters(), lr=0.1)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"model": "gpt"}, TypeError, "model must be a torch.nn.Module, got str"),
        ({"optimizer": 3}, TypeError, "optimizer must be a torch optimizer"),
        ({"loss_fn": nn.CrossEntropyLoss()}, TypeError, "wrap it"),
        ({"loss_fn": None}, TypeError, "loss_fn must be a function"),
        ({"schedule": 0.1}, TypeError, "schedule must be a function"),
        ({"accumulate": 0}, ValueError, "accumulate must be at least 1"),
        ({"accumulate": 1.5}, TypeError, "accumulate must be an integer"),
        ({"clip": -1}, ValueError, "clip must be a positive"),
        ({"device": "abacus"}, ValueError, "not a device"),
        ({"precision": "int3"}, ValueError, "unknown"),
        ({"make": frozen}, ValueError, "no parameter to train"),
        ({"make": stranger}, ValueError, "none of this model's parameters"),
    ],
)
def test_wrong_settings(change, error, words):
    model, optimizer = change.pop("make", lambda: parts()[:2])()
    settings = {"model": model, "optimizer": optimizer, "device": "cpu", **change}
    with pytest.raises(error, match=words):
        Trainer(**settings)


def test_scheduler_of_another_optimizer():
    model, optimizer, _ = parts()
    schedule = torch.optim.lr_scheduler.StepLR(parts()[1], 1)
    with pytest.raises(ValueError, match="another optimizer"):
        trainer_of(model, optimizer, schedule=schedule)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, ValueError, "either steps"),
        ({"steps": 1, "epochs": 1}, ValueError, "either steps"),
        ({"steps": -1}, ValueError, "steps must be at least 0"),
        ({"epochs": 2.0}, TypeError, "epochs must be an integer"),
        ({"steps": 1, "evaluate_every": 0}, ValueError, "at least 1"),
        ({"steps": 1, "checkpoint_every": 5}, ValueError, "needs checkpoint="),
        ({"steps": 1, "loader": []}, ValueError, "no batches"),
        ({"steps": 1, "loader": 7}, TypeError, "iterable of batches"),
        ({"steps": 3, "loader": "generator"}, ValueError, "used up"),
        ({"steps": 1, "evaluate": []}, ValueError, "no batches"),
        ({"steps": 1, "loader": [torch.ones(3, 4)]}, TypeError, r"batches \(x, y\)"),
        ({"steps": 1, "loader": [(torch.ones(0, 4), torch.ones(0))]}, ValueError, "no samples"),
    ],
)
def test_wrong_arguments_of_fit(arguments, error, words):
    model, optimizer, data = parts()
    loader = arguments.pop("loader", [data])
    loader = (batch for batch in [data]) if loader == "generator" else loader
    with pytest.raises(error, match=words):
        trainer_of(model, optimizer).fit(loader, **arguments)


@pytest.mark.parametrize(
    ("x", "y", "error", "words"),
    [
        (
            torch.ones(5, 4).double(),
            torch.zeros(5).long(),
            ValueError,
            r"float64 \(5, 4\).*float32",
        ),
        (torch.ones(5, 3), torch.zeros(5).long(), ValueError, r"\(5, 3\).*torch says"),
        (torch.ones(5, 4), torch.zeros(5), TypeError, "labels must be int64"),
        (torch.ones(5, 4), torch.zeros(5, 1).long(), ValueError, r"\(5, 3\) and \(5, 1\)"),
        (torch.ones(5, 4), torch.zeros(6).long(), ValueError, r"\(5, 3\) and \(6,\)"),
        (torch.ones(5, 4), torch.full((5,), 3), IndexError, "Target 3 is out of bounds"),
    ],
)
def test_wrong_batches(x, y, error, words):
    model, optimizer, _ = parts()
    with pytest.raises(error, match=words):
        trainer_of(model, optimizer).fit([(x, y)], steps=1)


@pytest.mark.parametrize(
    ("loss_fn", "error", "words"),
    [
        (lambda m, b: F.cross_entropy(m(b[0]), b[1], reduction="none"), ValueError, "loss.mean"),
        (lambda m, b: cross_entropy(m, b).item(), TypeError, "scalar tensor, got float"),
        (lambda m, b: cross_entropy(m, b).detach(), ValueError, "does not depend on any trainable"),
        (lambda m, b: torch.ones((), requires_grad=True) * 1, ValueError, "no gradient came back"),
    ],
)
def test_wrong_losses(loss_fn, error, words):
    model, optimizer, data = parts()
    with pytest.raises(error, match=words):
        trainer_of(model, optimizer, loss_fn).fit([data], steps=1)


@pytest.mark.parametrize("value", [-0.1, math.nan, None, "fast"])
def test_wrong_schedules(value):
    model, optimizer, data = parts()
    with pytest.raises(ValueError, match=r"schedule\(0\) must return a factor"):
        trainer_of(model, optimizer, schedule=lambda step: value).fit([data], steps=1)


def test_wrong_metrics():
    for row, error, words in (
        (3.0, TypeError, "dict of scalars"),
        ({"accuracy": 1.0}, ValueError, '"loss"'),
        ({"loss": torch.ones(2)}, ValueError, "must be a scalar"),
    ):
        with pytest.raises(error, match=words):
            WeightedMeans().add(row, 1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_on_a_gpu(precision, tmp_path):
    def run(steps, path=None, load=False):
        model, optimizer, data = parts(dropout=0.2)
        with quiet():
            trainer = Trainer(model, optimizer, device="cuda", precision=precision, clip=1.0)
        if load:
            trainer.load(path)
        trainer.fit(loader_of(data, shuffle=True), steps=steps, checkpoint=path)
        return weights(model).cpu()

    whole = run(20)
    run(7, tmp_path / "c.pt")
    assert torch.equal(run(20, tmp_path / "c.pt", load=True), whole) and whole.isfinite().all()
