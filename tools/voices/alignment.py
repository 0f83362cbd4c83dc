"""What is said in a recording and when: a text by Whisper or pocketsphinx, times by forced alignment."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from avloc.datasets.speech_statistics import measure_speech
from avloc.errors import CheckpointError, ConfigError
from avloc.features.audio import SAMPLE_RATE
from avloc.synth.spans import HOP, frame_envelope

LONGEST_S = 28.0  # what Whisper hears at once
FRAME_S = 0.01
# Log-likelihood of a frame under the acoustic model. With texts by Whisper tiny, 41 of 47 recordings had -1.0
# to -1.9, those in German or misheard -2.2 to -4.7; with texts of other recordings it was -4.3 to -5.7.
LEAST_LIKELIHOOD = -2.1
LEAST_OF_A_WORD = -6.0
LEAST_CONFIDENCE = -0.6  # mean log-probability of Whisper's tokens
SHORTEST_WORD_S, LONGEST_WORD_S = 0.03, 1.6
SKIPPED_SAMPLES = (0, 480, 1600)  # before phones are aligned, until it works
MOST_OUTSIDE = 0.2  # of the frames with speech may lie outside all words

Transcriber = Callable[[np.ndarray], str | None]


class Refused(Exception):
    """The text or its alignment does not fit the recording; the message says why."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word and when it was said, in seconds; ``phones`` (start_s, end_s, ARPAbet) where known."""

    start: float
    end: float
    text: str
    phones: tuple[tuple[float, float, str], ...] = ()


def whisper(folder: Path) -> Transcriber:
    """Give Whisper in CTranslate2 form (``model.bin`` in ``folder``, at any depth) as a transcriber.

    Raises
    ------
    ConfigError
        If faster-whisper is missing.
    CheckpointError
        If the model is missing.
    """
    try:
        from faster_whisper import WhisperModel
    except ImportError as error:
        raise ConfigError(
            "--whisper runs in CTranslate2: pip install faster-whisper, or leave --whisper out"
        ) from error
    found = sorted(folder.rglob("model.bin"))
    if len(found) != 1:
        raise CheckpointError(f"--whisper {str(folder)!r}: expected one model.bin in it, got {len(found)}")
    model = WhisperModel(
        str(found[0].parent), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True
    )

    def transcribe(samples: np.ndarray) -> str | None:
        parts, told = model.transcribe(
            samples, beam_size=1, temperature=0.0, without_timestamps=True, condition_on_previous_text=False
        )
        parts = list(parts)
        if told.language != "en" or not parts:
            return None
        sure = np.mean([part.avg_logprob for part in parts]) >= LEAST_CONFIDENCE
        return " ".join(part.text for part in parts) if sure else None

    return transcribe


class Aligner:
    """Forced alignment of English by pocketsphinx, with its own acoustic model and dictionary."""

    def __init__(self) -> None:
        self._decoder = _decoder(lm=None)

    def knows(self, word: str) -> bool:
        """Whether the dictionary has the word."""
        return self._decoder.lookup_word(word) is not None

    def __call__(self, samples: np.ndarray, text: str) -> list[Word]:
        """Give the times of the words of ``text`` in ``samples`` (n,) at 16 kHz, in order.

        Their phones are there too, but for about one recording of ten: where pocketsphinx finds a single
        frame before the first word, it cannot align phones, and skipping a little does not always help.

        Raises
        ------
        Refused
            If a word is in no dictionary, or the alignment looks wrong.
        """
        words = split_words(text)
        unknown = [word for word in words if not self.knows(word)]
        if unknown or not words:
            raise Refused(f"words that the dictionary lacks: {unknown}" if words else "no words")
        found = self._align(samples, words)
        if [re.sub(r"\(\d+\)$", "", word) for word, *_ in found] != words:
            raise Refused(f"{len(found)} of {len(words)} words were aligned")
        check_likelihood([(last - first, score) for _, first, last, score in found])
        aligned = [
            Word(first * FRAME_S, last * FRAME_S, word)
            for word, (_, first, last, _) in zip(words, found, strict=True)
        ]
        check_against_energy(samples, aligned)
        names = [name for name, *_ in found]
        for skipped in SKIPPED_SAMPLES:
            phones = self._phones(samples, words, skipped)
            if [name for name, _ in phones] == names:
                return [replace(word, phones=own) for word, (_, own) in zip(aligned, phones, strict=True)]
        return aligned

    def _align(self, samples: np.ndarray, words: list[str]) -> list[tuple[str, int, int, float]]:
        """Give each word with its first frame, the one after its last, and its log-likelihood."""
        decoder = self._decoder
        try:
            decoder.set_align_text(" ".join(words))
        except RuntimeError as error:
            raise Refused(f"pocketsphinx takes no such text: {error}") from error
        _feed(decoder, samples)
        if decoder.hyp() is None:
            raise Refused("no alignment was found")
        return [
            (s.word, s.start_frame, s.end_frame + 1, math.log(s.ascore) if s.ascore > 0 else -math.inf)
            for s in decoder.seg()
            if s.word[0] not in "<["
        ]

    def _phones(
        self, samples: np.ndarray, words: list[str], skipped: int
    ) -> list[tuple[str, tuple[tuple[float, float, str], ...]]]:
        """Give each word with its phones, without the first samples; nothing if they cannot be aligned."""
        decoder = self._decoder
        decoder.set_align_text(" ".join(words))
        _feed(decoder, samples[skipped:])
        try:
            decoder.set_alignment()
            _feed(decoder, samples[skipped:])
        except RuntimeError:
            return []
        before_s = skipped / SAMPLE_RATE
        # An entry is a place in the decoder's own list: it must be read before the next one is asked for.
        return [
            (
                word.name,
                tuple(
                    (p.start * FRAME_S + before_s, (p.start + p.duration) * FRAME_S + before_s, p.name)
                    for p in word
                ),
            )
            for word in decoder.get_alignment()
            if word.name[0] not in "<["
        ]


def check_likelihood(scores: list[tuple[int, float]]) -> None:
    """Refuse words, each of (frames, log-likelihood), that the acoustic model does not hear."""
    mean = sum(score for _, score in scores) / sum(frames for frames, _ in scores)
    least = min(score / frames for frames, score in scores)
    if mean < LEAST_LIKELIHOOD or least < LEAST_OF_A_WORD:
        raise Refused(f"log-likelihood a frame {mean:.2f}, of the worst word {least:.2f}")


def check_against_energy(samples: np.ndarray, words: list[Word]) -> None:
    """Refuse words of impossible length, and speech that lies outside all words."""
    lengths = [word.end - word.start for word in words]
    if min(lengths) < SHORTEST_WORD_S or max(lengths) > LONGEST_WORD_S:
        raise Refused(f"words of {min(lengths):.2f} to {max(lengths):.2f} s")
    loud = frame_envelope(samples) > measure_speech(samples).threshold[0]
    covered = np.zeros(len(loud), dtype=bool)
    for word in words:
        covered[round(word.start * SAMPLE_RATE / HOP) : round(word.end * SAMPLE_RATE / HOP)] = True
    outside = (loud & ~covered).sum() / max(loud.sum(), 1)
    if outside > MOST_OUTSIDE:
        raise Refused(f"{outside:.0%} of the speech lies outside the words")


def sphinx() -> Transcriber:
    """Pocketsphinx with its own language model as a transcriber: rougher than Whisper, and always there."""
    decoder = _decoder()

    def transcribe(samples: np.ndarray) -> str | None:
        _feed(decoder, samples)
        found = decoder.hyp()
        return found.hypstr if found else None

    return transcribe


def _feed(decoder: object, samples: np.ndarray) -> None:
    decoder.start_utt()
    decoder.process_raw((np.clip(samples, -1, 1) * 32767).astype(np.int16).tobytes(), full_utt=True)
    decoder.end_utt()


def _decoder(**options: object) -> object:
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise ConfigError("words are aligned by pocketsphinx: pip install 'pocketsphinx>=5.1'") from error
    return Decoder(samprate=SAMPLE_RATE, loglevel="FATAL", **options)


def split_words(text: str) -> list[str]:
    """Words of ``text`` as a pronouncing dictionary writes them.

    Raises
    ------
    Refused
        If there are digits: how they were read is not known.
    """
    if re.search(r"\d", text):
        raise Refused(f"digits in the text: {text.strip()!r}")
    return re.findall(r"[a-z]+(?:'[a-z]+)*", text.lower().replace("’", "'"))
