"""What goes into a training pack where not all of it fits."""

import dataclasses
import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avloc.datasets.corpus import Entry
from avloc.datasets.pack import PackedRecording
from avloc.media.whole import read_audio

ROOT = Path(__file__).resolve().parents[2]
KIB = 1024


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("pack_training", ROOT / "tools" / "pack_training.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make(name: str, who: str, *, kib: int = 10, use: str = "train", face: bool = False, **fields):
    kind = "genuine_talking_face" if face else "generated_speech" if "generator" in fields else "speech"
    entry = Entry(name, Path(name), kind, who, use, True, 4.0, name, "CC0", **fields)
    coded = bytes(kib * KIB // (2 if face else 1))
    return PackedRecording(entry, {}, coded, ".flac", coded if face else None)


def names(recordings) -> list[str]:
    return [r.entry.id for r in recordings]


def test_all_is_kept_where_all_fits(tool):
    recordings = [make("d0", "dan", use="dev"), make("f0", "fay", face=True)]
    recordings += [make(f"a{k}", "ann") for k in range(9)]
    assert names(tool.choose(recordings, 10**6, faces=0.1, development=0.1)) == names(recordings)


def test_every_identity_may_fill_the_same_number_of_bytes(tool):
    recordings = [make(f"a{k}", "ann") for k in range(40)] + [make(f"b{k}", "bob") for k in range(4)]
    recordings += [make(f"c{k}", "cat") for k in range(20)]
    kept = tool.fill_evenly(recordings, 170 * KIB)
    assert Counter(r.entry.identity for r in kept) == {"ann": 6, "bob": 4, "cat": 5}
    assert names(tool.fill_evenly(recordings, 170 * KIB)) == names(kept)
    assert not tool.fill_evenly(recordings, 4 * KIB)


def test_pairs_stay_together_and_come_first(tool):
    pair = {"generator": "g", "natural_pair": "a7"}
    recordings = [make(f"a{k}", "ann") for k in range(20)]
    recordings += [make("g0", "ann", **pair), make("g1", "ann", **pair)]
    recordings += [make("h0", "ann", generator="g", natural_pair="not here")]
    kept = names(tool.fill_evenly(recordings, 100 * KIB))
    assert kept[:2] == ["a7", "g0"] and len(kept) == 9  # of 11 KiB each


def test_faces_and_development_have_shares_and_speech_the_rest(tool):
    recordings = [make(f"d{k}", f"d{k}", use="dev") for k in range(50)]
    recordings += [make(f"f{k}", f"f{k}", face=True) for k in range(50)]
    recordings += [make(f"a{k}", f"a{k}") for k in range(50)]
    room = 1000 * KIB
    kept = tool.choose(recordings, room, faces=0.3, development=0.1)
    count = Counter(name[0] for name in names(kept))
    assert (count["d"], count["f"], count["a"]) == (9, 31, 50)  # each takes 11 KiB
    assert sum(r.n_bytes for r in kept) < room
    few = [r for r in recordings if r.entry.id[0] != "a" or r.entry.id in ("a0", "a1")]
    assert Counter(name[0] for name in names(tool.choose(few, room, faces=0.3, development=0.1)))["f"] == 50


def test_what_was_left_out_is_named(tool):
    recordings = [make(f"a{k}", "ann") for k in range(4)] + [make("d0", "dan", use="dev")]
    told = tool.describe(recordings, recordings[1:])
    assert told["left_out"] == ["a0"] and told["identities"] == {"train": 1, "dev": 1}
    assert told["kinds"]["train speech"] == {
        "recordings": 3, "of": 4, "seconds": 12.0, "of_seconds": 16.0, "mib": 0.03
    }  # fmt: skip


def test_a_recording_that_is_an_mp3_file_is_kept_as_it_is(tool, tmp_path):
    rng = np.random.default_rng(1)
    time_s = np.arange(48000) / 16000
    sound = 0.2 * np.sin(2 * np.pi * 300 * time_s * (1 + time_s)) + 0.01 * rng.standard_normal(48000)
    soundfile.write(tmp_path / "a.mp3", sound, 16000, format="MP3", subtype="MPEG_LAYER_III")
    samples = np.clip(np.round(read_audio(tmp_path / "a.mp3")[0] * 32768), -32768, 32767).astype(np.int16)
    entry = make("a", "ann").entry
    entry = dataclasses.replace(entry, path=tmp_path / "a.mp3")
    assert tool._original(entry, samples) == ((tmp_path / "a.mp3").read_bytes(), ".mp3")
    assert tool._original(entry, samples[::-1]) is None and tool._original(entry, samples[4000:]) is None
    assert tool._original(dataclasses.replace(entry, path=tmp_path / "a.wav"), samples) is None
    (tmp_path / "a.mp3").write_bytes(b"no sound")
    assert tool._original(entry, samples) is None


def test_the_name_must_be_one_that_git_ignores(tool, capsys):
    with pytest.raises(SystemExit):
        tool.main(["--data", "m.json", "--cache", "c", "--out", "training.zip"])
    assert "--out must end in .pack" in capsys.readouterr().err
    assert "*.pack" in (ROOT / ".gitignore").read_text().splitlines()


def test_a_missing_manifest_is_an_error_without_a_traceback(tool, tmp_path, capsys):
    out = str(tmp_path / "x.pack")
    with pytest.raises(SystemExit) as stopped:
        tool.main(["--data", str(tmp_path / "nowhere.json"), "--cache", str(tmp_path), "--out", out])
    assert stopped.value.code == 2 and "nowhere.json" in capsys.readouterr().err
