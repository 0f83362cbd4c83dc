import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from avloc.media.protocol import Message, pack_path
from avloc.media.supervisor import PACKAGE_ROOT, Limits, Supervisor

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def proc(make):
    owner = Supervisor()
    request = Message("open", {"path": pack_path(make.wav()), "limits": Limits().to_dict(), "raw": None})
    list(owner.exchange(request, path="a.wav", wall_factor=10.0))
    yield Path("/proc") / str(owner.pid)
    owner.close()


def test_the_child_has_little_room(proc):
    limits = {line[:25].strip(): line[25:].split()[:2] for line in (proc / "limits").read_text().splitlines()}
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max open files"] == ["64", "64"]
    for name, largest in (("Max address space", 8 << 30), ("Max file size", 64 << 20)):
        assert int(limits[name][1]) <= largest


def test_the_child_cannot_gain_privileges(proc):
    assert "NoNewPrivs:\t1" in (proc / "status").read_text()


def test_the_child_holds_no_file_of_the_recording_before_it(proc):
    targets = {link.readlink().name for link in (proc / "fd").iterdir()}
    assert "a.wav" not in targets


def test_the_child_does_not_see_proxies_or_python_settings(proc):
    names = {entry.split(b"=")[0] for entry in (proc / "environ").read_bytes().split(b"\0")}
    assert not [n for n in names if n.startswith(b"PYTHON") or n.lower().endswith(b"_proxy")]


def in_sandbox(body: str) -> str:
    """What a process prints that enters the sandbox and then runs ``body``."""
    code = f"""
    import os, socket, sys
    sys.path.insert(0, {str(PACKAGE_ROOT)!r})
    from avloc.media.sandbox import enter_sandbox
    enter_sandbox(die_with_parent_thread=True, parent=os.getppid())
    """
    command = [sys.executable, "-I", "-c", textwrap.dedent(code) + textwrap.dedent(body)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def own_network():
    """Skips where the kernel gives this user no network of its own; asked without the code under test."""
    flags = 0x40000000 if os.geteuid() == 0 else 0x50000000
    code = f"import ctypes; raise SystemExit(-ctypes.CDLL(None).unshare({flags}))"
    if subprocess.run([sys.executable, "-I", "-c", code]).returncode:
        pytest.skip("the kernel refuses a network namespace to this user")


def test_the_child_reaches_no_network(own_network, proc):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        socket.create_connection(address).close()
        assert (
            in_sandbox(f"""
        try:
            socket.create_connection({address!r}, timeout=5.0)
        except OSError as error:
            print("refused")
        """)
            == "refused"
        )
    assert os.readlink(proc / "ns" / "net") != os.readlink("/proc/self/ns/net")


def test_the_child_is_still_killed_with_the_thread_that_started_it():
    told = in_sandbox("""
    import ctypes
    number = ctypes.c_int()
    ctypes.CDLL(None).prctl(2, ctypes.byref(number))  # PR_GET_PDEATHSIG
    print(number.value)
    """)
    assert int(told) == signal.SIGKILL


def test_the_child_still_starts_threads():
    assert (
        in_sandbox("""
    import threading
    thread = threading.Thread(target=print, args=("begun",))
    thread.start()
    thread.join()
    """)
        == "begun"
    )
