import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import bench_start

from avloc.media.probe import open_recording


def test_sound_and_pictures_are_localized(shared_media, tmp_path, monkeypatch):
    seen = {}

    def run(*arguments):
        if arguments[0] == "localize":
            recording = open_recording(arguments[1])
            seen[Path(arguments[1]).suffix] = (recording.audio is not None, recording.video is not None)
        return {"wall": 7.0, "cpu": 0.5}

    monkeypatch.setattr(bench_start, "run", run)
    told = tmp_path / "told.json"
    options = ["bench_start", "--media", str(shared_media), "--runs", "1", "--output", str(told)]
    monkeypatch.setattr(sys, "argv", options)
    bench_start.main()
    assert seen == {".wav": (True, False), ".mp4": (True, True)}
    assert json.loads(told.read_text())["met"] == {
        "help_cpu_s": False,
        "audio_wall_s": True,
        "video_wall_s": True,
    }
