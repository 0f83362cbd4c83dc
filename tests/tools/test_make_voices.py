"""The tool that speaks material: each item once, voices of one use, and a folder that training reads."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from avloc.datasets.corpus import Entry, read_manifest
from avloc.datasets.speech_pool import SpeechPool
from avloc.media.encode import write_audio
from avloc.media.whole import read_audio
from avloc.synth.compose import compose, lacking

ROOT = Path(__file__).resolve().parents[2]
KOKORO = os.environ.get("AVLOC_KOKORO")
PARTS = (
    "make_voices",
    "voices",
    *(f"voices.{p}" for p in ("alignment", "folder", "kokoro", "products", "sentences")),
)


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    yield importlib.import_module("make_voices")
    for name in PARTS:
        sys.modules.pop(name, None)


@pytest.fixture
def parts(tool):
    """The modules that the tool is made of, by name."""
    return SimpleNamespace(**{name[7:]: sys.modules[name] for name in PARTS if name.startswith("voices.")})


def bursts(words: list[str], seed: float) -> np.ndarray:
    """Sound that says each word as 0.3 s of noise, with 0.1 s of quiet after it and 0.3 s around all."""
    rng = np.random.default_rng(round(seed * 1000))
    level = np.concatenate(
        [np.zeros(4800), np.tile(np.repeat([0.2, 0.001], [4800, 1600]), len(words)), np.zeros(4800)]
    )
    return (level * rng.standard_normal(len(level))).clip(-1, 1).astype(np.float32)


class FakeKokoro:
    """Speaks by :func:`bursts`, and remembers what it was asked for."""

    def __init__(self, folder=None, *, seed=0):
        self.styles = dict.fromkeys(("jf_alpha", "jf_nezumi", "jf_tebukuro", "jm_kumo"))
        self.asked = []

    def __call__(self, text, voice, speed):
        self.asked.append((text, voice, speed))
        return bursts(text.split(), len(text) + speed)


@pytest.fixture
def align(parts):
    """Times of the words of :func:`bursts`: one for each stretch of sound."""

    class FakeAligner:
        def __call__(self, samples, text):
            words = parts.alignment.split_words(text)
            loud = np.convolve(np.abs(samples) > 0.01, np.ones(400), mode="same") > 0
            edges = np.flatnonzero(np.diff(loud.astype(int), prepend=0, append=0)).reshape(-1, 2) / 16000
            if len(edges) != len(words):
                raise parts.alignment.Refused(f"{len(edges)} sounds for {len(words)} words")
            return [
                parts.alignment.Word(s, e, word, ((s, e, "AH"),))
                for (s, e), word in zip(edges.tolist(), words, strict=True)
            ]

    return FakeAligner()


# Of different lengths, by which they are recognized.
TEXTS = {
    "a0": "the cat sat on a mat",
    "a1": "where is it now then",
    "b0": "seven 7 times",
    "b1": "nobody saw the red door there yet",
}


@pytest.fixture
def media(tmp_path):
    """Two train speakers and one of dev, whose words are bursts."""
    folder = tmp_path / "media"
    folder.mkdir()
    rows = []
    for k, (name, text) in enumerate([*TEXTS.items(), ("c0", "what did they say")]):
        sound = bursts(text.split(), k)
        write_audio(folder / f"{name}.wav", sound[None], 16000)
        rows.append(
            {"id": name, "file": f"{name}.wav", "kind": "speech", "identity": name[0], "weights_ok": True}
            | {"use": "dev" if name == "c0" else "train", "licence_material": "CC0 (public domain)"}
            | {"sha256": name, "duration_s": len(sound) / 16000}
        )
    (folder / "manifest.json").write_text(json.dumps({"entries": rows}))
    return folder / "manifest.json"


@pytest.fixture
def run(tool, parts, align, media, tmp_path, monkeypatch):
    """Run the tool with fakes in place of all models; the folder that it filled."""
    heard = []

    def transcribe(samples):
        texts = {len(bursts(text.split(), 0)): text for text in (*TEXTS.values(), "what did they say")}
        heard.append(len(samples))
        return texts[len(samples)]

    monkeypatch.setattr(tool, "Kokoro", FakeKokoro)
    monkeypatch.setattr(tool, "Aligner", lambda: align)
    monkeypatch.setattr(tool, "whisper", lambda folder: transcribe)

    def call(out="voices", *options, use="train"):
        folder = tmp_path / out
        common = ["--media", str(media), "--use", use, "--kokoro", "k", "--whisper", "w"]
        tool.main([str(folder), *common, *options])
        return folder

    call.heard = heard
    return call


def test_the_folder_is_one_that_training_reads(run, media, tmp_path, capsys):
    folder = run("voices", "--n", "3")
    assert "'phrases': 3, 'alignments': 3, 'words': 3" in capsys.readouterr().out
    pool = SpeechPool.build([media, folder / "manifest.json"], use="train", cache=tmp_path / "cache")
    assert lacking(pool) == {"neural_pair": "generated twins"}
    assert len(pool.generated) == 3 and {pool.entries[i].id for i in pool.spoken_again} == {"a0", "a1", "b1"}
    assert [word for *_, word in pool.entries[0].words] == TEXTS["a0"].split()
    assert [phone[:2] for phone in pool.entries[0].phones] == [word[:2] for word in pool.entries[0].words]
    assert all(e.licence.endswith(")") and e.weights_ok for e in pool.entries)
    item = compose(np.random.default_rng(0), pool, family="neural_words")
    assert len(item.audio.segments) >= 1 and "Kokoro" in pool.entries[-1].generator


def test_words_are_spoken_for_the_spans_where_the_recording_says_them(run):
    for entry in read_manifest(run("voices", "--n", "3") / "manifest.json"):
        if entry.replaces is None:
            continue
        said = " ".join(word for *_, word in entry.replaces.words).split()
        theirs = TEXTS[entry.replaces.entry].split()
        for start, end, own_start, own_end, words in entry.replaces.words:
            # A word every 0.4 s after 0.3 s, in both; 0.12 s of quiet are left before the first in the file.
            place = (start - 0.3) / 0.4
            assert abs(place - round(place)) < 0.05 and round((end - start + 0.1) / 0.4) >= 1
            at = (own_start - 0.12) / 0.4
            assert abs(at - round(at)) < 0.05 and said[round(at)] == words.split()[0]
            assert round((own_end - own_start + 0.1) / 0.4) == len(words.split())
            if len(words.split()) == 1 and words in theirs:
                assert round(place) in [k for k, w in enumerate(theirs) if w == words]


def test_each_item_is_made_once_and_a_stopped_run_goes_on(run):
    whole = run("whole", "--n", "3")
    first = run("parts", "--n", "1")
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*.flac")}
    n_heard = len(run.heard)
    again = run("parts", "--n", "1")
    assert len(run.heard) == n_heard and len(list(again.rglob("*.flac"))) == len(before) == 2
    run("parts", "--n", "3")
    assert all(path.stat().st_mtime_ns == made for path, made in before.items())
    rows = [json.loads((f / "manifest.json").read_text()) for f in (whole, first)]
    # The same items with the same bytes; what cannot be aligned was tried once in each.
    assert sorted(e["sha256"] for e in rows[0]["entries"]) == sorted(e["sha256"] for e in rows[1]["entries"])
    assert rows[0]["refused"] == rows[1]["refused"]


def test_a_recording_without_clear_words_is_refused_once_and_for_all(run):
    folder = run("voices", "--n", "9", "--products", "alignments")
    told = json.loads((folder / "manifest.json").read_text())
    assert list(told["refused"]) == ["b0"] and "digits" in told["refused"]["b0"]
    n_heard = len(run.heard)
    run("voices", "--n", "9", "--products", "alignments")
    assert len(run.heard) == n_heard == 4


def test_voices_of_one_use_are_never_heard_in_the_other(run):
    folder = run("voices", "--n", "30", "--products", "phrases")
    run("voices", "--n", "30", use="dev")
    heard = {"train": set(), "dev": set()}
    for entry in read_manifest(folder / "manifest.json"):
        if entry.kind == "generated_speech":
            heard[entry.use] |= set(entry.identity.removeprefix("kokoro ").rsplit("-", 1)[0].split("+"))
            heard[entry.use] |= {n for n in ("jf_alpha", "jm_kumo", "jf_nezumi") if n in entry.identity}
    assert {"jf_alpha", "jm_kumo"} <= heard["train"] and "jf_nezumi" in heard["dev"]
    assert not heard["train"] & heard["dev"]
    texts = {use: [] for use in heard}
    for row in json.loads((folder / "manifest.json").read_text())["entries"]:
        if row["kind"] == "generated_speech" and "replaces" not in row:
            texts[row["use"]].append(row["text"])
    # A saying may come twice; sentences drawn from the same numbers would all be the same.
    assert len(set(texts["train"]) & set(texts["dev"])) < 8


def test_time_ends_a_run(run, capsys):
    folder = run("voices", "--minutes", "0")
    assert "'phrases': 0" in capsys.readouterr().out and not list(folder.rglob("*.flac"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--n", "1", "--dev-voices", "ann"], "--dev-voices must be of .*'jf_alpha'.*got .'ann'."),
        (["--n", "1", "--dev-voices", "jf_alpha,jf_nezumi,jf_tebukuro,jm_kumo"], "nothing is left for train"),
        (["--n", "1", "--products", "songs"], "--products knows phrases,alignments,words, got songs"),
        ([], "--minutes, --n or both"),
    ],
)
def test_wrong_options_are_told_and_end_with_2(run, capsys, options, message):
    import re

    with pytest.raises(SystemExit) as ended:
        run("voices", *options)
    assert ended.value.code == 2 and re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("onnxruntime", "pip install 'onnxruntime"),
        ("pocketsphinx", "pip install 'pocketsphinx"),
        ("faster_whisper", "pip install faster-whisper"),
        ("espeak-ng", "apt-get install espeak-ng"),
        ("vocabulary", "expected one vocab.json in it, got 0"),
    ],
)
def test_what_is_missing_is_named_with_what_to_install(
    tool, parts, media, tmp_path, monkeypatch, capsys, missing, message
):
    for name in ("onnxruntime", "pocketsphinx", "faster_whisper"):
        monkeypatch.setitem(sys.modules, name, None if name == missing else SimpleNamespace())
    monkeypatch.setattr(shutil, "which", lambda name: None if name == missing else name)
    if missing in ("pocketsphinx", "faster_whisper"):
        monkeypatch.setattr(tool, "Kokoro", FakeKokoro)
    options = ["--media", str(media), "--use", "dev", "--n", "1", "--kokoro", str(tmp_path)]
    options += ["--whisper", str(tmp_path)] if missing == "faster_whisper" else []
    with pytest.raises(SystemExit) as ended:
        tool.main([str(tmp_path / "out"), *options])
    told = capsys.readouterr().err
    assert ended.value.code == 2 and told.startswith("make_voices: ") and message in told


def test_a_folder_of_something_else_is_not_written_over(run, tmp_path, capsys):
    (tmp_path / "voices").mkdir()
    (tmp_path / "voices" / "manifest.json").write_text('{"entries": []}')
    with pytest.raises(SystemExit) as ended:
        run("voices", "--n", "1")
    assert ended.value.code == 2 and "give a new folder" in capsys.readouterr().err
    assert (tmp_path / "voices" / "manifest.json").read_text() == '{"entries": []}'


def test_alignments_that_look_wrong_are_refused(parts):
    alignment = parts.alignment
    alignment.check_likelihood([(30, -40.0), (10, -30.0)])
    with pytest.raises(alignment.Refused, match="a frame -2.5"):
        alignment.check_likelihood([(30, -75.0)])
    with pytest.raises(alignment.Refused, match="worst word -7.0"):
        alignment.check_likelihood([(100, -100.0), (5, -35.0)])
    samples = bursts(["one", "two", "three"], 1)
    words = [alignment.Word(0.3 + 0.4 * k, 0.6 + 0.4 * k, "w") for k in range(3)]
    alignment.check_against_energy(samples, words)
    with pytest.raises(alignment.Refused, match="33% of the speech lies outside"):
        alignment.check_against_energy(samples, words[:2])
    with pytest.raises(alignment.Refused, match="words of 0.02 to 0.30 s"):
        alignment.check_against_energy(samples, [*words, alignment.Word(1.5, 1.52, "w")])


class FakeDecoder:
    """Pocketsphinx, which finds one word in any sound, and its phones in none or only in shorter sounds."""

    def __init__(self, longest_with_phones: int) -> None:
        self.longest, self.told, self.asks_phones = longest_with_phones, [], False

    def set_align_text(self, text):
        self.asks_phones = False

    def set_alignment(self):
        self.asks_phones = True

    def start_utt(self):
        pass

    def process_raw(self, raw, full_utt):
        self.told.append(len(raw) // 2)

    def end_utt(self):
        if self.asks_phones and self.told[-1] > self.longest:
            raise RuntimeError("Failed to stop utterance processing")

    def hyp(self):
        return "bow"

    def seg(self):
        return [
            SimpleNamespace(word="<sil>", start_frame=0, end_frame=29, ascore=1.0),
            SimpleNamespace(word="bow(2)", start_frame=30, end_frame=59, ascore=1e-10),
        ]

    def get_alignment(self):
        first = 30 - (4800 + 4800 + 4800 - self.told[-1]) // 160  # as much earlier as was skipped

        def entry(name, start, duration, parts=()):
            class Entry(SimpleNamespace):
                def __iter__(self):
                    return iter(parts)

            return Entry(name=name, start=start, duration=duration)

        phones = [entry("B", first, 10), entry("AW", first + 10, 20)]
        return [entry("<sil>", 0, first, [entry("SIL", 0, first)]), entry("bow(2)", first, 30, phones)]


@pytest.mark.parametrize(("longest", "n_phones"), [(99999, 2), (14000, 2), (1000, 0)])
def test_phones_are_tried_again_without_the_first_samples_and_words_stand_without_them(
    parts, monkeypatch, longest, n_phones
):
    decoder = FakeDecoder(longest)
    decoder.lookup_word = lambda word: "B AW"
    monkeypatch.setattr(parts.alignment, "_decoder", lambda **options: decoder)
    (word,) = parts.alignment.Aligner()(bursts(["bow"], 1)[:14400], "bow")
    assert (word.start, word.end, word.text) == (0.3, 0.6, "bow")
    assert [phone for *_, phone in word.phones] == ["B", "AW"][:n_phones]
    for (start, end, _), expected in zip(word.phones, [(0.3, 0.4), (0.4, 0.6)], strict=False):
        assert (start, end) == pytest.approx(expected)


def test_words_are_split_as_a_pronouncing_dictionary_writes_them(parts):
    assert parts.alignment.split_words("Don’t — they're well-known, 'tis O.K.") == [
        *("don't", "they're", "well", "known", "tis", "o", "k")
    ]
    with pytest.raises(parts.alignment.Refused, match="digits"):
        parts.alignment.split_words("chapter 3")


def test_phones_are_those_of_kokoro_with_the_punctuation(parts, monkeypatch):
    told = {"Judge": "d‍ʒˈʌd‍ʒ\n", " my little bird": "mˈa‍ɪ lˈɪɾə‍l bˈɜːd\n"}

    def espeak(command, **options):
        return SimpleNamespace(stdout=told[command[-1]])

    monkeypatch.setattr(subprocess, "run", espeak)
    assert parts.kokoro.to_phones("Judge, my little bird.") == "ʤˈʌʤ, mˈI lˈɪTᵊl bˈɜɹd."


def test_a_network_in_parts_is_joined_in_order_and_checked(parts, tmp_path):
    import hashlib

    for k in (2, 1, 3):
        (tmp_path / f"part_{k}").mkdir()
        (tmp_path / f"part_{k}" / "part.bin").write_bytes(bytes([k]))
    assert parts.kokoro._network(tmp_path) == bytes([1, 2, 3])
    (tmp_path / "model.sha256").write_text(hashlib.sha256(bytes([1, 2, 4])).hexdigest())
    with pytest.raises(parts.kokoro.CheckpointError, match="3 parts are not the network"):
        parts.kokoro._network(tmp_path)


def test_sentences_vary_and_can_be_split_into_words(parts):
    rng = np.random.default_rng(0)
    drawn = {parts.sentences.draw_sentence(rng) for _ in range(200)}
    lengths = [len(parts.alignment.split_words(sentence)) for sentence in drawn]
    assert len(drawn) > 170 and min(lengths) >= 4 and max(lengths) > 15


def test_recordings_take_turns_by_speaker(parts, tmp_path):
    entries = [
        Entry(f"{who}{k}", tmp_path, "speech", who, "train", True, 3.0, "", "")
        for who in "ab"
        for k in range(9)
    ]
    order = parts.products.in_turn(np.random.default_rng(0), entries[:12])
    assert len({e.id for e in order}) == 12 and [e.identity for e in order[:6]] in (
        list("ab" * 3),
        list("ba" * 3),
    )


@pytest.mark.slow
@pytest.mark.skipif(not KOKORO, reason="needs AVLOC_KOKORO, a folder with the unpacked wheels of Kokoro 82M")
def test_kokoro_speaks_words_that_pocketsphinx_finds(tool, parts):
    for name in ("onnxruntime", "pocketsphinx"):
        pytest.importorskip(name)
    text = "nobody at the office forgot the keys to the garden"
    sounds = []
    for _ in range(2):
        speak = parts.kokoro.Kokoro(Path(KOKORO), seed=3)
        samples, (first, last) = parts.folder.trimmed(
            speak(text, parts.kokoro.Voice("jm_kumo", "jf_nezumi", 0.4), 1.0)
        )
        sounds.append(samples)
    np.testing.assert_array_equal(*sounds)
    words = parts.alignment.Aligner()(samples, text)
    assert [word.text for word in words] == text.split() and 0.1 < first < 0.2 and 2 < last < 6
    assert all(a.end <= b.start for a, b in zip(words[:-1], words[1:], strict=True))
    for word in words:
        assert all(word.start - 0.02 <= start < end <= word.end + 0.02 for start, end, _ in word.phones)


def test_what_is_written_is_what_was_spoken(run):
    folder = run("voices", "--n", "1")
    for row in json.loads((folder / "manifest.json").read_text())["entries"]:
        if row["kind"] == "generated_speech":
            samples = read_audio(folder / row["file"])[0]
            assert row["fake_segments"] == [[0.0, row["duration_s"]]] == [[0.0, len(samples) / 16000]]
            assert row["use"] == "train" and row["text"] and 0.7 <= row["speed"] <= 1.5
