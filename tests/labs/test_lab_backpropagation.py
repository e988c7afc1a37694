"""The lab `backpropagation`: right answers in any style pass, wrong ones are told apart."""

import math

import numpy as np
import pytest
import torch
from lab_support import assert_five_wrong_answers, assert_lab_scores, refusals, reports, solved

from utils.check.core import lab

LAB = lab("backpropagation")
RIGHT = solved("backpropagation")  # the namespace of the solutions
Value, Tensor, topological = RIGHT["Value"], RIGHT["Tensor"], RIGHT["topological"]
reduce_to, network, total, sweep = (RIGHT[n] for n in ("reduce_to", "network", "total", "sweep"))


# --- other styles ---------------------------------------------------------------------------
class Slim:
    """A value used twice is kept once; lists in place of tuples; another order of the inputs."""

    def __init__(self, data, inputs=(), slopes=()):
        self.data, self.inputs, self.slopes, self.grad = data, inputs, slopes, 0.0

    def __add__(self, other):
        if other is self:
            return Slim(2 * self.data, [self], [2])
        return Slim(other.data + self.data, [other, self], [1, 1])

    def __mul__(self, other):
        return Slim(self.data * other.data, [self, other], [other.data, self.data])

    def __pow__(self, n):
        return Slim(np.power(self.data, float(n)), [self], [n * np.power(self.data, n - 1.0)])

    def tanh(self):
        t = np.tanh(self.data)
        return Slim(t, [self], [(1 - t) * (1 + t)])


def by_counting_users(root):
    found, users = [root], {id(root): 0}
    for node in found:
        for each in node.inputs:
            if id(each) not in users:
                found.append(each)
            users[id(each)] = users.get(id(each), 0) + 1
    free, order = [root], []
    while free:
        order.append(free.pop(0))
        for each in order[-1].inputs:
            users[id(each)] -= 1
            if users[id(each)] == 0:
                free.append(each)
    return order[::-1]


def backward_by_dict(root):
    slopes = {id(root): 1.0}
    for node in topological(root)[::-1]:
        node.grad += slopes[id(node)]
        for at, each in enumerate(node.inputs):
            slopes[id(each)] = slopes.get(id(each), 0) + slopes[id(node)] * node.slopes[at]


def differences_by_array(f, numbers, h=1e-5):
    shifts = h * np.eye(len(numbers))
    return np.array([(f(numbers + s) - f(numbers - s)) / 2 / h for s in shifts])


def reduce_by_loop(g, shape):
    while g.ndim > len(shape):
        g = np.add.reduce(g, 0)
    for axis, length in enumerate(shape):
        if length == 1 and g.shape[axis] != 1:
            g = g.sum(axis, keepdims=True)
    return g


class ByEinsum(Tensor):
    def __add__(self, other):
        def to(one):
            return lambda g: reduce_by_loop(g, one.data.shape)

        return ByEinsum(np.add(self.data, other.data), [other, self], [to(other), to(self)])

    def __mul__(self, other):
        def to(one, two):
            return lambda g: reduce_by_loop(two.data * g, one.data.shape)

        return ByEinsum(other.data * self.data, (self, other), (to(self, other), to(other, self)))

    def __matmul__(self, other):
        pulls = (
            lambda g: np.einsum("bm,dm->bd", g, other.data),
            lambda g: np.einsum("bd,bm->dm", self.data, g),
        )
        return ByEinsum(np.einsum("bd,dm->bm", self.data, other.data), (self, other), pulls)


def tanh_by_hand(x):
    return ByEinsum(np.tanh(x.data), [x], [lambda g: g / np.cosh(x.data) ** 2])


def train_anew(x, y, start, rate, steps):
    arrays, losses = list(start), []
    while len(losses) < steps:
        parameters = [Tensor(a) for a in arrays]  # new ones need no clearing
        error = network(parameters, Tensor(x)) + Tensor(-1.0) * Tensor(y)
        loss = total(Tensor(1 / len(y)) * error * error)
        sweep(loss)
        losses.append(float(loss.data.sum()))
        arrays = [a - rate * np.array(p.grad) for a, p in zip(arrays, parameters, strict=True)]
    return arrays, losses


OTHER_STYLES = {
    "local_derivatives": [
        {
            "add_slopes": lambda a, b: [1, 1],
            "mul_slopes": lambda a, b: np.array([b, a]),
            "pow_slopes": lambda a, n: [n * math.pow(a, n - 1)],
            "tanh_slopes": lambda a: [(1 - math.tanh(a)) * (1 + math.tanh(a))],
        },
        {"tanh_slopes": lambda a: (1 - float(np.tanh(a)) ** 2,)},
    ],
    "values": [{"Value": Slim}],
    "topological": [{"topological": by_counting_users}, {"Value": Slim}],
    "backward": [{"backward": backward_by_dict}, {"Value": Slim}],
    "central_differences": [{"central_differences": differences_by_array}],
    "broadcasting": [{"reduce_to": reduce_by_loop}],
    "tensors": [{"Tensor": ByEinsum, "tanh": tanh_by_hand}],
    "xor": [{"train": train_anew}],
}


@pytest.mark.parametrize("task", LAB.ids())
def test_right_answers_pass(task):
    assert len(OTHER_STYLES[task]) >= 1
    for seed in range(5):
        for other in [{}, *OTHER_STYLES[task]]:
            report = reports("backpropagation", RIGHT | other, task, seed)
            assert report.passed, f"{other}\n{report}"


# --- wrong answers --------------------------------------------------------------------------
def value(**methods):
    """A class like the solution's with other methods."""
    return {"Value": type("Value", (Value,), methods)}


def add_in_place(self, other):
    self.data += other.data
    return self


def three_slopes(a, b):
    return Value(a.data * b.data, (a, b), (b.data,) * 3)


def tanh_slope(slope):
    return lambda a: Value(math.tanh(a.data), (a,), (slope(a.data),))


WRONG_VALUES = {
    "no-inputs": value(__add__=lambda a, b: Value(a.data + b.data)),
    "add-slopes": value(__add__=lambda a, b: Value(a.data + b.data, (a, b), (b.data, a.data))),
    "own-factor": value(__mul__=lambda a, b: Value(a.data * b.data, (a, b), (a.data, b.data))),
    "used-once": value(
        __add__=lambda a, b: Value(2 * a.data, (a,), (1.0,)) if a is b else Value.__add__(a, b)
    ),
    "lengths": value(__mul__=three_slopes),
    "power-kept": value(__pow__=lambda a, n: Value(a.data**n, (a,), (n * a.data**n,))),
    "not-squared": value(tanh=tanh_slope(lambda a: 1 - math.tanh(a))),
    "slope-at-result": value(tanh=tanh_slope(lambda a: 1 - math.tanh(math.tanh(a)) ** 2)),
    "operand-changed": value(__add__=add_in_place),
    "raised": value(__add__=lambda a, b: a.data + b.data),
}


def recursive(root):
    order, seen = [], set()

    def visit(node):
        if id(node) not in seen:
            seen.add(id(node))
            for each in node.inputs:
                visit(each)
            order.append(node)

    visit(root)
    return order


def visited(root):
    return [each for node in root.inputs for each in visited(node)] + [root]


def as_met(root):
    found, ids = [root], {id(root)}
    for node in found:
        for each in node.inputs:
            if id(each) not in ids:
                ids.add(id(each))
                found.append(each)
    return found[::-1]


def by_data(root):
    order = {}
    for node in topological(root):
        order.setdefault(node.data, node)
    return [*list(order.values())[:-1], root]


def remembering():
    met = []  # the values themselves: an id may come again

    def order(root):
        fresh = [node for node in topological(root) if all(node is not old for old in met)]
        met.extend(fresh)
        return fresh

    return order


WRONG_ORDERS = {
    "recursion": recursive,
    "twice": visited,
    "order": as_met,
    "users-first": lambda root: topological(root)[::-1],
    "root-missing": lambda root: topological(root)[:-1],
    "missing": by_data,
    "not-values": lambda root: [node.data for node in topological(root)],
    "remembers": remembering(),
}


def walk(root, *, order=None, first=1.0, hand=None, put=None):
    root.grad = first
    for node in order(root) if order else topological(root)[::-1]:
        for each, slope in zip(node.inputs, node.slopes, strict=True):
            part = hand(node, slope) if hand else node.grad * slope
            each.grad = part if put else each.grad + part


def breadth_first(root):
    return as_met(root)[::-1]


def clearing(root):
    for node in topological(root):
        node.grad = 0.0
    walk(root)


def pushing(node, grad=1.0):
    node.grad += grad
    for each, slope in zip(node.inputs, node.slopes, strict=True):
        pushing(each, grad * slope)


WRONG_SWEEPS = {
    "no-start": lambda root: walk(root, first=0.0),
    "overwritten": lambda root: walk(root, put=True),
    "breadth-first": lambda root: walk(root, order=breadth_first),
    "forward-order": lambda root: walk(root, order=topological),
    "no-slope": lambda root: walk(root, hand=lambda node, slope: node.grad),
    "no-grad": lambda root: walk(root, hand=lambda node, slope: slope),
    "cleared": clearing,
    "timed-out": pushing,
}


def moved(f, xs, i, by):
    return f([x + by * (j == i) for j, x in enumerate(xs)])


def each(quotient):
    return lambda f, xs, h=1e-5: [quotient(f, xs, i, h) for i in range(len(xs))]


def left_low(f, xs, h=1e-5):
    xs, found = list(xs), []
    for i in range(len(xs)):
        xs[i] += h
        high = f(xs)
        xs[i] -= 2 * h
        found.append((high - f(xs)) / (2 * h))
    return found


def left_changed(f, xs, h=1e-5):
    found = RIGHT["central_differences"](f, xs, h)
    xs[0] += h
    return found


WRONG_DIFFERENCES = {
    "one-sided": each(lambda f, xs, i, h: (moved(f, xs, i, h) - f(xs)) / h),
    "one-sided-below": each(lambda f, xs, i, h: (f(xs) - moved(f, xs, i, -h)) / h),
    "divided-by-h": each(lambda f, xs, i, h: (moved(f, xs, i, h) - moved(f, xs, i, -h)) / h),
    "sign": each(lambda f, xs, i, h: (moved(f, xs, i, -h) - moved(f, xs, i, h)) / (2 * h)),
    "not-divided": each(lambda f, xs, i, h: moved(f, xs, i, h) - moved(f, xs, i, -h)),
    "all-moved": each(
        lambda f, xs, i, h: (f([x + h for x in xs]) - f([x - h for x in xs])) / (2 * h)
    ),
    "left-low": left_low,
    "list-changed": left_changed,
}


def first_axes(g, shape):
    return g.sum(tuple(range(g.ndim - len(shape))))


WRONG_REDUCTIONS = {
    "not-reduced": lambda g, shape: g,
    "wrong-end": lambda g, shape: g.sum(tuple(range(len(shape), g.ndim))),
    "leading-only": first_axes,
    "axis-lost": lambda g, shape: first_axes(g, shape).sum(
        tuple(i for i, n in enumerate(shape) if n == 1 != first_axes(g, shape).shape[i])
    ),
    "leading-kept": lambda g, shape: reduce_to(g, (1,) * (g.ndim - len(shape)) + shape),
    "mean": lambda g, shape: reduce_to(g, shape) * max(math.prod(shape), 1) / g.size,
    "everything": lambda g, shape: np.full(shape, g.sum()),
    None: lambda g, shape: 2 * reduce_to(g, shape),
}


def tensor(name, pulls, data=None):
    """A Tensor whose operation `name` has other pulls: of the two arrays and g."""

    def operation(self, other):
        a, b = self.data, other.data
        result = {"__add__": np.add, "__mul__": np.multiply, "__matmul__": np.matmul}[name](a, b)
        parts = [lambda g: pulls(a, b, g)[0], lambda g: pulls(a, b, g)[1]]
        return Tensor(result, (self, other), parts)

    return {"Tensor": type("Tensor", (Tensor,), {name: operation, "__init__": Tensor.__init__})}


def tanh_with(slope):
    return {"tanh": lambda x: Tensor(np.tanh(x.data), (x,), (lambda g: g * slope(x.data),))}


def to_both(first, second):
    return lambda a, b, g: (
        reduce_to(first(a, b, g), a.shape), reduce_to(second(a, b, g), b.shape)
    )  # fmt: skip


WRONG_TENSORS = {
    "add-not-reduced": ("__add__", lambda a, b, g: (g, g)),
    "mul-not-reduced": ("__mul__", lambda a, b, g: (g * b, g * a)),
    "own-factor": ("__mul__", to_both(lambda a, b, g: g * a, lambda a, b, g: g * b)),
    "factor-missing": ("__mul__", to_both(lambda a, b, g: g, lambda a, b, g: g)),
    "no-transpose": ("__matmul__", lambda a, b, g: (g @ b, a @ g)),
    "sides-swapped": ("__matmul__", lambda a, b, g: (b.T @ g, g @ a.T)),
    "matmul-own-factor": ("__matmul__", lambda a, b, g: (g @ a.T, b.T @ g)),
    "pulls-crossed": ("__matmul__", lambda a, b, g: (a.T @ g, g @ b.T)),
}


def stepping(*, clear=True, sign=-1, mean=True, still=(), after=False, in_place=False, rates=True):
    def train(x, y, start, rate, steps):
        parameters, losses = [Tensor(a) for a in start], []
        for _ in range(steps):
            for p in parameters:
                p.grad = 0.0 if clear else p.grad

            def loss_now():
                error = network(parameters, Tensor(x)) + Tensor(-y)
                return total(error * error) * Tensor(1 / len(y) if mean else 1.0)

            loss = loss_now()
            sweep(loss)
            for i, p in enumerate(parameters):
                move = sign * (rate if rates else 1.0) * p.grad * (i not in still)
                if in_place:
                    p.data += move
                else:
                    p.data = p.data + move
            losses.append((loss_now() if after else loss).data.item())
        return [p.data for p in parameters], losses

    return train


WRONG_TRAINING = {
    "not-cleared": stepping(clear=False),
    "uphill": stepping(sign=1),
    "sum": stepping(mean=False),
    "rate-missing": stepping(rates=False),
    "biases-still": stepping(still=(1, 3)),
    "first-layer-still": stepping(still=(0, 1)),
    "loss-after": stepping(after=True),
    "changed-input": stepping(in_place=True),
    "not-moved": stepping(sign=0),
}


def by_autograd(*args):
    one = torch.ones(1, requires_grad=True)
    torch.autograd.grad(one.sum(), one)
    return RIGHT["train"](*args)


WRONG_SLOPES = {
    "mul_slopes": {
        "own-factor": lambda a, b: (a, b),
        "mul-as-sum": lambda a, b: (1.0, 1.0),
        "mul-product": lambda a, b: (a * b, a * b),
    },
    "add_slopes": {"add-as-product": lambda a, b: (b, a), "add-sum": lambda a, b: (a + b,) * 2},
    "pow_slopes": {
        "power-kept": lambda a, n: (n * a**n,),
        "factor-missing": lambda a, n: (a ** (n - 1),),
        "factor-lowered": lambda a, n: ((n - 1) * a ** (n - 1),),
        "pow-square": lambda a, n: (2 * a,),
    },
    "tanh_slopes": {
        "not-squared": lambda a: (1 - math.tanh(a),),
        "tanh-of-input": lambda a: (1 - a * a,),
        "sigmoid": lambda a: (math.tanh(a) * (1 - math.tanh(a)),),
        "raised": lambda a: (1 / math.cosh(a) ** 2,),  # cosh(1000) overflows
    },
}


def cases():
    for name, wrong in WRONG_SLOPES.items():
        yield "local_derivatives", {slug: {name: f} for slug, f in wrong.items()}
    yield "values", WRONG_VALUES
    for task, name, wrong in (
        ("topological", "topological", WRONG_ORDERS),
        ("backward", "backward", WRONG_SWEEPS),
        ("central_differences", "central_differences", WRONG_DIFFERENCES),
        ("broadcasting", "reduce_to", WRONG_REDUCTIONS),
        ("xor", "train", WRONG_TRAINING | {"forbidden": by_autograd}),
    ):
        yield task, {slug: {name: f} for slug, f in wrong.items()}
    yield "tensors", {slug: tensor(*about) for slug, about in WRONG_TENSORS.items()}
    yield (
        "tensors",
        {
            "not-squared": tanh_with(lambda x: 1 - np.tanh(x)),
            "tanh-of-input": tanh_with(lambda x: 1 - x * x),
            "not-linked": {"tanh": lambda x: Tensor(np.tanh(x.data))},
        },
    )


@pytest.mark.parametrize(
    ("task", "wrong"), list(cases()), ids=lambda v: v if v in LAB.ids() else ""
)
def test_wrong_answers_are_named(task, wrong):
    found = refusals("backpropagation", RIGHT, task, wrong)
    assert found == {slug: slug for slug in wrong}


def test_every_check_tells_five_wrong_answers_apart():
    assert_five_wrong_answers("backpropagation", cases())


def test_scores():
    assert_lab_scores("backpropagation", full=26)
