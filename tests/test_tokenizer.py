"""The tokenizer against Hugging Face tokenizers, tiktoken and `regex`."""

import json
import os
import random
import re
import unicodedata

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import pytest
import regex
import tiktoken
import tokenizers
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers, trainers

from utils.data.download import data_folder
from utils.tokenizer import Tokenizer, merge_steps, pretokenize, text_costs
from utils.tokenizer.training import train_merges

GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
END = "<|endoftext|>"
SAMPLES = {
    "English": "It's the reader's turn: don't skip what they've written, we'll see.  I'M, you'D.",
    "German": "Größere Straßen führen über Brücken — für 3,50 € je Fuß.",
    "Chinese": "大型语言模型是怎样训练的?词元不是字,一个字可以是几个词元。",
    "Japanese": "言葉をトークンに分ける。カタカナ、ひらがな、漢字。",
    "Korean": "말을 토큰으로 나눈다. 한글은 음절로 쓴다.",
    "Arabic": "النموذج اللغوي يقرأ النص من اليمين إلى اليسار ١٢٣",
    "Hindi": "भाषा मॉडल पाठ को टुकड़ों में बाँटता है। ४५६",
    "Russian": "Языковая модель предсказывает следующее слово.",
    "Greek": "Το μοντέλο προβλέπει την επόμενη λέξη.",
    "Thai": "แบบจำลองภาษาทำนายคำถัดไป",
    "Hebrew": "מודל שפה מנבא את המילה הבאה",
    "code": "def f(x: int) -> int:\n\treturn x**2  # square\n\n\n    if x != 0x1F:\r\n        y\n",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 e\u0301 🇫🇷 \U0001f9ff",
    "numbers": "3.14159 1e-5 ½ Ⅷ ² ٣ 𝟙𝟚 10⁻³ 1,000,000",
    "spaces": " \u00a0\u3000 a\u2003b\x1c\x1d c\x85d\u2028 e  \t\n\n f   ",
}
TRAINING_TEXT = [text for _ in range(3) for text in SAMPLES.values()] + [
    "the cat sat on the mat and the cat's hat, that the bat had had " * 5
]

any_text = st.text(st.characters(max_codepoint=0x10FFFF, exclude_categories=("Cs",)))
mixed_text = st.lists(
    st.one_of(
        any_text,
        st.text("abeht' \n\t1.é中\u0300😀𝟙\x1c\u00a0"),
        st.sampled_from([*SAMPLES.values(), "'s", "'ll", "  ", "\r\n", END]),
    ),
    max_size=6,
).map("".join)


def hf_train(texts, vocab_size, special_tokens=(), min_frequency=0):
    reference = tokenizers.Tokenizer(models.BPE())
    reference.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    reference.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=list(special_tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    reference.train_from_iterator(texts, trainer)
    return reference


def hf_merges(reference):
    back = {symbol: byte for byte, symbol in pretokenize.byte_to_symbol().items()}
    merges = json.loads(reference.to_str())["model"]["merges"]
    return [tuple(bytes(map(back.__getitem__, token)) for token in pair) for pair in merges]


def as_tiktoken(tokenizer):
    return tiktoken.Encoding(
        "test",
        pat_str=GPT2_PATTERN,
        mergeable_ranks=tokenizer.vocabulary,
        special_tokens=tokenizer.special_tokens,
    )


@pytest.fixture(scope="module")
def trained():
    return Tokenizer.train(TRAINING_TEXT, 700, special_tokens=[END])


@pytest.fixture(scope="module")
def hf(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    trained.save(path)
    return tokenizers.Tokenizer.from_file(str(path))


@pytest.fixture(scope="module")
def tik(trained):
    return as_tiktoken(trained)


@pytest.fixture(scope="module")
def gpt2():
    folder = data_folder() / "gpt2_bpe"
    if not (folder / "encoder.json").is_file() or not (folder / "vocab.bpe").is_file():
        pytest.skip(f"GPT-2's encoder.json and vocab.bpe are not in {folder} (set LMM_DATA)")
    return Tokenizer.from_gpt2()


@pytest.fixture(scope="module")
def gpt2_references(gpt2):
    folder = data_folder() / "gpt2_bpe"
    ids = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    lines = (folder / "vocab.bpe").read_text(encoding="utf-8").splitlines()[1:]
    reference = tokenizers.Tokenizer(models.BPE(ids, [tuple(line.split()) for line in lines]))
    reference.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return reference, as_tiktoken(gpt2)


# Pre-tokenization


def white_space():
    """Unicode's property White_Space, as `regex` has it."""
    return {code for code in range(0x110000) if regex.match(r"\p{White_Space}", chr(code))}


def test_character_classes_of_all_code_points_are_those_of_unicode_16():
    codes = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    everything = "".join(map(chr, codes))
    single_bytes = {bytes([byte]): byte for byte in range(256)}
    for kind, property_ in (("L", r"\p{L}"), ("N", r"\p{N}")):
        ours = set(re.findall(f"[{pretokenize._ranges(kind, 0x10FFFF)}]", everything))
        splitter = tiktoken.Encoding(
            kind, pat_str=property_, mergeable_ranks=single_bytes, special_tokens={}
        )
        theirs = splitter.decode(splitter.encode_ordinary(everything))
        assert ours == set(theirs)
        known = {c for c in everything if unicodedata.category(c)[0] == kind}
        assert known <= ours
        newer = set(regex.findall(property_, everything))  # may know a later Unicode
        assert ours <= newer and len(ours) > 1_800
        assert {c for c in newer if unicodedata.category(c) != "Cn"} <= ours
    assert set(re.findall(f"[{pretokenize._SPACE}]", everything)) == set(map(chr, white_space()))


@pytest.mark.parametrize("last", [0x7F, 0xFFFF, 0x10FFFF])
def test_the_three_patterns_agree_where_they_overlap(last):
    patterns = [pretokenize._wide_pattern(0xFFFF), pretokenize._wide_pattern(0x10FFFF)]
    generator = random.Random(last)
    for _ in range(300):
        text = "".join(chr(generator.randrange(128)) for _ in range(40))
        if last > 0x7F:
            text += "".join(chr(generator.randrange(0xD800)) for _ in range(10)) + " " + text
        expected = patterns[1].findall(text)
        assert patterns[0].findall(text) == expected == pretokenize.split(text)


@given(mixed_text)
@example("a\x1cb \x1f! \u0085x\u00a0 y")
@example("'s 's's '' 'll'LL  'x")
def test_chunks_are_those_of_the_published_pattern(text):
    known = "".join(c for c in text if unicodedata.category(c) != "Cn")  # as old as `re` knows
    expected = regex.findall(
        GPT2_PATTERN.replace(r"\s", r"\p{White_Space}").replace(r"\S", r"\P{White_Space}"), known
    )
    assert pretokenize.split(known) == expected
    assert "".join(pretokenize.split(text)) == text


@pytest.mark.parametrize("filler", ["x", " ", "x \n", "é中 !", "a  \n\n b\x1c ", "\u3000\n"])
def test_long_texts_are_cut_into_blocks_at_ends_of_chunks(filler, monkeypatch):
    text = "".join(random.Random(1).choices([*filler, "'s", " the", "\n", "  "], k=4000))
    whole = pretokenize.split(text)
    for size in (1, 7, 100):
        monkeypatch.setattr(pretokenize, "BLOCK_SIZE", size)
        blocks = list(pretokenize.split_blocks(text))
        assert [chunk for block in blocks for chunk in block] == whole
        assert len(blocks) > 10


def test_byte_map_is_gpt2s():
    symbols = pretokenize.byte_to_symbol()
    assert set(symbols.values()) == set(pre_tokenizers.ByteLevel.alphabet())
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    for code in [*range(0x250), 0x4E2D, 0x1F600]:
        [(expected, _)] = splitter.pre_tokenize_str(chr(code))
        assert "".join(map(symbols.__getitem__, chr(code).encode())) == expected
    order = pretokenize.byte_order()
    assert sorted(order) == list(range(256))
    assert (order[0], order[188], order[220], order[255]) == (ord("!"), 0, ord(" "), 0xAD)


# Training


def test_training_gives_hugging_faces_merges_and_ids(trained):
    reference = hf_train(TRAINING_TEXT, 700, [END])
    assert trained.merges == hf_merges(reference) and len(trained.merges) > 300
    symbols = pretokenize.byte_to_symbol()
    ours = {"".join(map(symbols.__getitem__, t)): i for t, i in trained.vocabulary.items()}
    assert ours | trained.special_tokens == reference.get_vocab()


@settings(max_examples=60)
@given(
    st.lists(st.text("ab c"), min_size=1, max_size=8),
    st.integers(256, 300),
    st.integers(0, 3),
    st.integers(0, 10_000),
)
def test_merges_equal_hugging_faces_on_texts_full_of_ties(texts, vocab_size, least, seed):
    generator = random.Random(seed)
    texts += ["".join(generator.choices("aab ", k=60)) for _ in range(4)]
    reference = hf_train(texts, vocab_size, min_frequency=least)
    assert train_merges(texts, vocab_size, min_frequency=least) == hf_merges(reference)


def test_ties_go_to_the_smallest_pair_of_ids():
    # "ba", "ab" and " x" twice each. 'a' (id 64) comes before 'b'; the space has id 220.
    assert train_merges(["ab ab"], 257) == [(b"a", b"b")]
    assert train_merges(["ba", "ab"], 257) == [(b"a", b"b")]
    assert train_merges(["zy", "yz", "éa"], 257) == [(b"y", b"z")]


def test_training_stops_when_no_pair_is_left_or_frequent_enough():
    assert len(train_merges(["abc"], 1000)) == 2
    assert train_merges(["abc abd"], 1000, min_frequency=2) == [(b"a", b"b")]
    assert train_merges([], 300) == [] and train_merges(["", "a"], 300) == []


def test_merged_pairs_that_overlap_are_counted_right():
    texts = ["aaaaaaa aaaa aaa aaaaaaaaa", "abababab babab"] * 3
    assert train_merges(texts, 275) == hf_merges(hf_train(texts, 275))


@pytest.mark.parametrize(
    ("arguments", "error", "phrase"),
    [
        ((["a"], 255), ValueError, "at least 256"),
        (("one text", 300), TypeError, "got one string"),
        (([b"bytes"], 300), TypeError, "got bytes"),
    ],
)
def test_training_refuses_wrong_input(arguments, error, phrase):
    with pytest.raises(error, match=phrase):
        Tokenizer.train(*arguments)


def test_training_refuses_bad_special_tokens():
    with pytest.raises(ValueError, match="must differ"):
        Tokenizer.train(["a"], 300, special_tokens=["<x>", "<x>"])
    with pytest.raises(ValueError, match=r"258 \(256 bytes and 2 special"):
        Tokenizer.train(["a"], 257, special_tokens=["<x>", "<y>"])
    with pytest.raises(ValueError, match="ordinary token as well"):
        Tokenizer.train(["the the the"], 300, special_tokens=["the"])


# Encoding and decoding


@pytest.mark.parametrize("name", SAMPLES)
def test_scripts_code_and_emoji_equal_both_references(name, trained, hf, tik):
    text = SAMPLES[name]
    ids = trained.encode(text)
    assert ids == hf.encode(text).ids == tik.encode_ordinary(text)
    assert trained.decode(ids) == text


@settings(max_examples=300)
@given(mixed_text)
def test_any_text_equals_both_references_and_comes_back(trained, hf, tik, text):
    ids = trained.encode(text, allowed_special="all")
    assert ids == hf.encode(text).ids == tik.encode(text, allowed_special="all")
    assert trained.decode(ids) == text
    plain = trained.encode_ordinary(text)
    assert plain == tik.encode_ordinary(text)
    assert trained.decode(plain) == text


@given(st.text(st.characters(categories=["Cs", "L", "Zs"]) | st.sampled_from("\ud83d\ude00")))
@example("\ud83d\ude00 and \ud83d alone \ude00")
def test_surrogates_are_encoded_as_tiktoken_does(trained, tik, text):
    ids = trained.encode(text)
    assert ids == tik.encode_ordinary(text)
    assert trained.decode(ids) == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@settings(max_examples=60)
@given(st.integers(0, 100_000), st.sampled_from(["ab", "the ", "aehst", "天地人"]))
def test_long_chunks_are_merged_like_short_ones(trained, seed, alphabet):
    generator = random.Random(seed)
    word = "".join(generator.choices(alphabet.strip(), k=generator.randrange(2, 200)))
    table = trained._chunk_tokens
    start = table.merge_stages(word)[0]
    assert table.merge_short(start) == table.merge_long(start) == table.merge_stages(word)[-1]


def test_a_very_long_chunk_takes_no_quadratic_time_and_equals_tiktoken(trained, tik):
    generator = random.Random(0)
    for text in ("a" * 100_000, "".join(generator.choices("aehst", k=50_000))):
        ids = trained.encode(text)  # the quadratic way takes minutes
        assert trained.decode(ids) == text
        assert ids[:100] == tik.encode_ordinary(text[:2000])[:100]


def test_a_vocabulary_whose_merges_are_out_of_order_is_encoded_as_hugging_face_does():
    letters = "abc"
    generator = random.Random(3)
    symbols = [*pretokenize.byte_to_symbol().values()]
    tokens = [x + y for x in letters for y in letters]
    tokens += [x + y + z for x in letters for y in letters for z in letters]
    for _ in range(20):
        merges = [(t[:cut], t[cut:]) for t in tokens for cut in range(1, len(t))]
        generator.shuffle(merges)
        merges = merges[:25]
        vocab = {s: i for i, s in enumerate([*symbols, *tokens])}
        reference = tokenizers.Tokenizer(models.BPE(vocab, merges))
        reference.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        back = {s: bytes([b]) for b, s in pretokenize.byte_to_symbol().items()}
        ours = Tokenizer(
            {back.get(t, t.encode()): i for t, i in vocab.items()},
            [(x.encode(), y.encode()) for x, y in merges],
        )
        for length in (3, 10, 50, 150):
            text = "".join(generator.choices(letters, k=length))
            assert ours.encode(text) == reference.encode(text).ids


def test_results_do_not_depend_on_the_cache(trained, monkeypatch):
    texts = list(SAMPLES.values())
    first = trained.encode_batch(texts)
    trained.clear_cache()
    monkeypatch.setattr("utils.tokenizer.merging.CACHE_SIZE", 3)
    assert trained.encode_batch(texts) == first == [trained.encode(text) for text in texts]
    assert 0 < len(trained._chunk_tokens) <= 3


def test_encode_to_array_is_encode(trained):
    for text in ("", SAMPLES["code"]):
        ids = trained.encode_to_array(text)
        assert ids.dtype == np.uint32 and ids.tolist() == trained.encode(text)


def test_ids_may_be_any_number_up_to_the_last_code_point():
    bytes_ = {bytes([byte]): 0xD800 + byte for byte in range(256)}  # code points of surrogates
    ours = Tokenizer(bytes_ | {b"ab": 0x10FFFF}, [(b"a", b"b")], {"<x>": 7})
    ids = ours.encode("abc<x>", allowed_special="all")
    assert ids == [0x10FFFF, 0xD800 + ord("c"), 7] and ours.decode(ids) == "abc<x>"
    assert ours.vocab_size == 0x110000


@given(st.lists(st.integers(0, 699), max_size=30))
def test_any_ids_decode_as_in_tiktoken_also_invalid_utf8(trained, tik, ids):
    ids = [id for id in ids if id < trained.vocab_size]
    assert trained.decode_bytes(ids) == tik.decode_bytes(ids)
    assert trained.decode(ids) == tik.decode(ids)
    assert trained.decode(np.array(ids, dtype=int)) == trained.decode(torch.tensor(ids, dtype=int))
    stream = trained.stream_decoder()
    assert "".join(map(stream.push, ids)) + stream.finish() == trained.decode(ids)


def test_decoding_can_be_strict_and_can_skip_special_tokens(trained):
    half = trained.encode_ordinary("é")[:1] if len(trained.encode_ordinary("é")) > 1 else None
    half = half or [trained.vocabulary[b"\xc3"]]
    assert trained.decode(half) == "\ufffd"
    with pytest.raises(UnicodeDecodeError):
        trained.decode(half, errors="strict")
    ids = trained.encode(f"a{END}b", allowed_special="all")
    assert (
        trained.decode(ids) == f"a{END}b" and trained.decode(ids, skip_special_tokens=True) == "ab"
    )
    assert trained.token_bytes(ids[1]) == END.encode()


def test_streaming_holds_back_incomplete_characters(trained):
    stream = trained.stream_decoder()
    ids = [trained.vocabulary[bytes([byte])] for byte in "a😀".encode()]
    assert [stream.push(id) for id in ids] == ["a", "", "", "", "😀"]
    assert stream.push(ids[1]) == "" and stream.finish() == "\ufffd" and stream.finish() == ""
    assert stream.push(ids[0]) == "a"


@pytest.mark.parametrize("bad", [-1, 700, 10**9, 1.5])
def test_unknown_ids_are_refused(trained, bad):
    assert trained.vocab_size <= 700
    for call in (trained.decode, trained.decode_bytes):
        with pytest.raises(ValueError, match=r"not in the vocabulary; ids are integers from 0 to"):
            call([bad])
    with pytest.raises(ValueError, match="not in the vocabulary"):
        trained.token_bytes(bad)


def test_only_strings_are_encoded(trained):
    for bad in (b"bytes", None, ["text"]):
        with pytest.raises(TypeError, match="text must be a string, got"):
            trained.encode(bad)
    with pytest.raises(TypeError, match="use encode"):
        trained.encode_batch("one text")


# Special tokens


@pytest.fixture(scope="module")
def chat():
    specials = ["<|a|>", "<|a|><|b|>", "<|b|>", "[INST]", " xy"]
    return Tokenizer.train(TRAINING_TEXT, 400, special_tokens=specials)


def test_special_tokens_are_refused_unless_the_caller_decides(chat):
    with pytest.raises(
        ValueError, match=r"special token '\[INST\]' at position 3.*allowed_special"
    ):
        chat.encode("hi [INST] there")
    assert chat.encode("[INST]", allowed_special={"[INST]"}) == [chat.special_tokens["[INST]"]]
    plain = chat.encode("[INST]", disallowed_special=())
    assert plain == chat.encode_ordinary("[INST]") and len(plain) > 1
    with pytest.raises(ValueError, match=re.escape("'<|b|>'")):
        chat.encode("[INST]<|b|>", allowed_special=["[INST]"])
    with pytest.raises(ValueError, match="names \\['<no>'\\]; the special tokens"):
        chat.encode("a", allowed_special={"<no>"})
    with pytest.raises(ValueError, match="'all' or a set"):
        chat.encode("a", allowed_special="<|a|>")


def test_the_longest_special_token_wins(chat):
    assert chat.encode("<|a|><|b|>", allowed_special="all") == [chat.special_tokens["<|a|><|b|>"]]
    two = chat.encode("<|a|><|b|>", allowed_special={"<|a|>", "<|b|>"}, disallowed_special=())
    assert two == [chat.special_tokens["<|a|>"], chat.special_tokens["<|b|>"]]


@given(
    st.lists(
        st.sampled_from(["<|a|>", "<|b|>", "[INST]", " xy", "x", "y", "<|", " ", "the", "é"]),
        max_size=12,
    ).map("".join),
    st.sets(st.sampled_from(["<|a|>", "<|b|>", "[INST]", " xy"])),
)
def test_special_tokens_equal_tiktoken(chat, text, allowed):
    without = {t: i for t, i in chat.special_tokens.items() if t != "<|a|><|b|>"}
    ours = Tokenizer(chat.vocabulary, chat.merges, without)
    reference = as_tiktoken(ours)
    expected = reference.encode(text, allowed_special=allowed, disallowed_special=())
    assert ours.encode(text, allowed_special=allowed, disallowed_special=()) == expected
    refused = any(token in text for token in set(without) - allowed)
    if refused:
        with pytest.raises(ValueError, match="special token"):
            ours.encode(text, allowed_special=allowed)
    else:
        assert ours.encode(text, allowed_special=allowed) == expected


# Files


def test_hugging_face_reads_our_file_and_we_read_it_back(chat, tmp_path):
    path = tmp_path / "tokenizer.json"
    chat.save(path)
    reference = tokenizers.Tokenizer.from_file(str(path))
    again = Tokenizer.load(path)
    for text in [*SAMPLES.values(), "<|a|><|b|>[INST] xy the"]:
        ids = chat.encode(text, allowed_special="all")
        assert reference.encode(text).ids == ids == again.encode(text, allowed_special="all")
        assert reference.decode(ids, skip_special_tokens=False) == text
    assert again.merges == chat.merges and again.special_tokens == chat.special_tokens
    assert again.vocabulary == chat.vocabulary


def test_we_read_hugging_faces_file(tmp_path):
    reference = hf_train(TRAINING_TEXT, 500, [END, "<pad>"])
    reference.post_processor = tokenizers.processors.ByteLevel(trim_offsets=False)
    path = tmp_path / "tokenizer.json"
    reference.save(str(path))
    ours = Tokenizer.load(path)
    assert ours.special_tokens == {END: 0, "<pad>": 1}
    for text in SAMPLES.values():
        assert (
            ours.encode(f"{text}{END}", allowed_special="all") == reference.encode(text + END).ids
        )
    # Older files write merges as strings, newer ones as pairs: both are read.
    content = json.loads(path.read_text(encoding="utf-8"))
    merges = content["model"]["merges"]
    assert isinstance(merges[0], list)
    content["model"]["merges"] = [" ".join(pair) for pair in merges]
    path.write_text(json.dumps(content), encoding="utf-8")
    assert Tokenizer.load(path).merges == ours.merges


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        ({"normalizer": {"type": "NFC"}}, 'normalizer = {"type": "NFC"} is not supported'),
        ({"padding": {"strategy": "BatchLongest"}}, "padding = "),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "pre_tokenizer of type 'Whitespace'"),
        ({"pre_tokenizer": None}, "pre_tokenizer of type None"),
        (
            {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}},
            "pre_tokenizer.add_prefix_space must be false",
        ),
        (
            {
                "pre_tokenizer": {
                    "type": "ByteLevel",
                    "add_prefix_space": False,
                    "use_regex": False,
                }
            },
            "pre_tokenizer.use_regex must be true",
        ),
        ({"post_processor": {"type": "TemplateProcessing"}}, "post_processor of type"),
        ({"decoder": {"type": "WordPiece"}}, "decoder of type 'WordPiece'"),
        ({"model.type": "Unigram"}, "model type 'Unigram' is not supported, only 'BPE'"),
        ({"model.dropout": 0.1}, "model.dropout = 0.1"),
        ({"model.byte_fallback": True}, "model.byte_fallback = true"),
        ({"model.ignore_merges": True}, "model.ignore_merges = true"),
        ({"model.end_of_word_suffix": "</w>"}, "model.end_of_word_suffix"),
        ({"model.vocab": {"a": 0}}, "255 are missing"),
        ({"model.merges": ["a b c"]}, "a merge is two tokens"),
        ({"model.merges": ["z qqq"]}, "needs b'qqq', not a token"),
        ({"model.merges": ["中 a"]}, "stands for no byte"),
        ({"added_tokens": [{"id": 0, "content": END, "special": False}]}, "that is not special"),
        (
            {"added_tokens": [{"id": 0, "content": END, "special": True, "lstrip": True}]},
            "with lstrip is not supported",
        ),
        ({"added_tokens": [{"id": 5, "content": END, "special": True}]}, "has the ids 0 and 5"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(trained, tmp_path, change, phrase):
    path = tmp_path / "tokenizer.json"
    trained.save(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    for name, value in change.items():
        *outer, last = name.split(".")
        (content[outer[0]] if outer else content)[last] = value
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(phrase)):
        Tokenizer.load(path)


@pytest.mark.parametrize("content", ["{", "[]", '{"model": {"type": "BPE"}}'])
def test_files_that_are_no_tokenizer_are_refused(tmp_path, content):
    path = tmp_path / "tokenizer.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"tokenizer\.json.*not (JSON|a tokenizer\.json)"):
        Tokenizer.load(path)


def test_a_special_token_that_reads_like_an_ordinary_one_is_not_saved(tmp_path):
    base = Tokenizer.train(["a a a a"], 257)
    ours = Tokenizer(base.vocabulary, base.merges, {"Ġa": 300})
    with pytest.raises(ValueError, match="reads like an ordinary token"):
        ours.save(tmp_path / "tokenizer.json")


@pytest.mark.parametrize(
    ("vocabulary", "merges", "special", "phrase"),
    [
        ({}, [], {}, "256 are missing"),
        ({b"ab": 256}, [(b"a", b"c")], {}, "needs b'ac'"),
        ({b"ab": 256}, [(b"a", b"b")] * 2, {}, "twice"),
        ({b"ab": 5}, [], {}, "5 is given twice"),
        ({}, [], {"<x>": 3}, "3 is given twice"),
        ({b"ab": 0x110000}, [], {}, "ids are from 0"),
        ({b"ab": 256}, [], {"ab": 257}, "ordinary token as well"),
    ],
)
def test_vocabularies_that_do_not_fit_are_refused(vocabulary, merges, special, phrase):
    everything = {bytes([byte]): byte for byte in range(256)} if "missing" not in phrase else {}
    with pytest.raises(ValueError, match=re.escape(phrase)):
        Tokenizer(everything | vocabulary, merges, special)


# GPT-2's own vocabulary


def test_gpt2_vocabulary_has_its_known_ids(gpt2):
    assert gpt2.vocab_size == 50257 and gpt2.special_tokens == {END: 50256}
    assert gpt2.encode("Hello, world!") == [15496, 11, 995, 0]
    assert len(gpt2.merges) == 50_000


@settings(max_examples=300)
@given(mixed_text)
def test_gpt2_encodes_any_text_as_both_references(gpt2, gpt2_references, text):
    reference, tik = gpt2_references
    ids = gpt2.encode_ordinary(text)
    assert ids == reference.encode(text).ids == tik.encode_ordinary(text)
    assert gpt2.decode(ids) == text


@pytest.mark.parametrize("name", SAMPLES)
def test_gpt2_encodes_scripts_code_and_emoji_as_both_references(gpt2, gpt2_references, name):
    text = SAMPLES[name]
    reference, tik = gpt2_references
    assert gpt2.encode(text) == reference.encode(text).ids == tik.encode_ordinary(text)


def test_gpt2_encodes_every_character_as_tiktoken(gpt2, gpt2_references):
    empty = ("Cn", "Co", "Cs")  # unassigned, private, surrogates
    codes = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) not in empty]
    codes += [chr(code) for code in [*range(0, 0xD800, 97), *range(0xE000, 0x110000, 97)]]
    for text in ("".join(codes[:0x3400]), " a".join(codes)):
        ids = gpt2.encode_to_array(text)
        assert ids.tolist() == gpt2_references[1].encode_ordinary(text)
        assert gpt2.decode(ids) == text


def test_gpt2_survives_saving(gpt2, tmp_path):
    path = tmp_path / "tokenizer.json"
    gpt2.save(path)
    reference = tokenizers.Tokenizer.from_file(str(path))
    again = Tokenizer.load(path)
    text = " ".join(SAMPLES.values()) + END
    expected = gpt2.encode(text, allowed_special="all")
    assert expected[-1] == 50256
    assert again.encode(text, allowed_special="all") == expected == reference.encode(text).ids


def test_missing_gpt2_files_say_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"encoder\.json.*LMM_DATA"):
        Tokenizer.from_gpt2(tmp_path)


# Inspection


def test_costs_of_texts(trained):
    costs = {cost.name: cost for cost in text_costs(trained, SAMPLES)}
    assert list(costs) == list(SAMPLES)
    for name, text in SAMPLES.items():
        cost = costs[name]
        assert (cost.characters, cost.bytes) == (len(text), len(text.encode()))
        assert cost.tokens == len(trained.encode(text))
        assert cost.tokens_per_character == cost.tokens / len(text)
        assert cost.bytes_per_token == cost.bytes / cost.tokens
    with pytest.raises(ValueError, match="'nothing' is empty"):
        text_costs(trained, {"nothing": ""})


def test_merge_steps_go_from_bytes_to_tokens_one_merge_at_a_time(trained):
    text = "the cat's hat é"
    chunks = merge_steps(trained, text)
    assert len(chunks) == len(pretokenize.split(text)) == 5
    for stages in chunks:
        assert [len(stage) for stage in stages] == list(
            range(len(stages[0]), len(stages[-1]) - 1, -1)
        )
        assert all(len(token) == 1 for token in stages[0])
        assert len({b"".join(stage) for stage in stages}) == 1
    final = [token for stages in chunks for token in stages[-1]]
    assert final == [trained.token_bytes(id) for id in trained.encode(text)]
