"""Parts of the miniature study: which recordings, which split, LAV-DF's annotation, and the table."""

import json
from fractions import Fraction

import numpy as np
import pytest

from avloc.datasets.named import build_dataset
from avloc.errors import AnnotationError, ConfigError
from avloc.media.encode import write_video
from avloc.metrics import evaluate
from avloc.metrics.table import SegmentTable
from avloc.structures import Reference, Segment
from avloc.studies.miniature.corpus import identity_of_files, shared_identities, write_annotation
from avloc.studies.miniature.recordings import SPLITS, find_sources, prepare, split_identities
from avloc.studies.miniature.table import COLUMNS, Answer, figures_of, show


def entry(name: str, **fields: object) -> dict:
    given = {"id": name, "file": f"{name}.mp4", "identity": name, "licence_material": "own", "use": "train"}
    return given | {"kind": "genuine_talking_face"} | fields


def test_a_folder_with_a_manifest_gives_what_it_may_train(tmp_path):
    rows = [
        entry("a"),
        entry("b", use="dev", identity="Ann (file name)"),
        entry("c", use="test"),
        entry("d", kind="speech"),
        entry("e", identity="two speakers"),
    ]
    (tmp_path / "manifest.json").write_text(json.dumps({"entries": rows}))
    (tmp_path / "f.mp4").touch()
    found = find_sources(tmp_path)
    assert [(s.id, s.identity, s.path.name) for s in found] == [
        ("a", "a", "a.mp4"),
        ("b", "Ann", "b.mp4"),
        ("e", "e", "e.mp4"),
    ]


def test_a_folder_without_one_tells_identities_by_its_subfolders(tmp_path):
    for name in (
        "ann/1.mp4",
        "ann/deep/2.MOV",
        "bob/1.webm",
        "one.mkv",
        "two.mp4",
        "notes.txt",
        ".part/x.mp4",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    identities = {source.id: source.identity for source in find_sources(tmp_path)}
    assert identities == {
        "ann/1.mp4": "ann",
        "ann/deep/2.MOV": "ann",
        "bob/1.webm": "bob",
        "one.mkv": "one.mkv",
        "two.mp4": "two.mp4",
    }


def test_what_cannot_be_a_folder_of_recordings_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="'.*nowhere': expected a folder of genuine recordings"):
        find_sources(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="holds no video"):
        find_sources(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"entries": [entry("c", use="test")]}))
    with pytest.raises(ConfigError, match="holds no genuine talking face of use train or dev"):
        find_sources(tmp_path)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(AnnotationError, match="expected a JSON object with 'entries'"):
        find_sources(tmp_path)


@pytest.mark.parametrize("n", [6, 7, 24, 100])
def test_every_identity_is_in_one_split_and_those_that_are_known_train(n):
    identities = [str(i) for i in range(n)]
    splits = split_identities(identities, seen=identities[: n // 3], seed=3)
    counts = [list(splits.values()).count(split) for split in SPLITS]
    assert sorted(splits) == sorted(identities) and min(counts) >= 2
    assert n < 20 or counts[0] >= n // 2
    assert {splits[i] for i in identities[: n // 3]} == {"train"}
    assert splits == split_identities(identities, seen=identities[: n // 3], seed=3)
    assert n < 20 or splits != split_identities(identities, seen=identities[: n // 3], seed=4)


def test_too_few_identities_are_refused():
    with pytest.raises(ConfigError, match="at least 6 identities with a face and speech, .* got 5"):
        split_identities("abcde")


def test_recordings_without_a_face_or_sound_are_left_out_by_name(tmp_path, caplog):
    media = tmp_path / "media"
    media.mkdir()
    frames = [np.full((96, 128, 3), 90 + i, np.uint8) for i in range(40)]
    tone = 0.1 * np.sin(np.arange(25600) / 9)[None]
    write_video(media / "wall.mp4", frames, Fraction(25), tone, 16000)
    write_video(media / "mute.mp4", frames, Fraction(25))
    (media / "torn.mp4").write_bytes(b"no video")
    with pytest.raises(ConfigError, match="at least 6 identities with a face and speech, .* got 0"):
        prepare(find_sources(media), tmp_path / "out", seen=(), seed=0)
    told = caplog.text
    assert "left out: wall.mp4: too little speech, or no face" in told
    assert (
        "left out: mute.mp4: " in told
        and "expected a sound stream" in told
        and "left out: torn.mp4: " in told
    )


def corpus(folder, **sources):
    for split in SPLITS:
        rows = []
        for number, forged in enumerate((None, "audio", "visual")):
            row = {"path": f"{number}.mp4", "duration_s": 4.0, "modality": forged, "family": str(forged)}
            row |= {"segments": [[1.0, 2.0]] if forged else [], "identity": f"{split}-{number}"}
            rows.append(row | {"sources": sources.get(split, [f"{split}-{number}", f"{split}-0 (sound)"])})
        (folder / split).mkdir(parents=True)
        (folder / split / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_the_corpus_is_read_as_lavdf(tmp_path):
    path = write_annotation(corpus(tmp_path))
    built = build_dataset("lavdf", root=tmp_path, split="test").references()
    assert [r.recording_id for r in built] == ["test/0.mp4", "test/1.mp4", "test/2.mp4"]
    assert [len(r.segments) for r in built] == [0, 1, 1] and built[1].duration == 4.0
    assert built[1].audio.segments and not built[1].visual.segments and built[2].visual.segments
    assert identity_of_files(path)["dev/1.mp4"] == "dev-1"


def test_material_that_two_splits_share_is_found(tmp_path):
    rows = [entry(f"{split}-{i}", identity=f"{split} {i}") for split in SPLITS for i in range(3)]
    rows += [row | {"id": f"{row['id']} (sound)", "kind": "speech"} for row in rows]
    (tmp_path / "manifest.json").write_text(json.dumps({"entries": rows}))
    assert not shared_identities(corpus(tmp_path / "right"), tmp_path / "manifest.json")
    wrong = corpus(tmp_path / "wrong", dev=["dev-0", "test-2 (sound)"])
    assert shared_identities(wrong, tmp_path / "manifest.json") == {"test 2"}


REFERENCES = [Reference(str(i), (Segment(1.0, 2.0),) if i % 2 else ()) for i in range(8)]
IDENTITIES = {str(i): "ann" if i < 4 else "bob" if i < 6 else "eve" for i in range(8)}


def answer(*, good: bool) -> Answer:
    start = 1.0 if good else 3.0
    proposals = {str(i): [[0.9 if i % 2 == good else 0.4, start, start + 1.0]] for i in range(8)}
    return Answer(proposals, {name: rows[0][0] for name, rows in proposals.items()})


@pytest.mark.parametrize("protocol", ["lavdf", "corrected"])
def test_figures_are_those_of_evaluate_and_intervals_are_drawn_over_identities(protocol):
    one = answer(good=True)
    given = {"protocol": protocol, "bootstrap": 50}
    found = figures_of([one], REFERENCES, identities=IDENTITIES, **given)
    expected = evaluate(
        SegmentTable.from_rows(one.proposals),
        REFERENCES,
        recording_scores=one.scores,
        sources=IDENTITIES,
        **given,
    )
    for column in COLUMNS:
        assert found["figures"][column] == pytest.approx(expected[column])
        assert found["intervals"][column] == pytest.approx(expected["intervals"][column])
    assert (found["n"], found["n_identities"], found["n_trainings"]) == (8, 3, 1)


def test_trainings_of_one_network_are_averaged():
    answers = [answer(good=True), answer(good=False)]
    given = {"protocol": "corrected", "identities": IDENTITIES}
    one, other = (figures_of([a], REFERENCES, **given)["figures"] for a in answers)
    both = figures_of(answers, REFERENCES, **given)
    assert both["figures"]["AP@0.5"] == pytest.approx((one["AP@0.5"] + other["AP@0.5"]) / 2)
    assert both["intervals"] is None and both["n_trainings"] == 2
    text = show({"net": [both]}, title="Smoke run.")
    assert text.startswith("Smoke run.\n\n| network | protocol | AP@0.5 |")
    assert f"| net | `corrected` | {both['figures']['AP@0.5']:.3f} |" in text and "| 8 | 3 | 2 |" in text
