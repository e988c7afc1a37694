"""The lab `pretraining-objectives`: right answers in any style pass, wrong ones are told apart."""

import itertools
import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from lab_support import assert_lab_scores, assert_styles_pass, refusals, solved

from utils.check.core import lab
from utils.data.sentences import LENGTH
from utils.pretraining import corrupt_spans, restore_spans

NAME = "pretraining-objectives"
LAB = lab(NAME)
RIGHT = solved(NAME)  # the namespace of the solutions


# --- other styles ---------------------------------------------------------------------------
def next_by_pad(tokens, start):
    return F.pad(tokens, (1, 0), value=start)[:, :-1].contiguous(), tokens.clone()


def labels_by_fill(tokens, draws, special, rate):
    out = torch.full_like(tokens, -100)
    chosen = torch.logical_and(draws < rate, torch.logical_not(special))
    out[chosen] = tokens[chosen]
    return out


def spoil_by_loops(tokens, labels, fate, other, mask):
    rows = tokens.tolist()
    for b, t in itertools.product(*map(range, tokens.shape)):
        if labels[b, t] == -100:
            continue
        if fate[b, t] < 0.8:
            rows[b][t] = mask
        elif fate[b, t] < 0.9:
            rows[b][t] = other[b, t].item()
    return torch.tensor(rows)


def spoil_from_the_end(tokens, labels, fate, other, mask):
    kept = torch.where(fate < 0.9, other, tokens)
    return torch.where(labels == -100, tokens, torch.where(fate < 0.8, mask, kept))


def loss_by_logsumexp(logits, labels):
    asked = labels.ne(-100)
    right = logits.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    each = (logits.logsumexp(-1) - right) * asked
    return each.sum() / max(1, int(asked.sum()))


def loss_by_hand(logits, labels):
    total, count = 0.0, 0
    for row, label in zip(logits.flatten(0, 1).double(), labels.flatten().tolist(), strict=True):
        if label != -100:
            top = row.max()
            total = total + top + (row - top).exp().sum().log() - row[label]
            count += 1
    return torch.as_tensor(total / count if count else 0.0)


def cut_by_groups(tokens, hidden, sentinels, end):
    source, target, names = [], [], iter(sentinels)
    for out, group in itertools.groupby(zip(tokens, hidden, strict=True), key=lambda p: p[1]):
        words = [token for token, _ in group]
        if out:
            name = next(names)
            source.append(name)
            target.extend([name, *words])
        else:
            source.extend(words)
    return source, [*target, end]


def restore_by_slices(source, target, sentinels, end):
    target = target[: target.index(end)] if end in target else target
    starts = [i for i, token in enumerate(target) if token in sentinels]
    ends = [*starts, len(target)][1:]
    spans = {target[a]: target[a + 1 : b] for a, b in zip(starts, ends, strict=True)}
    parts = (spans.get(x, []) if x in sentinels else [x] for x in source)
    return list(itertools.chain.from_iterable(parts))


def nce_by_hand(images, texts, log_scale):
    u, v = (x / x.norm(dim=-1, keepdim=True) for x in (images.double(), texts.double()))
    z = torch.einsum("id,jd->ij", u, v) * math.exp(log_scale)
    right = z.diagonal()
    return (z.logsumexp(0) + z.logsumexp(1) - 2 * right).sum() / (2 * len(z))


OTHER_STYLES = {
    "next_token": [{"next_token": next_by_pad}],
    "make_labels": [{"make_labels": labels_by_fill}],
    "spoil": [{"spoil": spoil_by_loops}, {"spoil": spoil_from_the_end}],
    "masked_loss": [{"masked_loss": loss_by_logsumexp}, {"masked_loss": loss_by_hand}],
    "cut_spans": [{"cut_spans": cut_by_groups}],
    "restore_spans": [{"restore_spans": restore_by_slices}],
    "info_nce": [{"info_nce": nce_by_hand}],
}


@pytest.mark.parametrize("task", LAB.ids())
@pytest.mark.parametrize("seed", range(5))
def test_right_answers_pass(task, seed):
    assert_styles_pass(NAME, RIGHT, OTHER_STYLES[task], task, seed)


def test_solutions_are_those_of_the_course():
    for seed in range(50):
        generator = torch.Generator().manual_seed(seed)
        hidden = (torch.rand(LENGTH, generator=generator) < 0.4).tolist()
        tokens, names = list(range(10, 10 + LENGTH)), list(range(100, 112))
        pair = RIGHT["cut_spans"](tokens, hidden, names, 99)
        assert pair == corrupt_spans(tokens, hidden, names, 99)
        assert RIGHT["restore_spans"](*pair, names, 99) == restore_spans(*pair, names, 99)


# --- wrong answers --------------------------------------------------------------------------
def begin(x, start, n=1):
    return torch.full((len(x), n), start)


def changed_labels(x, draws, special, rate):
    x[(draws >= rate) | special] = -100
    return x


def spoiled(x, labels, fate, other, mask, *, masked, swapped):
    out = x.clone()
    chosen = labels != -100
    out[chosen & masked(fate)] = mask
    out[chosen & swapped(fate)] = other[chosen & swapped(fate)]
    return out


def below(high):
    return lambda fate: fate < high


def between(low, high):
    return lambda fate: (fate >= low) & (fate < high)


def asked_log_p(z, y):
    return F.log_softmax(z[y != -100], -1).gather(1, y[y != -100][:, None])


def cut(x, hidden, names, end, *, each=False, in_source=True, in_target=True, same=False):
    source, target, used = [], [], 0
    for i, token in enumerate(x):
        if hidden[i]:
            if each or not i or not hidden[i - 1]:
                name = names[0] if same else names[used]
                source += [name] if in_source else []
                target += [name] if in_target else []
                used += 1
            target.append(token)
        else:
            source.append(token)
    return source, [*target, end]


def spans_of(target, names, end):
    spans, now = {}, []
    for token in target:
        if token == end:
            break
        if token in names:
            now = spans[token] = []
        else:
            now.append(token)
    return spans


def put(source, names, look):
    return [part for token in source for part in (look(token) if token in names else [token])]


def by_order(source, target, names, end):
    rows = iter(spans_of(target, names, end).values())
    return put(source, names, lambda _: next(rows, []))


def cosines(u, v):
    return F.normalize(u, dim=1) @ F.normalize(v, dim=1).T


def sides(z, which=(0, 1), reduce="mean"):
    own = torch.arange(len(z))
    halves = [F.cross_entropy(z if side else z.T, own, reduction=reduce) for side in which]
    return sum(halves) / len(halves)


WRONG = {
    "next_token": {
        "not-shifted": lambda x, s: (x, x),
        "shifted-back": lambda x, s: (x, torch.cat([begin(x, s), x[:, :-1]], 1)),
        "wrapped": lambda x, s: (torch.roll(x, 1, 1), x),
        "start-missing": lambda x, s: (x[:, :-1], x[:, 1:]),
        "longer": lambda x, s: (torch.cat([begin(x, s), x], 1), x),
        "shifted-twice": lambda x, s: (torch.cat([begin(x, s, 2), x], 1)[:, : x.shape[1]], x),
        "raised": lambda x, s: x.append(s),
    },
    "make_labels": {
        "special-asked": lambda x, d, s, r: torch.where(d < r, x, -100),
        "special-only": lambda x, d, s, r: torch.where((d < r) & s, x, -100),
        "rate-inverted": lambda x, d, s, r: torch.where((d >= r) & ~s, x, -100),
        "labels-inverted": lambda x, d, s, r: torch.where((d < r) & ~s, -100, x),
        "labels-zero": lambda x, d, s, r: torch.where((d < r) & ~s, x, 0),
        "labels-minus-one": lambda x, d, s, r: torch.where((d < r) & ~s, x, -1),
        "labels-everywhere": lambda x, d, s, r: x.clone(),
        "labels-boolean": lambda x, d, s, r: (d < r) & ~s,
        "changed-input": changed_labels,
    },
    "spoil": {
        "all-masked": partial(spoiled, masked=below(2), swapped=below(-1)),
        "none-swapped": partial(spoiled, masked=below(0.8), swapped=below(-1)),
        "none-kept": partial(spoiled, masked=below(0.8), swapped=between(0.8, 2)),
        "overlap": partial(spoiled, masked=below(0.8), swapped=below(0.1)),
        "swap-rest": partial(spoiled, masked=below(0.8), swapped=between(0.9, 2)),
        "mask-swapped": partial(spoiled, masked=between(0.8, 0.9), swapped=below(0.8)),
        "unasked-spoiled": lambda x, y, f, o, m: RIGHT["spoil"](x, x, f, o, m),
        "asked-kept": lambda x, y, f, o, m: torch.where(
            y != -100, x, RIGHT["spoil"](x, x, f, o, m)
        ),
        "labels-spoiled": lambda x, y, f, o, m: RIGHT["spoil"](y, y, f, o, m),
    },
    "masked_loss": {
        "mean-over-all": lambda z, y: -asked_log_p(z, y).sum() / y.numel(),
        "sum": lambda z, y: -asked_log_p(z, y).sum(),
        "unasked-counted": lambda z, y: -F.log_softmax(z, -1)
        .gather(2, y.clamp(min=0)[..., None])
        .mean(),
        "mean-of-rows": lambda z, y: (
            torch.stack([-asked_log_p(a[None], b[None]).sum() / max(1, (b != -100).sum())
                         for a, b in zip(z, y, strict=True)]).mean()
        ),
        "sign": lambda z, y: asked_log_p(z, y).mean(),
        "no-softmax": lambda z, y: -z[y != -100].gather(1, y[y != -100][:, None]).mean(),
        "no-logarithm": lambda z, y: -asked_log_p(z, y).exp().mean(),
        "bits": lambda z, y: -asked_log_p(z, y).mean() / math.log(2),
        "underflow": lambda z, y: -z[y != -100].softmax(1).log()
        .gather(1, y[y != -100][:, None]).mean(),
        "nan-of-none": lambda z, y: -asked_log_p(z, y).mean(),
        "forbidden": lambda z, y: F.cross_entropy(z.flatten(0, 1), y.flatten()),
    },
    "cut_spans": {
        "sentinel-each": partial(cut, each=True),
        "one-sentinel": partial(cut, same=True),
        "no-end": lambda x, h, s, e: (cut(x, h, s, e)[0], cut(x, h, s, e)[1][:-1]),
        "end-in-source": lambda x, h, s, e: ([*cut(x, h, s, e)[0], e], cut(x, h, s, e)[1]),
        "no-sentinel-in-target": partial(cut, in_target=False),
        "no-sentinel-in-source": partial(cut, in_source=False),
        "inverted": lambda x, h, s, e: cut(x, [not out for out in h], s, e),
        "whole-text": lambda x, h, s, e: (cut(x, h, s, e)[0], [*x, e]),
    },
    "restore_spans": {
        "by-order": by_order,
        "sentinels-kept": lambda s, t, n, e: put(
            s, n, lambda x: [x, *spans_of(t, n, e).get(x, [])]
        ),
        "end-kept": lambda s, t, n, e: put(s, n, lambda x: spans_of(t, n, None).get(x, [])),
        "end-skipped": lambda s, t, n, e: put(
            s, n, lambda x: spans_of([y for y in t if y != e], n, e).get(x, [])
        ),
        "first-token-only": lambda s, t, n, e: put(
            s, n, lambda x: spans_of(t, n, e).get(x, [])[:1]
        ),
        "last-token-only": lambda s, t, n, e: put(
            s, n, lambda x: spans_of(t, n, e).get(x, [])[-1:]
        ),
        "missing-kept": lambda s, t, n, e: put(s, n, lambda x: spans_of(t, n, e).get(x, [x])),
        "source-returned": lambda s, t, n, e: list(s),
        "raised": lambda s, t, n, e: put(s, n, lambda x: spans_of(t, n, e)[x]),
    },
    "info_nce": {
        "not-normalized": lambda u, v, s: sides(s.exp() * u @ v.T),
        "normalized-columns": lambda u, v, s: sides(
            s.exp() * F.normalize(u, dim=0) @ F.normalize(v, dim=0).T
        ),
        "images-only": lambda u, v, s: sides(s.exp() * cosines(u, v), (1,)),
        "texts-only": lambda u, v, s: sides(s.exp() * cosines(u, v), (0,)),
        "not-halved": lambda u, v, s: 2 * sides(s.exp() * cosines(u, v)),
        "scale-no-exp": lambda u, v, s: sides(s * cosines(u, v)),
        "scale-inverted": lambda u, v, s: sides(cosines(u, v) / s.exp()),
        "no-scale": lambda u, v, s: sides(cosines(u, v)),
        "batch-summed": lambda u, v, s: sides(s.exp() * cosines(u, v), reduce="sum"),
        "sign": lambda u, v, s: -sides(s.exp() * cosines(u, v)),
        "all-pairs": lambda u, v, s: -(s.exp() * cosines(u, v))
        .flatten().log_softmax(0).view(len(u), -1).diag().mean(),
    },
}  # fmt: skip


@pytest.mark.parametrize("task", LAB.ids())
def test_wrong_answers_are_named(task):
    wrong = {slug: {LAB[task].functions[0]: function} for slug, function in WRONG[task].items()}
    assert refusals(NAME, RIGHT, task, wrong) == {slug: slug for slug in wrong}


def test_every_check_tells_five_wrong_answers_apart():
    assert set(WRONG) == set(LAB.ids()) and min(map(len, WRONG.values())) >= 5


def test_scores():
    assert_lab_scores(NAME, full=24)
