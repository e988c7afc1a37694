"""Generation: against transformers, against no cache, against exact distributions."""

import itertools

import pytest
import torch
import transformers
from scipy.stats import chisquare

from utils.beam_search import beam_search
from utils.generate import generate, generate_text, stream, stream_text
from utils.models.config import TransformerConfig
from utils.models.hf import load_hf, save_hf
from utils.models.transformer import Transformer
from utils.sampling import GREEDY, Sampling, min_p, probabilities, process, top_k, top_p
from utils.speculative import speculative_generate

SIZES = {"vocab_size": 31, "context_length": 64, "d_model": 24, "num_layers": 2, "num_heads": 4}
FAMILIES = ["gpt2", "llama", "mistral", "mixtral", "qwen3"]
PROMPTS = [[3, 1, 4, 1, 5], [9], [2, 6, 5, 3, 5, 8, 9, 7, 9]]


def make(family="gpt2", seed=0, scale=0.3, **more):
    torch.manual_seed(seed)
    more = ({"sliding_window": 6} if family == "mistral" else {}) | more
    more = ({"encoder_layers": 2} if family == "encoder-decoder" else {}) | more
    model = Transformer(TransformerConfig.of(family, **(SIZES | more)))
    for parameter in model.parameters():
        parameter.data.add_(torch.randn_like(parameter), alpha=scale)
    return model.eval()


@pytest.mark.parametrize("family", FAMILIES)
def test_cached_equals_uncached_equals_each_alone(family):
    model = make(family)
    together = generate(model, PROMPTS, 20, sampling=GREEDY)
    assert together == generate(model, PROMPTS, 20, sampling=GREEDY, use_cache=False)
    assert together == [generate(model, [p], 20, sampling=GREEDY)[0] for p in PROMPTS]
    assert len({tuple(row) for row in together}) == 3


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_equals_transformers(family, tmp_path):
    model = make(family)
    save_hf(model, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    for prompt in PROMPTS:
        out = theirs.generate(
            torch.tensor([prompt]), max_new_tokens=20, do_sample=False, use_cache=True,
            eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
        assert generate(model, [prompt], 20, sampling=GREEDY)[0] == out[0, len(prompt) :].tolist()


SAMPLINGS = [
    Sampling(),
    Sampling(temperature=0.6),
    Sampling(top_k=5),
    Sampling(top_p=0.7),
    Sampling(min_p=0.1),
    Sampling(repetition_penalty=1.4),
    Sampling(temperature=1.3, top_k=12, top_p=0.9, min_p=0.05, repetition_penalty=0.8),
    Sampling(top_k=1000, top_p=1.0, min_p=0.0),
    Sampling(top_p=1e-6),
]


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_processors_equal_transformers(sampling):
    p = transformers.generation.logits_process
    logits = torch.randn(7, 31, generator=torch.Generator().manual_seed(0)) * 3
    ids = torch.randint(31, (7, 6), generator=torch.Generator().manual_seed(1))
    chain = [p.RepetitionPenaltyLogitsProcessor(float(sampling.repetition_penalty))]
    chain += [p.TemperatureLogitsWarper(float(sampling.temperature))]
    chain += [p.TopKLogitsWarper(sampling.top_k)] if sampling.top_k else []
    chain += [p.TopPLogitsWarper(sampling.top_p)] if sampling.top_p else []
    chain += [p.MinPLogitsWarper(sampling.min_p)] if sampling.min_p is not None else []
    expected = logits.clone()
    for processor in chain:
        expected = processor(ids, expected)
    seen = torch.zeros(7, 31, dtype=torch.bool).scatter(1, ids, True)
    torch.testing.assert_close(process(logits.clone(), sampling, seen), expected)


def test_processors_keep_what_they_say():
    logits = torch.tensor([[0.5, 0.2, 0.2, 0.1]]).log()
    assert top_k(logits, 1).isfinite().tolist() == [[True, False, False, False]]
    assert top_p(logits, 0.45).isfinite().tolist() == [[True, False, False, False]]
    assert top_p(logits, 0.95).isfinite().all()
    assert min_p(logits, 0.3).isfinite().tolist() == [[True, True, True, False]]
    assert probabilities(logits, GREEDY).tolist() == [[1.0, 0.0, 0.0, 0.0]]


def test_repetition_penalty_leaves_padding_out():
    """Padding is written as token 0, which must not count as seen."""
    model = make(vocab_size=4)
    sampling = Sampling(temperature=0.0, repetition_penalty=50.0)
    prompts = [[1, 2], [1, 2, 3, 1]]
    alone = [generate(model, [p], 6, sampling=sampling)[0] for p in prompts]
    assert generate(model, prompts, 6, sampling=sampling) == alone


def test_sampled_tokens_follow_the_distribution():
    model, prompt = make(scale=0.1), [3, 1, 4]
    sampling = Sampling(temperature=0.8, top_k=6)
    with torch.inference_mode():
        exact = probabilities(model(torch.tensor([prompt]), last_only=True)[:, 0], sampling)[0]
    tokens = torch.tensor(generate(model, [prompt] * 4000, 1, sampling=sampling, seed=0))[:, 0]
    counts = torch.bincount(tokens, minlength=31)
    assert counts[exact == 0].sum() == 0
    allowed = exact > 0
    expected = exact[allowed].double() / exact[allowed].double().sum() * 4000
    assert chisquare(counts[allowed].numpy(), expected.numpy()).pvalue > 0.001


def test_a_seed_makes_it_deterministic():
    model = make(scale=0.1)
    first = generate(model, PROMPTS, 15, seed=5)
    torch.manual_seed(123)  # the global generator plays no part
    assert first == generate(model, PROMPTS, 15, seed=5)
    assert first != generate(model, PROMPTS, 15, seed=6)


def test_stop_tokens_end_rows_one_by_one():
    model = make()
    free = generate(model, PROMPTS, 20, sampling=GREEDY)
    stop = free[0][4]
    rows = generate(model, PROMPTS, 20, sampling=GREEDY, stop_tokens=[stop])
    for row, whole in zip(rows, free, strict=True):
        expected = whole[: whole.index(stop) + 1] if stop in whole else whole
        assert row == expected
    assert len(rows[0]) <= 5


def test_stream_gives_tokens_as_they_come_and_keeps_the_mode():
    model = make().train()
    steps = stream(model, PROMPTS, 4, sampling=GREEDY)
    first = next(steps)
    assert first.shape == (3,) and model.training
    rest = list(steps)
    assert len(rest) == 3 and model.training
    rows = torch.stack([first, *rest], 1).tolist()
    assert rows == generate(model, PROMPTS, 4, sampling=GREEDY)


class Bytes:
    """A tokenizer of one token a byte."""

    def encode(self, text):
        return list(text.encode())

    def decode(self, ids):
        return bytes(ids).decode(errors="replace")


class Parrot(Transformer):
    """Says a given text, whatever its weights: for what the text functions do with it."""

    def say(self, text):
        self.text, self.at = text.encode(), 0
        return self

    def forward(self, tokens, **_):
        logits = torch.zeros(len(tokens), 1, self.config.vocab_size)
        logits[:, 0, self.text[self.at % len(self.text)]] = 9.0
        self.at += 1
        return logits


def parrot(text):
    return Parrot(TransformerConfig.of("gpt2", **(SIZES | {"vocab_size": 256}))).say(text)


@pytest.mark.parametrize(
    ("said", "stop", "expected"),
    [
        ("one. two. three.", ". t", "one"),
        ("grüße, 世界 \U0001f642!", (), "grüße, 世界 \U0001f642!"),
        ("a\n\nb", ("\n\n", "zz"), "a"),
        ("aab aabc", "abc", "aab a"),
        ("never", "x", "never"),
        ("überall", "ü", ""),
    ],
)
def test_text_and_stop_strings(said, stop, expected):
    count = len(said.encode())
    how = {"sampling": GREEDY, "stop_strings": stop}
    assert generate_text(parrot(said), Bytes(), "p", count, **how) == [expected]
    pieces = list(stream_text(parrot(said), Bytes(), "p", count, **how))
    assert "".join(pieces) == expected
    assert all("\ufffd" not in piece for piece in pieces)
    assert not expected or len(pieces) > 1 or len(expected) == 1


def test_text_ends_soon_after_the_stop_string():
    model = parrot("ab stop more and more")
    generate_text(model, Bytes(), "p", 20, sampling=GREEDY, stop_strings="stop")
    assert model.at == 7


def test_unfinished_bytes_come_at_the_end():
    said = "ok €"
    pieces = list(stream_text(parrot(said), Bytes(), "p", 5, sampling=GREEDY))
    assert "".join(pieces) == generate_text(parrot(said), Bytes(), "p", 5, sampling=GREEDY)[0]
    assert "".join(pieces).endswith("\ufffd")


@torch.inference_mode()
def total(model, prompt, tokens, **given):
    ids = torch.tensor([prompt + tokens])
    logp = model(ids, **given)[0, len(prompt) - 1 : -1].log_softmax(-1)
    return sum(logp[i, t].item() for i, t in enumerate(tokens))


def test_wide_beam_search_is_exact():
    """With more beams than prefixes, beam search is an exhaustive search."""
    model, prompt = make(vocab_size=5, scale=0.2), [1, 2]
    for penalty in (0.0, 1.0):
        beams = beam_search(model, prompt, 3, beams=125, length_penalty=penalty, stop_tokens=[0])
        every = {}
        for n in (1, 2, 3):
            for tokens in itertools.product(range(5), repeat=n):
                whole = n == 3 or tokens[-1] == 0
                if whole and 0 not in tokens[:-1]:
                    every[tokens] = total(model, prompt, list(tokens)) / n**penalty
        best = sorted(every.items(), key=lambda item: -item[1])
        assert len(beams) == len(best) == 1 + 4 + 16 * 5
        for beam, (tokens, score) in zip(beams, best, strict=True):
            assert tuple(beam.tokens) == tokens
            assert beam.score == pytest.approx(score, abs=1e-4)


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("penalty", [0.5, 1.0, 2.0])
def test_beam_search_equals_transformers(width, penalty, tmp_path):
    model = make("llama", scale=0.15)
    save_hf(model, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    for prompt, stop in itertools.product(PROMPTS, (None, 7)):
        out = theirs.generate(
            torch.tensor([prompt]), max_new_tokens=12, do_sample=False, num_beams=width,
            num_return_sequences=width, length_penalty=penalty, early_stopping="never",
            eos_token_id=stop, pad_token_id=0,
        )  # fmt: skip
        beams = beam_search(
            model, prompt, 12, beams=width, length_penalty=penalty,
            stop_tokens=[] if stop is None else [stop],
        )  # fmt: skip
        rows = [row[len(prompt) :].tolist() for row in out]
        if stop is not None:
            rows = [row[: row.index(stop) + 1] if stop in row else row for row in rows]
        if width > 1:
            assert [beam.tokens for beam in beams] == rows
        assert beams[0].score >= beams[-1].score
        for beam in beams:
            score = total(model, prompt, beam.tokens) / len(beam.tokens) ** penalty
            assert beam.score == pytest.approx(score, abs=1e-4)


def test_one_beam_is_greedy():
    model = make()
    (beam,) = beam_search(model, PROMPTS[0], 12, beams=1)
    assert beam.tokens == generate(model, PROMPTS[:1], 12, sampling=GREEDY)[0]


def test_encoder_decoder_generates_from_its_source():
    model = make("encoder-decoder", norm_position="pre")
    source = torch.randint(31, (3, 8), generator=torch.Generator().manual_seed(2))
    mask = torch.tensor([[i < n for i in range(8)] for n in (8, 5, 2)])
    how = {"sampling": GREEDY, "source": source, "source_mask": mask}
    rows = generate(model, [[1]] * 3, 10, **how)
    assert rows == generate(model, [[1]] * 3, 10, use_cache=False, **how)
    for row, n in enumerate((8, 5, 2)):
        alone = {"source": source[row : row + 1, :n]}
        assert generate(model, [[1]], 10, sampling=GREEDY, **alone)[0] == rows[row]
        given = {"source": source[row : row + 1], "source_mask": mask[row : row + 1]}
        beams = beam_search(model, [1], 10, beams=3, **given)
        assert beams[0].score >= total(model, [1], rows[row], **alone) / 10 - 1e-4
        for beam in beams:
            assert beam.score == pytest.approx(
                total(model, [1], beam.tokens, **alone) / 10, abs=1e-4
            )


@pytest.mark.parametrize("family", ["gpt2", "llama", "mistral"])
def test_speculative_greedy_equals_greedy(family):
    model, draft = make(family), make("gpt2", seed=1)
    plain = generate(model, PROMPTS[:1], 20, sampling=GREEDY)[0]
    for lookahead in (1, 3, 8):
        for small in (draft, model):
            out = speculative_generate(
                model, small, PROMPTS[0], 20, lookahead=lookahead, sampling=GREEDY
            )
            assert out.tokens == plain
        assert out.accepted == out.drafted  # the model itself as its draft
        assert out.calls == -(-20 // (lookahead + 1))
    stop = plain[6]
    out = speculative_generate(model, draft, PROMPTS[0], 20, sampling=GREEDY, stop_tokens=[stop])
    assert out.tokens == plain[: plain.index(stop) + 1]


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=0.7, top_k=3)])
def test_speculative_has_the_large_models_distribution(sampling):
    """Chi-square over all continuations of three tokens; the draft alone must fail the test."""
    sizes = {"vocab_size": 4, "d_model": 8, "num_layers": 1, "num_heads": 1}
    model, draft = make(scale=0.25, **sizes), make(seed=3, scale=0.25, **sizes)
    prompt, runs = [1, 3], 1000

    def exact(of):
        every = torch.tensor(list(itertools.product(range(4), repeat=3)))
        with torch.inference_mode():
            logits = of(torch.cat((torch.tensor([prompt]).expand(64, -1), every), 1))[:, 1:-1]
        rows = [
            probabilities(logits[:, i], sampling).gather(1, every[:, i, None]) for i in range(3)
        ]
        return torch.cat(rows, 1).double().prod(1)

    counts, accepted, drafted = torch.zeros(64), 0, 0
    for seed in range(runs):
        out = speculative_generate(
            model, draft, prompt, 3, lookahead=2, sampling=sampling, seed=seed
        )
        a, b, c = out.tokens
        counts[16 * a + 4 * b + c] += 1
        accepted, drafted = accepted + out.accepted, drafted + out.drafted
    assert 0.2 < accepted / drafted < 0.98  # both ways of the algorithm were taken
    expected = exact(model)
    assert pvalue(counts, expected, runs) > 0.001
    assert pvalue(counts, exact(draft), runs) < 1e-6


def pvalue(counts, probability, runs):
    """Chi-square with cells of fewer than 5 expected counts taken together."""
    expected = probability / probability.sum() * runs
    large = expected >= 5
    f_obs = torch.cat((counts[large], counts[~large].sum()[None])).double()
    f_exp = torch.cat((expected[large], expected[~large].sum()[None])).clamp_min(1e-9)
    keep = (f_exp > 1e-6) | (f_obs > 0)
    f_exp = f_exp * (f_obs[keep].sum() / f_exp[keep].sum())
    return chisquare(f_obs[keep].numpy(), f_exp[keep].numpy()).pvalue


BAD = [
    (lambda m: generate(m, [[1], []], 3), "at least one token, got lengths"),
    (lambda m: generate(m, [], 3), "at least one token"),
    (lambda m: generate(m, torch.tensor([1, 2]), 3), r"shape \(batch, tokens\)"),
    (lambda m: generate(m, [[1] * 60], 5), "60 and 5 new tokens exceed the model's 64"),
    (lambda m: generate(m, [[1]], -1), "must not be negative"),
    (lambda m: generate(m, [[31]], 1), "token ids must lie in 0 … 30"),
    (lambda m: generate(make("bert"), [[1]], 3), "cannot continue a text"),
    (lambda m: generate(make("encoder-decoder"), [[1]], 3), "give source"),
    (lambda m: generate_text(m, Bytes(), "a", 3, stop_strings=""), "empty stop string"),
    (lambda m: Sampling(temperature=-1.0), "temperature must be at least 0"),
    (lambda m: Sampling(top_k=0), "top_k must be at least 1"),
    (lambda m: Sampling(top_p=0.0), r"top_p must be in \(0, 1\]"),
    (lambda m: Sampling(min_p=2.0), r"min_p must be in \[0, 1\]"),
    (lambda m: Sampling(repetition_penalty=0.0), "must be above 0"),
    (lambda m: beam_search(m, [1], 3, beams=0), "needs a beam"),
    (lambda m: beam_search(m, [1] * 64, 3), "context overflow"),
    (lambda m: beam_search(make("encoder-decoder"), [1], 3), "needs one source"),
    (lambda m: speculative_generate(m, make(vocab_size=9), [1], 3), "same vocabulary"),
    (lambda m: speculative_generate(m, m, [], 3), "prompt not empty"),
    (
        lambda m: speculative_generate(m, m, [1], 3, sampling=Sampling(repetition_penalty=2.0)),
        "without a repetition penalty",
    ),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_wrong_use(call, message):
    with pytest.raises(ValueError, match=message):
        call(make())


def test_no_new_tokens():
    assert generate(make(), PROMPTS, 0) == [[], [], []]


def test_loaded_model_generates(tmp_path):
    model = make("qwen2")
    save_hf(model, tmp_path)
    assert generate(load_hf(tmp_path), PROMPTS, 5, seed=0) == generate(model, PROMPTS, 5, seed=0)
