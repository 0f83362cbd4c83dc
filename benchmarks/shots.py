"""How many shot cuts are found, on genuine talking heads set one after the other where the cuts are known.

M=../shared; python benchmarks/shots.py $M/media/manifest.json $M/corpus/manifest.json --out shots.json

Each sequence is eight pieces of random length (8 frames to 4 s) of random clips of one shot, on a picture of
one size. Between two people every cut counts. Between two pieces of the same person most of the picture may
stay: what is found of such jumps is reported apart. What is found inside the clips themselves, by the hour,
are false cuts, or edits that nobody knew of: ``EDITED`` names the clips that are known to have some.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from environment import environment

from avloc.datasets.corpus import read_manifests, select_entries
from avloc.features.face_detection import shrink
from avloc.features.shots import ShotDetector
from avloc.media.whole import LONGEST_COLOUR_S, read_frames

EDITED = ("hamilton-short",)  # cuts at grid frames 38, 90 and 197, as one sees
RATE = 25
SIZE = (256, 192)  # width and height that all clips are cut to
PIECES = 8
SHORTEST, LONGEST = 8, 100  # frames


@dataclass(frozen=True)
class Clip:
    """Small frames of one clip; a picture that is repeated is one array."""

    name: str
    identity: str
    frames: list[np.ndarray]


def load(path: Path, name: str, identity: str) -> Clip:
    """Read a clip and cut its middle out in the proportions of ``SIZE``."""
    found: list[np.ndarray] = []
    before = None
    for frame in read_frames(path)[0]:
        found.append(found[-1] if np.array_equal(frame, before) else fill(frame))
        before = frame
    return Clip(name, identity, found)


def fill(frame: np.ndarray) -> np.ndarray:
    """Small gray copy (192, 256) of the middle of a colour frame (H, W, 3)."""
    small = shrink(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY))
    scale = max(SIZE[0] / small.shape[1], SIZE[1] / small.shape[0])
    size = (max(SIZE[0], round(small.shape[1] * scale)), max(SIZE[1], round(small.shape[0] * scale)))
    whole = cv2.resize(small, size, interpolation=cv2.INTER_AREA)
    left, top = (size[0] - SIZE[0]) // 2, (size[1] - SIZE[1]) // 2
    return np.ascontiguousarray(whole[top : top + SIZE[1], left : left + SIZE[0]])


def find_cuts(frames: list[np.ndarray]) -> set[int]:
    """Frames with which a shot begins."""
    shots = ShotDetector()
    begins = [begin for frame in frames for begin in shots.push(frame)] + shots.finish()
    return {index for index, begin in enumerate(begins) if begin}


def draw_sequence(
    clips: list[Clip], rng: np.random.Generator, *, same: bool
) -> tuple[list[np.ndarray], set[int]] | None:
    """Pieces of clips of always the ``same`` person, or never twice in a row, and where they meet."""
    frames, cuts, last = [], set(), None
    for _ in range(PIECES):
        fitting = [c for c in clips if last is None or (c.identity == last.identity) == same]
        if not fitting:
            return None
        last = fitting[int(rng.integers(len(fitting)))]
        n = int(rng.integers(SHORTEST, min(LONGEST, len(last.frames)) + 1))
        start = int(rng.integers(0, len(last.frames) - n + 1))
        cuts |= {len(frames)} if frames else set()
        frames += last.frames[start : start + n]
    return frames, cuts


def measure(clips: list[Clip], own: dict[str, set[int]], n: int, seed: int, *, same: bool) -> dict:
    """Count found, missed and false cuts over ``n`` sequences."""
    rng = np.random.default_rng(seed)
    quiet = [clip for clip in clips if not own[clip.name]]  # what they have themselves is counted apart
    drawn = [draw_sequence(quiet, rng, same=same) for _ in range(n)] if quiet else []
    counts = np.zeros(3, int)
    for frames, cuts in filter(None, drawn):
        found = find_cuts(frames)
        counts += (len(found & cuts), len(cuts - found), len(found - cuts))
    found, missed, false = counts.tolist()
    return {
        "cuts": found + missed,
        "found": found,
        "false": false,
        "recall": found / (found + missed) if found + missed else None,
        "precision": found / (found + false) if found + false else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifests", nargs="+", type=Path)
    parser.add_argument("--use", default="dev")
    parser.add_argument("--sequences", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    entries = select_entries(
        read_manifests(options.manifests),
        use=options.use,
        kinds=("genuine_talking_face",),
        weights_only=False,
    )
    chosen = [e for e in entries if e.one_speaker and e.duration <= LONGEST_COLOUR_S]
    clips = [load(e.path, e.id, e.identity) for e in chosen if e.id not in EDITED]
    own = {clip.name: find_cuts(clip.frames) for clip in clips}
    hours = sum(len(clip.frames) for clip in clips) / RATE / 3600
    document = {
        "environment": environment(),
        "use": options.use,
        "clips": len(clips),
        "people": len({clip.identity for clip in clips}),
        "hours": hours,
        "cuts_inside_clips": {name: sorted(cuts) for name, cuts in own.items() if cuts},
        "cuts_inside_clips_per_hour": sum(map(len, own.values())) / hours,
        "between_people": measure(clips, own, options.sequences, options.seed, same=False),
        "jumps_of_one_person": measure(clips, own, options.sequences, options.seed, same=True),
    }
    text = json.dumps(document, indent=1) + "\n"
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
