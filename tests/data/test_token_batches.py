"""Windows and packed rows: nothing twice, everything by seed, documents apart from each other."""

import numpy as np
import pytest
import torch
from torch import nn

from utils.data.shards import TokenShards, write_shards
from utils.data.token_batches import IGNORED, PADDING, TokenBatches, pack
from utils.models.attention import make_mask
from utils.models.cache import KVCache
from utils.models.config import TransformerConfig
from utils.models.transformer import Transformer
from utils.train import Trainer

TEXT = np.arange(1000)  # every id is its own place


def epoch(batches):
    pairs = list(batches)
    return [torch.cat(part) for part in zip(*pairs, strict=True)], [len(x) for x, _ in pairs]


def test_sequential_reads_all_windows_in_order():
    (x, y), rows = epoch(TokenBatches(TEXT, 4, 30, order="sequential"))
    assert rows == [4] * 8 + [1]
    assert x.flatten().tolist() == list(range(990)) and torch.equal(y, x + 1)
    assert x.dtype == torch.int64 and x.is_contiguous() and y.is_contiguous()
    assert len(TokenBatches(TEXT, 4, 999, order="sequential")) == 1


def test_random_takes_no_token_twice_in_an_epoch():
    batches = TokenBatches(TEXT, 4, 30, seed=5)
    orders, offsets = [], set()
    for number in range(6):
        assert batches.epoch == number
        (x, y), rows = epoch(batches)
        assert rows == [4] * len(batches) == [4] * 8
        assert x.unique().numel() == x.numel() == 960 and torch.equal(y, x + 1)
        assert torch.equal(x, x[:, :1] + torch.arange(30))
        orders.append(x[:, 0].tolist())
        offsets.add(int(x[0, 0]) % 30)
    assert orders[0] != sorted(orders[0]) and len(offsets) > 3
    assert len({tuple(order) for order in orders}) == 6


def test_the_seed_says_it_all():
    a, b = (TokenBatches(TEXT, 4, 30, seed=5) for _ in range(2))
    torch.rand(3), np.random.rand(3)
    other = TokenBatches(TEXT, 4, 30, seed=6)
    assert torch.equal(epoch(a)[0][0], epoch(b)[0][0])
    assert not torch.equal(epoch(a)[0][0], epoch(other)[0][0])


@pytest.mark.parametrize("order", ["random", "sequential"])
@pytest.mark.parametrize("taken", [0, 1, 3, 7, 8])
def test_the_place_can_be_taken_up(order, taken):
    whole, first = (TokenBatches(TEXT, 4, 30, order=order, seed=3) for _ in range(2))
    expected = [x for _ in range(3) for x, _ in whole]
    walk = iter(first)
    found = [next(walk)[0] for _ in range(taken)]
    second = TokenBatches(TEXT, 4, 30, order=order, seed=3)
    second.load_state_dict(first.state_dict())
    while second.epoch < 3:
        found += [x for x, _ in second]
    assert len(found) == len(expected)
    assert all(map(torch.equal, found, expected))


def test_shards_give_the_same_batches_as_the_array(tmp_path):
    write_shards(tmp_path, [TEXT], 1000, shard_tokens=77)
    from_files = epoch(TokenBatches(TokenShards(tmp_path), 4, 30))[0]
    for ids in (TEXT, torch.from_numpy(TEXT), TEXT.tolist()):
        assert torch.equal(epoch(TokenBatches(ids, 4, 30))[0][0], from_files[0])


def test_a_trainer_goes_on_bit_exactly(tmp_path):
    def trainer():
        torch.manual_seed(0)
        config = TransformerConfig(50, 8, 8, 1, 2)
        model = Transformer(config)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        return Trainer(model, optimizer, lambda m, batch: m(*batch), device="cpu")

    def batches():
        return TokenBatches(TEXT % 50, 8, 8, seed=1)

    straight = trainer()
    straight.fit(batches(), steps=34)  # 15 an epoch
    for stop in (4, 15, 20):
        trainer().fit(batches(), steps=stop, checkpoint=tmp_path / "c.pt")
        again = trainer().load(tmp_path / "c.pt")
        again.fit(batches(), steps=34)
        assert again.history.loss == straight.history.loss, stop
        for a, b in zip(again.parameters, straight.parameters, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((TEXT, 0, 30), ValueError, "batch_size must be a whole number of at least 1, got 0"),
        ((TEXT, 4, 2.5), ValueError, "length must be a whole number"),
        ((TEXT, 40, 30), ValueError, "1000 ids give 32 windows of 30, and a batch needs 40"),
        ((TEXT[:1], 1, 1), ValueError, "1 ids give 0 windows"),
        ((TEXT / 2, 4, 30), TypeError, "got float64"),
        ((TEXT[None], 4, 30), TypeError, r"\(1, 1000\)"),
        (("text", 4, 30), TypeError, "got str"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        TokenBatches(*arguments)


def test_bad_order_seed_and_place():
    with pytest.raises(ValueError, match="order must be 'random' or 'sequential'"):
        TokenBatches(TEXT, 4, 30, order="sorted")
    with pytest.raises(ValueError, match="seed must be"):
        TokenBatches(TEXT, 4, 30, seed=-1)
    batches = TokenBatches(TEXT, 4, 30)
    with pytest.raises(ValueError, match="with batch_size=5, these have 4"):
        batches.load_state_dict(TokenBatches(TEXT, 5, 30).state_dict())
    with pytest.raises(ValueError, match=r"got \['epoch'\]"):
        batches.load_state_dict({"epoch": 1})


def documents(lengths, seed=0):
    random = np.random.default_rng(seed)
    return [random.integers(0, 31, length) for length in lengths]


def test_packing_keeps_every_token_once():
    given = documents([5, 3, 8, 1, 20, 2, 2, 0, 4])
    packed = pack(given, 8, pad=30)
    assert packed.tokens.shape == packed.targets.shape == packed.documents.shape == (6, 8)
    pieces = [ids[a : a + 8] for ids in given for a in range(0, len(ids), 8)]
    assert packed.documents.max() == len(pieces) - 1
    for number, ids in enumerate(pieces):
        rows, columns = torch.where(packed.documents == number)
        assert rows.unique().numel() == 1 and torch.equal(
            columns.diff(), torch.ones(len(ids) - 1).long()
        )
        assert packed.tokens[rows, columns].tolist() == ids.tolist()
        assert packed.targets[rows, columns].tolist() == [*ids[1:].tolist(), IGNORED]
    empty = packed.documents == PADDING
    assert (packed.tokens[empty] == 30).all() and (packed.targets[empty] == IGNORED).all()
    assert packed.padding == pytest.approx(3 / 48)


def test_packing_fills_the_fullest_row_that_has_room():
    packed = pack(documents([6, 5, 3, 2]), 8)
    assert packed.documents.tolist() == [[0] * 6 + [3] * 2, [1] * 5 + [2] * 3]


@pytest.mark.parametrize(
    ("given", "length", "error", "message"),
    [
        ([[1, 2]], 1, ValueError, "length must be a whole number of at least 2"),
        ([[], []], 8, ValueError, "no document with a token"),
        ([], 8, ValueError, "no document with a token"),
        ([[1], [0.5]], 8, TypeError, "document 1 must be a sequence of whole numbers"),
        (["text"], 8, TypeError, "encode the text first"),
    ],
)
def test_what_cannot_be_packed(given, length, error, message):
    with pytest.raises(error, match=message):
        pack(given, length)


FAMILIES = {
    "gpt2": {},
    "llama": {"num_kv_heads": 2},
    "llama, scaled": {"rope_scaling": {"rope_type": "linear", "factor": 2.0}},
    "mistral": {"sliding_window": 3, "num_kv_heads": 2},
    "qwen3": {"num_kv_heads": 1},
    "mixtral": {"num_experts": 3},
    "bert": {},
}


def make(name):
    torch.manual_seed(0)
    config = TransformerConfig.of(
        name.split(",")[0],
        **(
            {"vocab_size": 31, "context_length": 16, "d_model": 24, "num_layers": 2}
            | {"num_heads": 4}
        ),
        **FAMILIES[name],
    )
    model = Transformer(config)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.mark.parametrize("name", FAMILIES)
def test_packed_logits_and_gradients_equal_those_of_the_documents_alone(name):
    model, given = make(name), documents([9, 7, 16, 4, 1, 5, 2, 3])
    packed = pack(given, 16)
    assert len(packed.tokens) < len(given)
    logits = model(packed.tokens, documents=packed.documents)
    total = 0.0
    for number, ids in enumerate(given):
        ids = torch.from_numpy(ids)[None]
        alone = model(ids)
        torch.testing.assert_close(
            logits[packed.documents == number], alone[0], atol=1e-5, rtol=1e-5
        )
        if ids.numel() > 1:
            total = total + nn.functional.cross_entropy(alone[0, :-1], ids[0, 1:], reduction="sum")
    expected = total / (packed.targets != IGNORED).sum()
    loss = model(packed.tokens, packed.targets, documents=packed.documents)
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    parameters = [p for p in model.parameters() if p.requires_grad]
    ours = torch.autograd.grad(loss, parameters, allow_unused=True)
    theirs = torch.autograd.grad(expected, parameters, allow_unused=True)
    for a, b in zip(ours, theirs, strict=True):
        if a is not None:
            torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_without_the_mask_documents_see_each_other():
    model, packed = make("llama"), pack(documents([9, 7]), 16)
    apart = model(packed.tokens, documents=packed.documents)
    together = model(packed.tokens)
    torch.testing.assert_close(apart[0, :9], together[0, :9], atol=1e-5, rtol=0)
    assert (apart[0, 10:] - together[0, 10:]).abs().max() > 0.1


def test_the_mask_of_documents():
    document = torch.tensor([[0, 0, 0, 1, 1, -1]])
    mask = make_mask(6, 6, causal=True, document_BS=document)
    expected = [[i >= j and document[0, i] == document[0, j] for j in range(6)] for i in range(6)]
    assert mask.allowed_B1TS[0, 0].tolist() == expected and mask.empty_B1T1 is None


def test_bad_documents():
    model, x = make("gpt2"), torch.zeros(2, 5, dtype=torch.long)
    with pytest.raises(ValueError, match=r"tokens' shape \(2, 5\), got \(2, 4\)"):
        model(x, documents=x[:, :4])
    with pytest.raises(TypeError, match=r"whole numbers, got torch\.float32"):
        model(x, documents=x.float())
    with torch.no_grad(), pytest.raises(ValueError, match="with a cache give each row one text"):
        model(x, documents=x, cache=KVCache(model.config, 2))
