"""Everything runs with the network cut off: `make test` starts the tests inside `.ci/offline`."""

import os
import platform
import socket
import subprocess
from pathlib import Path

import pytest

OFFLINE = Path(__file__).parents[1] / ".ci" / "offline"


def possible() -> bool:
    if platform.system() != "Linux":
        return False
    return subprocess.run([OFFLINE, "--possible"], check=False).returncode == 0


def test_these_tests_have_no_network():
    if "LMM_OFFLINE" not in os.environ:
        message = "THE NETWORK IS NOT CUT OFF: start the tests with `make test` on Linux"
        pytest.fail(message) if os.environ.get("CI") and possible() else pytest.skip(message)
    assert [name for _, name in socket.if_nameindex()] == ["lo"]


def test_the_wrapper_leaves_the_loopback_alone_and_passes_the_status_on():
    if not possible():
        pytest.skip("this system cannot cut a process off from the network")
    program = (
        "import socket; listener = socket.create_server(('127.0.0.1', 0));"
        "socket.create_connection(listener.getsockname());"
        "print([name for _, name in socket.if_nameindex()]); raise SystemExit(3)"
    )
    done = subprocess.run(
        [OFFLINE, "python3", "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (3, "['lo']"), done.stderr
