"""Inputs for the mutation run of the lab `backpropagation`, drawn without its check.

Each function takes a NumPy generator and gives ("call" or "probe", name, arguments).
"""


def number(rng, low=-2.0, high=2.0):
    return float(rng.choice([rng.uniform(low, high), rng.normal(), 0.0], p=[0.5, 0.4, 0.1]))


def size(rng, low=1, high=5):
    return int(rng.integers(low, high + 1))


def local_derivatives(rng):
    name = str(rng.choice(["add_slopes", "mul_slopes", "pow_slopes", "tanh_slopes"]))
    if name == "tanh_slopes":
        return "call", name, (number(rng) * float(10.0 ** rng.integers(0, 4)),)
    if name == "pow_slopes":
        power = size(rng, -3, 4)
        a = number(rng)
        return "call", name, (a if power >= 1 else abs(a) + 0.1, power)
    return "call", name, (number(rng), number(rng))


def values(rng):
    numbers = [float(rng.uniform(0.2, 1.5)) for _ in range(size(rng))]
    lines = []
    for at in range(len(numbers), len(numbers) + size(rng, 1, 6)):
        kind = str(rng.choice(["add", "mul", "tanh", "pow"]))
        first, second = (int(i) for i in rng.integers(0, at, 2))
        if kind == "pow":
            lines.append((kind, first, size(rng, 1, 3)))
        elif kind == "tanh":
            lines.append((kind, first))
        else:
            lines.append((kind, first, second))
    return "probe", "operations", (lines, numbers)


def graph(rng):
    made = [((), ())]
    for place in range(1, size(rng, 1, 9)):
        count = size(rng, 0, 3)
        inputs = tuple(int(i) for i in rng.integers(0, place, count))
        made.append((inputs, tuple(number(rng) for _ in inputs)))
    return made


def topological(rng):
    made = graph(rng)
    return "probe", "order_facts", (made, int(rng.integers(len(made))))


def backward(rng):
    made = graph(rng)
    numbers = [number(rng) for _ in made]
    return "probe", "gradients", (made, numbers, [int(rng.integers(len(made)))])


def central_differences(rng):
    count = size(rng, 1, 4)
    terms = [
        (number(rng), tuple(int(n) for n in rng.integers(0, 4, count))) for _ in range(size(rng))
    ]
    h = [None, 0.5, 0.01][int(rng.integers(3))]
    return "probe", "differences", (terms, [number(rng) for _ in range(count)], h)


def broadcast(rng):
    full = [size(rng) for _ in range(size(rng, 0, 4))]
    cut = int(rng.integers(len(full) + 1))
    return full, tuple(1 if rng.random() < 0.4 else n for n in full[cut:])


def broadcasting(rng):
    full, shape = broadcast(rng)
    return "call", "reduce_to", (rng.standard_normal(full), shape)


def tensors(rng):
    kind = str(rng.choice(["add", "mul", "matmul", "tanh"]))
    if kind == "matmul":
        B, D, M = (size(rng) for _ in range(3))
        shapes, result = [(B, D), (D, M)], (B, M)
    else:
        result, small = broadcast(rng)
        shapes = [result] if kind == "tanh" else [result, small]
        if rng.random() < 0.5:
            shapes.reverse()
    arrays = [rng.standard_normal(shape) for shape in shapes]
    return "probe", "tensor_operation", (kind, arrays, rng.standard_normal(result))


def xor(rng):
    B, D, M = (size(rng, 1, 4) for _ in range(3))
    start = [rng.standard_normal(shape) for shape in ((D, M), (M,), (M, 1), (1,))]
    x, y = rng.standard_normal((B, D)), rng.standard_normal((B, 1))
    return "call", "train", (x, y, start, float(rng.uniform(0.05, 0.5)), size(rng, 0, 3))


INPUTS = {
    task.__name__: task
    for task in (
        local_derivatives, values, topological, backward, central_differences, broadcasting,
        tensors, xor,
    )
}  # fmt: skip
