"""A recording from stdin, which the path ``-`` reads."""

import hashlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import types
from pathlib import Path

import numpy as np
import pytest

from avloc.cli import localize
from avloc.cli.standard_input import opened_path
from avloc.media.encode import write_audio


@pytest.fixture
def feed(monkeypatch, tmp_path):
    """Put bytes into stdin, and temporary files into a folder that must be empty in the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    def feed(content: bytes, *, isatty: bool = False) -> None:
        stream = types.SimpleNamespace(buffer=io.BytesIO(content), isatty=lambda: isatty)
        monkeypatch.setattr(sys, "stdin", stream)

    yield feed
    assert list(folder.iterdir()) == []


@pytest.fixture
def wav(tmp_path) -> Path:
    """One second of noise."""
    path = tmp_path / "noise.wav"
    samples = np.random.default_rng(0).normal(0, 0.1, (1, 16000)).astype(np.float32)
    write_audio(path, samples, 16000)
    return path


def test_a_recording_from_stdin_is_analysed_as_its_file_would_be(run, feed, wav):
    options = ("--device", "cpu", "--reproducible", "--format", "json", "--threads", "1")
    expected = json.loads(run("localize", wav, *options).out)
    feed(wav.read_bytes())
    code, out, err = run("localize", "-", *options)
    document = json.loads(out)
    assert (code, err) == (0, "") and document["status"] == "analysed"
    assert (document["input"]["id"], document["input"]["name"]) == ("-", "-")
    assert document["input"]["sha256"] == hashlib.sha256(wav.read_bytes()).hexdigest()
    for entry in (document, expected):
        del entry["input"]["id"], entry["input"]["name"]
    assert document == expected


def test_stdin_is_one_row_among_others(run, fake, feed, files):
    feed(b"x")
    (path,) = files("a.wav")
    code, out, _ = run("localize", path, "-", "--format", "jsonl")
    assert code == 0 and [json.loads(line)["input"]["id"] for line in out.splitlines()] == [str(path), "-"]
    assert not Path(fake.seen[1]).exists() and fake.seen[1] != "-"


def test_probe_reads_stdin(run, feed, wav):
    feed(wav.read_bytes())
    code, out, _ = run("probe", "-")
    document = json.loads(out)
    assert code == 0 and document["status"] == "readable"
    assert document["input"]["id"] == document["input"]["name"] == "-"


@pytest.mark.parametrize("verb", ["localize", "probe"])
def test_stdin_twice_or_from_a_keyboard_is_wrong_usage(run, fake, feed, verb):
    feed(b"x")
    code, out, err = run(verb, "-", "--", "-")
    assert (code, out, fake.seen) == (2, "", []) and "give '-' once" in err
    feed(b"", isatty=True)
    code, out, err = run(verb, "-")
    assert (code, out, fake.seen) == (2, "", []) and "got a terminal" in err


@pytest.mark.parametrize("verb", ["localize", "probe"])
def test_what_stdin_cannot_give_is_a_row(run, feed, monkeypatch, verb):
    monkeypatch.setattr(localize, "load_localizer", lambda weights, **settings: lambda path, id: None)

    def row(*options: str) -> dict:
        code, out, err = run(verb, "-", "--format", "json", *options)
        assert code == 3 and "Traceback" not in err
        return json.loads(out)

    feed(b"x" * 101)
    document = row("--limit", "bytes=100")
    assert (document["status"], document["reasons"]) == ("not_analysable", ["limit_reached"])
    assert document["message"].startswith("bytes: stdin holds more than 100 bytes")
    monkeypatch.setattr(sys, "stdin", None)
    document = row()
    assert (document["status"], document["reasons"]) == ("error", ["permission_denied"])
    assert document["message"].startswith("stdin cannot be read: it is closed")
    monkeypatch.setattr(tempfile, "tempdir", "/no/such/folder")
    document = row()
    assert (document["status"], document["reasons"]) == ("error", ["output_failed"])
    assert "TMPDIR" in document["message"]


def test_an_empty_stdin_is_an_empty_recording(run, feed):
    feed(b"")
    code, out, _ = run("localize", "-", "--device", "cpu")
    assert code == 3 and json.loads(out)["reasons"] == ["empty"]


def test_the_file_that_stdin_reads_is_no_output(wav):
    before = wav.read_bytes()
    command = [sys.executable, "-m", "avloc", "localize", "-", "--output", str(wav)]
    with wav.open("rb") as stream:
        done = subprocess.run(
            command, stdin=stream, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
    assert done.returncode == 2 and "is one of the recordings" in done.stderr
    assert wav.read_bytes() == before


def test_a_pause_in_a_pipe_that_does_not_wait_is_not_the_end(feed, monkeypatch):
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with open(reading, "rb") as stdin, open(writing, "wb", buffering=0) as pipe:
        monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=stdin, fileno=stdin.fileno))
        pipe.write(b"first ")
        later = threading.Timer(0.2, lambda: (pipe.write(b"second"), pipe.close()))
        later.start()
        with opened_path("-", None) as path:
            assert Path(path).read_bytes() == b"first second"
        later.join()


def test_a_full_temporary_folder_is_named(run, feed, monkeypatch):
    feed(b"x" * 3000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        code, out, _ = run("localize", "-", "--device", "cpu", "--format", "json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    document = json.loads(out)
    assert (code, document["reasons"]) == (3, ["output_failed"]) and "TMPDIR" in document["message"]


def test_stdin_is_no_file_named_dash(run, feed, wav, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    feed(wav.read_bytes())
    (tmp_path / "-").write_text("old")
    code, _, err = run("localize", "-", "--device", "cpu", "--format", "json", "--output", "./-")
    assert (code, err) == (0, "") and json.loads((tmp_path / "-").read_text())["status"] == "analysed"
