"""Inputs for the mutation run of the lab `large-models`, drawn without its check.

Each function takes a NumPy generator and gives ("call", name, arguments).
"""


def size(rng, low=1, high=50):
    return int(rng.integers(low, high + 1))


def layers(rng):
    if rng.random() < 0.4:
        return "call", "dense", (size(rng), size(rng))
    return "call", "mlp", ([size(rng) for _ in range(size(rng, 2, 7))],)


def transformer(rng):
    if rng.random() < 0.4:
        return "call", "block", (size(rng), size(rng))
    return "call", "gpt", tuple(size(rng, 1, 3000) for _ in range(4))


def shape(rng):
    V, M, L, H, K, d, F = (size(rng, 1, high) for high in (900, 90, 9, 9, 9, 9, 300))
    return V, M, L, H, K, d, F


def llamas(rng):
    pick = rng.random()
    if pick < 0.3:
        return "call", "grouped_attention", tuple(size(rng) for _ in range(4))
    return (
        ("call", "swiglu", (size(rng), size(rng))) if pick < 0.5 else ("call", "llama", shape(rng))
    )


def experts(rng):
    k = size(rng, 1, 4)
    return "call", "mixture", (*shape(rng), k + size(rng, 0, 5), k)


def training(rng):
    bits = int(rng.choice([16, 32, 16, 32, 8, 64]))
    return "call", "training_bytes", (size(rng, 1, 10**9), bits, size(rng, -1, 4), size(rng, 1, 99))


def cache(rng):
    L, K, d, T, B = (size(rng) for _ in range(5))
    bits = int(rng.choice([8, 16, 32]))
    if rng.random() < 0.4:
        return "call", "cache_bytes", (L, K, d, T, B, bits)
    N = size(rng, 1, 10**6)
    memory = N * bits // 8 + size(rng, -(10**6), 10**8)
    return "call", "tokens_that_fit", (max(memory, 1), N, L, K, d, B, bits)


def operations(rng):
    if rng.random() < 0.3:
        return "call", "flops_rule", (size(rng, 1, 10**9), size(rng, 1, 10**9))
    sizes = [size(rng, 1, 200) for _ in range(4)]
    return "call", "flops_full", (*sizes, size(rng, 1, 10**6), bool(rng.random() < 0.5))


def plan(rng):
    flops, held = 10.0 ** rng.uniform(20, 24), 10.0 ** rng.uniform(9, 13)
    days, peak = float(rng.uniform(1, 60)), 10.0 ** rng.uniform(13.5, 15)
    use, memory, price = rng.uniform(0.1, 0.7), 1e9 * size(rng, 8, 192), rng.uniform(0.2, 5)
    return "call", "plan_run", (flops, held, days, peak, float(use), memory, float(price))


INPUTS = {
    task.__name__: task
    for task in (layers, transformer, llamas, experts, training, cache, operations, plan)
}
