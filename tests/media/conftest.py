"""Media files made on the spot: tones, clicks and flashes at known times, late sound, uneven frames, gaps."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

SIZE = (64, 48)
TICK = Fraction(1, 1000)


class Maker:
    """Writes media files into one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def tone(self, seconds: float = 1.0, rate: int = 16000, channels: int = 1, clicks: Sequence[float] = ()):
        """Quiet tones, another pitch on each channel, with clicks at the given seconds; (C, n) float32."""
        t = np.arange(round(seconds * rate)) / rate
        sound = np.stack([0.05 * np.sin(2 * np.pi * 200 * (c + 1) * t) for c in range(channels)])
        for click in clicks:
            at = round(click * rate)
            sound[:, at : at + rate // 1000] = 0.9
        return sound.astype(np.float32)

    def wav(self, name: str = "a.wav", samples=None, rate: int = 16000, bits: int = 16) -> Path:
        """A WAV written by hand: 16-bit integers or, with ``bits=32``, floats."""
        samples = self.tone(rate=rate) if samples is None else samples
        if bits == 32:
            kind, data = 3, samples.T.astype("<f4").tobytes()
        else:
            kind, data = 1, np.round(samples.T * 32767).astype("<i2").tobytes()
        n = len(samples)
        form = struct.pack("<HHIIHH", kind, n, rate, rate * n * bits // 8, n * bits // 8, bits)
        body = (
            b"WAVE" + b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data))
        )
        path = self.folder / name
        path.write_bytes(b"RIFF" + struct.pack("<I", len(body) + len(data)) + body + data)
        return path

    def song_with_cover(self) -> Path:
        """Sound with a picture of its cover, which is no video."""
        path = self.folder / "song.m4a"
        with av.open(str(path), "w", format="mp4") as container:
            sound = container.add_stream("aac", rate=16000, layout="mono")
            cover = container.add_stream("mjpeg", rate=1)
            cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
            cover.disposition = av.stream.Disposition.attached_pic
            container.mux(cover.encode(av.VideoFrame.from_ndarray(self.square(0), format="rgb24")))
            frame = av.AudioFrame.from_ndarray(self.tone(1.0), format="fltp", layout="mono")
            frame.sample_rate = 16000
            container.mux([*sound.encode(frame), *sound.encode(None)])
        return path

    def clip(
        self,
        name: str = "a.mp4",
        *,
        times: Sequence[Fraction | float] | None = None,
        flash: Sequence[float] = (),
        samples=None,
        rate: int = 16000,
        sound_start: float = 0.0,
        picture_codec: str | None = "mpeg4",
        sound_codec: str | None = "aac",
        size: tuple[int, int] = SIZE,
        cuts: Sequence[tuple[float, float]] = (),
        options: dict[str, str] | None = None,
    ) -> Path:
        """A clip: a moving square, white where ``flash`` says; frames at ``times``.

        The sound begins at ``sound_start``; ``cuts`` are spans of it (s) whose packets are left out.
        """
        times = [Fraction(i, 25) for i in range(50)] if times is None else times
        samples = self.tone(2.0, rate) if samples is None else samples
        path = self.folder / name
        with av.open(str(path), "w", options=options or {}) as container:
            packets = []
            picture = sound = None
            if picture_codec:
                picture = container.add_stream(picture_codec, rate=25, options={"g": "12"})
                picture.width, picture.height, picture.pix_fmt = *size, "yuv420p"
                if (
                    picture_codec != "mpeg2video" and path.suffix != ".avi"
                ):  # they know usual frame rates only
                    picture.codec_context.time_base = TICK
            if sound_codec:
                layout = {1: "mono", 2: "stereo"}[len(samples)]
                sound = container.add_stream(sound_codec, rate=rate, layout=layout)
            if picture:
                for i, time in enumerate(times):
                    pixels = self.square(i, size, white=any(abs(float(time) - f) < 1e-6 for f in flash))
                    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                    tick = picture.codec_context.time_base or Fraction(1, 25)
                    frame.pts, frame.time_base = round(Fraction(time) / tick), tick
                    packets += picture.encode(frame)
                packets += picture.encode(None)
            if sound:
                packets += self._encode_sound(sound, samples, rate, sound_start, cuts)
            packets = [p for p in packets if p.dts is not None]
            container.mux(sorted(packets, key=lambda p: p.dts * p.time_base))
        return path

    def _encode_sound(self, stream, samples, rate, start, cuts):
        packets, step = [], 1024
        kind = "s16" if stream.codec_context.name.startswith("pcm") else "fltp"
        for at in range(0, samples.shape[1], step):
            piece = np.ascontiguousarray(samples[:, at : at + step])
            if kind == "s16":
                piece = np.round(piece * 32767).astype(np.int16).T.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(piece), format=kind, layout=stream.layout.name
            )
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = at + round(start * rate)
            packets += stream.encode(frame)
        packets += stream.encode(None)

        def is_kept(packet) -> bool:
            time = float((packet.pts or 0) * packet.time_base)
            return not any(a <= time < b for a, b in cuts)

        return [p for p in packets if is_kept(p)]

    @staticmethod
    def square(index: int, size: tuple[int, int] = SIZE, white: bool = False) -> np.ndarray:
        """Dark picture of shape (H, W, 3) with a square that moves; or all white."""
        pixels = np.full((size[1], size[0], 3), 255 if white else 20, np.uint8)
        x = (index * 2) % (size[0] - 8)
        pixels[8:16, x : x + 8] = 120
        return pixels


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    """Write media files into this test's own folder."""
    return Maker(tmp_path)
