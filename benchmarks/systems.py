"""The systems that accuracy.py compares, and the items that they are asked about."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import baselines
import numpy as np
from slices import labels

from avloc.errors import AnnotationError, MediaError
from avloc.metrics import FrameScores
from avloc.structures import Prediction, Reference, Segment, Timeline

MEDIA_RATE = 16_000
CURVES = ("score_audio", "score_visual")


@dataclass(slots=True)
class Answers:
    """What one system said about the items, by recording id."""

    rows: dict[str, list[baselines.Row]] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    frames: dict[str, FrameScores | None] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def load_references(folder: Path) -> list[Reference]:
    """Read ``manifest.jsonl``; the id of an item is its path inside the folder."""
    references = []
    for number, line in enumerate((folder / "manifest.jsonl").read_text().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            references.append(_reference(json.loads(line)))
        except (KeyError, TypeError, ValueError) as error:
            raise AnnotationError(f"{folder / 'manifest.jsonl'} line {number}: {error!r}") from error
    return references


def _reference(entry: Mapping) -> Reference:
    segments = tuple(Segment(float(start), float(end)) for start, end in entry["segments"])
    streams = {
        name: Timeline.from_pairs(entry[f"{name}_segments"])
        if entry.get(f"{name}_segments") is not None
        else None
        for name in ("audio", "visual")
    }
    return Reference(
        entry["path"], segments, duration=float(entry["duration_s"]), attributes=labels(entry), **streams
    )


def run_avloc(
    references: Iterable[Reference], folder: Path, localizer: Callable[[str], Prediction]
) -> Answers:
    """Ask the localizer, which must list everything (minimum score 0) and give its curves."""
    answers = Answers()
    for reference in references:
        name = reference.recording_id
        prediction = localizer(str(folder / name))
        if prediction.status != "analysed":
            answers.failures[name] = ", ".join(prediction.reasons) or str(prediction.status)
            continue
        answers.rows[name] = [(d.score, d.segment.start, d.segment.end) for d in prediction.detections]
        if prediction.score is not None:
            answers.scores[name] = prediction.score
        answers.frames[name] = FrameScores.from_curves(c for c in prediction.curves if c.name in CURVES)
        paths = [channel.path for channel in prediction.channels if channel.path]
        # A picture without sound has no channel that was analysed.
        answers.paths[name] = paths[0] if paths else "video_only"
        thresholds = [prediction.threshold, *(channel.threshold for channel in prediction.channels)]
        known = [threshold for threshold in thresholds if threshold is not None]
        if known:
            answers.thresholds[name] = known[0]
    return answers


def run_random(references: Iterable[Reference], seed: int) -> Answers:
    """Random segments: the floor that chance sets."""
    generator, answers = np.random.default_rng(seed), Answers()
    for reference in references:
        rows = baselines.random_segments(reference.duration, generator)
        _take_rows(answers, reference, rows, baselines.rows_to_frames(rows, reference.duration))
    return answers


def run_signal(references: Iterable[Reference], folder: Path) -> dict[str, Answers]:
    """Spectral novelty of the sound; and, if any item shows a face, loudness against mouth motion.

    They are two systems because their scores have no common scale; ``motion`` has nothing to say about an
    item without a face or without sound.
    """
    novelty, motion = Answers(), Answers()
    any_face = False
    for reference in references:
        try:
            waveform, crops, present = read_streams(folder / reference.recording_id)
        except MediaError as error:
            novelty.failures[reference.recording_id] = str(error)
            motion.failures[reference.recording_id] = str(error)
            continue
        rows = baselines.novelty_segments(waveform, MEDIA_RATE) if len(waveform) else []
        _take_rows(novelty, reference, rows, baselines.rows_to_frames(rows, reference.duration))
        curve = np.full(max(1, round(reference.duration * 25)), np.nan)
        if len(waveform) and present.any():
            any_face = True
            curve = baselines.motion_discrepancy(waveform, MEDIA_RATE, crops, present)
        _take_rows(motion, reference, baselines.discrepancy_segments(curve), curve)
    return {"novelty": novelty, "motion": motion} if any_face else {"novelty": novelty}


def _take_rows(answers: Answers, reference: Reference, rows: list[baselines.Row], frames: np.ndarray) -> None:
    answers.rows[reference.recording_id] = rows
    answers.scores[reference.recording_id] = max((row[0] for row in rows), default=0.0)
    answers.frames[reference.recording_id] = FrameScores(frames)


def read_streams(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sound (n,) at 16 kHz, mean of the channels; mouth crops (T, 96, 96) and presence (T,) of the face."""
    from avloc.media.decode import AudioBlock, Decoder
    from avloc.media.probe import open_recording

    sound, crops, present = [np.zeros(0, np.float32)], [np.zeros((0, 96, 96), np.uint8)], [np.zeros(0, bool)]
    with Decoder(open_recording(path)) as decoder:
        for block in decoder:
            if isinstance(block, AudioBlock):
                sound.append(block.samples.mean(axis=0))
                continue
            crop = np.zeros((len(block.source_index), 96, 96), np.uint8)
            there = np.zeros(len(crop), bool)
            for face in block.faces:
                new = face.present & ~there
                crop[new], there = face.crops["mouth96_box"][new], there | face.present
            crops.append(crop)
            present.append(there)
    return np.concatenate(sound), np.concatenate(crops), np.concatenate(present)


def as_telephone(references: Iterable[Reference], folder: Path, target: Path) -> Path:
    """Write every item as 8 kHz, 300 to 3400 Hz, 8-bit mu-law sound into ``target``; times stay."""
    import soundfile
    from scipy.signal import butter, resample_poly, sosfiltfilt

    from avloc.media.whole import read_audio

    band = butter(4, [300, 3400], btype="bandpass", fs=MEDIA_RATE, output="sos")
    for reference in references:
        sound = read_audio(folder / reference.recording_id, sample_rate=MEDIA_RATE).mean(axis=0)
        narrow = resample_poly(sosfiltfilt(band, sound), 1, 2)  # zero phase: no delay
        path = target / reference.recording_id
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:  # the name keeps its suffix, whatever that is: content decides
            soundfile.write(stream, np.clip(narrow, -1, 1), MEDIA_RATE // 2, format="WAV", subtype="ULAW")
    return target
