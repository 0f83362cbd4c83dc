"""The folder that voices are written to: sound, word times and a manifest, complete after every item."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from avloc.datasets.corpus import Entry
from avloc.errors import AnnotationError
from avloc.features.audio import SAMPLE_RATE
from avloc.media.encode import write_audio

GENERATOR = "Kokoro 82M (int8 ONNX)"
LICENCE = "speech by Kokoro 82M (Apache-2.0)"
SOUND, TIMES = "speech", "words"
QUIET, KEPT_S = 0.01, 0.12  # of the peak; so much quiet is left at both ends
HIGHEST = 0.98


class VoiceFolder:
    """What is there, and what is added.

    Parameters
    ----------
    path : Path
        Made if it is not there. A manifest in it is gone on with.

    Raises
    ------
    AnnotationError
        If there is a manifest that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = path / "manifest.json"
        for name in (SOUND, TIMES):
            (path / name).mkdir(parents=True, exist_ok=True)
        self.entries: list[dict] = []
        self.refused: dict[str, str] = {}  # id of a recording -> why it has no word times
        if self.manifest.exists():
            try:
                document = json.loads(self.manifest.read_text(encoding="utf-8"))
                self.entries, self.refused = document["entries"], document["refused"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise AnnotationError(
                    f"{str(self.manifest)!r}: expected a manifest of this tool with 'entries' and 'refused', "
                    f"got {error!r}; give a new folder"
                ) from error
        self.ids = {entry["id"] for entry in self.entries}

    def add_speech(self, name: str, samples: np.ndarray, *, use: str, voice: str, **fields: object) -> None:
        """Write ``samples`` (n,) at 16 kHz as generated speech of a voice."""
        file = f"{SOUND}/{name}.flac"
        write_audio(self.path / file, samples[None], SAMPLE_RATE)
        duration = len(samples) / SAMPLE_RATE
        self._add(
            name,
            file,
            kind="generated_speech",
            identity=f"kokoro {voice}",
            use=use,
            licence_material=LICENCE,
            licence_repository="Apache-2.0",
            generator=GENERATOR,
            lang="en",
            fake_modality="audio",
            fake_segments=[[0.0, duration]],
            duration_s=duration,
            **fields,
        )

    def add_words(
        self,
        name: str,
        entry: Entry,
        words: Sequence[tuple[float, float, str]],
        phones: Sequence[tuple[float, float, str]] = (),
    ) -> None:
        """Write the times of the words of a recording, as labels that Audacity reads and as an alignment.

        The alignment holds the times of the phones too, where there are any.
        """
        file = f"{TIMES}/{name}.txt"
        lines = [f"{start:.2f}\t{end:.2f}\t{word}\n" for start, end, word in words]
        (self.path / file).write_text("".join(lines), encoding="utf-8")
        self._add(
            name,
            file,
            kind="alignment",
            identity=entry.identity,
            use="any",
            licence_material=entry.licence,
            media_entry=entry.id,
            word_segments=[[start, end, word] for start, end, word in words],
            **({"phone_segments": [list(phone) for phone in phones]} if phones else {}),
            duration_s=0.0,
        )

    def refuse(self, entry_id: str, why: str) -> None:
        """Remember that a recording gets no word times, so that a later run does not try again."""
        self.refused[entry_id] = why
        self._write()

    def _add(self, name: str, file: str, **fields: object) -> None:
        digest = hashlib.sha256((self.path / file).read_bytes()).hexdigest()
        self.entries.append({"id": name, "file": file, **fields, "weights_ok": True, "sha256": digest})
        self.ids.add(name)
        self._write()

    def _write(self) -> None:
        document = {"entries": self.entries, "refused": self.refused}
        part = self.manifest.with_suffix(".part")
        part.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(part, self.manifest)


def trimmed(samples: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Leave 0.12 s of the quiet ends, and bring peaks into range; also where the sound is, in seconds."""
    loud = np.flatnonzero(np.abs(samples) > QUIET * np.abs(samples).max())
    kept = round(KEPT_S * SAMPLE_RATE)
    first, last = max(int(loud[0]) - kept, 0), min(int(loud[-1]) + 1 + kept, len(samples))
    inside = samples[first:last]
    bounds = (loud[0] - first) / SAMPLE_RATE, (loud[-1] + 1 - first) / SAMPLE_RATE
    return (inside * min(1.0, HIGHEST / np.abs(inside).max())).astype(np.float32), bounds
