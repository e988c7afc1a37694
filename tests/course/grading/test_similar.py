"""Near-identical solutions are flagged after removing what everybody has."""

from utils.course.grading.similar import pairs

STUB = "def f(x):\n    raise NotImplementedError()"
COMMON = "def f(x):\n    total = x.sum(-1)\n    return total / x.shape[-1]"
ODD = '''
def f(x):
    """Doc."""
    lo, hi, steps = x.amin(-1), x.amax(-1), 0
    while steps < 40 and bool(((hi - lo) > 1e-9).any()):
        middle = lo + (hi - lo) * 0.5  # bisect
        above = ((x - middle[..., None]).sum(-1) > 0)
        lo, hi, steps = torch.where(above, middle, lo), torch.where(above, hi, middle), steps + 1
    return torch.stack([lo, hi]).mean(0).reshape(x.shape[:-1])
'''
OTHER = """
def f(x):
    out = torch.zeros(x.shape[:-1])
    for place in range(x.shape[-1]):
        out = out + (x[..., place] - out) / (place + 1)
    scaled = out.clone().contiguous().view(-1).tolist()
    return torch.tensor([float(value) for value in scaled]).reshape(out.shape)
"""


def test_renamed_copy_is_flagged_and_own_work_is_not():
    renamed = (
        ODD.replace("middle", "m")
        .replace("steps", "n")
        .replace("# bisect", "")
        .replace('    """Doc."""\n', "")
    )
    codes = {"ann": {"t": ODD}, "bob": {"t": renamed}, "cat": {"t": OTHER}}
    (found,) = pairs(codes, [STUB])
    assert (found.first, found.second, found.tasks) == ("ann", "bob", ("t",))
    assert found.share == 1.0


def test_what_everybody_writes_is_not_flagged():
    codes = {f"learner{n}": {"t": COMMON} for n in range(12)}
    assert pairs(codes, [STUB]) == []
    assert pairs({"ann": {"t": ODD}, "bob": {"t": ODD}}, [STUB, ODD]) == []
    many = {f"learner{n}": {"t": ODD} for n in range(12)}
    assert pairs(many, [STUB]) == []


def test_broken_code_does_not_stop_it():
    assert pairs({"ann": {"t": "def f(:"}, "bob": {"t": "def f(:"}}, [STUB]) == []
