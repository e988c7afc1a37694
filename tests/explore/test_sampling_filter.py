"""The explorable of sampling: JavaScript, Python and `utils.sampling` agree; counts are real."""

import math
import random
import re
from collections import Counter

import pytest
import torch

from utils.data.text import source_text
from utils.explore.sampling_filter import FOLLOWERS, SamplingFilter, sampling_filter
from utils.sampling import Sampling, probabilities


def cases(count: int = 240) -> list[dict]:
    rng = random.Random(0)
    drawn = [
        {
            "logits": [rng.gauss(0, 2) for _ in range(rng.randint(1, 12))],
            "temperature": rng.uniform(0.1, 3),
            "top_k": rng.choice([0, 0, rng.randint(1, 12)]),
            "top_p": rng.choice([1.0, rng.uniform(0.05, 1)]),
            "min_p": rng.choice([0.0, rng.uniform(0, 1)]),
        }
        for _ in range(count)
    ]
    equal = {"logits": [1.0] * 6, "temperature": 1.0, "top_k": 2, "top_p": 0.5, "min_p": 1.0}
    cold = {"logits": [5.0, 4.0], "temperature": 0.001, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
    return [equal, cold, equal | {"top_k": 0, "min_p": 0.0}, *drawn]


def test_javascript_computes_what_python_computes(javascript):
    settings = cases()
    results = javascript("sampling_filter.js", settings)
    assert len(results) >= 200
    for case, result in zip(settings, results, strict=True):
        expected = sampling_filter(**case)
        assert set(result) == set(expected)
        for name, value in expected.items():
            assert result[name] == pytest.approx(value, rel=1e-9, abs=1e-14), (case, name)


def test_python_computes_what_the_generator_of_text_uses():
    for case in cases()[3:]:
        settings = Sampling(
            temperature=case["temperature"],
            top_k=case["top_k"] or None,
            top_p=case["top_p"],
            min_p=case["min_p"] or None,
        )
        theirs = probabilities(torch.tensor([case["logits"]], dtype=torch.float32), settings)[0]
        assert sampling_filter(**case)["probabilities"] == pytest.approx(theirs.tolist(), abs=2e-5)


def test_the_counts_are_those_of_the_corpus():
    texts = source_text().train
    for word, followers in FOLLOWERS.items():
        counted = Counter()
        for text in texts:
            counted.update(re.findall(rf"\b{word}\s+(\w+)", text))
        top = dict(sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:12])
        assert top == followers


def test_the_answer_to_its_question_holds():
    left = {}
    for word in ("raise", "the"):
        logits = [math.log(count) for count in FOLLOWERS[word].values()]
        left[word] = sampling_filter(logits, top_p=0.8)["kept"]
        assert sampling_filter(logits, top_k=3)["kept"] == 3
    assert left == {"raise": 3, "the": 9}


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"top_p": 0.0}, {"min_p": 1.5}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        sampling_filter([1.0, 2.0], **wrong)
    with pytest.raises(ValueError, match="no logits"):
        sampling_filter([])
    assert SamplingFilter().state()["word"] == "raise"
