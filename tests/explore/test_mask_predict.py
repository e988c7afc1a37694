"""The explorable of masking: JavaScript, Python and the tables of the grammar agree."""

import math
import random

import pytest
import torch

from utils.data.sentences import CODE, LENGTH, conditionals, encode, rules, sentences, text
from utils.explore.mask_predict import SENTENCES, MaskPredict, mask_predict

GRAMMAR = rules()


def cases(count: int = 220) -> list[dict]:
    rng = random.Random(0)
    drawn = []
    for seed in range(count):
        drawn.append(
            {
                "grammar": GRAMMAR,
                "words": text(sentences(1, seed)[0]).split(),
                "hidden": [rng.random() < rng.choice([0.1, 0.5, 0.9]) for _ in range(LENGTH)],
                "place": rng.randrange(LENGTH),
            }
        )
    words = SENTENCES[0].split()
    edges = [[False] * LENGTH, [True] * LENGTH]
    drawn += [
        {"grammar": GRAMMAR, "words": words, "hidden": hidden, "place": place}
        for hidden in edges
        for place in (0, LENGTH - 1)
    ]
    wrong = [*words[:5], "read", *words[6:]]  # what the grammar forbids
    return [*drawn, {"grammar": GRAMMAR, "words": wrong, "hidden": edges[0], "place": 10}]


def test_javascript_computes_what_python_computes(javascript):
    settings = cases()
    for case, result in zip(settings, javascript("mask_predict.js", settings), strict=True):
        expected = mask_predict(**case)
        assert result.keys() == expected.keys()
        for name, value in expected.items():
            assert result[name] == pytest.approx(value, rel=1e-9, abs=1e-14), (case, name)


def test_python_computes_the_exact_conditionals():
    for case in cases()[:-1]:
        tokens = encode(" ".join(case["words"]))[None]
        hidden = torch.tensor([case["hidden"]])
        found, place = mask_predict(**case), case["place"]
        for name, out in (
            ("both", hidden),
            ("left", hidden | (torch.arange(LENGTH) >= place)),
        ):
            exact = conditionals(tokens, out)[0, place]
            for word, share in found[name].items():
                assert share == pytest.approx(exact[CODE[word]].item(), abs=1e-12)
            spread = -(torch.xlogy(exact, exact)).sum().item() / math.log(2)
            assert found[f"{name}_bits"] == pytest.approx(spread, abs=1e-9)


def test_the_answer_to_its_question_holds():
    """The pronoun alone tells more than the left does; hidden verbs change nothing."""
    words = SENTENCES[0].split()

    def hide(*places):
        return mask_predict(GRAMMAR, words, [k in places for k in range(LENGTH)], 1)

    left = hide()["left"]
    assert hide(10)["both"] == pytest.approx(left)
    assert hide(5, 9)["both"] != pytest.approx(left)


def test_box_holds_state_and_no_script():
    bundle = MaskPredict(place=3)._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert 'data-name="MaskPredict"' in data["text/html"] and "<script" not in data["text/html"]


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="expected one of each"):
        mask_predict(GRAMMAR, ["this"], [True], 0)
    with pytest.raises(ValueError, match="expected one of each"):
        mask_predict(GRAMMAR, SENTENCES[0].split(), [False] * 12, 12)
