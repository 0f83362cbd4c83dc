"""How much of made events is found, and how much of real speech is marked by mistake.

python benchmarks/events.py --media media/manifest.json --media corpus/manifest.json \
    --out benchmarks/results/events.json

Recall: every code is made between real speech of use ``dev``, at levels of -40, -20 and -3 dBFS, with white
noise 10, 20 and 30 dB below it, wide and through G.711 (both laws) and GSM 06.10 at 8 kHz. Redaction, lost
packets and comfort noise are made after the line, as a receiver or an editor makes them; their level is that
of the speech, at most -18 dBFS. Counted is the share of the made seconds that events of the code cover.

False alarms: seconds per hour of natural and of generated speech that each code marks, by kind and use; test
entries are left out. What is truly there (the lost packets of one call, the band behind one face) counts as
well, so the files are named.

The speed is CPU time of one process.
"""

import argparse
import io
import json
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import soundfile
from environment import environment
from scipy.signal import resample_poly

from avloc.datasets.corpus import NATURAL_KINDS, Entry, read_manifest
from avloc.features.audio import SAMPLE_RATE
from avloc.features.cadence import DTMF_HIGH_HZ, DTMF_LOW_HZ
from avloc.features.events import EVENT_CODES, EventDetector
from avloc.media.whole import read_audio
from avloc.structures import Timeline

LEVELS_DB, SNRS_DB = (-40.0, -20.0, -3.0), (10.0, 20.0, 30.0)
LINES = {"wide": None, "mu_law": "ULAW", "a_law": "ALAW", "gsm": "GSM610"}
AFTER_THE_LINE = ("redaction", "packet_loss", "comfort_noise")
REPEATS = 6
PUSH_SAMPLES = 5 * SAMPLE_RATE
KINDS = (*NATURAL_KINDS, "generated_speech")
SPEECH_DB = -25.0
Made = tuple[np.ndarray, list[tuple[int, int]]]  # samples, spans of the event


def tones(
    rng: np.random.Generator, frequencies_hz: tuple, seconds: float, twist_db: float = 0.0
) -> np.ndarray:
    """Sum of sinusoids of RMS 1 each; the last one is ``twist_db`` louder."""
    at = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    gains = [1.0] * (len(frequencies_hz) - 1) + [10.0 ** (twist_db / 20.0)]
    waves = (
        gain * np.sin(2 * np.pi * f * at + rng.uniform(0, 6))
        for gain, f in zip(gains, frequencies_hz, strict=True)
    )
    return np.sqrt(2.0) * sum(waves)


def bursts(rng: np.random.Generator, frequencies_hz: tuple, pattern: tuple, *, whole: bool) -> Made:
    """Tones in a pattern of seconds on, off, on, ...; one span from first to last, or one a burst."""
    parts, spans, position = [], [], 0
    for index, seconds in enumerate(pattern):
        part = (
            tones(rng, frequencies_hz, seconds) if index % 2 == 0 else np.zeros(round(seconds * SAMPLE_RATE))
        )
        if index % 2 == 0:
            spans.append((position, position + len(part)))
        parts.append(part)
        position += len(part)
    return np.concatenate(parts), [(spans[0][0], spans[-1][1])] if whole else spans


def dtmf(rng: np.random.Generator) -> Made:
    """Eight digits of 50 to 100 ms."""
    parts, spans, position = [], [], 0
    for _ in range(8):
        pair = (rng.choice(DTMF_LOW_HZ) * rng.uniform(0.988, 1.012), rng.choice(DTMF_HIGH_HZ))
        digit = tones(rng, pair, rng.uniform(0.05, 0.1), rng.uniform(-7, 3))
        spans.append((position, position + len(digit)))
        parts += [digit, np.zeros(960)]
        position += len(digit) + 960
    return np.concatenate(parts), spans


def ring_back(rng: np.random.Generator) -> Made:
    plans = (
        ((440, 480), (2.0, 4.0, 2.0)),
        ((425,), (1.0, 4.0, 1.0)),
        ((400, 450), (0.4, 0.2, 0.4, 2.0, 0.4, 0.2, 0.4)),
    )
    return bursts(rng, *plans[rng.integers(len(plans))], whole=True)


def hold_tone(rng: np.random.Generator) -> Made:
    plans = (
        ((350, 440), (3.0,)),
        ((425,), (3.0,)),
        ((1000,), (2.0,)),
        ((480, 620), (0.5,) * 7),
        ((425,), (0.5,) * 7),
        ((425,), (0.25,) * 11),
    )
    return bursts(rng, *plans[rng.integers(len(plans))], whole=True)


def beep(rng: np.random.Generator) -> Made:
    if rng.random() < 0.25:
        return bursts(rng, (440,), (rng.uniform(0.2, 0.5),), whole=True)
    return bursts(rng, (rng.choice([1000, 1400, 2000]),), (rng.uniform(0.06, 1.2),), whole=True)


def music(rng: np.random.Generator) -> Made:
    """Broken chords over held ones: decaying partials, some with a slight vibrato."""
    total, n = np.zeros(10 * SAMPLE_RATE), SAMPLE_RATE
    decay, vibrato = rng.uniform(0.2, 2.0), rng.choice([0.0, 0.003])
    at = np.arange(2 * n) / SAMPLE_RATE
    for index in range(32):
        chord = (0, 5, 7, 9)[index // 8]
        keys = [chord + rng.choice([12, 16, 19])] + ([chord, chord + 4, chord + 7] if index % 8 == 0 else [])
        for key in keys:
            hertz = 220.0 * 2 ** (key / 12)
            phase = 2 * np.pi * hertz * (at - vibrato * np.cos(2 * np.pi * 5.5 * at) / (2 * np.pi * 5.5))
            note = sum(np.sin(k * phase) * 0.6**k for k in range(1, 8)) * np.exp(-at / decay)
            start = index * n * 5 // 16
            total[start : start + 2 * n] += note[: len(total) - start]
    return total / np.sqrt((total**2).mean()), [(0, len(total))]


MAKERS = {f.__name__: f for f in (dtmf, ring_back, hold_tone, beep, music)}


def through_line(samples: np.ndarray, subtype: str | None) -> np.ndarray:
    """Code (n,) at 8 kHz with a real coder; None leaves it wide."""
    if subtype is None:
        return samples.astype(np.float32)
    file = io.BytesIO()
    soundfile.write(
        file, np.clip(resample_poly(samples, 1, 2), -1, 0.9999), 8000, format="WAV", subtype=subtype
    )
    file.seek(0)
    coded, _ = soundfile.read(file)
    out = np.zeros(len(samples), dtype=np.float32)
    wide = resample_poly(coded, 2, 1)[: len(samples)]
    out[: len(wide)] = wide
    return out


def compose(
    rng: np.random.Generator, code: str, speech: list, level_db: float, snr_db: float, line: str
) -> Made:
    """Place a made event between speech; spans in samples of the result."""
    if code in AFTER_THE_LINE:
        return _after_line(rng, code, speech, level_db, snr_db, line)
    event, spans = MAKERS[code](rng)
    before, after = (_at_level(_draw(rng, speech, 3.0), SPEECH_DB) for _ in range(2))
    quiet = np.zeros(round(rng.uniform(0.3, 0.5) * SAMPLE_RATE))
    gain = 10.0 ** (level_db / 20.0) / np.sqrt(2.0 if code in ("dtmf", "music") else 1.0)
    gain = min(gain, 0.98 / np.abs(event).max())
    samples = np.concatenate([before, quiet, gain * event, quiet, after])
    samples = samples + rng.normal(0, gain * 10.0 ** (-snr_db / 20.0), len(samples))
    offset = len(before) + len(quiet)
    return through_line(samples, LINES[line]), [(a + offset, b + offset) for a, b in spans]


def _after_line(
    rng: np.random.Generator, code: str, speech: list, level_db: float, snr_db: float, line: str
) -> Made:
    parts, pauses, position = [], [], 0
    for _ in range(6):
        part = _at_level(_draw(rng, speech, 3.0), min(level_db, -18.0))
        pause = np.zeros(round(rng.uniform(0.8, 1.5) * SAMPLE_RATE))
        pauses.append((position + len(part) + 3200, position + len(part) + len(pause) - 160))
        parts += [part, pause]
        position += len(part) + len(pause)
    samples = np.concatenate(parts)
    noise = 10.0 ** ((min(level_db, -18.0) - snr_db) / 20.0)
    coloured = np.convolve(rng.normal(0, 1, len(samples) + 32), np.exp(-np.arange(33) / 4.0), mode="valid")
    samples = through_line(samples + noise * coloured / coloured.std(), LINES[line])
    if code == "comfort_noise":
        for start, end in pauses:
            comfort = rng.normal(0, noise * 10.0 ** (rng.choice([-4, 4]) / 20.0) / 2.0, end - start)
            samples[start:end] = through_line(comfort, LINES[line] and "ULAW")
        return samples, pauses
    spans = []
    for index in range(6):
        middle = (0 if index == 0 else pauses[index - 1][1]) + round(rng.uniform(0.8, 1.8) * SAMPLE_RATE)
        start = middle // 320 * 320
        if code == "redaction":
            spans.append((start, start + round(rng.uniform(0.15, 0.6) * SAMPLE_RATE)))
            samples[slice(*spans[-1])] = 0.0
        else:
            length = int(rng.choice([160, 320, 480]))
            spans.append((start, start + length))
            is_repeated = rng.random() < 0.5
            samples[slice(*spans[-1])] = samples[start - length : start] * 0.9 if is_repeated else 0.0
    return samples, spans


def _draw(rng: np.random.Generator, speech: list, seconds: float) -> np.ndarray:
    samples, n = speech[rng.integers(len(speech))], round(seconds * SAMPLE_RATE)
    return np.resize(samples[rng.integers(max(1, len(samples) - n)) :], n)


def _at_level(samples: np.ndarray, level_db: float) -> np.ndarray:
    return samples * (10.0 ** (level_db / 20.0) / max(1e-9, float(np.sqrt((samples**2).mean()))))


def detect(samples: np.ndarray) -> tuple:
    """Events of (n,) in the pushes of a decoder."""
    detector = EventDetector()
    for start in range(0, len(samples), PUSH_SAMPLES):
        detector.push(samples[start : start + PUSH_SAMPLES])
    detector.finish()
    return detector.events()


def measure_recall(speech: list) -> dict:
    """Share of made seconds found, by code and line, noise and level; and seconds that got another code."""
    found, made, wrong = defaultdict(float), defaultdict(float), Counter()
    rng = np.random.default_rng(0)
    for code in EVENT_CODES:
        for line, snr_db, level_db in (
            (line, snr, level) for line in LINES for snr in SNRS_DB for level in LEVELS_DB
        ):
            for _ in range(REPEATS):
                samples, spans = compose(rng, code, speech, level_db, snr_db, line)
                truth = Timeline.from_pairs((a / SAMPLE_RATE, b / SAMPLE_RATE) for a, b in spans)
                events = detect(samples)
                hits = Timeline(tuple(e.span for e in events if e.code == code))
                covered = sum(hits.crop(span).duration for span in truth.segments)
                for key in ("all", f"line {line}", f"snr {snr_db:.0f} dB", f"level {level_db:.0f} dB"):
                    found[code, key] += covered
                    made[code, key] += truth.duration
                for event in events:
                    if event.code != code:
                        wrong[f"{code} as {event.code}"] += event.span.duration
    recall = {code: {} for code in EVENT_CODES}
    for code, key in made:
        recall[code][key] = round(found[code, key] / made[code, key], 3)
    return {"recall": recall, "other_code_s": {key: round(value, 2) for key, value in sorted(wrong.items())}}


def measure_false_alarms(entries: list[Entry]) -> dict:
    """Seconds an hour and files by kind, use and code; and the speed."""
    seconds, marked, files = Counter(), Counter(), defaultdict(set)
    taken_s = heard_s = 0.0
    for entry in entries:
        key = f"{entry.kind} {entry.use}"
        for samples in _distinct(read_audio(entry.path)):
            started = time.process_time()
            events = detect(samples)
            taken_s += time.process_time() - started
            heard_s += len(samples) / SAMPLE_RATE
            seconds[key] += len(samples) / SAMPLE_RATE
            for event in events:
                marked[key, event.code] += event.span.duration
                files[key, event.code].add(entry.id)
    rows = {key: {"hours": round(total / 3600, 3)} for key, total in sorted(seconds.items())}
    for (key, code), total in sorted(marked.items()):
        names = sorted(files[key, code])
        rows[key][code] = {"s_per_hour": round(total / seconds[key] * 3600, 2), "files": names}
    return {"false_alarms": rows, "ms_per_second_of_sound": round(1000 * taken_s / heard_s, 2)}


def _distinct(channels: np.ndarray) -> list[np.ndarray]:
    return [c for i, c in enumerate(channels) if i == 0 or not np.array_equal(c, channels[0])]


def long_speech(speech: list, seconds: float = 600.0) -> float:
    """Milliseconds a second of one long recording takes."""
    samples = np.resize(np.concatenate(speech), round(seconds * SAMPLE_RATE))
    started = time.process_time()
    detect(samples)
    return round(1000 * (time.process_time() - started) / seconds, 2)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--media", action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    listed = [entry for path in options.media for entry in read_manifest(path)]
    entries = [entry for entry in listed if entry.kind in KINDS and entry.use != "test"]
    speech = [
        read_audio(e.path)[0] for e in entries if e.use == "dev" and e.kind == "speech" and e.duration >= 4
    ]
    result = {"environment": environment(), "ms_per_second_of_long_sound": long_speech(speech)}
    result |= measure_recall(speech)
    result |= measure_false_alarms(entries)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "environment"}))


if __name__ == "__main__":
    main()
