import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from avloc.errors import UnreadableMediaError
from avloc.media import decode, supervisor
from avloc.media.decode import Decoder
from avloc.media.probe import open_recording
from avloc.media.protocol import Message, pack_path
from avloc.media.supervisor import GRACE_S, Limits, Supervisor, borrow_supervisor, close_idle
from avloc.pipelines.read_ahead import read_ahead


def open_request(path) -> Message:
    return Message("open", {"path": pack_path(path), "limits": Limits().to_dict(), "raw": None})


def exchange(child: Supervisor, path) -> list[Message]:
    return list(child.exchange(open_request(path), path=str(path), wall_factor=10.0))


@pytest.fixture
def child():
    owner = Supervisor()
    yield owner
    owner.close()


def fake(body: str, grace_s: float = 1.0) -> Supervisor:
    """A supervisor whose child speaks the protocol by hand; ``say`` sends a header."""
    code = """
    import json, os, struct, sys, time
    def say(kind, arrays=(), body=b"", **fields):
        text = json.dumps({"kind": kind, "arrays": list(arrays), **fields}).encode()
        os.write(1, struct.pack("<I", len(text)) + text + body)
    def say_sound(start, **fields):  # a second of 100 samples
        specs = [{"name": "samples", "dtype": "<f4", "shape": [1, 100]}]
        specs.append({"name": "present", "dtype": "|b1", "shape": [100]})
        say("audio", specs, bytes(500), **{"start": start, "media_s": (start + 100) / 100, **fields})
    say("ready")
    """
    command = [sys.executable, "-I", "-c", textwrap.dedent(code) + textwrap.dedent(body)]
    return Supervisor(command=command, grace_s=grace_s)


def reason_of(owner: Supervisor) -> str:
    with pytest.raises(UnreadableMediaError) as caught:
        exchange(owner, "x.wav")
    assert owner.pid is None, "the child must not outlive a broken exchange"
    return caught.value.reason


def test_one_child_serves_many_recordings(make, child):
    exchange(child, make.wav("a.wav"))
    first = child.pid
    assert exchange(child, make.wav("b.wav"))[-1].kind == "end"
    with pytest.raises(UnreadableMediaError, match="text"):
        (make.folder / "c.wav").write_text("no sound\n")
        exchange(child, make.folder / "c.wav")
    assert child.pid == first


def test_a_killed_child_is_a_crash_of_that_recording_and_the_next_one_is_served(make, monkeypatch):
    owner = Supervisor()
    monkeypatch.setattr(supervisor, "_idle", [owner])
    recording = open_recording(make.wav(samples=make.tone(300.0)))  # longer than the pipe holds
    blocks = iter(Decoder(recording))
    next(blocks)
    os.kill(owner.pid, signal.SIGKILL)
    with pytest.raises(UnreadableMediaError, match="SIGKILL") as caught:
        list(blocks)
    assert caught.value.reason == "decoder_crash"
    assert caught.value.path == recording.path
    assert sum(b.samples.shape[1] for b in Decoder(recording)) == 300 * 16000
    close_idle()


def test_a_child_that_dies_between_two_recordings_is_no_failure(make, child):
    path = make.wav()
    exchange(child, path)
    before = child.pid
    os.kill(before, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
    assert exchange(child, path)[-1].kind == "end"
    assert child.pid != before


def test_a_child_that_hangs_is_ended(make):
    began = time.monotonic()
    assert reason_of(fake("time.sleep(60)")) == "decoder_timeout"
    assert time.monotonic() - began < 10.0


def test_a_child_that_hangs_inside_a_message_is_ended():
    assert reason_of(fake(r"os.write(1, b'\x40\x00\x00\x00{'); time.sleep(60)")) == "decoder_timeout"


def test_a_child_that_does_not_take_its_request_is_ended():
    owner = fake("time.sleep(60)")
    request = open_request("x.wav")
    large = Message("open", request.fields, {"points": np.zeros((1 << 21,), np.float32)})
    with pytest.raises(UnreadableMediaError, match="did not take the request in 1 s") as caught:
        list(owner.exchange(large, path="x.wav", wall_factor=10.0))
    assert caught.value.reason == "decoder_timeout" and owner.pid is None


def test_a_child_that_is_alive_but_slower_than_allowed_is_ended():
    owner = fake("while True: time.sleep(0.05); say('heartbeat')", grace_s=1.0)
    assert reason_of(owner) == "decoder_timeout"


def hear(owner: Supervisor) -> list[Message]:
    """Ask for sound at 100 samples a second."""
    fields = {
        "limits": Limits(duration_s=60.0).to_dict(),
        "audio": 0,
        "video": None,
        "picture": "none",
        "frames": (0, None),
        "channels": 1,
    }
    request = Message("decode", {**fields, "crops": [], "sample_rate": 100})
    return list(owner.exchange(request, path="x.wav", wall_factor=10.0))


def test_media_time_buys_waiting_time():
    owner = fake(
        """
        for i in range(30): time.sleep(0.1); say_sound(100 * i)
        counts = ("n_errors", "n_samples", "n_grid_frames", "n_frames", "n_sources", "n_gaps", "drift_ppm")
        counts = dict.fromkeys(counts)
        say("end", warnings=[], notes=[], decode_s=1.0, face_s=0.0, **counts); time.sleep(9)
        """,
        1.0,
    )
    assert [m.kind for m in hear(owner)] == ["audio"] * 30 + ["end"]
    owner.close()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("say_sound(16 * 10**12)", "decoder_crash"),
        ("while True: say_sound(0)", "decoder_crash"),
        ("say_sound(0, media_s=1e300)\nwhile True: time.sleep(0.01); say('heartbeat')", "decoder_crash"),
        ("say('heartbeat', media_s=1e300)", "decoder_crash"),
        ("say('silence')", "decoder_crash"),
        ("say('failure', reason='not_found', message='it is gone')", "decoder_crash"),
        ("say('end')", "decoder_crash"),
        ("for i in range(10**9): say_sound(100 * i)", "limit_reached"),
    ],
)
def test_a_child_that_speaks_well_and_lies_does_not_hold_the_parent(body, reason):
    owner, began = fake(body + "\ntime.sleep(60)", 20.0), time.monotonic()
    with pytest.raises(UnreadableMediaError) as caught:
        hear(owner)
    assert caught.value.reason == reason
    assert owner.pid is None, "the child must not outlive a broken exchange"
    assert time.monotonic() - began < 10.0


def test_a_long_message_of_the_child_is_cut():
    owner = fake("say('failure', reason='truncated', message='x' * 900_000 + chr(0xD800))")
    with pytest.raises(UnreadableMediaError) as caught:
        exchange(owner, "x.wav")
    assert caught.value.reason == "truncated"
    assert len(caught.value.message) <= 4096
    owner.close()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("os.abort()", "SIGABRT"),
        ("os.kill(os.getpid(), 11)", "SIGSEGV"),
        ("os.kill(os.getpid(), 40)", "signal 40"),
        ("sys.stderr.write('no room left'); sys.exit(3)", "code 3: no room left"),
        (r"os.write(1, b'\xff\xff\xff\xff'); time.sleep(60)", "protocol"),
    ],
)
def test_a_child_that_dies_or_talks_nonsense_is_a_crash(body, message):
    with pytest.raises(UnreadableMediaError, match=message) as caught:
        exchange(fake(body, grace_s=20.0), "x.wav")
    assert caught.value.reason == "decoder_crash"


def test_a_child_that_cannot_start_says_why():
    owner = Supervisor(command=[sys.executable, "-I", "-c", "raise SystemExit('numpy is missing')"])
    with pytest.raises(UnreadableMediaError, match="numpy is missing"):
        exchange(owner, "x.wav")


def test_a_recording_left_in_the_middle_does_not_answer_the_next_request(make, monkeypatch):
    owner = Supervisor()
    monkeypatch.setattr(supervisor, "_idle", [owner])
    recording = open_recording(make.wav(samples=make.tone(300.0)))
    with Decoder(recording) as decoder:
        next(iter(decoder))
    assert owner.pid is None
    assert sum(b.samples.shape[1] for b in Decoder(recording)) == 300 * 16000
    close_idle()


def test_a_child_that_is_stuck_is_ended_from_another_thread(make, monkeypatch):
    owner = Supervisor()
    monkeypatch.setattr(supervisor, "_idle", [owner])
    decoder = Decoder(open_recording(make.wav(samples=make.tone(300.0))))
    decoder.kill()  # nothing is at work yet
    blocks = read_ahead(decoder, depth=1, stop=decoder.kill)
    next(blocks)
    os.kill(owner.pid, signal.SIGSTOP)
    begun = time.monotonic()
    blocks.close()
    assert owner.pid is None
    assert time.monotonic() - begun < GRACE_S / 2, "the silence of the child is not waited out"
    assert sum(b.samples.shape[1] for b in Decoder(decoder.recording)) == 300 * 16000
    close_idle()


def test_an_error_in_a_block_does_not_leave_answers_for_the_next_request(make, monkeypatch):
    owner = Supervisor()
    monkeypatch.setattr(supervisor, "_idle", [owner])
    recording = open_recording(make.wav(samples=make.tone(30.0)))
    with monkeypatch.context() as broken:
        broken.setattr(decode, "AudioBlock", None)
        with pytest.raises(TypeError) as caught:
            list(Decoder(recording))
    assert caught.traceback and owner.pid is None
    assert sum(b.samples.shape[1] for b in Decoder(recording)) == 30 * 16000
    close_idle()


def test_a_slow_consumer_holds_the_child_back_and_is_not_timed_out(make, monkeypatch):
    owner = Supervisor(grace_s=2.0)
    monkeypatch.setattr(supervisor, "_idle", [owner])
    recording = open_recording(make.wav(samples=make.tone(300.0)))
    blocks = iter(Decoder(recording))
    next(blocks)
    time.sleep(2.5)
    assert len(list(blocks)) == 299
    close_idle()


def test_the_child_ends_when_its_parent_does(make):
    path = make.wav()
    code = f"""
    import os
    from avloc.media import supervisor
    from avloc.media.probe import open_recording
    open_recording({str(path)!r})
    print(supervisor._idle[0].pid, flush=True)
    os._exit(0)
    """
    environment = {**os.environ, "PYTHONPATH": str(supervisor.PACKAGE_ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline and _is_running(int(done.stdout)):
        time.sleep(0.05)
    assert not _is_running(int(done.stdout))


def _is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_forked_process_starts_a_child_of_its_own(make):
    path = make.wav()
    open_recording(path)
    with borrow_supervisor() as owner:
        mine = owner.pid
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            open_recording(path)
            with borrow_supervisor() as owner:
                status = 0 if owner.pid != mine else 2
            close_idle()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert open_recording(path).duration == pytest.approx(1.0)


def test_the_caps_have_the_names_of_the_options():
    names = "bytes duration_s pixels frame_rate streams_listed streams_analysed channels sample_rate_min "
    assert list(Limits().to_dict()) == (names + "sample_rate_max expansion wall_factor").split()


def test_the_child_knows_neither_torch_nor_the_network():
    code = "import sys; sys.path.insert(0, sys.argv[1]); import avloc.media.worker, avloc.features.face; "
    code += (
        "print([m for m in ('torch', 'mmengine', 'scipy.signal', 'librosa', 'socket') if m in sys.modules])"
    )
    command = [sys.executable, "-I", "-c", code, str(supervisor.PACKAGE_ROOT)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_child_starts_in_little_time(make):
    before = os.times()
    owner = Supervisor()
    exchange(owner, make.wav())
    owner.close()
    after = os.times()
    spent = (after.children_user - before.children_user) + (after.children_system - before.children_system)
    assert spent < 0.7  # seconds of CPU, 0.3 measured; decoding needs nothing that is slow to import


def test_the_parent_does_not_import_the_demuxer():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import avloc.media.decode; print('av' in sys.modules)"
    )
    command = [sys.executable, "-I", "-c", code, str(supervisor.PACKAGE_ROOT)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "False"
    assert not hasattr(decode, "av")


def test_cores_are_counted_where_a_process_cannot_ask_for_its_own(monkeypatch):
    assert supervisor.available_cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert supervisor.available_cores() == 1
