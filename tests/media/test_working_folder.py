"""Relative paths belong to the working folder of the caller, whenever the decoding child was started."""

import wave
from pathlib import Path

from avloc.media.probe import open_recording
from avloc.media.whole import read_audio


def write_wav(path: Path, n_samples: int) -> None:
    path.parent.mkdir()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(2 * n_samples))


def test_a_relative_path_is_found_after_the_working_folder_changed(tmp_path, monkeypatch):
    for name, n_samples in (("first", 16000), ("second", 32000)):
        write_wav(tmp_path / name / "a.wav", n_samples)
        monkeypatch.chdir(tmp_path / name)
        assert open_recording("a.wav").n_bytes == 44 + 2 * n_samples
        assert read_audio("a.wav").shape == (1, n_samples)
