"""The explorable of byte-pair encoding: JavaScript, Python and the tokenizer agree."""

import random

import pytest
import traitlets

from utils.explore.bpe_merges import LONGEST, TEXT, BpeMerges, bpe_merges
from utils.tokenizer import Tokenizer
from utils.tokenizer.pretokenize import byte_order

ALPHABETS = (
    "ab",
    "abc  \n'st",
    "the cat's 12 hats, we'll go!\t",
    "机器学习,学习机器。 a1",
    "é̂ß\u00a0\u0085\u3000\ufeff😀👩‍👩‍👧abद",
)
MADE_FOR_IT = [
    {"text": "", "step": 0},
    {"text": "", "step": 3},
    {"text": "a", "step": 5},
    {"text": "aaaaaaaaa", "step": 1},
    {"text": "lone \ud83d and \ude00 halves, and a pair \ud83d\ude00\ud83d\ude00", "step": 4},
    {"text": TEXT, "step": 0},
    {"text": TEXT, "step": 999},
]


def cases(count: int = 250) -> list[dict]:
    rng = random.Random(0)
    drawn = []
    for i in range(count):
        text = "".join(rng.choices(ALPHABETS[i % len(ALPHABETS)], k=rng.randint(1, 100)))
        drawn.append({"text": text, "step": rng.choice([0, 1, 2, rng.randint(0, 40), 10**6])})
    return [*MADE_FOR_IT, *drawn]


def test_javascript_computes_what_python_computes(javascript):
    settings = cases()
    results = javascript("bpe_merges.js", settings)
    assert len(results) >= 250
    for case, result in zip(settings, results, strict=True):
        assert result == bpe_merges(**case), case


def test_python_merges_what_the_tokenizer_merges():
    for case in cases():
        found = bpe_merges(**case)
        trained = Tokenizer.train([case["text"]], 5000, min_frequency=2)
        assert [(bytes(a), bytes(b)) for a, b, _ in found["merges"]] == trained.merges
        few = Tokenizer(trained.vocabulary, trained.merges[: found["step"]])
        tokens = [bytes(t) for chunk in found["tokens"] for t in chunk]
        ids = few.encode_ordinary(case["text"])
        assert tokens == [few.token_bytes(id) for id in ids]
        assert found["length"] == len(tokens) and found["bytes"] == len(b"".join(tokens))


def test_the_first_step_is_bytes_and_pairs_are_in_order():
    found = bpe_merges("abab", 0)
    assert found["tokens"] == [[[97], [98], [97], [98]]]
    assert found["pairs"] == [[[97], [98], 2], [[98], [97], 1]]
    assert byte_order()[0] == ord("!")


def readable(token: bytes) -> bool:
    return "\ufffd" not in token.decode(errors="replace")


def test_the_answers_to_its_questions_hold():
    made = [bytes(a + b).decode() for a, b, _ in bpe_merges(TEXT, 0)["merges"]]
    assert made[:4] == ["at", "th", " th", " the"]
    tokens = [[bytes(t).decode() for t in chunk] for chunk in bpe_merges(TEXT, 4)["tokens"]]
    assert tokens[0] == ["th", "e"] and [" the"] in tokens and [" the", "n"] in tokens
    joined = [bytes(a + b) for a, b, _ in bpe_merges("机器学习,学习机器", 0)["merges"]]
    assert joined[0] == "学".encode()[-1:] + "习".encode()[:1]
    assert [token.decode() for token in joined if readable(token)] == ["学习", "机器"]
    assert [readable(token) for token in joined].index(True) == 8  # the ninth merge


@pytest.mark.parametrize("step", [-1, -10])
def test_a_negative_step_is_refused(step):
    with pytest.raises(ValueError, match="expected 0"):
        bpe_merges("text", step)


def test_a_long_text_is_refused_with_both_numbers():
    with pytest.raises(traitlets.TraitError, match=rf"{LONGEST + 1} characters.*{LONGEST}"):
        BpeMerges(text="x" * (LONGEST + 1))
    assert BpeMerges().state() == {"text": TEXT, "step": 0}
