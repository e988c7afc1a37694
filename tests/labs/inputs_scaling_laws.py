"""Inputs for the mutation run of the lab `scaling-laws`, drawn without its check.

Each function takes a NumPy generator and gives ("call" or "probe", name, arguments).
"""

import numpy as np


def size(rng, low=1, high=9):
    return int(rng.integers(low, high + 1))


def parameters(rng):
    width = 8 * size(rng)
    args = size(rng), width, width * size(rng, 1, 5), size(rng, 20, 500), size(rng, 4, 64)
    return "call", "parameters", args


def operations(rng):
    one, other = (float(v) for v in 10 ** rng.uniform(2, 12, 2))
    if rng.random() < 0.3:
        one, other = (10 ** rng.uniform(2, 6, 4) for _ in range(2))
    return "call", str(rng.choice(["training_flops", "tokens_for"])), (one, other)


def curve(rng, n):
    """x, y (n,) and a floor; each x once, in any order."""
    x = 10 ** rng.uniform(0, 6, n)
    floor = float(rng.choice([0.0, 0.3, 1.7]))
    power = x ** rng.uniform(-0.6, 0.2)
    return x, floor + rng.uniform(1, 9) * power * np.exp(0.2 * rng.standard_normal(n)), floor


def power_law(rng):
    return "call", "power_law", curve(rng, size(rng, 2, 9))


def law(rng):
    n = size(rng, 1, 7)
    theta = np.r_[rng.uniform(0, 4, 2), rng.uniform(-1, 1), rng.uniform(0.1, 0.6, 2)]
    return theta, 10 ** rng.uniform(1, 8, n), 10 ** rng.uniform(1, 8, n)


def log_law(rng):
    theta, N, D = law(rng)
    return "call", "log_law", (theta + rng.choice([0, 0, 1000, -1000]) * (np.arange(5) < 3), N, D)


def objective(rng):
    theta, N, D = law(rng)
    L = np.exp(rng.uniform(-1, 2, len(N)))
    return "call", "objective", (theta, N, D, L, float(rng.choice([0.1, 0.7, 5.0])))


def optimum(rng):
    return "call", "optimum", (law(rng)[0], float(10 ** rng.uniform(6, 20)))


def interval(rng):
    if rng.random() < 0.5:
        return "call", "held_out_error", curve(rng, size(rng, 3, 9))
    level = float(rng.choice([0.5, 0.8, 0.9]))
    draws, seed = size(rng, 20, 40), size(rng, 0, 10**6)
    return "call", "exponent_interval", (*curve(rng, size(rng, 9, 12)), draws, seed, level)


TASKS = (parameters, operations, power_law, log_law, objective, optimum, interval)
INPUTS = {task.__name__: task for task in TASKS}
