import os
import sys

import pytest

from avloc.errors import UnreadableMediaError
from avloc.media.protocol import Message, pack_path
from avloc.media.supervisor import PACKAGE_ROOT, Limits, Supervisor


def patched(patch: str) -> Supervisor:
    """A real child in which one thing was replaced."""
    code = f"import sys; sys.path.insert(0, {str(PACKAGE_ROOT)!r})\nfrom avloc.media import worker\n{patch}\n"
    code += f"worker.main(['--parent', '{os.getpid()}'])"
    return Supervisor(command=[sys.executable, "-I", "-c", code])


def ask(owner: Supervisor, path) -> list[Message]:
    request = Message("open", {"path": pack_path(path), "limits": Limits().to_dict(), "raw": None})
    try:
        return list(owner.exchange(request, path=str(path), wall_factor=10.0))
    finally:
        assert owner.pid is not None, "the child must serve the next recording"


@pytest.fixture
def path(make):
    return make.wav()


def test_what_a_library_prints_does_not_reach_the_messages(path):
    patch = """
import os
inspect = worker.inspect_content
def noisy(path):
    os.write(1, b"noise"); print("noise", flush=True); os.write(2, b"noise"); assert os.read(0, 1) == b""
    return inspect(path)
worker.inspect_content = noisy
"""
    owner = patched(patch)
    assert ask(owner, path)[-1].fields["container"] == "wav"
    assert ask(owner, path)[-1].kind == "end"
    owner.close()


@pytest.mark.parametrize(
    ("error", "reason", "message"),
    [
        ("MemoryError()", "out_of_memory", "memory"),
        ("RuntimeError('nobody foresaw this')", "internal_error", "nobody foresaw this"),
        ("worker.Refusal('encrypted', 'locked')", "encrypted", "locked"),
    ],
)
def test_an_exception_is_a_coded_failure_of_this_recording_only(path, error, reason, message):
    owner = patched(f"def fail(path): raise {error}\nworker.inspect_content = fail")
    for _ in range(2):
        with pytest.raises(UnreadableMediaError, match=message) as caught:
            ask(owner, path)
        assert caught.value.reason == reason
    owner.close()


def test_more_memory_than_the_child_may_have_is_a_coded_failure(path):
    owner = patched("worker.inspect_content = lambda path: bytearray(1 << 40)")
    with pytest.raises(UnreadableMediaError) as caught:
        ask(owner, path)
    assert caught.value.reason == "out_of_memory"
    owner.close()


def test_a_codec_that_is_not_known_is_named(make):
    data = bytearray(make.wav().read_bytes())
    data[20:22] = b"\x99\x99"  # the format tag
    path = make.folder / "b.wav"
    path.write_bytes(data)
    owner = Supervisor()
    with pytest.raises(UnreadableMediaError) as caught:
        ask(owner, path)
    assert caught.value.reason == "codec_unsupported"
    owner.close()
