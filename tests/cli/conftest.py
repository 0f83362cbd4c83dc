"""A localizer without a network, and a way to run the command line in process."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from avloc.cli import localize, predict
from avloc.cli.main import main
from avloc.structures import (
    Detection,
    Modality,
    Prediction,
    Provenance,
    Reason,
    Recording,
    Segment,
    Status,
    Timing,
    Verdict,
)


class Outcome(NamedTuple):
    """What a run left: exit code, stdout and stderr."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys) -> Callable[..., Outcome]:
    """Run ``avloc`` with some arguments."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@dataclass
class FakeLocalizer:
    """Judges a file by its name: ``forged`` has a segment, ``broken`` is unreadable, ``raises`` raises."""

    settings: dict = field(default_factory=dict)
    raises: dict[str, BaseException] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    tracks: list[object] = field(default_factory=list)
    provenance: Provenance = Provenance("fake", "ab" * 32, "none", "0.1.0", "reference", "cpu")

    def __call__(self, path: str, *, id: str | None = None, tracks: object = None) -> Prediction:
        """Make a prediction of a name."""
        self.tracks.append(tracks)
        self.seen.append(path)
        for word, error in self.raises.items():
            if word in path:
                raise error
        recording = Recording(id or path, path, "cd" * 32, 1, "wav", 0.0, 9.0)
        if not Path(path).exists() or "broken" in path:
            reason, status = Reason.NOT_FOUND, Status.ERROR
            if "broken" in path:
                reason, status = Reason.TRUNCATED, Status.NOT_ANALYSABLE
            return Prediction(recording, status, reasons=(reason,), message="why", provenance=self.provenance)
        detections = (
            (Detection(Segment(1.0, 2.5), 0.9, Modality.AUDIO, channel=0),) if "forged" in path else ()
        )
        return Prediction(
            recording,
            Status.ANALYSED,
            Verdict.FORGED_SEGMENTS_FOUND if detections else Verdict.NONE_FOUND,
            score=0.9 if detections else float("nan") if "nan" in path else 0.1,
            threshold=0.5,
            detections=detections,
            provenance=self.provenance,
            timing=Timing(0.5, 0.1),
        )


@pytest.fixture
def fake(monkeypatch) -> FakeLocalizer:
    """Put the fake in the place of the network."""
    localizer = FakeLocalizer()

    def load(weights: str, **settings: object) -> FakeLocalizer:
        localizer.settings = {"weights": weights, **settings}
        return localizer

    for verb in (localize, predict):
        monkeypatch.setattr(verb, "load_localizer", load)
    return localizer


@pytest.fixture
def files(tmp_path) -> Callable[..., list[Path]]:
    """Make small files of the names given."""

    def make(*names: str) -> list[Path]:
        paths = [tmp_path / name for name in names]
        for path in paths:
            path.write_bytes(b"x")
        return paths

    return make
