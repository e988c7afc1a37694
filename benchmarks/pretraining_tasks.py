"""What the models of `pretraining_objectives` are asked to do; each task gives (seeds, ...).

Legend: S seeds, N sentences, T = 12 places, V = vocab_size. `models` is an `Ensemble`: logits
(S, N, T, V) from token numbers (S, N, T), for spans with a source.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from utils.data.sentences import (
    CODE,
    END,
    LENGTH,
    MASK,
    SENTINEL,
    SPECIAL,
    START,
    VOCAB_SIZE,
    conditionals,
    log_probability,
    sentences,
)

TEST, TEST_SEED, PREFIX, SWEEPS = 200, 10**6, 6, (1, 2, 5, 10, 20)
PLACES = (1, 5)  # subject and verb: what follows tells of them
WORDS = torch.arange(len(SPECIAL), VOCAB_SIZE)


def _spread(models, tokens: Tensor) -> Tensor:
    """The same tokens (N, T) for each seed, (S, N, T)."""
    return tokens.expand(models.seeds, *tokens.shape)


def _read_left(models, tokens: Tensor) -> Tensor:
    """A causal model's log P of each word after those before it, (S, N, T, V)."""
    return models(F.pad(tokens[..., :-1], (1, 0), value=START)).log_softmax(-1)


def _blank(models, tokens: Tensor, place: int) -> Tensor:
    """log P of the word at one place, hidden, from both sides, (S, N, V)."""
    asked = tokens.clone()
    if models.way == "spans":
        asked[..., place] = SENTINEL
        begin = torch.tensor([START, SENTINEL]).expand(*tokens.shape[:2], 2)
        return models(begin, asked)[:, :, 1].log_softmax(-1)
    asked[..., place] = MASK
    return models(asked)[:, :, place].log_softmax(-1)


def _by_scoring(models, tokens: Tensor, place: int) -> Tensor:
    """The same of a causal model: every word put in, all sentences compared, (S, N, V)."""
    S, N, _ = tokens.shape
    tried = tokens[:, :, None].repeat(1, 1, len(WORDS), 1)
    tried[..., place] = WORDS
    flat = tried.flatten(1, 2)
    each = [_read_left(models, part).gather(3, part[..., None]) for part in flat.split(2120, 1)]
    scores = torch.cat(each, 1).sum((2, 3)).view(S, N, len(WORDS))
    out = torch.full((S, N, VOCAB_SIZE), -1e9)
    out[..., WORDS] = scores
    return out.log_softmax(-1)


def _nats_above(truth: Tensor, found: Tensor) -> Tensor:
    """Mean KL divergence (S,) of predictions (S, N, V) from the exact ones (N, V)."""
    truth = truth.float()
    return (torch.xlogy(truth, truth) - truth * found.clamp_min(-100)).sum(-1).mean(-1)


def fill(models) -> dict[str, Tensor]:
    """One blank: nats above the exact conditional, by place; causal: left alone, and by scoring."""
    x = sentences(TEST, TEST_SEED)
    exact = conditionals(x, torch.zeros(x.shape, dtype=torch.bool))
    tokens = _spread(models, x)
    if models.way != "causal":
        rows = [_nats_above(exact[:, k], _blank(models, tokens, k)) for k in range(LENGTH)]
        return {"fill": torch.stack(rows, 1)}
    left = _read_left(models, tokens)
    rows = [_nats_above(exact[:, k], left[:, :, k]) for k in range(LENGTH)]
    scored = [_nats_above(exact[:100, k], _by_scoring(models, tokens[:, :100], k)) for k in PLACES]
    ahead = torch.stack(
        [conditionals(x, (torch.arange(LENGTH) >= k).expand(x.shape))[:, k] for k in range(LENGTH)]
    ).float()
    nats = [_nats_above(ahead[k], left[:, :, k]) for k in range(LENGTH)]
    return {
        "fill": torch.stack(rows, 1),
        "fill_by_scoring": torch.stack(scored, 1),
        "next_word": torch.stack(nats, 1),
    }


def _draw(logits: Tensor) -> Tensor:
    """A token from each row of logits (..., V), with its probability."""
    return torch.distributions.Categorical(logits=logits).sample()


def _right(tokens: Tensor) -> Tensor:
    """Share of sentences (S, N, 12) that the grammar allows, (S,)."""
    flat = log_probability(tokens.flatten(0, 1))
    return (flat > -torch.inf).view(tokens.shape[:2]).float().mean(1)


def _left_to_right(models, tokens: Tensor, first: int, ahead: bool = True) -> Tensor:
    """Write the places from `first` on. Masked: with masks ahead, or one at the end alone."""
    out = tokens.clone()
    for place in range(first, LENGTH):
        if models.way == "causal":
            logits = models(F.pad(out[..., :place], (1, 0), value=START))[:, :, -1]
        else:
            out[..., place:] = MASK
            logits = models(out if ahead else out[..., : place + 1])[:, :, place]
        out[..., place] = _draw(logits)
    return out


def continue_(models) -> dict[str, Tensor]:
    """Six words of a sentence are given: share of continuations that the grammar allows."""
    tokens = _spread(models, sentences(TEST, TEST_SEED))
    if models.way == "spans":
        source = torch.cat([tokens[..., :PREFIX], torch.full((*tokens.shape[:2], 1), SENTINEL)], 2)
        out = torch.tensor([START, SENTINEL]).expand(*tokens.shape[:2], 2)
        for _ in range(LENGTH - PREFIX + 1):
            out = torch.cat([out, _draw(models(out, source)[:, :, -1])[..., None]], 2)
        right = _right(torch.cat([tokens[..., :PREFIX], out[..., 2:-1]], 2))
        ended = (out[..., -1] == END).float().mean(1)
        return {"continue": right, "ends_in_time": ended}
    found = {"continue": _right(_left_to_right(models, tokens, PREFIX))}
    if models.way != "causal":
        found["continue_appending"] = _right(_left_to_right(models, tokens, PREFIX, ahead=False))
    return found


def write(models) -> dict[str, Tensor]:
    """From nothing: share of sentences that the grammar allows, by how they are written."""
    if models.way == "spans":
        return {}
    empty = torch.full((models.seeds, TEST, LENGTH), MASK)
    made = _left_to_right(models, empty, 0)
    found = {"write": _right(made), "write_nats": _nats(made)}
    if models.way == "causal":
        return found
    found["write_appending"] = _right(_left_to_right(models, empty, 0, ahead=False))
    now, marks = empty.clone(), []
    for sweep in range(1, SWEEPS[-1] + 1):
        order = torch.rand(models.seeds, TEST, LENGTH).argsort(-1)
        for turn in order.unbind(-1):
            at = turn[..., None]
            z = models(now.scatter(2, at, MASK))
            logits = z.gather(2, at[..., None].expand(-1, -1, -1, VOCAB_SIZE))[:, :, 0]
            now = now.scatter(2, at, _draw(logits)[..., None])
        if sweep in SWEEPS:
            marks.append(_right(now))
    return found | {"gibbs": torch.stack(marks, 1), "gibbs_nats": _nats(now)}


def _nats(tokens: Tensor) -> Tensor:
    """Mean -ln P, by the grammar, of the sentences that it allows, (S,); 0 where there is none."""
    flat = -log_probability(tokens.flatten(0, 1)).view(tokens.shape[:2])
    allowed = flat < torch.inf
    return torch.where(allowed, flat, 0.0).sum(1) / allowed.sum(1).clamp_min(1)


def _scores(models, tokens: Tensor) -> Tensor:
    """(S, N): log probability of a causal model, else the sum over blanks, one at a time."""
    if models.way == "causal":
        return _read_left(models, tokens).gather(3, tokens[..., None]).sum((2, 3))
    each = [
        _blank(models, tokens, k).gather(2, tokens[..., k, None])[..., 0] for k in range(LENGTH)
    ]
    return torch.stack(each).sum(0)


def other_number(tokens: Tensor) -> Tensor:
    """The sentences with their first verb in the other number, which no grammar allows."""
    verbs = ("read", "write", "eat", "cook", "open", "close")
    pairs = {CODE[v]: CODE[f"{v}s"] for v in verbs}
    swap = torch.arange(VOCAB_SIZE)
    for one, many in pairs.items():
        swap[one], swap[many] = many, one
    out = tokens.clone()
    out[:, 5] = swap[out[:, 5]]
    return out


def score(models) -> dict[str, Tensor]:
    """Right before wrong in pairs that differ in a verb's number; correlation with exact ln P."""
    x = sentences(TEST, TEST_SEED)
    right, wrong = (_scores(models, _spread(models, part)) for part in (x, other_number(x)))
    exact = log_probability(x).float()
    rows = [torch.corrcoef(torch.stack([row, exact]))[0, 1] for row in right]
    above = right.mean(1) - exact.mean()
    return {
        "pairs": (right > wrong).float().mean(1),
        "correlation": torch.stack(rows),
        "score_minus_exact": above,
    }


def probe(models) -> dict[str, Tensor]:
    """Share of test sentences whose pronoun a linear map reads off the first word's features."""
    x = sentences(2 * TEST + 800, TEST_SEED + 1)
    kinds = F.one_hot(torch.unique(x[:, 10], return_inverse=True)[1]).float()
    rows = []
    for seed in range(models.seeds):
        model = models.single(seed)
        if models.way == "spans":
            features = model.encode(x)
        elif models.way == "causal":
            features = model.features(F.pad(x, (1, 0), value=START))[:, 1:]
        else:
            features = model.features(x)
        first = F.pad(features[:, 0], (0, 1), value=1.0).double()
        train, test = first[:800], first[800:]
        square = train.T @ train + 1e-3 * torch.eye(train.shape[1])
        fitted = torch.linalg.solve(square, train.T @ kinds[:800].double())
        rows.append(((test @ fitted).argmax(1) == kinds[800:].argmax(1)).float().mean())
    return {"probe_first": torch.stack(rows)}
