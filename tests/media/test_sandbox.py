import sys
from pathlib import Path

import pytest

from avloc.media.protocol import Message, pack_path
from avloc.media.supervisor import Limits, Supervisor

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def proc(make):
    owner = Supervisor()
    request = Message("open", {"path": pack_path(make.wav()), "limits": Limits().to_dict()})
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
