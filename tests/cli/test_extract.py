"""``avloc extract`` with small encoders: rows, shards, going on, what is found again and what is not."""

import json
import os
import shutil
import subprocess
import sys
import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from avloc.datasets.feature_set import open_features
from avloc.features.cache import FeatureCache, FeatureRow, read_features
from avloc.media.encode import write_video
from avloc.pipelines import encoding, feature_reading
from avloc.structures.landmarks import LandmarkTrack

CONFORMER = dict(stem_width=4, width=16, n_heads=2, n_blocks=1, hidden=8)
LENGTHS_S = {"a_1": 1.0, "b_2": 1.0, "c_3": 0.61, "d_4": 1.0, "e_5": 0.61}


def write_wave(path: Path, duration_s: float, seed: int) -> None:
    samples = np.random.default_rng(seed).integers(-9000, 9000, int(duration_s * 16_000), np.int16)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())


@pytest.fixture(scope="module")
def home(tmp_path_factory, import_auto_avsr) -> Path:
    """Import small encoders of Auto-AVSR."""
    folder = tmp_path_factory.mktemp("home")
    with torch.random.fork_rng(), pytest.MonkeyPatch.context() as patch:
        torch.manual_seed(0)
        patch.setenv("AVLOC_HOME", str(folder))
        import_auto_avsr(folder, visual="lips", audio="sound", **CONFORMER)
    return folder


@pytest.fixture
def data(tmp_path, monkeypatch, home) -> Path:
    """Write Psynd in miniature: sound alone, one recording broken and one missing."""
    monkeypatch.setenv("AVLOC_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "data"
    root.mkdir()
    names = [*LENGTHS_S, "broken_6", "missing_7"]
    for number, (name, duration_s) in enumerate(LENGTHS_S.items()):
        write_wave(root / f"{name}.wav", duration_s, number)
    (root / "broken_6.wav").write_bytes(b"x")
    entries = [
        {"file": f"{n}.wav", "n_fakes": 1, "fake_periods": [[0.2, 0.4]], "split": "train", "duration": 1.0}
        for n in names
    ]
    (root / "metadata.json").write_text(json.dumps(entries))
    return root


def extract(run, *options, root="data", out="features"):
    arguments = ("psynd", "--root", root, "--split", "train", "--encoders", "audio=sound", "--device", "cpu")
    return run("extract", *arguments, "--out", out, "--threads", "1", *options)


def rows_of(folder: Path) -> list[FeatureRow]:
    paths = sorted(folder.glob("runs/*/shard-*.jsonl"))
    return [FeatureRow.from_line(line) for path in paths for line in path.read_bytes().splitlines(True)]


def keys_of(folder: Path) -> dict[str, str]:
    return {row.id: row.features["audio"].key for row in rows_of(folder) if row.features}


@pytest.fixture
def encoded(monkeypatch) -> list[str]:
    """Keys of what is encoded, in order."""
    keys: list[str] = []
    real = encoding.Batcher._run

    def note(self: encoding.Batcher, jobs: list[encoding.Job]) -> list:
        keys.extend(job.key for job in jobs)
        return real(self, jobs)

    monkeypatch.setattr(encoding.Batcher, "_run", note)
    return keys


def test_every_recording_has_one_row_and_its_features(run, data, tmp_path):
    before = sorted(os.listdir(data))
    code, out, err = extract(run)
    assert (code, out) == (3, "")
    assert "7 recordings: 5 analysed, 1 failed, 1 could not be analysed; " in err
    assert "frames of 40 ms a second" in err
    rows = rows_of(tmp_path / "features")
    assert sorted(row.id for row in rows) == sorted(
        [f"{n}.wav" for n in LENGTHS_S] + ["broken_6.wav", "missing_7.wav"]
    )
    told = {row.id.removesuffix(".wav"): row for row in rows}
    assert (told["broken_6"].status, told["broken_6"].reasons) == ("not_analysable", ("not_media",))
    assert (told["missing_7"].status, told["missing_7"].reasons) == ("error", ("not_found",))
    for name, duration_s in LENGTHS_S.items():
        stored = told[name].features["audio"]
        n_frames = int(duration_s * 25)
        assert stored.n_frames == stored.n_present == n_frames
        features = read_features(tmp_path / "features", stored)
        assert features.shape == (n_frames, 16) and features.dtype == np.float16
    assert sorted(os.listdir(data)) == before, "nothing is written beside the data"


def test_features_are_those_of_the_encoder_alone(run, data, tmp_path, home):
    from avloc.features.prepare import prepare
    from avloc.media.whole import read_audio
    from avloc.models.weights.store import load_weights

    extract(run, "--dtype", "float32")
    network, _, _ = load_weights("sound")
    stored = {row.id: row.features for row in rows_of(tmp_path / "features")}["c_3.wav"]["audio"]
    waveform = torch.from_numpy(read_audio(data / "c_3.wav")[:, : 15 * 640])
    mask = torch.ones(1, 15, dtype=torch.bool)
    with torch.inference_mode():
        expected, _ = network(prepare(network.inputs, waveform=waveform), mask)
    found = read_features(tmp_path / "features", stored)
    # A batch of two adds in another order than one.
    np.testing.assert_allclose(found, expected[0].T.numpy(), rtol=1e-4, atol=1e-5)


def test_the_same_command_again_does_nothing_twice_and_tells_the_same(run, data, tmp_path, encoded):
    first = extract(run)
    assert len(encoded) == 5
    before = rows_of(tmp_path / "features")
    again = extract(run)
    assert again.code == first.code and "5 analysed, 1 failed, 1 could not" in again.err
    assert len(encoded) == 5 and rows_of(tmp_path / "features") == before


def test_two_shards_at_once_are_the_whole_run(run, data, tmp_path, home):
    arguments = "extract psynd --root data --split train --encoders audio=sound --device cpu --out both"
    command = [sys.executable, "-m", "avloc", *arguments.split(), "--threads", "1"]
    processes = [
        subprocess.Popen([*command, "--shard", f"{i}/2"], stderr=subprocess.PIPE, text=True) for i in (1, 2)
    ]
    told = [process.communicate()[1] for process in processes]
    assert {process.returncode for process in processes} <= {0, 3}, told
    extract(run, out="whole")
    assert keys_of(tmp_path / "both") == keys_of(tmp_path / "whole")
    assert len(rows_of(tmp_path / "both")) == 7
    whole, both = (open_features(out, "psynd", root="data", split="train") for out in ("whole", "both"))
    assert len(whole) == len(both) == 5
    for a, b in zip(whole, both, strict=True):
        np.testing.assert_allclose(a.audio, b.audio, atol=2e-3)  # float16, of values about 1


def test_a_shard_that_is_being_written_is_left_alone(run, data, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    extract(run)
    (path,) = (tmp_path / "features").glob("runs/*/shard-*.jsonl")
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        code, _, err = extract(run)
    assert code == 2 and "another process writes this shard" in err


def test_a_process_that_is_killed_loses_the_open_shard_only(data, tmp_path):
    code = (
        "import os, sys\n"
        "from avloc.cli.main import main\nfrom avloc.pipelines import extract, encoding\n"
        "extract.Extractor.__init__.__kwdefaults__['shard_bytes'] = 1\n"
        "real = encoding.Batcher._run\n"
        "def run(self, jobs):\n"
        "    with open('encoded', 'a') as stream:\n"
        "        stream.write(jobs[0].key + chr(10))\n"
        "    if jobs[0].n_frames == 15 and not os.path.exists('again'):\n"
        "        os.kill(os.getpid(), 9)\n"
        "    return real(self, jobs)\n"
        "encoding.Batcher._run = run\n"
        "options = '--split train --out features --device cpu --threads 1 --encoders audio=sound'.split()\n"
        "sys.exit(main(['extract', 'psynd', '--root', 'data', '--batch-frames', '1', *options]))"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -9
    first = rows_of(tmp_path / "features")
    assert [row.id for row in first] == ["a_1.wav", "b_2.wav"]
    (path,) = (tmp_path / "features").glob("runs/*/shard-*.jsonl")
    with path.open("a") as stream:
        stream.write('{"id": "c_3.wa')
    (tmp_path / "again").touch()
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 3 and "was not finished and is cut off" in done.stderr
    rows = rows_of(tmp_path / "features")
    assert rows[:2] == first and len({row.id for row in rows}) == len(rows) == 7
    keys = (tmp_path / "encoded").read_text().split()
    assert len(keys) == 6 and len(set(keys)) == 5, "what was in flight, and nothing else, is done again"


def test_an_interrupt_keeps_what_is_encoded(run, data, tmp_path, monkeypatch, encoded):
    real = feature_reading.Reader.__call__

    def stop(self, item):
        if "d_4" in item.id:
            raise KeyboardInterrupt
        return real(self, item)

    with monkeypatch.context() as patch:
        patch.setattr(feature_reading.Reader, "__call__", stop)
        assert extract(run, "--batch-frames", "1").code == 130
    kept = len(rows_of(tmp_path / "features"))
    assert kept >= 2
    assert extract(run).code == 3 and len(encoded) == 5
    assert len(rows_of(tmp_path / "features")) == 7


def test_moved_and_renamed_recordings_are_found_again_and_changed_ones_are_not(run, data, tmp_path, encoded):
    extract(run)
    shutil.move(data, tmp_path / "moved")
    (tmp_path / "moved" / "a_1.wav").rename(tmp_path / "moved" / "z_1.wav")
    write_wave(tmp_path / "moved" / "b_2.wav", 1.0, 99)
    text = (tmp_path / "moved" / "metadata.json").read_text().replace("a_1", "z_1")
    (tmp_path / "moved" / "metadata.json").write_text(text)
    before, encoded[:] = keys_of(tmp_path / "features"), []
    extract(run, root="moved")
    found = open_features("features", "psynd", root="moved", split="train")
    after = {row.id: row.features["audio"].key for row in rows_of(tmp_path / "features")[-7:] if row.features}
    assert encoded == [after["b_2.wav"]] and after["b_2.wav"] != before["b_2.wav"]
    assert after["z_1.wav"] == before["a_1.wav"] and after["c_3.wav"] == before["c_3.wav"]
    assert len(found) == 5


def test_a_recording_that_changed_in_its_place_is_done_again(run, data, tmp_path, encoded):
    extract(run)
    before, encoded[:] = keys_of(tmp_path / "features"), []
    write_wave(data / "b_2.wav", 1.0, 99)
    write_wave(data / "missing_7.wav", 1.0, 7)
    os.utime(data / "c_3.wav")  # touched, and the same
    assert extract(run).code == 3
    after = keys_of(tmp_path / "features")
    assert encoded == [after["b_2.wav"], after["missing_7.wav"]] and after["b_2.wav"] != before["b_2.wav"]
    features = open_features("features", "psynd", root="data", split="train")
    assert len(features) == 6 and list(features.missing.items()) == [("broken_6.wav", "not_media")]
    assert FeatureCache(tmp_path / "features").find(before["b_2.wav"]) is not None
    encoded.clear()
    extract(run)
    assert encoded == []


def test_copies_are_encoded_once(run, data, encoded):
    shutil.copy(data / "a_1.wav", data / "b_2.wav")
    extract(run)
    assert len(encoded) == 4


@pytest.mark.parametrize("option", [("--dtype", "float32"), ("--max-frames", "20")])
def test_another_setting_is_another_feature(run, data, tmp_path, encoded, option):
    extract(run)
    extract(run, *option)
    assert len(set(encoded)) == 10
    with pytest.raises(Exception, match="that differ in settings"):
        open_features("features", "psynd", root="data", split="train")
    if option[0] == "--max-frames":
        cut = [row for row in rows_of(tmp_path / "features") if row.warnings == ("limit_reached",)]
        assert sorted(row.id for row in cut) == ["a_1.wav", "b_2.wav", "d_4.wav"]
        assert {row.features["audio"].n_frames for row in cut} == {20}


def test_a_defect_of_one_recording_is_its_row(run, data, tmp_path, monkeypatch, caplog):
    real = encoding.Batcher._run

    def fail(self, jobs):
        if jobs[0].n_frames == 15:
            raise ZeroDivisionError("oh no")
        return real(self, jobs)

    monkeypatch.setattr(encoding.Batcher, "_run", fail)
    assert extract(run).code == 1
    failed = [row for row in rows_of(tmp_path / "features") if row.reasons == ("internal_error",)]
    assert [row.id for row in failed] == ["c_3.wav", "e_5.wav"] and failed[
        0
    ].message == "ZeroDivisionError: oh no"


def test_a_full_disk_ends_the_run_with_a_code_and_it_goes_on_later(run, data, tmp_path, monkeypatch):
    def full(self, features):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(FeatureCache, "write", full)
        code, _, err = extract(run)
    assert code == 3 and "output_failed: No space left on device; the same command goes on" in err
    assert rows_of(tmp_path / "features") == []
    assert extract(run).code == 3 and len(rows_of(tmp_path / "features")) == 7


@pytest.mark.parametrize(
    ("encoders", "told"),
    [
        ("audio=lips", "holds no encoder of the audio stream"),
        ("visual=sound", "holds no encoder of the visual stream"),
        ("sound", "takes key=value pairs"),
        ("none", "--encoders names weights for audio and visual"),
        ("both=sound", "--encoders names weights for audio and visual"),
        ("audio=nothing", "no weights are called 'nothing'"),
    ],
)
def test_what_cannot_be_an_encoder_is_refused_before_anything_is_done(run, data, tmp_path, encoders, told):
    arguments = ("psynd", "--root", "data", "--split", "train", "--device", "cpu", "--out", "features")
    code, _, err = run("extract", *arguments, "--encoders", encoders)
    assert code == 2 and told in " ".join(err.split()), err
    assert not (tmp_path / "features").exists()


@pytest.mark.parametrize(
    ("encoders", "tracks", "told"),
    [
        ("visual=lips", "nowhere", "--tracks 'nowhere': expected a folder with ID.npz"),
        ("visual=default", "data/metadata.json", "expected a folder with ID.npz"),
        ("audio=sound", "data", "--tracks says nothing without a visual encoder"),
    ],
)
def test_landmarks_that_nobody_would_read_are_refused(run, data, tmp_path, encoders, tracks, told):
    arguments = ("psynd", "--root", "data", "--split", "train", "--device", "cpu", "--out", "features")
    code, _, err = run("extract", *arguments, "--encoders", encoders, "--tracks", tracks)
    assert code == 2 and told in " ".join(err.split()), err
    assert not (tmp_path / "features").exists()


def test_streams_that_hold_nothing_are_said_and_not_looked_for_again(run, data, tmp_path, encoded):
    (data / "metadata.json").write_text(
        json.dumps([{"file": "v.mp4", "n_fakes": 0, "split": "train", "duration": 1.0}])
    )
    write_video(data / "v.mp4", [np.full((96, 128, 3), 90, np.uint8)] * 25, Fraction(25))
    arguments = ("extract", "lavdf", "--root", "data", "--device", "cpu", "--out", "features")
    assert run(*arguments, "--encoders", "audio=sound").code == 3
    (row,) = rows_of(tmp_path / "features")
    assert row.reasons == ("no_samples",) and "no stream that the encoders of audio read" in row.message
    assert run(*arguments, "--encoders", "audio=sound,visual=default").code == 0
    assert run(*arguments, "--encoders", "audio=sound,visual=default", "--shard", "1/2").code == 0
    told = [row for row in rows_of(tmp_path / "features") if row.features]
    assert [row.warnings for row in told] == [("no_face",)] * 2 and encoded == []
    assert {stored.n_frames for row in told for stored in row.features.values()} == {0}
    features = open_features("features", "lavdf", root="data", encoders={"visual": "default"})
    assert len(features) == 0 and features.missing == {"v.mp4": "no_face"}


@pytest.mark.dataset
def test_lips_are_cut_by_given_landmarks_and_both_streams_are_read(
    run, shared_media, landmarks_in_boxes, home, tmp_path, monkeypatch
):
    monkeypatch.setenv("AVLOC_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    data, tracks = tmp_path / "data", tmp_path / "tracks"
    data.mkdir()
    for name in ("grid-lbax4n", "grid-sbia1a"):
        shutil.copy(shared_media / "genuine" / f"{name}.mpg", data)
    write_tracks(landmarks_in_boxes(data / "grid-lbax4n.mpg"), tracks / "grid-lbax4n.npz")
    entries = [
        {"file": f"grid-{n}.mpg", "n_fakes": 0, "split": "test", "duration": 3.0}
        for n in ("lbax4n", "sbia1a")
    ]
    (data / "metadata.json").write_text(json.dumps(entries))
    arguments = ("lavdf", "--root", "data", "--out", "features", "--device", "cpu", "--tracks", "tracks")
    code, _, err = run("extract", *arguments, "--encoders", "audio=sound,visual=lips")
    assert code == 3
    told = {row.id: row for row in rows_of(tmp_path / "features")}
    assert told["grid-sbia1a.mpg"].reasons == ("not_found",)
    assert "there are no landmarks 'tracks/grid-sbia1a.npz'" in told["grid-sbia1a.mpg"].message
    (item,) = open_features("features", "lavdf", root="data")
    assert item.visual.shape == item.audio.shape == (16, 74)
    assert {n: s.n_frames for n, s in told["grid-lbax4n.mpg"].features.items()} == {"audio": 74, "visual": 75}
    (tracks / "grid-sbia1a.npz").write_bytes(b"no")
    assert run("extract", *arguments, "--encoders", "audio=sound,visual=lips").code == 3
    assert rows_of(tmp_path / "features")[-1].reasons == ("unrecognised",)
    write_tracks(landmarks_in_boxes(data / "grid-sbia1a.mpg"), tracks / "grid-sbia1a.npz")
    assert run("extract", *arguments, "--encoders", "audio=sound,visual=lips").code == 0
    assert len(open_features("features", "lavdf", root="data")) == 2


def write_tracks(track: LandmarkTrack, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    np.savez(path, points=track.points, frame=track.frame)
