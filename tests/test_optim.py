import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from utils import optim

CASES = {
    "SGD": [
        {"lr": 0.1},
        {"lr": 0.1, "weight_decay": 0.01},
        {"lr": 0.05, "momentum": 0.9},
        {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    ],
    "RMSprop": [
        {"lr": 1e-3},
        {"lr": 1e-3, "alpha": 0.9, "weight_decay": 0.01, "momentum": 0.5},
        {"lr": 1e-3, "centered": True, "eps": 1e-3},
        {"lr": 1e-3, "centered": True, "eps": 1e-3, "momentum": 0.9, "weight_decay": 0.1},
    ],
    "Adam": [
        {"lr": 1e-2},
        {"lr": 1e-2, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1},
        {"lr": 1e-2, "weight_decay": 0.1, "fused": True},
    ],
    "AdamW": [
        {"lr": 1e-2},
        {"lr": 1e-2, "betas": (0.9, 0.95), "weight_decay": 0.3},
        {"lr": 1e-2, "weight_decay": 0.3, "fused": True},
    ],
    "Muon": [
        {"lr": 0.02},
        {"lr": 0.02, "nesterov": False, "momentum": 0.8, "weight_decay": 0.0},
        {"lr": 0.02, "adjust_lr_fn": "match_rms_adamw", "weight_decay": 0.3, "ns_steps": 3},
        {"lr": 0.02, "adjust_lr_fn": "original", "ns_coefficients": (2.0, -1.5, 0.5)},
    ],
}
ALL = [(name, options) for name, cases in CASES.items() for options in cases]


def problem(dtype, bias=True):
    """A small regression with tall, wide and square matrices; the loss as a function."""
    torch.manual_seed(0)
    layers = (nn.Linear(6, 16, bias), nn.Tanh(), nn.Linear(16, 16, bias), nn.Tanh())
    model = nn.Sequential(*layers, nn.Linear(16, 3, bias)).to(dtype)
    x, y = torch.randn(40, 6, dtype=dtype), torch.randn(40, 3, dtype=dtype)
    return model, lambda model: (model(x) - y).square().mean()


def train(model, loss_of, optimizer, steps, scheduler=None):
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()
        if scheduler:
            scheduler.step()


def largest_difference(one, other):
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "options"), ALL)
def test_equals_torch_over_100_steps(name, options, dtype):
    model, loss_of = problem(dtype, bias=name != "Muon")
    reference, start = copy.deepcopy(model), copy.deepcopy(model)
    train(model, loss_of, getattr(optim, name)(model.parameters(), **options), 100)
    train(reference, loss_of, getattr(torch.optim, name)(reference.parameters(), **options), 100)
    assert largest_difference(model, start) > 0.01
    assert largest_difference(model, reference) <= 1e-6


def test_muon_in_bfloat16_is_the_same_to_the_bit():
    model, loss_of = problem(torch.bfloat16, bias=False)
    reference = copy.deepcopy(model)
    train(model, loss_of, optim.Muon(model.parameters(), lr=0.02), 100)
    train(reference, loss_of, torch.optim.Muon(reference.parameters(), lr=0.02), 100)
    assert largest_difference(model, reference) == 0


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam", "AdamW"])
def test_groups_schedule_and_parameters_without_gradient_equal_torch(name):
    ends = []
    for library in (optim, torch.optim):
        model, loss_of = problem(torch.float32)
        groups = [
            {"params": list(model[0].parameters()), "lr": 1e-3, "weight_decay": 0.2},
            {"params": [*model[2].parameters(), *model[4].parameters()]},
        ]
        optimizer = getattr(library, name)(groups, lr=1e-2)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step / 20))
        train(model, loss_of, optimizer, 10, schedule)
        for p in model[2].parameters():
            p.requires_grad_(False)
            p.grad = None
        train(model, loss_of, optimizer, 10, schedule)
        for p in model[2].parameters():
            p.requires_grad_(True)
        train(model, loss_of, optimizer, 30, schedule)
        ends.append(model)
    assert largest_difference(*ends) <= 1e-6


@pytest.mark.parametrize(("name", "options"), ALL)
@pytest.mark.parametrize(
    ("first", "second"), [(optim, optim), (torch.optim, optim), (optim, torch.optim)]
)
def test_state_goes_from_one_library_to_the_other(name, options, first, second, tmp_path):
    model, loss_of = problem(torch.float32, bias=name != "Muon")
    optimizer = getattr(first, name)(model.parameters(), **options)
    train(model, loss_of, optimizer, 20)
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    other = copy.deepcopy(model)
    # Another learning rate than the saved one, so that what is not restored shows.
    resumed = getattr(second, name)(other.parameters(), **(options | {"lr": 0.5}))
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    train(model, loss_of, optimizer, 20)
    train(other, loss_of, resumed, 20)
    bound = 0 if first is second else 1e-6
    assert largest_difference(model, other) <= bound


def test_first_steps_by_hand():
    def after(optimizer, gradients, **options):
        theta = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
        instance = optimizer([theta], **options)
        for g in gradients:
            theta.grad = torch.tensor([g], dtype=torch.float64)
            instance.step()
        return theta.item()

    assert after(optim.SGD, [2, 4], lr=0.1) == pytest.approx(1 - 0.2 - 0.4)
    assert after(optim.SGD, [2, 4], lr=0.1, momentum=0.5) == pytest.approx(1 - 0.2 - 0.5)
    nesterov = after(optim.SGD, [2, 4], lr=0.1, momentum=0.5, nesterov=True)
    assert nesterov == pytest.approx(1 - 0.1 * (2 + 0.5 * 2) - 0.1 * (4 + 0.5 * 5))
    assert after(optim.RMSprop, [2], lr=0.1, alpha=0.75, eps=0) == pytest.approx(1 - 0.2)
    assert after(optim.Adam, [7], lr=0.1, eps=0) == pytest.approx(0.9)
    assert after(optim.AdamW, [7], lr=0.1, eps=0, weight_decay=0.5) == pytest.approx(0.95 - 0.1)


def test_newton_schulz_flattens_the_singular_values():
    torch.manual_seed(0)
    for shape in ((30, 50), (50, 30), (40, 40)):
        left, _, right = torch.linalg.svd(torch.randn(shape), full_matrices=False)
        values = torch.linspace(0.1, 1, min(shape))
        matrix = (left * values) @ right
        result = optim.newton_schulz(matrix, dtype=torch.float32)
        assert result.shape == shape
        flat = torch.linalg.svdvals(result)
        assert flat.min() > 0.6
        assert flat.max() < 1.3
        # Singular vectors stay: U^T result V is diagonal.
        inner = left.T @ result @ right.T
        torch.testing.assert_close(inner, torch.diag(inner.diagonal()), atol=1e-4, rtol=0)
        low = optim.newton_schulz(matrix)
        assert low.dtype == torch.bfloat16
        torch.testing.assert_close(low.float(), result, atol=0.03, rtol=0)
    assert not optim.newton_schulz(torch.zeros(3, 3)).any()


def test_cubic_newton_schulz_converges_to_the_orthogonal_factor():
    torch.manual_seed(0)
    matrix = torch.randn(5, 8, dtype=torch.float64)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    result = optim.newton_schulz(matrix, 40, (1.5, -0.5, 0.0), dtype=torch.float64)
    torch.testing.assert_close(result, left @ right, atol=1e-9, rtol=0)


class Language(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.hidden = nn.Linear(8, 8)
        self.norm = nn.LayerNorm(8)
        self.untied_head = nn.Linear(8, 11, bias=False)
        self.tied = nn.Linear(8, 11, bias=False)
        self.tied.weight = self.embedding.weight

    def forward(self, tokens):
        x = self.norm(torch.tanh(self.hidden(self.embedding(tokens))))
        return self.untied_head(x) + self.tied(x)


def test_groups_for_decay():
    model = Language()
    decayed, free = optim.decay_groups(model, 0.1)
    assert decayed["weight_decay"] == 0.1
    assert free["weight_decay"] == 0
    ids = {id(p) for p in decayed["params"]}
    assert ids == {
        id(p) for p in (model.embedding.weight, model.hidden.weight, model.untied_head.weight)
    }
    assert len(decayed["params"]) == 3
    assert len(free["params"]) == 3
    model.embedding.weight.requires_grad_(False)
    assert len(optim.decay_groups(model, 0.1)[0]["params"]) == 2
    assert len(optim.decay_groups(nn.Linear(2, 2, bias=False), 0.1)) == 1
    with pytest.raises(ValueError, match="frozen"):
        optim.decay_groups(model.requires_grad_(False), 0.1)
    with pytest.raises(ValueError, match="weight_decay must be"):
        optim.decay_groups(Language(), -0.1)


def test_muon_split():
    model = Language()
    hidden, others = optim.muon_split(model)
    assert [id(p) for p in hidden] == [id(model.hidden.weight)]
    assert len(others) == len(list(model.parameters())) - 1
    assert len(optim.muon_split(model, head="nothing so named")[0]) == 2


@pytest.mark.parametrize("fused", [False, True])
def test_muon_with_adamw_equals_the_two_of_torch(fused):
    torch.manual_seed(0)
    model = Language()
    reference = copy.deepcopy(model)
    tokens = torch.randint(11, (64,))
    targets = (tokens * 3 + 1) % 11

    def loss_of(model):
        return F.cross_entropy(model(tokens), targets)

    train(model, loss_of, optim.MuonAdamW(model, lr=1e-2, fused=fused, ns_dtype=torch.bfloat16), 50)
    hidden, others = optim.muon_split(reference)
    muon = torch.optim.Muon(hidden, 1e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    decayed = [{"params": [p for p in others if p.ndim >= 2], "weight_decay": 0.1}]
    decayed += [{"params": [p for p in others if p.ndim < 2], "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(decayed, 1e-2, betas=(0.9, 0.95))
    for _ in range(50):
        reference.zero_grad()
        loss_of(reference).backward()
        muon.step()
        adamw.step()
    assert largest_difference(model, reference) <= 1e-6
    assert loss_of(model) < 0.5


def test_muon_with_adamw_resumes():
    torch.manual_seed(0)
    model = Language()
    tokens = torch.randint(11, (64,))

    def loss_of(model):
        return F.cross_entropy(model(tokens), (tokens * 3 + 1) % 11)

    optimizer = optim.MuonAdamW(model, lr=1e-2)
    train(model, loss_of, optimizer, 5)
    other = copy.deepcopy(model)
    resumed = optim.MuonAdamW(other, lr=1.0)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(model, loss_of, optimizer, 5)
    train(other, loss_of, resumed, 5)
    assert largest_difference(model, other) == 0
    with pytest.raises(ValueError, match="no matrix of a hidden layer"):
        optim.MuonAdamW(nn.LayerNorm(3))


def test_closure_is_run_with_gradients():
    theta = nn.Parameter(torch.tensor([3.0]))
    optimizer = optim.SGD([theta], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = theta.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 9
    assert theta.item() == pytest.approx(3 - 0.6)


@pytest.mark.parametrize("max_norm", [0.1, 2.5, 1e9, float("inf")])
def test_clipping_equals_torch(max_norm):
    torch.manual_seed(0)
    ours = [nn.Parameter(torch.zeros(s)) for s in ((3, 4), (5,), (2, 2))]
    for p in ours[:2]:
        p.grad = torch.randn_like(p)
    theirs = copy.deepcopy(ours)
    for p, q in zip(ours[:2], theirs[:2], strict=True):
        q.grad = p.grad.clone()
    norm = optim.clip_grad_norm(iter(ours), max_norm)
    expected = nn.utils.clip_grad_norm_(theirs, max_norm)
    torch.testing.assert_close(norm, expected, rtol=0, atol=0)
    for p, q in zip(ours[:2], theirs[:2], strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=0)
    assert ours[2].grad is None


def test_clipping_of_nothing_and_of_nan():
    p = nn.Parameter(torch.ones(2))
    assert optim.clip_grad_norm([p], 1.0).item() == 0
    p.grad = torch.tensor([1.0, float("inf")])
    with pytest.raises(ValueError, match="norm of the gradients is inf"):
        optim.clip_grad_norm([p], 1.0, error_if_nonfinite=True)
    assert p.grad[0] == 1
    for bad in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="max_norm must be above 0"):
            optim.clip_grad_norm([p], bad)


@pytest.mark.parametrize(
    ("name", "options", "phrase"),
    [
        ("SGD", {"lr": -1}, r"lr must be in \[0, inf\), got -1"),
        ("SGD", {"lr": float("nan")}, "got nan"),
        ("SGD", {"nesterov": True}, "needs a momentum"),
        ("SGD", {"momentum": -0.5}, "momentum must be"),
        ("AdamW", {"weight_decay": -0.1}, "weight_decay must be"),
        ("AdamW", {"betas": (0.9, 1.0)}, r"beta2 must be in \[0, 1\)"),
        ("Adam", {"eps": -1e-8}, "eps must be"),
        ("RMSprop", {"alpha": 1.5}, "alpha must be"),
        ("Muon", {"ns_steps": 0}, "ns_steps must be at least 1"),
        ("Muon", {"adjust_lr_fn": "keller"}, "adjust_lr_fn 'keller' is not known"),
        ("Muon", {"ns_coefficients": (1, 2)}, "must be three"),
    ],
)
def test_bad_hyperparameters(name, options, phrase):
    with pytest.raises(ValueError, match=phrase):
        getattr(optim, name)([nn.Parameter(torch.zeros(2, 2))], **options)


def test_wrong_use():
    vector = nn.Parameter(torch.zeros(3))
    with pytest.raises(ValueError, match=r"matrices only, got a parameter of shape \(3,\)"):
        optim.Muon([vector])
    with pytest.raises(ValueError, match="takes a matrix"):
        optim.newton_schulz(torch.zeros(2, 2, 2))
    with pytest.raises(ValueError, match="empty parameter list"):
        optim.SGD([])
    with pytest.raises(TypeError, match="lr must be a number"):
        optim.SGD([vector], lr="0.1")
    with pytest.raises(ValueError, match="lr must be in"):
        optim.AdamW([{"params": [vector], "lr": -1.0}])
    with pytest.raises(ValueError, match="one device and dtype"):
        optim.AdamW([vector, nn.Parameter(torch.zeros(3).double())], fused=True)
    embedding = nn.Embedding(5, 2, sparse=True)
    embedding(torch.tensor([1])).sum().backward()
    with pytest.raises(ValueError, match="sparse"):
        optim.SGD(embedding.parameters()).step()
    saved = torch.optim.AdamW([vector], amsgrad=True).state_dict()
    with pytest.raises(ValueError, match="amsgrad=True: not offered"):
        optim.AdamW([vector]).load_state_dict(saved)
