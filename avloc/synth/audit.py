"""Audit: whether a made set gives its classes away by something that is no trace of a forgery."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avloc.datasets.corpus import SEVERAL_SPEAKERS
from avloc.datasets.manifest import ManifestDataset
from avloc.errors import AnnotationError
from avloc.features.audio import SAMPLE_RATE
from avloc.metrics.bootstrap import bootstrap_intervals
from avloc.metrics.recording import auc
from avloc.synth.probes import PROBES, cross_validate

HIGHEST_AUC = 0.55
LEAST_OF_A_CLASS = 10
N_FOLDS, N_ROUNDS, N_REPLICATES = 5, 4, 2000
LEVEL = 1 - 0.05 / len(PROBES)  # of each interval, so that all of them together hold in 95 of 100 audits


@dataclass(frozen=True, slots=True)
class Finding:
    """What one probe reached: the recording AUC with its interval, 95 % for all probes together.

    The probe chose its direction on other recordings, so an AUC under 0.5 is chance and is left as it is:
    turning it round would make a finding of it.
    """

    probe: str
    auc: float
    low: float
    high: float

    @property
    def is_shortcut(self) -> bool:
        """The AUC is over 0.55 and so far from 0.5 that chance does not explain it."""
        return self.auc > HIGHEST_AUC and self.low > 0.5


@dataclass(frozen=True, slots=True)
class Audit:
    """Findings of all probes on a set of ``n_recordings``, of which ``n_forged``, from ``n_groups`` hosts."""

    n_recordings: int
    n_forged: int
    n_groups: int
    findings: tuple[Finding, ...]

    @property
    def shortcuts(self) -> tuple[str, ...]:
        """Names of the probes that tell the classes apart."""
        return tuple(f.probe for f in self.findings if f.is_shortcut)


def audit(
    waveforms: Iterable[np.ndarray], is_forged: Sequence[bool], groups: Sequence[str], *, seed: int = 0
) -> Audit:
    """Let every probe try to tell forged recordings from genuine ones.

    Parameters
    ----------
    waveforms : iterable of np.ndarray [shape=(n,), float32, range [-1, 1]]
        Sound at 16 kHz; taken one at a time.
    is_forged : sequence of bool
        Truth.
    groups : sequence of str
        Who speaks, or which recording an item was made of: a probe is never asked about a group it was
        fitted on, and the interval resamples groups as well as recordings.
    seed : int
        Of folds and intervals.

    Raises
    ------
    AnnotationError
        If a class has fewer than ten recordings, or there are fewer than two groups.
    """
    truth = np.asarray(is_forged, dtype=bool)
    n_groups = len(set(groups))
    if min(truth.sum(), (~truth).sum()) < LEAST_OF_A_CLASS or n_groups < 2:
        raise AnnotationError(
            f"an audit needs {LEAST_OF_A_CLASS} forged and {LEAST_OF_A_CLASS} genuine recordings of 2 hosts, "
            f"got {truth.sum()} and {(~truth).sum()} of {n_groups}; make more"
        )
    rows: dict[str, list[list[float]]] = {name: [] for name in PROBES}
    for waveform in waveforms:
        for name, measure in PROBES.items():
            rows[name].append(measure(waveform))
    scores = {
        name: cross_validate(
            np.array(table, dtype=np.float64), truth, groups, seed=seed, n_folds=N_FOLDS, n_rounds=N_ROUNDS
        )
        for name, table in rows.items()
    }
    areas = {name: auc(score, truth) for name, score in scores.items()}
    # Few hosts vary less than the recordings made of them: the wider of both intervals counts.
    drawn = [
        bootstrap_intervals(
            lambda weights: {name: auc(score, truth, weights) for name, score in scores.items()},
            units,
            n_replicates=N_REPLICATES,
            seed=seed,
            level=LEVEL,
        )
        for units in (groups, [str(k) for k in range(len(truth))])
    ]
    findings = tuple(
        Finding(name, areas[name], min(d[name][0] for d in drawn), max(d[name][1] for d in drawn))
        for name in PROBES
    )
    return Audit(len(truth), int(truth.sum()), n_groups, findings)


def audit_folder(folder: str | Path, *, seed: int = 0) -> Audit:
    """Audit the recordings of a folder with a generic manifest, as ``synth`` writes it.

    Raises
    ------
    AnnotationError
        If the manifest cannot be read or holds too few recordings.
    UnreadableMediaError
        If a recording cannot be decoded.
    """
    from avloc.media.whole import read_audio

    dataset = ManifestDataset(root=folder)
    references = dataset.references()
    place = dataset.path.parent
    waveforms = (read_audio(place / r.recording_id, sample_rate=SAMPLE_RATE)[0] for r in references)
    groups = [_group(r.attributes, r.recording_id) for r in references]
    return audit(waveforms, [bool(r.segments) for r in references], groups, seed=seed)


def _group(attributes: Mapping, recording_id: str) -> str:
    """Who speaks if that is one person, else the host, else the recording by itself."""
    identity = attributes.get("identity")
    if identity and not any(mark in identity for mark in SEVERAL_SPEAKERS):
        return f"identity {identity}"
    sources = attributes.get("sources") or (recording_id,)
    return f"source {sources[0]}"
