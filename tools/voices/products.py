"""What is made, one item at a time: phrases, word times of recordings, and their words spoken again."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from avloc.datasets.corpus import Entry
from voices.alignment import LONGEST_S, Aligner, Refused, Transcriber, Word, split_words
from voices.folder import VoiceFolder, trimmed
from voices.kokoro import Voice
from voices.sentences import draw_sentence

Synthesizer = Callable[[str, Voice, float], np.ndarray]

SHORTEST_S = 1.5
SINGLE_SHARE = 0.35  # of the voices are no blends
SLOWEST, FASTEST = 0.7, 1.5
SECONDS_A_LETTER = 0.08  # at speed 1, spaces not counted: mean of 34 stretches; 0.07 in whole sentences
WORDS_AT_ONCE = (4, 12)
FITTED_SHARE = 0.6  # are spoken as fast as the recording
OTHER_SHARE = 0.3  # say other words in one place
MOST_OTHER = 3  # words
STREAMS = ("phrase", "words", "order")  # of random numbers, so that no product moves another


@dataclass
class Maker:
    """Makes items of one use into a folder, each once.

    ``recordings`` are the genuine ones of that use, and ``voices`` the names that it may have; ``speak``,
    ``transcribe`` and ``align`` are Kokoro, Whisper and pocketsphinx, or what does the same.
    """

    folder: VoiceFolder
    use: str
    seed: int
    voices: Sequence[str]
    recordings: Sequence[Entry]
    read: Callable[[Entry], np.ndarray]
    speak: Synthesizer
    transcribe: Transcriber | None = None
    align: Aligner | None = None

    def __post_init__(self) -> None:
        rng = self._stream("order", 0)
        fitting = [e for e in self.recordings if SHORTEST_S <= e.duration <= LONGEST_S]
        self.recordings = in_turn(rng, fitting)
        self.words = {
            entry["media_entry"]: [Word(*word) for word in entry["word_segments"]]
            for entry in self.folder.entries
            if entry["kind"] == "alignment"
        }
        for entry in self.recordings:
            if entry.words:
                self.words.setdefault(entry.id, [Word(*word) for word in entry.words])

    def _stream(self, product: str, number: int) -> np.random.Generator:
        """Random numbers of one item; those of another use are others."""
        use = int.from_bytes(self.use.encode(), "little")
        return np.random.default_rng([self.seed, use, STREAMS.index(product), number])

    def make_phrase(self) -> str | None:
        """Speak the next sentence; its name."""
        number = 0
        while (name := f"kokoro-{self.use}-{number:05d}") in self.folder.ids:
            number += 1
        rng = self._stream("phrase", number)
        text, voice, speed = draw_sentence(rng), draw_voice(rng, self.voices), float(rng.uniform(0.75, 1.3))
        samples, _ = trimmed(self.speak(text, voice, speed))
        fields = {"text": text, "speed": round(speed, 3)}
        self.folder.add_speech(name, samples, use=self.use, voice=voice.name, **fields)
        return name

    def make_alignment(self) -> str | None:
        """Find the words of the next recording; the name of the alignment, None if no recording is left."""
        for entry in self.recordings:
            if entry.id in self.words or entry.id in self.folder.refused:
                continue
            try:
                words = self._words_of(self.read(entry))
            except Refused as reason:
                self.folder.refuse(entry.id, str(reason))
                continue
            name = f"words-{entry.id}"
            phones = [phone for word in words for phone in word.phones]
            self.folder.add_words(name, entry, [(w.start, w.end, w.text) for w in words], phones)
            self.words[entry.id] = words
            return name
        return None

    def _words_of(self, samples: np.ndarray) -> list[Word]:
        text = self.transcribe(samples)
        if not text:
            raise Refused("no text was heard")
        return self.align(samples, text)

    def make_words(self) -> str | None:
        """Speak words of the next recording that has word times; the name, None if no recording is left."""
        while True:
            for number, entry in enumerate(self.recordings):
                name = f"kokoro-{entry.id}"
                if entry.id not in self.words or name in self.folder.ids or name in self.folder.refused:
                    continue
                rng = self._stream("words", number)
                try:
                    self._speak_again(rng, entry, name)
                except Refused as reason:
                    self.folder.refuse(name, str(reason))
                    continue
                return name
            if self.make_alignment() is None:
                return None

    def _speak_again(self, rng: np.random.Generator, entry: Entry, name: str) -> None:
        """Speak some consecutive words, and say of each which span of the recording it takes the place of."""
        places = draw_places(rng, self.words[entry.id])
        text = " ".join(said for *_, said in places)
        voice = draw_voice(rng, self.voices)
        usual_s = SECONDS_A_LETTER * len(text.replace(" ", ""))
        speed = (
            usual_s / (places[-1][1] - places[0][0])
            if rng.random() < FITTED_SHARE
            else rng.uniform(0.8, 1.25)
        )
        speed = float(np.clip(speed, SLOWEST, FASTEST))
        samples, heard = trimmed(self.speak(text + str(rng.choice([".", ",", ""])), voice, speed))
        own = iter(self.align(samples, text))
        rows = []
        for start, end, said in places:
            spoken = [next(own) for _ in said.split()]
            # The aligner counts a short silence before or after all words to the words.
            begins, ends = max(spoken[0].start, heard[0]), min(spoken[-1].end, heard[1])
            if begins >= ends:
                raise Refused(f"nothing is heard where {said!r} should be")
            rows.append([start, end, round(begins, 4), round(ends, 4), said])
        replaces = {"media_entry": entry.id, "words": rows}
        fields = {"text": text, "speed": round(speed, 3), "replaces": replaces}
        self.folder.add_speech(name, samples, use=self.use, voice=voice.name, **fields)


def draw_voice(rng: np.random.Generator, names: Sequence[str]) -> Voice:
    """Draw one of ``names``, or a blend of two of them."""
    if len(names) < 2 or rng.random() < SINGLE_SHARE:
        return Voice(str(rng.choice(names)))
    first, second = sorted(str(name) for name in rng.choice(names, size=2, replace=False))
    return Voice(first, second, round(float(rng.integers(4, 17)) * 0.05, 2))


def draw_places(rng: np.random.Generator, words: Sequence[Word]) -> list[tuple[float, float, str]]:
    """Draw consecutive words: (start_s, end_s, what will be said), at times other words in one place."""
    n = min(int(rng.integers(WORDS_AT_ONCE[0], WORDS_AT_ONCE[1] + 1)), len(words))
    first = int(rng.integers(len(words) - n + 1))
    places = [(word.start, word.end, word.text) for word in words[first : first + n]]
    if rng.random() < OTHER_SHARE:
        count = int(rng.integers(1, min(MOST_OTHER, n) + 1))
        at = int(rng.integers(n - count + 1))
        others = split_words(draw_sentence(rng))
        begin = int(rng.integers(max(len(others) - count, 0) + 1))
        said = " ".join(others[begin : begin + count])
        places[at : at + count] = [(places[at][0], places[at + count - 1][1], said)]
    return places


def in_turn(rng: np.random.Generator, entries: Sequence[Entry]) -> list[Entry]:
    """One recording of each speaker, then the next of each: few recordings are those of many speakers."""
    speakers: dict[str, list[Entry]] = defaultdict(list)
    for k in rng.permutation(len(entries)):
        speakers[entries[k].identity].append(entries[k])
    longest = max((len(own) for own in speakers.values()), default=0)
    return [own[k] for k in range(longest) for own in speakers.values() if k < len(own)]
