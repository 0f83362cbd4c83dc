"""Put all that a training reads into one file, for a machine that has no recordings and decodes none.

python tools/pack_training.py --data media/manifest.json --data corpus/manifest.json --cache CACHE \
    --out training.pack

Speech of ``use: train`` and ``use: dev`` and the mouths of talking faces, of entries whose licence allows
shipped weights and of nothing else. ``avloc train default --pack training.pack`` trains from it.

Sound is stored without loss: as FLAC, or as the MP3 file that the recording is. ``--sound opus`` codes what
is not MP3 with Opus at about 30 kbit/s: more fits, and all of that carries the traces of the coder. Crops are
coded with loss (``avloc.datasets.crop_coding``). What does not fit into ``--max-mib`` is left out evenly over
identities, pairs of natural and generated speech last, and is listed beside the pack in ``OUT.json``.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from avloc.config import load_config
from avloc.datasets.corpus import Entry, read_manifests
from avloc.datasets.pack import USES, PackedRecording, pack_face, write_pack
from avloc.datasets.speech_pool import FACE_KIND, SpeechPool
from avloc.datasets.talking_faces import TalkingFaces
from avloc.errors import AnnotationError, AvlocError, MediaError
from avloc.features.audio import SAMPLE_RATE
from avloc.media.decode import MOUTH
from avloc.media.stored_sound import SUFFIXES, decode_sound, encode_sound
from avloc.models.hierarchical import build_network
from avloc.models.weights.locate import find_weights

MIB = 2**20
OVERHEAD = 1024  # bytes a recording: its row of the manifest, hashes and names in the archive
PAIRS = 0.25  # of the bytes of speech for pairs, where not all fits
LONGEST_LEAD_S = 0.1  # start that one MP3 decoder keeps and another drops


def code_recordings(
    data: Sequence[str], cache: Path, *, crops: tuple[str, ...], codec: str
) -> Iterator[PackedRecording]:
    """Code every recording that a training or its development figures would read."""
    read_manifests(data)  # refuses what is wrong before anything is decoded
    rows = {row["id"]: row for path in data for row in json.loads(Path(path).read_text())["entries"]}
    for use in USES:
        pool = SpeechPool.build(data, use=use, cache=cache)
        faces = _faces(data, use, cache, crops)
        twins = {pool.entries[i].id for pair in pool.pairs for i in pair}
        for i, entry in enumerate(pool.entries):
            samples = np.round(pool.read(i) * 32768).astype(np.int16)
            file = faces.pop(entry.id, None)
            sound = _original(entry, samples) if entry.id not in twins and not entry.words else None
            sound, suffix = sound or (encode_sound(samples, SAMPLE_RATE, codec=codec), SUFFIXES[codec])
            face = None if file is None else pack_face(file, samples)
            if face or entry.kind != FACE_KIND:
                yield PackedRecording(entry, rows[entry.id], sound, suffix, face)
        for entry, file in _clips(faces, data):
            with np.load(file) as stored:
                samples = stored["samples"]
            sound = encode_sound(samples, SAMPLE_RATE, codec=codec)
            yield PackedRecording(entry, rows[entry.id], sound, SUFFIXES[codec], pack_face(file, samples))


def _faces(data: Sequence[str], use: str, cache: Path, crops: tuple[str, ...]) -> dict[str, Path]:
    """Cache files of the talking faces by id; none where the manifests have no face of that use."""
    if not any(e.kind == FACE_KIND and e.use == use and e.weights_ok for e in read_manifests(data)):
        return {}
    faces = TalkingFaces.build(data, use=use, cache=cache, crops=crops)
    return {entry.id: file for entry, file in zip(faces.entries, faces.files, strict=True)}


def _clips(faces: Mapping[str, Path], data: Sequence[str]) -> Iterator[tuple[Entry, Path]]:
    yield from ((entry, faces[entry.id]) for entry in read_manifests(data) if entry.id in faces)


def _original(entry: Entry, samples: np.ndarray) -> tuple[bytes, str] | None:
    """Give the recording's own MP3 file where it decodes to ``samples``, but for the decoder's start."""
    if entry.path.suffix != ".mp3":
        return None
    try:
        decoded = np.round(decode_sound(entry.path, sample_rate=SAMPLE_RATE)[0] * 32768)
    except MediaError:
        return None
    lead = len(samples) - len(decoded)
    if not 0 <= lead <= LONGEST_LEAD_S * SAMPLE_RATE or np.abs(samples[lead:] - decoded).max(initial=0) > 2:
        return None
    return entry.path.read_bytes(), ".mp3"


def choose(
    recordings: Sequence[PackedRecording], max_bytes: int, *, faces: float, development: float
) -> list[PackedRecording]:
    """Choose what fits, in order: shares for development and faces, speech for training in the rest."""
    parts = {"dev": [], "faces": [], "speech": []}
    for recording in recordings:
        kind = "faces" if recording.face is not None else "speech"
        parts["dev" if recording.entry.use == "dev" else kind].append(recording)
    total = {name: _size(part) for name, part in parts.items()}
    rest = max_bytes - total["faces"] - total["speech"]
    chosen = fill_evenly(parts["dev"], int(max(development * max_bytes, rest)))
    left = max_bytes - _size(chosen)
    chosen += fill_evenly(parts["faces"], int(max(faces * left, left - total["speech"])))
    left = max_bytes - _size(chosen)
    kept = {r.entry.id for r in (*chosen, *fill_evenly(parts["speech"], left))}
    return [recording for recording in recordings if recording.entry.id in kept]


def fill_evenly(recordings: Sequence[PackedRecording], max_bytes: int) -> list[PackedRecording]:
    """Choose recordings so that every identity may fill the same number of bytes, and all together fit.

    Natural recordings with one that was generated from them come first, in up to ``PAIRS`` of the bytes.
    """
    units = {r.entry.id: [r] for r in recordings}
    for r in recordings:
        natural = units.get(r.entry.natural_pair)
        if natural is not None and len(natural) == 1 and r.entry.id != r.entry.natural_pair:
            natural += units.pop(r.entry.id)
    paired = _fill([unit for unit in units.values() if len(unit) == 2], int(PAIRS * max_bytes))
    left = max_bytes - sum(_size(unit) for unit in paired)
    inside = {r.entry.id for unit in paired for r in unit}
    single = _fill([[r] for r in recordings if r.entry.id not in inside], left)
    return [r for unit in (*paired, *single) for r in unit]


def _fill(units: Sequence[list[PackedRecording]], max_bytes: int) -> list[list[PackedRecording]]:
    """Give units, each identity's in a random order, as if all identities were filled at the same pace."""
    ends: dict[str, int] = defaultdict(int)
    in_turn = []
    for k in np.random.default_rng(0).permutation(len(units)):
        identity = units[k][0].entry.identity
        ends[identity] += _size(units[k])
        in_turn.append((ends[identity], units[k]))
    in_turn.sort(key=lambda pair: pair[0])
    total = np.cumsum([_size(unit) for _, unit in in_turn])
    return [unit for _, unit in in_turn[: int(np.searchsorted(total, max_bytes, side="right"))]]


def _size(recordings: Sequence[PackedRecording]) -> int:
    return sum(r.n_bytes + OVERHEAD for r in recordings)


def describe(recordings: Sequence[PackedRecording], kept: Sequence[PackedRecording]) -> dict:
    """Say what is inside and what was left out."""
    inside = {r.entry.id for r in kept}
    table = defaultdict(lambda: {"recordings": 0, "of": 0, "seconds": 0.0, "of_seconds": 0.0, "mib": 0.0})
    for r in recordings:
        row = table[f"{r.entry.use} {r.entry.kind}"]
        row["of"] += 1
        row["of_seconds"] += r.entry.duration
        if r.entry.id in inside:
            row["recordings"] += 1
            row["seconds"] += r.entry.duration
            row["mib"] += r.n_bytes / MIB
    rounded = {name: {k: round(v, 2) for k, v in row.items()} for name, row in table.items()}
    identities = {use: len({r.entry.identity for r in kept if r.entry.use == use}) for use in USES}
    left_out = [r.entry.id for r in recordings if r.entry.id not in inside]
    return {"kinds": rounded, "identities": identities, "left_out": left_out}


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", action="append", required=True, metavar="MANIFEST")
    parser.add_argument("--cache", required=True, metavar="DIR", help="for decoded recordings")
    parser.add_argument("--out", required=True, metavar="FILE", help="name it *.pack: git ignores that")
    parser.add_argument("--max-mib", type=float, default=48)
    parser.add_argument("--init", metavar="NAME|FILE", help="weights to start from, put into the pack")
    parser.add_argument("--config", default="default", help="tells which crops of a face are needed")
    parser.add_argument("--sound", choices=sorted(SUFFIXES), default="flac")
    parser.add_argument("--faces", type=float, default=0.3, help="share of faces where not all fits")
    parser.add_argument("--development", type=float, default=0.1, help="share of use: dev, likewise")
    options = parser.parse_args(arguments)
    if not options.out.endswith(".pack"):
        parser.error(f"--out must end in .pack, got {options.out!r}")
    return options


def make_pack(options: argparse.Namespace) -> dict:
    """Write the pack and what it says of itself."""
    crops = build_network(load_config(options.config)["model"]).inputs.get("visual", MOUTH)
    weights = find_weights(options.init).read_bytes() if options.init else None
    recordings = list(code_recordings(options.data, Path(options.cache), crops=crops, codec=options.sound))
    room = int(options.max_mib * MIB) - len(weights or b"") - MIB // 8
    kept = choose(recordings, room, faces=options.faces, development=options.development)
    for use in USES:
        if not any(r.entry.use == use and r.entry.kind != FACE_KIND for r in kept):
            raise AnnotationError(f"--max-mib {options.max_mib:g} leaves no room for speech of use {use!r}")
    write_pack(Path(options.out), kept, crops=crops, weights=weights)
    told = {"mib": round(Path(options.out).stat().st_size / MIB, 2), **describe(recordings, kept)}
    Path(f"{options.out}.json").write_text(json.dumps(told, indent=1) + "\n")
    return told


def main(arguments: Sequence[str] | None = None) -> None:
    options = read_options(arguments)
    try:
        told = make_pack(options)
    except AvlocError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    print(f"{options.out}: {told['mib']} MiB, identities {told['identities']}")
    for name, row in told["kinds"].items():
        print(
            f"{name}: {row['recordings']} of {row['of']}, {row['seconds']:.0f} of {row['of_seconds']:.0f} s"
        )
    print(f"left out: {len(told['left_out'])} recordings, named in {options.out}.json")


if __name__ == "__main__":
    main()
