"""What texts become for pretraining, and the contrastive loss, against the libraries' own."""

import itertools
import math
import random
from collections import Counter

import pytest
import torch
from scipy import stats
from tokenizers import Tokenizer
from tokenizers import models as tokenizer_models
from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerFast
from transformers.models.clip.modeling_clip import image_text_contrastive_loss

from utils.pretraining import (
    IGNORED,
    corrupt_spans,
    info_nce,
    mask_tokens,
    random_spans,
    restore_spans,
)


def fates(tokens, inputs, labels, mask):
    """Counts of: not asked, masked, kept, another word."""
    asked = labels != IGNORED
    masked, kept = asked & (inputs == mask), asked & (inputs == tokens)
    other = asked & ~masked & ~kept
    return [int(x.sum()) for x in (~asked, masked, kept, other)]


def test_masking_has_the_rates_of_the_library_s_collator():
    words = {"[MASK]": 0} | {f"w{i}": i for i in range(1, 400)}
    made = Tokenizer(tokenizer_models.WordLevel(words, unk_token="[MASK]"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, mask_token="[MASK]")
    collator = DataCollatorForLanguageModeling(tokenizer, seed=0)
    tokens = torch.randint(1, 400, (2000, 50), generator=torch.Generator().manual_seed(0))
    special = torch.zeros_like(tokens)
    theirs = collator.torch_mask_tokens(tokens.clone(), special_tokens_mask=special)
    ours = mask_tokens(tokens, 0, (0, 400), generator=torch.Generator().manual_seed(1))
    table = [fates(tokens, *pair, 0) for pair in (theirs, ours)]
    assert stats.chi2_contingency(table).pvalue > 1e-3
    for count, total, share in (
        (table[1][1] + table[1][2] + table[1][3], tokens.numel(), 0.15),
        (table[1][1], sum(table[1][1:]), 0.8 + 0.1 / 400),
        (table[1][2], sum(table[1][1:]), 0.1 + 0.1 / 400),
    ):
        assert stats.binomtest(count, total, share).pvalue > 1e-3


def test_only_what_is_asked_for_is_changed_and_special_tokens_never():
    tokens = torch.randint(2, 9, (64, 40))
    special = tokens == 3
    made = mask_tokens(tokens, 1, (2, 9), rate=0.5, special=special)
    asked = made.labels != IGNORED
    assert torch.equal(made.inputs[~asked], tokens[~asked])
    assert torch.equal(made.labels[asked], tokens[asked])
    assert not (asked & special).any()
    every = mask_tokens(tokens, 1, (2, 9), rate=1.0, replace=1.0, random=0.0)
    assert (every.inputs == 1).all() and torch.equal(every.labels, tokens)
    rows = mask_tokens(tokens, 1, (2, 9), rate=torch.tensor([0.0, 1.0] * 32)[:, None])
    assert ((rows.labels != IGNORED).all(1) == torch.tensor([False, True] * 32)).all()


@pytest.mark.parametrize(("length", "noise", "spans"), [(6, 3, 2), (5, 5, 1), (7, 3, 3), (4, 1, 1)])
def test_spans_are_any_of_the_possible_ones_as_likely(length, noise, spans):
    possible = []
    for mask in itertools.product([0, 1], repeat=length):
        runs = sum(1 for key, _ in itertools.groupby(mask) if key)
        if sum(mask) == noise and runs == spans:
            possible.append(mask)
    generator = torch.Generator().manual_seed(0)
    drawn = random_spans(6000, length, noise, spans, generator).int().tolist()
    found = Counter(tuple(row) for row in drawn)
    assert set(found) == set(possible)
    assert stats.chisquare([found[mask] for mask in possible]).pvalue > 1e-3 or len(possible) == 1


def test_the_example_of_the_paper():
    """Raffel et al. 2020, figure 2."""
    words = ["Thank", "you", "for", "inviting", "me", "to", "your", "party", "last", "week", "."]
    mask = [word in ("for", "inviting", "last") for word in words]
    source, target = corrupt_spans(words, mask, ["<X>", "<Y>"], "<Z>")
    assert " ".join(source) == "Thank you <X> me to your party <Y> week ."
    assert " ".join(target) == "<X> for inviting <Y> last <Z>"
    assert restore_spans(source, target, ["<X>", "<Y>"], "<Z>") == words


def test_restoring_undoes_corrupting():
    rng = random.Random(0)
    for _ in range(300):
        tokens = [rng.randint(10, 20) for _ in range(rng.randint(1, 12))]
        mask = [rng.random() < 0.4 for _ in tokens]
        source, target = corrupt_spans(tokens, mask, list(range(8)), 9)
        assert restore_spans(source, target, list(range(8)), 9) == tokens
        assert sum(t < 8 for t in source) == sum(t < 8 for t in target)


@pytest.mark.parametrize("scale", [0.0, 2.6592])
def test_info_nce_equals_the_library_s(scale):
    image, text = torch.randn(7, 5).double(), torch.randn(7, 5).double()
    unit = [x / x.norm(dim=1, keepdim=True) for x in (text, image)]
    theirs = image_text_contrastive_loss(unit[0] @ unit[1].T * torch.tensor(scale).exp())
    torch.testing.assert_close(info_nce(image, text, torch.tensor(scale)), theirs)
    torch.testing.assert_close(info_nce(3 * image, text, scale), theirs)


def test_info_nce_of_equal_vectors_is_the_log_of_how_many():
    same = torch.ones(6, 3).double()
    assert info_nce(same, same, 1.0).item() == pytest.approx(math.log(6))


def test_wrong_input_is_refused():
    tokens = torch.ones(2, 3, dtype=torch.int64)
    with pytest.raises(ValueError, match="sum at most 1"):
        mask_tokens(tokens, 0, (1, 3), replace=0.9, random=0.2)
    with pytest.raises(ValueError, match="0 to 1"):
        mask_tokens(tokens, 0, (1, 3), rate=1.5)
    with pytest.raises(ValueError, match="range"):
        mask_tokens(tokens, 0, (3, 3))
    with pytest.raises(ValueError, match="do not fit"):
        random_spans(1, 4, 3, 3)
    with pytest.raises(ValueError, match="expected one each"):
        corrupt_spans([1, 2], [True], [0], 9)
    with pytest.raises(ValueError, match="as many sentinels"):
        corrupt_spans([1, 2, 3], [True, False, True], [0], 9)
    with pytest.raises(ValueError, match="two tensors"):
        info_nce(torch.ones(2, 3), torch.ones(3, 3), 0.0)
