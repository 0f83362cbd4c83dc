"""Entries of published annotations with values of another kind: refused with file, recording and key."""

import json

import pytest

from avloc import build_dataset
from avloc.cli.main import USAGE, main
from avloc.errors import AnnotationError

ENTRIES = {
    "lavdf": {
        "file": "test/1.mp4",
        "n_fakes": 1,
        "fake_periods": [[1, 2]],
        "duration": 9.0,
        "original": "test/0.mp4",
        "modify_video": True,
        "modify_audio": False,
        "split": "test",
        "video_frames": 225,
        "audio_frames": 144_000,
    },
    "avdeepfake1m": {
        "file": "id1/a.mp4",
        "original": "id1/real.mp4",
        "split": "val",
        "modify_type": "audio_modified",
        "audio_model": "vits",
        "video_model": None,
        "fake_segments": [[1, 2]],
        "audio_fake_segments": [[1, 2]],
        "visual_fake_segments": [],
        "video_frames": 100,
    },
}
TEXT = ("file", "original", "split", "modify_type", "audio_model", "video_model")
NUMBERS = ("n_fakes", "duration", "video_frames", "audio_frames")
FLAGS = ("modify_video", "modify_audio")
SPANS = ("fake_periods", "fake_segments", "audio_fake_segments", "visual_fake_segments")
DEEP: list = []
for _ in range(400):
    DEEP = [DEEP]
NO_SPANS = ("x", "", 3, True, {}, {"a": 1}, [1, 2], ["ab"], [None], [[1, 10**400]], DEEP)
NO_ROWS = (
    [1],
    [1, 2, 3],
    ["1", "2"],
    [True, 2],
    [2, 1],
    [1, None],
    [1, float("nan")],
    [1, 10**400],
    {"1": 0},
)
WRONG = {
    **dict.fromkeys(TEXT, (3, 2.5, True, ["a"], {"a": 1}, [], {}, DEEP)),
    **dict.fromkeys(NUMBERS, ("12", "x", True, [1], {}, -1, float("nan"), float("inf"), 10**400, DEEP)),
    **dict.fromkeys(FLAGS, ("true", "", 2, 0.5, [], {}, DEEP)),
    **dict.fromkeys(SPANS, (*NO_SPANS, *([row] for row in NO_ROWS))),
}
CASES = [(name, key) for name, entry in ENTRIES.items() for key in entry]


@pytest.mark.parametrize(("name", "key"), CASES)
def test_a_value_of_another_kind_is_refused_with_file_record_and_key(tmp_path, name, key):
    path = tmp_path / "val_metadata.json"
    for value in WRONG[key]:
        path.write_text(json.dumps([{"file": "genuine.mp4", "modify_type": "real", "n_fakes": 0},
                                    ENTRIES[name] | {key: value}]))  # fmt: skip
        with pytest.raises(AnnotationError) as error:
            build_dataset(name, root=path)
        told = str(error.value)
        where = "entry 1" if key == "file" else repr(ENTRIES[name]["file"])
        assert "val_metadata.json" in told and where in told and key in told and len(told) < 500, value


@pytest.mark.parametrize("name", ENTRIES)
def test_null_and_absent_are_told_apart_from_nothing_forged(tmp_path, name):
    path = tmp_path / "val_metadata.json"
    optional = [
        key for key in ENTRIES[name] if key not in ("file", "fake_periods", "fake_segments", "n_fakes")
    ]
    for key in optional:
        for entry in (ENTRIES[name] | {key: None}, {k: v for k, v in ENTRIES[name].items() if k != key}):
            path.write_text(json.dumps([entry]))
            assert len(build_dataset(name, root=path).references()[0].segments) == 1
    key = "fake_periods" if name == "lavdf" else "fake_segments"
    path.write_text(json.dumps([ENTRIES[name] | {key: None}]))
    with pytest.raises(AnnotationError, match=f"expected '{key}'"):
        build_dataset(name, root=path)


@pytest.mark.parametrize("name", ENTRIES)
def test_what_is_nested_too_deep_exits_with_2(tmp_path, name, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = json.dumps(ENTRIES[name])[:-1] + ', "more": ' + "[" * 100_000 + "]" * 100_000 + "}"
    (tmp_path / "m.json").write_text(f"[{text}]")
    (tmp_path / "p.json").write_text("{}")
    assert main(["evaluate", "p.json", "--references", "m.json", "--dataset", name]) == USAGE
    assert "'m.json', entry 0: nested too deep" in capsys.readouterr().err


def test_the_file_beside_a_recording_is_held_to_the_same(tmp_path):
    (tmp_path / "vox").mkdir()
    for entry, told in (
        ({"file": 3}, "file must be text"),
        ({"split": []}, "split must be text"),
        (3, "object"),
    ):
        entry = ENTRIES["avdeepfake1m"] | entry if isinstance(entry, dict) else entry
        (tmp_path / "vox" / "1.json").write_text(json.dumps(entry))
        with pytest.raises(AnnotationError, match=rf"1\.json'.*{told}"):
            build_dataset("avdeepfake1m", root=tmp_path)
