"""Which face is compared with which sound, window by window.

Each face is compared with each sound that is analysed. Of several that show at once, the one is chosen that
agrees clearly best with the sound; a face that agrees with it at no lag is not the one that speaks. A sound
without a face of its own is analysed as sound, a face without a sound of its own as a picture. Where faces
show and none is chosen, the speech is off-screen: that the two disagree is then no evidence.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avloc.pipelines.analyse import View, WindowAnalyser, WindowFindings
from avloc.pipelines.pictures import Picture, select_faces
from avloc.pipelines.synchrony import Agreement, measure_agreement
from avloc.pipelines.tracks import WindowTracks

# On clips that were never trained on (benchmarks/sync.py says how often these are right):
CHOICE_FRAMES = 50  # two seconds with sound are the least that a choice between faces rests on
CHOICE_MARGIN = 0.1  # of the mean cosine, between the best face and the next
OFF_SCREEN_FRAMES = 100  # four seconds, for calling the only face a listener
OFF_SCREEN_CONFIDENCE = 0.1  # of the best lag over the others; one genuine speaker in twenty is below


@dataclass(frozen=True, slots=True)
class Paired:
    """What was found in one window with one pairing.

    ``channel`` is None for the mix and for a picture alone. ``lane`` is 0 for what was heard, and for the
    first face of a recording where nothing is; any other face has the lane of its id plus 1.
    ``face`` int (n,) is the face that was seen in each frame, -1 for none; ``off_screen`` bool (n,) frames
    where faces show and none was chosen.
    """

    channel: int | None
    lane: int
    findings: WindowFindings
    face: np.ndarray
    off_screen: np.ndarray


class Pairer:
    """Sends the sounds and the faces of windows through the network, those together that belong together.

    Parameters
    ----------
    analyser : WindowAnalyser
        Runs the network.
    """

    def __init__(self, analyser: WindowAnalyser) -> None:
        self._analyser = analyser
        self._first: int | None = None  # face that stands where there is no sound, the same in every window

    def __call__(self, cut: WindowTracks) -> Iterator[Paired]:
        """Analyse one window; yields nothing where the network has no branch for what it holds."""
        sounds = cut.waveforms if self._analyser.hears else {}
        pictures = cut.pictures if self._analyser.sees else ()
        heard = [self._hear(cut, channel, waveform, pictures) for channel, waveform in sounds.items()]
        yield from heard
        nobody = np.zeros(cut.window.n_frames, dtype=bool)
        if not sounds and self._first is None:
            self._first = _lowest_face(pictures)
        first = None if sounds else self._first
        for picture in pictures:
            spoke = [(paired.face == picture.face) & picture.seen for paired in heard]
            rest = select_faces([picture], picture.seen & ~np.logical_or.reduce([nobody, *spoke]))
            if rest is None:
                continue
            findings = self._analyse(cut, None, None, rest)
            for face, found in findings.by_face(rest.face).items():
                lane = 0 if face == first else 1 + face
                yield Paired(None, lane, found, np.where(rest.face == face, face, -1), nobody)

    def _hear(
        self, cut: WindowTracks, channel: int | None, waveform: np.ndarray, pictures: Sequence[Picture]
    ) -> Paired:
        """Analyse a sound, with the faces that it goes with."""
        tried = [self._analyse(cut, channel, waveform, picture) for picture in pictures]
        chosen, off_screen = choose_faces(pictures, [findings.band for findings in tried], cut.heard)
        for picture, findings in zip(pictures, tried, strict=True):
            if np.array_equal(picture.face, chosen):
                return Paired(channel, 0, findings, chosen, off_screen)
        together = select_faces(pictures, chosen >= 0, chosen) if pictures else None
        findings = self._analyse(cut, channel, waveform, together)
        face = np.full_like(chosen, -1) if together is None else together.face
        return Paired(channel, 0, findings, face, off_screen)

    def _analyse(
        self, cut: WindowTracks, channel: int | None, waveform: np.ndarray | None, picture: Picture | None
    ) -> WindowFindings:
        nothing = np.zeros(cut.window.n_frames, dtype=bool)
        view = View(
            channel,
            waveform,
            nothing if waveform is None else cut.heard,
            None if picture is None else picture.crops,
            nothing if picture is None else picture.seen,
        )
        return self._analyser(cut.window, view)


def choose_faces(
    pictures: Sequence[Picture], bands: Sequence[np.ndarray | None], heard: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Say in each frame of a window which face speaks.

    Parameters
    ----------
    pictures : sequence of Picture
        All usable faces.
    bands : sequence of float (2 L + 1, n), or None
        Cosine of each picture and the sound at each lag; None of a network that does not compare them.
    heard : bool (n,)
        Frames that hold sound.

    Returns
    -------
    int (n,)
        Id of the face, -1 where there is none or none is clearly the one.
    bool (n,)
        Frames with sound and faces of which none was chosen.
    """
    shown: dict[int, np.ndarray] = {}
    agreements: dict[int, Agreement] = {}
    for picture, band in zip(pictures, bands, strict=True):
        for face in np.unique(picture.face[picture.seen]).tolist():
            shown[face] = picture.face == face
            agreements[face] = measure_agreement(band, shown[face] & heard)
    chosen = np.full(len(heard), -1, np.int64)
    for start, end in _stretches(shown):
        here = {face: agreements[face] for face, frames in shown.items() if frames[start]}
        chosen[start:end] = choose_speaker(here)
    any_shown = np.logical_or.reduce([np.zeros_like(heard), *shown.values()])
    return chosen, any_shown & heard & (chosen < 0)


def _lowest_face(pictures: Sequence[Picture]) -> int | None:
    shown = [int(picture.face[picture.seen].min()) for picture in pictures]
    return min(shown, default=None)


def _stretches(shown: Mapping[int, np.ndarray]) -> Iterator[tuple[int, int]]:
    """Frames [start, end) over which the same faces show, some at least."""
    if not shown:
        return
    faces = np.stack(list(shown.values()))  # (F, n)
    changes = np.flatnonzero((faces[:, 1:] != faces[:, :-1]).any(axis=0)) + 1
    for start, end in zip([0, *changes], [*changes, faces.shape[1]], strict=True):
        if faces[:, start].any():
            yield int(start), int(end)


def choose_speaker(agreements: Mapping[int, Agreement]) -> int:
    """Choose among the faces that show at once, at least one; -1 where none is clearly the one who speaks."""
    ranked = sorted(agreements.items(), key=lambda item: (-item[1].peak, item[0]))
    face, best = ranked[0]
    if best.n_frames >= OFF_SCREEN_FRAMES and best.confidence < OFF_SCREEN_CONFIDENCE:
        return -1
    if len(ranked) == 1:
        return face
    if min(agreement.n_frames for agreement in agreements.values()) < CHOICE_FRAMES:
        return -1
    return face if best.peak - ranked[1][1].peak >= CHOICE_MARGIN else -1
