"""How many seconds of media the decoding child turns into blocks in one second of wall time.

python benchmarks/bench_decode.py --media ../shared/media --out benchmarks/results/bench_decode.json

Three rows: sound alone, pictures and sound without faces, and with faces and crops. Two more tell what
another face costs: each clip without sound, beside a gray picture and beside its mirror image. The child is
warm. Times are medians over the repetitions with their interquartile range; ``× real time`` is the sum of
the durations divided by the sum of the medians. Decoding and faces are reported apart as the child measures
them.
"""

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from environment import environment

from avloc.media.decode import Decoder
from avloc.media.encode import write_video
from avloc.media.probe import open_recording
from avloc.media.whole import read_frames
from avloc.structures import AudioInfo, Recording

CLIPS = ("genuine/liveportrait-d20.mp4", "genuine/marlin01.mp4", "genuine/may5s.mp4")  # about 480 lines


def only_sound(recording: Recording) -> Recording:
    """Leave the pictures of a recording out."""
    streams = tuple(
        dataclasses.replace(s, used=s.used and isinstance(s, AudioInfo)) for s in recording.streams
    )
    return dataclasses.replace(recording, streams=streams)


def put_beside(clip: Path, folder: Path, *, face: bool) -> Recording:
    """Write the pictures of a clip beside their mirror image, or beside a gray picture."""
    frames, rate = read_frames(clip)
    beside = frames[:, :, ::-1] if face else np.full_like(frames, 128)
    made = folder / f"{clip.stem}-{face}.mp4"
    write_video(made, np.concatenate([frames, beside], axis=2), rate)
    return open_recording(made, id=made.name)


def measure(recording: Recording, crops: tuple[str, ...], repetitions: int) -> dict:
    """Take wall seconds and the child's own account of them, over several decodings."""
    wall, decoding, faces = [], [], []
    for _ in range(repetitions):
        began = time.perf_counter()
        decoder = Decoder(recording, crops=crops)
        for _ in decoder:
            pass
        wall.append(time.perf_counter() - began)
        decoding.append(decoder.decode_timing_s)
        faces.append(decoder.face_timing_s)
    quarters = statistics.quantiles(wall, n=4) if len(wall) > 1 else [wall[0]] * 3
    return {
        "duration_s": recording.duration,
        "wall_s": statistics.median(wall),
        "wall_interquartile_s": quarters[2] - quarters[0],
        "decode_s": statistics.median(decoding),
        "faces_s": statistics.median(faces),
    }


def summarise(rows: list[dict]) -> dict:
    """Divide sums over the clips once."""
    total = {key: sum(row[key] for row in rows) for key in rows[0]}
    return {
        "times_real_time": total["duration_s"] / total["wall_s"],
        "decoding_times_real_time": total["duration_s"] / total["decode_s"],
        "faces_times_real_time": total["duration_s"] / total["faces_s"] if total["faces_s"] else None,
        "clips": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--media", type=Path, required=True, help="folder that holds genuine/")
    parser.add_argument("--clips", nargs="+", default=CLIPS, help="clips below that folder")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    recordings = [open_recording(options.media / clip, id=clip) for clip in options.clips]
    sizes = {
        r.id: f"{r.video.width}x{r.video.height} at {float(r.video.frame_rate):.3f} Hz" for r in recordings
    }
    cases = {
        "sound": (only_sound, ()),
        "pictures and sound": (lambda r: r, ()),
        "pictures, sound and faces": (lambda r: r, ("mouth96_box",)),
    }
    results = {}
    for name, (change, crops) in cases.items():
        changed = [change(r) for r in recordings if change(r).audio or change(r).video]
        results[name] = summarise([measure(r, crops, options.repetitions) for r in changed])
    with tempfile.TemporaryDirectory() as folder:
        for name, face in {"one face, no sound": False, "two faces, no sound": True}.items():
            made = [put_beside(options.media / clip, Path(folder), face=face) for clip in options.clips]
            results[name] = summarise([measure(r, ("mouth96_box",), options.repetitions) for r in made])
    for name, result in results.items():
        print(f"{name}: {result['times_real_time']:.1f} times real time", file=sys.stderr)
    document = {"environment": environment(), "clips": sizes, "results": results}
    text = json.dumps(document, indent=1) + "\n"
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
