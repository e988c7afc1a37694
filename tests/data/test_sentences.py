"""Sentences of the small grammar: what is drawn is what is said to be drawn, and sums are exact."""

import itertools
import re

import pytest
import torch

from utils.data.sentences import (
    CODE,
    LENGTH,
    PARENTS,
    SPECIAL,
    TABLES,
    VOCAB_SIZE,
    WORDS,
    conditionals,
    encode,
    log_probability,
    rules,
    sentences,
    text,
)


def test_words_are_numbered_once_and_read_back():
    assert len(set(WORDS)) == VOCAB_SIZE and WORDS[: len(SPECIAL)] == SPECIAL
    rows = sentences(50, seed=3)
    assert rows.shape == (50, LENGTH) and rows.min() >= len(SPECIAL)
    for row in rows:
        assert torch.equal(encode(text(row)), row)


def test_agreement_as_another_reader_finds_it():
    """Written anew with patterns, without the tables."""
    men, women = "king|boy|uncle", "queen|girl|aunt"
    verb, second = "read|write|eat|cook|open|close", "see|like|paint"
    either = f"(?:{men}|{women})s?"
    rest = rf"(?:near|behind|beside) the {either}"
    things = "(?:letter|poem|story|soup|bread|fish|door|box|window)"
    joined = "(?:and|then)"
    one = rf"(?:this|that) (?:(?:{men})|(?:{women})) {rest} (?:{verb})s the {things} {joined} "
    one += rf"(?:{second})s (?:himself|herself) \."
    many = rf"(?:these|those) (?:{men}|{women})s {rest} (?:{verb}) the {things} {joined} "
    many += rf"(?:{second}) themselves \."
    for row in sentences(300, seed=1):
        line = text(row)
        assert re.fullmatch(f"{one}|{many}", line), line
        if "himself" in line:
            assert line.split()[1] in men.split("|")
        if "herself" in line:
            assert line.split()[1] in women.split("|")
        assert not re.search(r"(eats?|cooks?) the (letter|door|poem|box|story|window)", line)


def test_probabilities_of_all_sentences_add_up_to_one():
    # What hangs on the subject, all of it; the four places without parent or child add factors 1.
    total = 0.0
    base = encode("this king near the king reads the letter and sees himself .")
    subject = [torch.nonzero(TABLES[k].sum(0)).flatten().tolist() for k in (0, 1, 5, 7, 9, 10)]
    free = [2, 4, 8]
    rows = [base[None].clone() for _ in range(1)]
    combos = torch.tensor(list(itertools.product(*subject)))
    tokens = rows[0].repeat(len(combos), 1)
    tokens[:, [0, 1, 5, 7, 9, 10]] = combos
    share = log_probability(base[None])
    fixed = sum(TABLES[k, 0, base[k]].log() for k in free)
    total = (log_probability(tokens) - fixed).exp().sum()
    assert share > -torch.inf
    assert total.item() == pytest.approx(1.0, abs=1e-12)


def test_frequencies_follow_the_tables():
    rows = sentences(20_000, seed=0)
    for place, parent in enumerate(PARENTS):
        for above in rows[:, parent].unique() if parent is not None else [torch.tensor(0)]:
            own = rows if parent is None else rows[rows[:, parent] == above]
            found = torch.bincount(own[:, place], minlength=VOCAB_SIZE) / len(own)
            truth = TABLES[place, above].float()
            error = (truth * (1 - truth) / len(own)).sqrt()
            assert ((found - truth).abs() <= 5 * error + 1e-9).all()


def brute(tokens, hidden, place):
    """The conditional by summing over every way to fill the hidden places."""
    words = [torch.nonzero(TABLES[k].sum(0)).flatten().tolist() for k in range(LENGTH)]
    open_ = [k for k in range(LENGTH) if hidden[k] or k == place]
    filled = torch.tensor(list(itertools.product(*(words[k] for k in open_))))
    rows = tokens.repeat(len(filled), 1)
    rows[:, open_] = filled
    weights = log_probability(rows).exp()
    out = torch.zeros(VOCAB_SIZE, dtype=torch.float64)
    out.scatter_add_(0, rows[:, place], weights)
    return out / out.sum()


@pytest.mark.parametrize("seed", range(6))
def test_conditionals_equal_the_sum_over_all_sentences(seed):
    generator = torch.Generator().manual_seed(seed)
    tokens = sentences(1, seed)
    hidden = torch.zeros(1, LENGTH, dtype=torch.bool)
    hidden[0, torch.randperm(LENGTH, generator=generator)[:3]] = True
    found = conditionals(tokens, hidden)[0]
    for place in range(LENGTH):
        torch.testing.assert_close(found[place], brute(tokens[0], hidden[0], place))


def test_impossible_words_give_zeros_and_minus_infinity():
    wrong = encode("this kings near the boy reads the letter and sees himself .")[None]
    assert log_probability(wrong).item() == -torch.inf
    found = conditionals(wrong, torch.zeros(1, LENGTH, dtype=torch.bool))
    assert not found.isnan().any() and found[0, 10].sum() == 0


def test_rules_are_the_tables():
    for place, rule in enumerate(rules()):
        for above, row in rule["table"].items():
            assert sum(row.values()) == pytest.approx(1)
            for word, share in row.items():
                assert TABLES[place, CODE[above] if above else 0, CODE[word]] == share


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="no word"):
        encode("this cat")
    with pytest.raises(ValueError, match="at least 1"):
        sentences(0)
    with pytest.raises(ValueError, match="shape"):
        log_probability(torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match="hidden"):
        conditionals(sentences(2), torch.zeros(2, 3, dtype=torch.bool))
