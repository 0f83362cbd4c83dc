"""run_fixture(): a fixture to the code that serves it, and the errors of its outputs."""

import os
from collections.abc import Callable, Iterable, Iterator

import torch

from avloc.studies.parity.comparison import Comparison
from avloc.studies.parity.fixtures import Fixture, read_fixture
from avloc.studies.parity.localizers import run_auvire, run_decode, run_dimodif, run_soft_nms
from avloc.studies.parity.speech_encoders import run_auto_avsr, run_av_hubert
from avloc.studies.parity.training import run_labels, run_losses
from avloc.studies.parity.transforms import (
    run_filter_banks,
    run_input_transforms,
    run_mouth_crop,
    run_whisper_log_mel,
)
from avloc.studies.parity.whisper import run_whisper

Runner = Callable[[Fixture], Iterator[Comparison]]

# Part of a fixture's name, the more special ones first.
RUNNERS: dict[str, Runner] = {
    "whisper_log_mel": run_whisper_log_mel,
    "whisper": run_whisper,
    "auto_avsr": run_auto_avsr,
    "vsr_ml": run_auto_avsr,
    "avhubert_audio_features": run_filter_banks,
    "avhubert": run_av_hubert,
    "dimodif": run_dimodif,
    "auvire": run_auvire,
    "soft_nms": run_soft_nms,
    "decode": run_decode,
    "labels": run_labels,
    "losses": run_losses,
    "input_transforms": run_input_transforms,
    "mouth_crop": run_mouth_crop,
}


def run_fixture(path: str | os.PathLike[str]) -> list[Comparison]:
    """Run all cases of a fixture.

    Parameters
    ----------
    path : str or os.PathLike
        The ``.json``; the ``.npz`` lies beside it.

    Returns
    -------
    list of Comparison
        One an output of every case.

    Raises
    ------
    AnnotationError
        If the files are no fixture, or no code serves a fixture of this name.
    """
    fixture = read_fixture(path)
    runner = next((run for part, run in RUNNERS.items() if part in fixture.name), None)
    if runner is None:
        known = ", ".join(RUNNERS)
        raise fixture.refusal(f"nothing here serves {fixture.name!r}; a name contains one of {known}")
    try:
        with torch.inference_mode():
            return list(runner(fixture))
    except (KeyError, IndexError, TypeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise fixture.refusal(f"the description does not fit its format ({why})") from error


def largest_by_output(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """Keep of every output the case that is worst, measured in its tolerance; in order of appearance."""
    worst: dict[str, Comparison] = {}
    for found in comparisons:
        known = worst.get(found.output)
        if known is None or _badness(found) > _badness(known):
            worst[found.output] = found
    return list(worst.values())


def _badness(found: Comparison) -> tuple[bool, float]:
    return not found.passes, found.error / found.allowed if found.allowed else found.error
