"""Manifests: exactly one use, no identity in two, and what a licence forbids left out."""

import json
from pathlib import Path

import pytest

from avloc.datasets.corpus import Entry, read_manifest, read_manifests, select_entries
from avloc.errors import AnnotationError


def _row(name: str, **fields: object) -> dict:
    row = {"id": name, "file": f"{name}.flac", "kind": "speech", "identity": "ann", "use": "train"}
    return row | {"weights_ok": True, "licence_material": "CC0", "sha256": name, "duration_s": 1.0} | fields


def _write(folder, rows, name="manifest.json"):
    path = folder / name
    path.write_text(json.dumps({"entries": rows}))
    return path


def test_an_entry_has_an_absolute_path_and_times_in_seconds(tmp_path):
    row = _row("a", generator="vocoder", natural_pair="b", pair_lag_ms=46, word_segments=[[0.1, 0.4, "bin"]])
    (entry,) = read_manifest(_write(tmp_path, [row]))
    assert entry.path == tmp_path / "a.flac" and entry.pair_lag == pytest.approx(0.046)
    assert entry.words == ((0.1, 0.4, "bin"),)


def test_words_are_read_in_both_orders_and_sorted_and_silence_is_none(tmp_path):
    rows = [_row("a", word_segments=[["7", 0.5, 0.9], ["1", 0.0, 0.4], [0.9, 2.0, "sil"]])]
    assert read_manifest(_write(tmp_path, rows))[0].words == ((0.0, 0.4, "1"), (0.5, 0.9, "7"))


@pytest.mark.parametrize("triple", [[0.4, 0.4, "bin"], [-0.1, 0.4, "bin"], ["bin", "a", 1], [0.1], 3])
def test_word_times_that_make_no_sense_are_refused(tmp_path, triple):
    with pytest.raises(AnnotationError, match="entry 'a': expected .start_s, end_s, word"):
        read_manifest(_write(tmp_path, [_row("a", word_segments=[triple])]))


def test_phones_are_read_without_stress_and_silence_and_old_files_have_none(tmp_path):
    told = [["AY1", 0.3, 0.5], [0.1, 0.3, "B"], [0.5, 0.9, "SIL"], [0.9, 1.0, "ZH"]]
    entries = read_manifest(_write(tmp_path, [_row("a", phone_segments=told), _row("b")]))
    assert entries[0].phones == ((0.1, 0.3, "B"), (0.3, 0.5, "AY"), (0.9, 1.0, "ZH"))
    assert entries[1].phones == ()


@pytest.mark.parametrize(
    ("triples", "expected"),
    [
        ([[0.4, 0.4, "B"]], "expected .start_s, end_s, phone. with 0 <= start_s < end_s in phone_segments"),
        ([[0.4, float("nan"), "B"]], "start_s < end_s"),
        ([[0.4, float("inf"), "B"]], "start_s < end_s"),
        ([["B"]], "start_s < end_s"),
        ([[0.1, 0.4, "bin"]], "expected in phone_segments one of AA AE .*, got 'bin'"),
        ([[0.1, 0.4, "B"], [0.3, 0.5, "AA"]], "phones that do not overlap .* got .0.3, 0.5, 'AA'."),
    ],
)
def test_phone_times_that_make_no_sense_are_refused(tmp_path, triples, expected):
    with pytest.raises(AnnotationError, match=expected) as caught:
        read_manifest(_write(tmp_path, [_row("a", phone_segments=triples)]))
    assert all(part in str(caught.value) for part in (str(tmp_path / "manifest.json"), "'a'", "got "))


def test_generated_words_tell_what_they_were_spoken_for(tmp_path):
    replaces = {"media_entry": "b", "words": [[0.5, 0.9, 0.1, 0.6, "bin"], [0.9, 1, 0.6, 0.7, "two words"]]}
    (entry,) = read_manifest(_write(tmp_path, [_row("a", generator="g", replaces=replaces)]))
    assert entry.replaces.entry == "b" and entry.replaces.words[1] == (0.9, 1.0, 0.6, 0.7, "two words")


@pytest.mark.parametrize(
    ("replaces", "expected"),
    [
        ("b", "an object with 'media_entry'"),
        ({"words": [[0, 1, 0, 1, "x"]]}, "an object with 'media_entry'"),
        ({"media_entry": "b", "words": []}, "a list 'words', not empty"),
        ({"media_entry": "b", "words": 3}, "a list 'words'"),
        ({"media_entry": "b", "words": [[0, 1, 0, "x"]]}, "own_start_s, own_end_s, word"),
        ({"media_entry": "b", "words": [[0, "soon", 0, 1, "x"]]}, "own_start_s, own_end_s, word"),
        ({"media_entry": "b", "words": [[1, 1, 0, 1, "x"]]}, "each end after its start"),
        ({"media_entry": "b", "words": [[0, 1, 0, float("inf"), "x"]]}, "each end after its start"),
        ({"media_entry": "b", "words": [[0, 1, 0, 1, "x"], [0.5, 2, 1, 2, "y"]]}, "in order of time"),
    ],
)
def test_a_broken_replaces_names_file_and_entry_and_both_sides(tmp_path, replaces, expected):
    with pytest.raises(AnnotationError, match=expected) as caught:
        read_manifest(_write(tmp_path, [_row("a", generator="g", replaces=replaces)]))
    assert all(part in str(caught.value) for part in (str(tmp_path / "manifest.json"), "'a'", "got "))


@pytest.mark.parametrize(("allowed", "n_words"), [(True, 1), (False, 0)])
def test_an_alignment_gives_its_words_to_the_recording_that_it_names(tmp_path, allowed, n_words):
    alignment = _row("t", kind="alignment", use="any", media_entry="a", word_segments=[[0.1, 0.4, "bin"]])
    alignment |= {"weights_ok": allowed, "phone_segments": [[0.1, 0.2, "B"]]}
    paths = [_write(tmp_path, [alignment], "b.json"), _write(tmp_path, [_row("a")])]
    (entry,) = (e for e in read_manifests(paths) if e.id == "a")
    assert len(entry.words) == len(entry.phones) == n_words


def test_a_recording_with_words_of_its_own_takes_phones_from_an_alignment(tmp_path):
    alignment = _row("t", kind="alignment", use="any", media_entry="a", word_segments=[[0.1, 0.5, "bun"]])
    rows = [alignment | {"phone_segments": [[0.1, 0.2, "B"]]}, _row("a", word_segments=[[0.1, 0.4, "bin"]])]
    entry = read_manifests([_write(tmp_path, rows)])[1]
    assert entry.words == ((0.1, 0.4, "bin"),) and entry.phones == ((0.1, 0.2, "B"),)


def test_only_the_asked_use_and_licence_are_selected(tmp_path):
    rows = [
        _row("a"),
        _row("b", use="dev", identity="bob"),
        _row("c", weights_ok=False),
        _row("d", kind="genuine_talking_face"),
        _row("e", use="test", identity="eve"),
    ]
    entries = read_manifests([_write(tmp_path, rows)])
    assert [e.id for e in select_entries(entries, use="train", kinds=("speech",))] == ["a"]
    kept = select_entries(entries, use="train", kinds=("speech",), weights_only=False)
    assert [e.id for e in kept] == ["a", "c"]


def test_a_missing_permission_counts_as_none(tmp_path):
    row = _row("a")
    del row["weights_ok"]
    entries = read_manifests([_write(tmp_path, [row])])
    assert select_entries(entries, use="train", kinds=("speech",)) == []


def test_generated_speech_with_the_voice_of_another_use_is_left_out(tmp_path):
    rows = [
        _row("a"),
        _row("b", use="dev", identity="bob"),
        _row("fake-of-ann", use="dev", kind="generated_speech", generator="g"),
        _row("fake-of-bob", use="dev", kind="generated_speech", generator="g", identity="bob"),
    ]
    entries = read_manifests([_write(tmp_path, rows)])
    chosen = select_entries(entries, use="dev", kinds=("speech", "generated_speech"))
    assert [e.id for e in chosen] == ["b", "fake-of-bob"]


def test_a_natural_identity_in_two_splits_is_refused(tmp_path):
    paths = [_write(tmp_path, [_row("a")]), _write(tmp_path, [_row("b", use="test")], "other.json")]
    with pytest.raises(AnnotationError, match="'ann' is in two splits"):
        read_manifests(paths)


@pytest.mark.parametrize("field", ["id", "file", "kind", "use", "licence_material"])
def test_a_missing_field_is_named(tmp_path, field):
    row = _row("a")
    del row[field]
    with pytest.raises(AnnotationError, match=field):
        read_manifest(_write(tmp_path, [row]))


def test_what_is_not_a_manifest_is_refused_with_its_name(tmp_path):
    path = tmp_path / "manifest.json"
    path.write_text("[]")
    with pytest.raises(AnnotationError, match="manifest.json"):
        read_manifest(path)


@pytest.mark.dataset
def test_the_real_manifests_share_no_identity_between_uses(shared_media, shared_corpus):
    entries = read_manifests([shared_media / "manifest.json", shared_corpus / "manifest.json"])
    kinds = ("speech", "telephony_speech", "genuine_talking_face", "generated_speech")
    voices = [
        {e.identity for e in select_entries(entries, use=u, kinds=kinds)} for u in ("train", "dev", "test")
    ]
    assert all(voices)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert {v for v in voices[first] & voices[second] if "unknown" not in v} == set()


def test_held_out_is_what_neither_trains_shipped_weights_nor_tests():
    def entry(name: str, use: str, weights_ok: bool, identity: str) -> Entry:
        return Entry(
            id=name, path=Path(name), kind="speech", identity=identity, use=use, weights_ok=weights_ok,
            duration=1.0, sha256="", licence="x",
        )  # fmt: skip

    entries = [
        entry("a", "train", True, "one"),
        entry("b", "train", False, "one"),  # the same person trains through another file
        entry("c", "train", False, "two"),
        entry("d", "dev", False, "three"),
        entry("e", "dev", True, "four"),
        entry("f", "test", True, "five"),
    ]
    chosen = select_entries(entries, use="held_out", kinds=("speech",), weights_only=False)
    assert [e.id for e in chosen] == ["c", "d", "e"]


def test_material_without_a_licence_of_its_own_names_the_repositorys(tmp_path):
    rows = [
        _row("a", licence_material="FSDD recordings", licence_repository="CC BY-SA 4.0"),
        _row("b", licence_material="AMI corpus (CC BY 4.0)", licence_repository="MIT"),
    ]
    entries = read_manifest(_write(tmp_path, rows))
    assert [e.licence for e in entries] == ["FSDD recordings (CC BY-SA 4.0)", "AMI corpus (CC BY 4.0)"]
