"""Token shards: what was written comes back; what is damaged, cut or foreign is refused."""

import numpy as np
import pytest

from utils.data.shards import HEAD, ShardError, TokenShards, id_dtype, write_shards

TEXT = np.random.default_rng(0).integers(0, 300, 1000)


def write(folder, vocab_size=300, **more):
    pieces = np.split(TEXT, [0, 7, 250, 251, 800])
    return write_shards(folder, pieces, vocab_size, **({"shard_tokens": 300} | more))


@pytest.mark.parametrize(
    ("size", "dtype"), [(1, "u1"), (256, "u1"), (257, "u2"), (65536, "u2"), (65537, "u4")]
)
def test_smallest_whole_number(size, dtype):
    assert id_dtype(size) == np.dtype(f"<{dtype}")


@pytest.mark.parametrize("size", [0, -1, (1 << 32) + 1])
def test_no_such_vocabulary(size):
    with pytest.raises(ValueError, match="vocab_size must be in 1"):
        id_dtype(size)


@pytest.mark.parametrize("vocab_size", [300, 70_000])
def test_what_was_written_comes_back(tmp_path, vocab_size):
    paths = write(tmp_path, vocab_size)
    assert [path.name for path in paths] == [f"train-0000{i}-of-00004.tokens" for i in range(4)]
    width = 2 if vocab_size == 300 else 4
    assert [path.stat().st_size for path in paths] == [
        HEAD.size + width * n for n in (300, 300, 300, 100)
    ]
    shards = TokenShards(tmp_path)
    assert (len(shards), shards.vocab_size) == (1000, vocab_size)
    assert isinstance(shards.maps[0], np.memmap)
    for a, b in ((0, 1000), (0, 1), (299, 301), (250, 950), (600, 600), (990, 2000), (-5, None)):
        assert np.array_equal(shards[a:b], TEXT[a:b]), (a, b)
        assert shards[a:b].dtype == np.int64
    with pytest.raises(TypeError, match="by slices without a step"):
        shards[3]
    with pytest.raises(TypeError, match="by slices without a step"):
        shards[::2]


def test_one_byte_an_id(tmp_path):
    path = write_shards(tmp_path, [TEXT % 256], 256, name="bytes")[0]
    assert path.stat().st_size == HEAD.size + 1000
    assert np.array_equal(TokenShards(tmp_path, "bytes")[:], TEXT % 256)


def test_names_do_not_mix(tmp_path):
    write(tmp_path)
    write(tmp_path, name="validation-small")
    assert len(TokenShards(tmp_path)) == len(TokenShards(tmp_path, "validation-small")) == 1000
    with pytest.raises(FileNotFoundError, match=r"'test'.*there are train, validation-small"):
        TokenShards(tmp_path, "test")
    with pytest.raises(FileNotFoundError, match="write_shards makes them"):
        TokenShards(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-1], "cut short, 663 bytes where 300 ids take 664"),
        (lambda data: data[: HEAD.size], "cut short"),
        (lambda data: data[:30], "does not begin with the head"),
        (lambda data: b"", "does not begin with the head"),
        (lambda data: data + b"x", "too long"),
        (lambda data: b"X" + data[1:], "does not begin with the head"),
        (lambda data: data[:8] + b"\x03" + data[9:], "head is damaged"),
        (lambda data: data[:16] + b"\xff" * 8 + data[24:], "head is damaged"),
        (lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:], "do not match their checksum"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "do not match their checksum"),
    ],
)
def test_a_bad_file_is_refused_with_its_name_and_reason(tmp_path, damage, message):
    path = write(tmp_path)[1]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ShardError, match=f"train-00001-of-00004.*{message}"):
        TokenShards(tmp_path)


def test_without_verifying_sizes_are_still_checked(tmp_path):
    path = write(tmp_path)[3]
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert len(TokenShards(tmp_path, verify=False)) == 1000
    path.write_bytes(data[:-1])
    with pytest.raises(ShardError, match="cut short"):
        TokenShards(tmp_path, verify=False)


def test_a_missing_shard_and_mixed_sets_are_refused(tmp_path):
    paths = write(tmp_path)
    data = paths[2].read_bytes()
    paths[2].unlink()
    with pytest.raises(ShardError, match=r"lacks 1 of 4 shards: \[2\]"):
        TokenShards(tmp_path)
    (tmp_path / "train-00000-of-00009.tokens").write_bytes(data)
    with pytest.raises(ShardError, match="different sets"):
        TokenShards(tmp_path)


def test_shards_of_different_vocabularies_are_refused(tmp_path):
    paths = write(tmp_path)
    other = write(tmp_path / "other", 400)
    paths[0].write_bytes(other[0].read_bytes())
    with pytest.raises(ShardError, match="different vocabularies"):
        TokenShards(tmp_path)


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([[1, 2], [300]], r"piece 1 has ids 300 … 300, the vocabulary 0 … 299"),
        ([[-1, 2]], "piece 0 has ids -1 … 2"),
        ([[0.5]], "piece 0 must be a sequence of whole numbers, got float64"),
        ([[[1, 2]]], r"got int64 of shape \(1, 2\)"),
        ([5], r"of shape \(\)"),
        (["text"], "encode the text first"),
        ([[], []], "no token ids to write"),
    ],
)
def test_what_cannot_be_written_leaves_nothing_behind(tmp_path, pieces, message):
    with pytest.raises(ValueError, match=message):
        write_shards(tmp_path, pieces, 300, shard_tokens=2)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_writing_leaves_nothing_behind(tmp_path):
    def pieces():
        yield [1, 2, 3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shards(tmp_path, pieces(), 300, shard_tokens=2)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path):
    write(tmp_path)
    with pytest.raises(ValueError, match=r"holds train-00000-of-00004\.tokens already"):
        write(tmp_path)
    with pytest.raises(ValueError, match="shard_tokens must be at least 1"):
        write(tmp_path, name="other", shard_tokens=0)
