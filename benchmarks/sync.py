"""How well sound and picture are told to belong together on faces that were never trained on.

python benchmarks/sync.py --media media/manifest.json --media corpus/manifest.json --weights default \
    --cache DIR --out benchmarks/results/sync.json

For each clip the correlation of the aligned embeddings, averaged over 1 s and over 2 s, is compared at the
true place and at shifts of the sound by 0.2 to 1 s: AUC of true against shifted stretches, 95 % interval by
bootstrap over identities. Some clips have a constant offset of their own, which is no fault of a network and
which it takes off before it compares; so the same is told from the lag at which the clip's other frames agree
best, within the lags that the network compares. Then the sound of each whole clip is moved by known offsets:
how often an offset is told, and how often that is right within 0.08 s; and how often one is told where the
true one lies beyond the lags that the network compares, which is always wrong. At last the rules of
``avloc.pipelines.pairing`` on stretches of 2 to 10 s: how often the one who speaks is told from another face,
and how often a face is called a listener, of the one who speaks (wrong) and of another (right).
"""

import argparse
import json
from pathlib import Path
from statistics import median

import numpy as np
import torch
from environment import environment, parameters_sha256

from avloc.datasets.talking_faces import FaceClip, TalkingFaces
from avloc.features.prepare import prepare
from avloc.features.speech import SpeechDetector
from avloc.metrics import auc
from avloc.models.alignment import Aligned
from avloc.models.weights.store import load_weights
from avloc.ops import band_correlation
from avloc.pipelines.pairing import choose_speaker
from avloc.pipelines.synchrony import Agreement, measure_agreement, measure_offset
from avloc.structures import Segment
from avloc.training.batches import stack_crops, stack_sound

OFFSETS = (-10, -5, 0, 5, 10)  # frames
BEYOND = (-50, -35, -25, 25, 35, 50)  # frames; further than the network looks
RIGHT_FRAMES = 2
SHIFTS = (-25, -20, -15, -10, -5, 5, 10, 15, 20, 25)  # frames
SPANS = {"1s": 25, "2s": 50}  # frames
WINDOW = 160
MAX_LAG = 15  # frames, of the network's alignment
PAIRING_SPANS = (50, 100, 150, 250)  # frames


def align(network: torch.nn.Module, clip: FaceClip, *, length: int, offset: int = 0) -> Aligned:
    """Compare sound and picture of the first ``length`` frames, the sound moved by ``offset`` frames."""
    n_frames = min(clip.n_frames, length)
    samples = np.zeros(n_frames * 640, np.float32)
    late, early = max(0, offset) * 640, max(0, -offset) * 640
    kept = clip.samples[early : n_frames * 640 - late]
    samples[late : late + len(kept)] = kept
    waveform, audio_mask = stack_sound([samples], length)
    crops = stack_crops([{name: crop[:n_frames] for name, crop in clip.crops.items()}], length)
    seen = torch.zeros(1, length, dtype=torch.bool)
    seen[0, :n_frames] = torch.from_numpy(clip.present[:n_frames])
    with torch.inference_mode():
        outputs = network(
            audio=prepare(network.inputs["audio"], waveform=waveform, audio_mask=audio_mask),
            audio_mask=audio_mask,
            visual=prepare(network.inputs["visual"], crops=crops),
            visual_mask=seen,
        )
    return outputs.aligned


def embed(network: torch.nn.Module, clip: FaceClip, *, length: int) -> tuple:
    """Identity, unit vectors (S, T) of sound and picture, and frames where both are real, of a clip."""
    aligned = align(network, clip, length=length)
    return clip.entry.identity, *(x[0].numpy() for x in (aligned.audio, aligned.visual, aligned.mask))


def shift_scores(network: torch.nn.Module, clips: list[FaceClip]) -> dict[str, dict[str, list]]:
    """Scores of true and shifted stretches, by figure and identity."""
    kinds = {"shift_auc": scores, "shift_auc_from_own_offset": scores_from_own_offset}
    found = {f"{kind}_{name}": {} for kind in kinds for name in SPANS}
    for clip in clips:
        identity, audio, visual, real = embed(network, clip, length=WINDOW)
        for kind, score in kinds.items():
            for name, span in SPANS.items():
                rows = found[f"{kind}_{name}"].setdefault(identity, [])
                rows += score(audio, visual, real, span)
    return found


def known_offsets(network: torch.nn.Module, clips: list[FaceClip]) -> dict[str, int | float]:
    """Count how often ``sync.offset_s`` is told for moved sound, and how often it is right."""
    errors, beyond = [], []
    for clip in clips:
        speech_s = seen_speech_s(clip)
        length = WINDOW + 120 * min(4, max(0, -(-(clip.n_frames - WINDOW) // 120)))
        for offset in (*OFFSETS, *BEYOND):
            if abs(offset) > clip.n_frames // 2:
                continue
            aligned = align(network, clip, length=length, offset=offset)
            found = measure_offset([aligned.lag_weights[0].numpy()], speech_s=speech_s)
            error = None if found is None else abs(found - offset)
            (beyond if offset in BEYOND else errors).append(error)
    told = [error for error in errors if error is not None]
    return {
        "n": len(errors),
        "n_told": len(told),
        "n_right": sum(error <= RIGHT_FRAMES for error in told),
        "median_error_frames": median(told),
        "n_beyond": len(beyond),
        "n_beyond_told": sum(error is not None for error in beyond),
    }


def seen_speech_s(clip: FaceClip) -> float:
    """Seconds of speech beside a face."""
    detector = SpeechDetector()
    detector.push(clip.samples)
    detector.finish()
    edges = np.diff(np.pad(clip.present.astype(np.int8), 1))
    spans = zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True)
    speech = detector.spans()
    return sum(speech.crop(Segment(start / 25, end / 25)).duration for start, end in spans)


def scores(audio: np.ndarray, visual: np.ndarray, real: np.ndarray, span: int) -> list[tuple[float, bool]]:
    """(mean cosine, is true place) of every stretch of ``span`` frames, at lag 0 and at each shift."""
    found = []
    for shift in (0, *SHIFTS):
        for start in range(25, WINDOW - span - 25, span // 2):
            here = slice(start, start + span)
            there = slice(start + shift, start + shift + span)
            if real[here].all() and real[there].all():
                cosine = float((visual[:, here] * audio[:, there]).sum(0).mean())
                found.append((cosine, shift == 0))
    return found


def scores_from_own_offset(
    audio: np.ndarray, visual: np.ndarray, real: np.ndarray, span: int
) -> list[tuple[float, bool]]:
    """As ``scores``, the true place being the constant offset that the other frames of the clip tell."""
    a, v = torch.from_numpy(audio)[None], torch.from_numpy(visual)[None]
    band = band_correlation(a, v, MAX_LAG)[0].numpy() * len(audio)  # (lags, W)
    lags = np.arange(-MAX_LAG, MAX_LAG + 1)
    there_too = np.stack([np.roll(np.pad(real, MAX_LAG), -lag)[MAX_LAG:-MAX_LAG] for lag in lags]) & real
    found = []
    for start in range(25, WINDOW - span - 25, span // 2):
        others = there_too.copy()
        others[:, start : start + span] = False
        mean = (band * others).sum(1) / np.maximum(others.sum(1), 1)
        offset = int(lags[mean.argmax()])
        here = slice(start, start + span)
        for shift in (0, *SHIFTS):
            first = start + offset + shift
            there = slice(max(first, 0), first + span)
            if real[here].all() and first >= 0 and first + span <= WINDOW and real[there].all():
                cosine = float((visual[:, here] * audio[:, there]).sum(0).mean())
                found.append((cosine, shift == 0))
    return found


def pairings(embedded: list[tuple], span: int) -> dict[str, int]:
    """Count what the rules of pairing say of every stretch of ``span`` frames and every two people.

    The sound of each clip is compared with its own face and with each face of another identity.
    """
    counts = dict.fromkeys(
        ("n_pairs", "n_told", "n_right", "n_speakers", "n_speakers_off", "n_others", "n_others_off"), 0
    )
    for identity, audio, visual, real in embedded:
        for other, _, other_visual, other_real in embedded:
            n_frames = min(len(real), len(other_real))
            for start in range(0, n_frames - span + 1, span):
                cut = slice(start, start + span)
                if not (real[cut].all() and other_real[cut].all()):
                    continue
                own = stretch_agreement(audio[:, cut], visual[:, cut])
                if other == identity:
                    counts["n_speakers"] += 1
                    counts["n_speakers_off"] += choose_speaker({0: own}) < 0
                    continue
                foreign = stretch_agreement(audio[:, cut], other_visual[:, cut])
                counts["n_others"] += 1
                counts["n_others_off"] += choose_speaker({0: foreign}) < 0
                chosen = choose_speaker({0: own, 1: foreign})
                counts["n_pairs"] += 1
                counts["n_told"] += chosen >= 0
                counts["n_right"] += chosen == 0
    return counts


def stretch_agreement(audio: np.ndarray, visual: np.ndarray) -> Agreement:
    """Agreement of unit vectors (S, n) of a sound and a face, as the pipeline measures it."""
    a, v = torch.from_numpy(audio)[None], torch.from_numpy(visual)[None]
    band = band_correlation(a, v, MAX_LAG)[0].numpy() * len(audio)
    return measure_agreement(band, np.ones(audio.shape[1], bool))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--media", action="append", required=True)
    parser.add_argument("--weights", default="default")
    parser.add_argument("--cache", required=True)
    parser.add_argument("--shifts-only", action="store_true", help="leave out pairings and offsets")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    network, _, _ = load_weights(options.weights)
    faces = TalkingFaces.build(
        options.media,
        use="held_out",
        cache=options.cache,
        weights_only=False,
        crops=network.inputs["visual"],
    )
    clips = [faces[i] for i in range(len(faces))]
    result = {"environment": environment(), "parameters_sha256": parameters_sha256(options.weights)}
    result["n_clips"] = len(clips)
    result["n_identities"] = len({clip.entry.identity for clip in clips})
    result |= {name: auc_with_interval(rows) for name, rows in shift_scores(network, clips).items()}
    if not options.shifts_only:
        whole = []
        for clip in clips:
            length = WINDOW + 120 * min(4, max(0, -(-(clip.n_frames - WINDOW) // 120)))
            whole.append(embed(network, clip, length=length))
        result["pairings"] = {f"{span // 25}s": pairings(whole, span) for span in PAIRING_SPANS}
        result["known_offsets"] = known_offsets(network, clips)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    print({key: value for key, value in result.items() if key != "environment"})


def auc_with_interval(by_identity: dict[str, list[tuple[float, bool]]], n_replicates: int = 500) -> dict:
    names = sorted(name for name, rows in by_identity.items() if rows)
    rng = np.random.default_rng(0)

    def measure(chosen: list[str]) -> float:
        rows = [row for name in chosen for row in by_identity[name]]
        return auc(np.array([r[0] for r in rows]), np.array([r[1] for r in rows]))

    drawn = [
        measure([names[k] for k in rng.integers(len(names), size=len(names))]) for _ in range(n_replicates)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    n_rows = sum(len(rows) for rows in by_identity.values())
    return {
        "value": round(measure(names), 3),
        "interval_95": [round(float(low), 3), round(float(high), 3)],
        "n_stretches": n_rows,
        "n_identities": len(names),
    }


if __name__ == "__main__":
    main()
