"""Downloads against a server on this machine that misbehaves in every way we know of."""

import errno
import gzip
import hashlib
import http.server
import multiprocessing
import os
import shutil
import socket
import threading
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from utils.data import download
from utils.data.download import DataUnavailable, data_folder, fetch
from utils.data.registry import FILES, Remote

CONTENT = np.random.default_rng(0).bytes(300_000)


class Server(http.server.ThreadingHTTPServer):
    """Serves ``files`` by path, and keeps the requests; what goes wrong is set by the test."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"/good.bin": CONTENT}
        self.requests = []  # (path, Range header or None)
        self.cuts = []  # after how many bytes to cut the next responses
        self.ranges = True

    def handle_error(self, request, client_address):
        pass  # we hang up on files that are too long

    def url(self, name="good.bin"):
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.requests.append((self.path, wanted))
        if self.path not in server.files:
            self.send_error(404)
            return
        content, start = server.files[self.path], 0
        if wanted and server.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        body = content[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.cuts.pop(0)] if server.cuts else body)
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def remote(*urls, content=CONTENT):
    return Remote("set/good.bin", len(content), hashlib.sha256(content).hexdigest(), urls, "none")


def get(what, folder):
    return fetch(what, folder=folder, progress=False)


def names(folder):
    return sorted(path.name for path in (folder / "set").iterdir() if path.suffix != ".lock")


def test_fetched_once_then_kept(server, tmp_path):
    file = remote(server.url())
    path = get(file, tmp_path)
    assert path == tmp_path / "set" / "good.bin"
    assert path.read_bytes() == CONTENT
    assert get(file, tmp_path) == path
    assert len(server.requests) == 1
    assert names(tmp_path) == ["good.bin"]


def test_cut_connection_goes_on_where_it_stopped(server, tmp_path):
    server.cuts = [100_000, 50_000]
    assert get(remote(server.url()), tmp_path).read_bytes() == CONTENT
    asked = [wanted for _, wanted in server.requests]
    assert asked == [None, "bytes=100000-", "bytes=150000-"]


def test_a_later_call_goes_on_from_the_piece(server, tmp_path):
    server.cuts = [120_000, 0]
    with pytest.raises(DataUnavailable, match="ended 180000 bytes early"):
        get(remote(server.url()), tmp_path)
    assert names(tmp_path) == ["good.bin.part"]
    assert get(remote(server.url()), tmp_path).read_bytes() == CONTENT
    assert server.requests[-1][1] == "bytes=120000-"


def test_cut_and_a_server_without_ranges(server, tmp_path):
    server.cuts, server.ranges = [100_000], False
    assert get(remote(server.url()), tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 2  # the second answer replaced the piece


def test_the_next_mirror_goes_on_from_what_the_first_brought(server, tmp_path):
    server.files["/mirror.bin"] = CONTENT
    server.cuts = [100_000, 0]
    got = get(remote(server.url(), server.url("mirror.bin")), tmp_path)
    assert got.read_bytes() == CONTENT
    assert server.requests[-1] == ("/mirror.bin", "bytes=100000-")


def test_missing_at_the_first_mirror(server, tmp_path):
    got = get(remote(server.url("gone.bin"), server.url()), tmp_path)
    assert got.read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["/gone.bin", "/good.bin"]


def test_wrong_content_is_refused_and_removed(server, tmp_path):
    server.files["/bad.bin"] = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    with pytest.raises(DataUnavailable, match="300000 bytes that do not have the expected sha256"):
        get(remote(server.url("bad.bin")), tmp_path)
    assert names(tmp_path) == []
    got = get(remote(server.url("bad.bin"), server.url()), tmp_path)
    assert got.read_bytes() == CONTENT


def test_too_long_a_file_is_refused_before_it_fills_the_disk(server, tmp_path):
    server.files["/long.bin"] = CONTENT * 20
    with pytest.raises(DataUnavailable, match="300001 bytes that do not"):
        get(remote(server.url("long.bin")), tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("size", [1000, len(CONTENT), len(CONTENT) + 5])
def test_a_piece_of_something_else_is_started_anew(server, tmp_path, size):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "good.bin.part").write_bytes(b"x" * size)
    assert get(remote(server.url()), tmp_path).read_bytes() == CONTENT
    assert names(tmp_path) == ["good.bin"]


def test_a_piece_longer_than_what_the_server_has(server, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "good.bin.part").write_bytes(b"x" * 2000)
    server.files["/short.bin"] = CONTENT[:1000]
    file = remote(server.url("short.bin"), server.url())
    assert get(file, tmp_path).read_bytes() == CONTENT


def test_damaged_cache_is_set_aside_and_fetched_again(server, tmp_path):
    path = get(remote(server.url()), tmp_path)
    path.write_bytes(b"my own notes")
    assert get(remote(server.url()), tmp_path).read_bytes() == CONTENT
    assert (tmp_path / "set" / "good.bin.damaged").read_bytes() == b"my own notes"


def test_a_good_file_in_a_read_only_folder_is_only_read(tmp_path):
    path = tmp_path / "set" / "good.bin"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    path.parent.chmod(0o500)
    try:
        assert get(remote(), tmp_path) == path
        assert names(tmp_path) == ["good.bin"]
        assert not (tmp_path / "set" / "good.bin.lock").exists()
    finally:
        path.parent.chmod(0o700)


def test_offline_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as closed:  # a port that nobody listens at
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/good.bin"
    file = remote(url)
    with pytest.raises(DataUnavailable) as caught:
        get(file, tmp_path)
    message = str(caught.value)
    for part in (url, "refused", file.sha256, str(tmp_path / "set" / "good.bin"), "LMM_DATA"):
        assert part in message
    assert isinstance(caught.value, FileNotFoundError)


def test_by_hand_as_the_error_says(tmp_path):
    with pytest.raises(DataUnavailable, match="no address is known"):
        get(remote(), tmp_path)
    (tmp_path / "set" / "good.bin").write_bytes(CONTENT)
    assert get(remote(), tmp_path).read_bytes() == CONTENT


def test_full_disk_before_the_first_byte(server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(10, 10, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match=r"cannot write .*good\.bin\.part.*LMM_DATA") as caught:
        get(remote(server.url()), tmp_path)
    assert caught.value.errno == errno.ENOSPC
    assert names(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device /dev/full")
def test_full_disk_while_writing_leaves_the_rest_of_the_cache(server, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "other.bin").write_bytes(b"other")
    (tmp_path / "set" / "good.bin.part").symlink_to("/dev/full")  # every write: no space left
    with pytest.raises(OSError, match="Free some space") as caught:
        get(remote(server.url()), tmp_path)
    assert caught.value.errno == errno.ENOSPC
    assert not isinstance(caught.value, DataUnavailable)
    assert not (tmp_path / "set" / "good.bin").exists()
    assert (tmp_path / "set" / "other.bin").read_bytes() == b"other"


def test_full_disk_keeps_what_was_fetched(server, tmp_path, monkeypatch):
    def copy_half(response, file, expected, bar):
        file.write(response.read(140_000))
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(download, "_copy", copy_half)
        with pytest.raises(OSError, match="what was fetched so far is kept"):
            get(remote(server.url()), tmp_path)
    assert get(remote(server.url()), tmp_path).read_bytes() == CONTENT
    assert server.requests[-1][1] == "bytes=140000-"


def _fetch_in_child(file, folder, ready, results):
    ready.wait()
    results.put(fetch(file, folder=folder, progress=False).read_bytes() == CONTENT)


def test_two_processes_at_once_fetch_once(server, tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, results = context.Barrier(2), context.Queue()
    arguments = (remote(server.url()), tmp_path, ready, results)
    children = [context.Process(target=_fetch_in_child, args=arguments) for _ in range(2)]
    for child in children:
        child.start()
    assert [results.get(timeout=120) for _ in children] == [True, True]
    for child in children:
        child.join()
    assert len(server.requests) == 1
    assert names(tmp_path) == ["good.bin"]


def test_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("LMM_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    monkeypatch.setenv("LMM_DATA", "~/sets")
    assert data_folder() == Path.home() / "sets"
    monkeypatch.delenv("LMM_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert data_folder().name == "large-models-measured"


def test_unknown_name():
    with pytest.raises(ValueError, match=r"no data file 'mnist'; known: .*mnist/train-images"):
        fetch("mnist")


def test_registry_is_well_formed():
    assert len(FILES) == 10
    for path, file in FILES.items():
        assert path == file.path
        assert not os.path.isabs(path) and ".." not in path
        assert len(file.sha256) == 64 and int(file.sha256, 16) > 0
        assert file.size > 0 and file.terms
        assert file.urls and all(url.startswith("https://") for url in file.urls)
    assert len({file.sha256 for file in FILES.values()}) == len(FILES)


@pytest.mark.parametrize("path", sorted(FILES))
def test_real_file_has_the_registered_checksum(path):
    if not os.environ.get("LMM_DATA") or not (data_folder() / path).exists():
        pytest.skip(f"LMM_DATA is not set to a folder that holds {path}")
    assert fetch(path) == data_folder() / path


def test_truncated_gzip_is_never_taken(server, tmp_path):
    whole = gzip.compress(CONTENT)
    server.files["/good.bin"] = whole[:-100]
    with pytest.raises(DataUnavailable, match=f"shorter than the {len(whole)} bytes expected"):
        get(remote(server.url(), content=whole), tmp_path)
    assert names(tmp_path) == []
    assert len(server.requests) == 4  # not again and again
