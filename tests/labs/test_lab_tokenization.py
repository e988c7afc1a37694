"""The lab `tokenization`: right answers in any style pass, wrong ones are told apart."""

from collections import Counter

import pytest
from answers_tokenization import OTHER_STYLES, RIGHT, SLOW, WRONG
from lab_support import assert_lab_scores, refusals, reports

from utils.check import tokenization as checks
from utils.check import tokenization_reference as ref
from utils.check.core import lab, task_rng, variant_seed
from utils.check.local import LocalLearner
from utils.check.probes_tokenization import invented_text
from utils.check.trial import Trial
from utils.tokenizer.training import merges_of_counts

LAB = lab("tokenization")


@pytest.mark.parametrize("task", LAB.ids())
def test_right_answers_pass(task):
    assert len(OTHER_STYLES[task]) >= 1
    for other in [{}, *OTHER_STYLES[task]]:
        for seed in range(1 if task == "fast" else 4):
            report = reports("tokenization", RIGHT | other, task, seed)
            assert report.passed, f"{other}\n{report}"


@pytest.mark.parametrize(("task", "name", "wrong"), WRONG, ids=[name for _, name, _ in WRONG])
def test_wrong_answers_are_named(task, name, wrong):
    found = refusals("tokenization", RIGHT, task, {slug: {name: f} for slug, f in wrong.items()})
    assert found == {slug: slug for slug in wrong}


@pytest.mark.parametrize("slug", SLOW)
def test_slow_and_greedy_trainings_are_named(slug):
    wrong = {slug: {"train_fast": SLOW[slug]}}
    found = refusals("tokenization", RIGHT, "fast", wrong, seeds=[0], limit=LAB["fast"].seconds)
    # How slow decides between two names, and on a busy machine a single time may tip it.
    names = {slug} if slug == "memory" else {"recounts", "too-slow"}
    assert found[slug] in names


def test_every_check_tells_five_wrong_answers_apart():
    counts = Counter()
    for task, _, wrong in WRONG:
        counts[task] += len(wrong)
    assert set(counts) == set(LAB.ids()) and min(counts.values()) >= 5


# --- variants -------------------------------------------------------------------------------
def own_report(numbers, learner_id):
    learner = LocalLearner({"my_numbers": lambda: numbers})
    return LAB["own_text"].check(learner, task_rng("own_text", 0), variant_seed(learner_id))


def test_a_learner_has_numbers_of_their_own():
    ids = [f"learner-{i}" for i in range(20)]
    numbers = [ref.numbers(variant_seed(learner)) for learner in ids]
    assert len({tuple(n.values()) for n in numbers}) == len(ids)
    assert own_report(numbers[0], ids[0]).passed
    assert not own_report(numbers[0], ids[1]).passed
    public = own_report(ref.numbers(0), ids[0])  # the solution that everybody can read
    assert public.mistake == "another-id" and str(numbers[0]["tokens"]) not in str(public)


def test_a_text_is_the_same_for_the_same_seed():
    assert invented_text(7) == invented_text(7) != invented_text(8)
    with pytest.raises(TypeError, match="type numbers"):
        invented_text(object())


# --- the references -------------------------------------------------------------------------
def test_the_reference_trains_as_plain_counting_and_as_the_course_does():
    trial = Trial(LAB["train"], None, task_rng("train", 3))
    for letters in ("ab", "ab中é", "abcdefgh"):
        counts = checks._counts(trial, letters, 60)
        assert ref.train(counts, 40) == ref.train_plainly(counts, 40)
    counts = {"ab": 9, "abc": 7, "bcd": 5, "cab": 2}  # no ties among the first merges
    table = ref.token_bytes(ref.train(counts, 3))
    assert [a + b for a, b in merges_of_counts(counts, 259)] == table[256:]


def test_scores():
    assert_lab_scores("tokenization", full=23)
