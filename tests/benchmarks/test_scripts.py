"""Each benchmark runs in a tiny setting and leaves a record; the helpers do what they say."""

import importlib
import math
import operator
import sys
from pathlib import Path

import pytest
import torch

from utils.data.text import Corpus
from utils.record import recorded_run

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    """Import a module of the folder, as a script there sees its neighbors."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    threads = torch.get_num_threads()
    yield importlib.import_module
    torch.set_num_threads(threads)


def run_main(module, monkeypatch, output: Path, *words: str) -> dict:
    monkeypatch.setattr(sys, "argv", [module.__file__, *words, "--output", str(output)])
    module.main()
    return recorded_run(output)["figures"]


def test_take_turns_runs_all_in_each_round_and_keeps_own_times(script):
    common, calls = script("common"), []
    contenders = {
        "a": lambda: calls.append("a"),
        "b": lambda: calls.append("b") or 2.5,
    }
    times = common.take_turns(contenders, 4, warm_up=1)
    assert len(calls) == 10 and all(set(calls[i : i + 2]) == {"a", "b"} for i in range(0, 10, 2))
    assert times["b"] == [2.5] * 4 and len(times["a"]) == 4 and max(times["a"]) < 1


def test_spread_is_an_interval_of_order_statistics(script):
    common = script("common")
    # Of 9 values the 2nd and the 8th hold the median with 96 %, the 3rd and 7th with 82 %.
    assert common.spread(range(1, 10)) == {"median": 5.0, "low": 2.0, "high": 8.0}
    assert common.spread([3.0, 1.0]) == {"median": 2.0, "low": 1.0, "high": 3.0}
    assert common.ratio([2, 9], [1, 3])["median"] == 2.5


@pytest.mark.parametrize(
    ("value", "bound", "reached"),
    [(2.0, {"at_least": 2}, True), (1.9, {"at_least": 2}, False), (2.1, {"at_most": 2}, False)],
)
def test_against(script, value, bound, reached):
    assert script("common").against(value, **bound) == {"value": value, **bound, "reached": reached}


def test_gate_makes_one_step_a_turn(script):
    common, done = script("common"), []

    def loop(batches):
        for batch in batches:
            done.append(batch)

    ticks = iter(range(100))
    gate = common.Gate(loop, range(10), lambda: next(ticks))
    gate.step()  # up to the first draw
    assert done == []
    assert gate.step() == 1 and done == [0]
    assert gate.step() == 1 and done == [0, 1]
    gate.close()
    assert done == [0, 1] and not gate.thread.is_alive()


def test_gate_reports_a_contender_that_fails_or_ends(script):
    common = script("common")

    def fails(batches):
        raise KeyError("no")

    with pytest.raises(RuntimeError, match="failed") as caught:
        common.Gate(fails, [1], lambda: 0.0).step()
    assert isinstance(caught.value.__cause__, KeyError)
    gate = common.Gate(list, [1], lambda: 0.0)
    gate.step()
    with pytest.raises(RuntimeError, match="ended before"):
        gate.step()


def test_peak_memory_counts_what_the_function_takes(script):
    peak = script("common").peak_memory(operator.mul, b"x", 50_000_000)
    # A little of it may lie in pages that the imports had and gave back.
    assert 47_000_000 <= peak < 80_000_000


def test_tokenizer(script, monkeypatch, tmp_path):
    words = "--rounds 1 --naive-rounds 1 --bytes 5000 --naive-bytes 500 --vocabulary 300"
    module = script("tokenizer")
    figures = run_main(module, monkeypatch, tmp_path / "t.json", *words.split(), "--no-memory")
    assert figures["training_small"]["bytes"] == 500
    assert set(figures["targets"]) == {
        "training_over_naive",
        "training_time_over_hugging_face",
        "encoding_over_hugging_face",
        "encoding_over_tiktoken",
    }


def test_naive_merges_follow_the_rule_for_ties(script):
    module = script("tokenizer")
    text = "zz aa zz aa bb bb abab"
    assert module.naive_merges(text, 262) == module.train_merges([text], 262)


def test_gpt_training(script, monkeypatch, tmp_path):
    module = script("gpt_training")
    monkeypatch.setitem(module.SHAPES, "tiny", module.Shape(1, 2, 16, 8, 2))
    words = "--shapes tiny --rounds 1 --no-compile --no-memory --mixed-steps 2"
    figures = run_main(module, monkeypatch, tmp_path / "g.json", *words.split())
    assert len(figures["contenders"]) >= 6 and len(figures["targets"]) >= 3
    losses = figures["mixed_precision"]["validation_loss"]
    assert all(abs(loss - math.log(128)) < 0.5 for loss in losses.values())


def test_gpt_training_refuses_to_compare_what_computes_something_else(script, monkeypatch):
    module = script("gpt_training")
    shape = module.Shape(1, 2, 16, 8, 2)
    rows = module.contenders(None)
    make, loss, train = rows[module.PLAIN]
    rows[module.PLAIN] = (make, lambda model, batch: loss(model, batch) + 0.01, train)
    with pytest.raises(SystemExit, match="nothing to compare"):
        module.check_equal(rows, shape, torch.device("cpu"))


def test_nanogpt_by_path(script, tmp_path):
    peers = script("gpt_peers")
    path = tmp_path / "model.py"
    with pytest.raises(FileNotFoundError, match=r"model\.py"):
        peers.load_nanogpt(path, peers.SHAPES["tiny"])
    path.write_text(
        "class GPTConfig:\n    def __init__(self, **sizes): self.sizes = sizes\n"
        "def GPT(config): return config.sizes\n",
        encoding="utf-8",
    )
    assert peers.load_nanogpt(path, peers.SHAPES["medium"])["block_size"] == 256


def test_gpt_generation(script, monkeypatch, tmp_path):
    module = script("gpt_generation")
    monkeypatch.setitem(module.SHAPES, "tiny", module.Shape(1, 2, 16, 8, 2))
    words = "--shapes tiny --rounds 1 --tokens 5 --no-memory"
    figures = run_main(module, monkeypatch, tmp_path / "g.json", *words.split())
    assert figures["tiny"]["ours_over_transformers"]["median"] > 0


def test_shakespeare(script, monkeypatch, tmp_path):
    module = script("shakespeare_char")
    text = "To be, or not to be, that is the question.\n" * 20
    corpus = Corpus((text,), (text[:100],), ("a",), ("b",))
    monkeypatch.setattr(module, "tiny_shakespeare", lambda: corpus)
    recipe = module.Recipe(1, 2, 16, 8, 4, steps=30, d_ff=30, lr=0.01, target=9.0, warmup=3)
    monkeypatch.setitem(module.RECIPES, "cpu", recipe)
    figures = run_main(module, monkeypatch, tmp_path / "s.json", "--seeds", "0", "1")
    first, second = figures["runs"]
    assert first["validation_loss"] != second["validation_loss"]
    assert figures["validation_loss"]["mean"] < math.log(first["characters"]["different"])
    assert figures["parameters"]["ours"] <= figures["parameters"]["nanogpt_without_positions"]


def test_shakespeare_models_are_no_larger_than_nanogpt(script):
    module = script("shakespeare_char")
    with torch.device("meta"):
        for recipe in module.RECIPES.values():
            module.make_model(recipe, 65)
            with pytest.raises(ValueError, match="more than nanoGPT's"):
                module.make_model(module.replace(recipe, d_ff=2 * recipe.d_ff), 65)


def test_validation_windows_hold_each_target_once(script):
    module = script("shakespeare_char")
    data = torch.arange(23)
    targets = torch.cat([y.flatten() for _, y in module.validation_windows(data, 5)])
    assert targets.tolist() == list(range(1, 23))
