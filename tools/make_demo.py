"""Make the demo recording: a rendered talking head whose sentence had one word replaced.

python tools/make_demo.py demo

flite (Debian: apt-get install flite) speaks the sentence and, with another voice, the word put in; its
phone times move the lips, so that the picture says the sentence as it was before. Writes talking_head.mp4 and
truth.json, and fails unless a face is found in 90 % of the frames. The demo itself needs only the clip.
"""

import json
import math
import shutil
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from avloc.media.decode import Decoder, VideoBlock
from avloc.media.encode import write_video
from avloc.media.probe import open_recording
from avloc.media.whole import read_audio

SENTENCE = (
    "Please send seven hundred euros to the account in Vienna before Friday morning, "
    "and call me back when it is done. Thank you for your help."
)
SPOKEN_WORD, SPOKEN_PHONES = "seven", ("s", "eh", "v", "ax", "n")
OTHER_WORD, OTHER_VOICE = "nine", "rms"
VOICE = "slt"
SAMPLE_RATE, RATE = 16000, 25
FADE = 160  # samples, 10 ms
WIDTH, HEIGHT = 320, 240
SCALE = 2  # drawn twice as large and reduced: soft edges

# Opening and width of the lips in [0, 1].
LIPS = {
    "pau": (0.0, 0.5), "p": (0.0, 0.5), "b": (0.0, 0.5), "m": (0.0, 0.5), "f": (0.1, 0.55), "v": (0.1, 0.55),
    "w": (0.25, 0.1), "uw": (0.3, 0.1), "ow": (0.5, 0.2), "ao": (0.7, 0.25), "r": (0.3, 0.3), "y": (0.3, 0.8),
    "iy": (0.3, 0.95), "ih": (0.35, 0.8), "ey": (0.45, 0.85), "eh": (0.6, 0.75), "ae": (0.85, 0.75),
    "aa": (1.0, 0.5), "ah": (0.7, 0.5), "ax": (0.45, 0.5), "ay": (0.9, 0.6), "aw": (0.85, 0.4),
    "er": (0.4, 0.35),
}  # fmt: skip
OTHER_PHONE = (0.25, 0.55)


def speak(text: str, voice: str, folder: Path) -> tuple[np.ndarray, list[tuple[str, float]]]:
    """Speak with flite: samples (n,) at 16 kHz, and (phone, end in seconds)."""
    program = shutil.which("flite")
    if program is None:
        raise SystemExit("flite is not on the path: install it (Debian: apt-get install flite) and try again")
    path = folder / f"{voice}.wav"
    told = subprocess.run(
        [program, "-voice", voice, "-psdur", "-t", text, "-o", str(path)],
        check=True,
        capture_output=True,
        text=True,
    )
    phones = [(name, float(end)) for name, _, end in (p.partition(":") for p in told.stdout.split())]
    return read_audio(path, sample_rate=SAMPLE_RATE)[0], phones


def find_word(phones: list[tuple[str, float]], wanted: tuple[str, ...]) -> tuple[float, float]:
    """Find start and end in seconds of the first run of phones."""
    names = [name for name, _ in phones]
    for k in range(1, len(names) - len(wanted) + 1):
        if tuple(names[k : k + len(wanted)]) == wanted:
            return phones[k - 1][1], phones[k + len(wanted) - 1][1]
    raise SystemExit(f"flite did not speak {wanted}; got {names}")


def replace_word(
    samples: np.ndarray, start_s: float, end_s: float, word: np.ndarray
) -> tuple[np.ndarray, float]:
    """Put ``word`` in place of a span at the level of the span, cross-faded; also the new end in seconds."""
    start, end = round(start_s * SAMPLE_RATE), round(end_s * SAMPLE_RATE)
    level = np.sqrt((samples[start:end] ** 2).mean() / (word**2).mean())
    word = word * level
    fade = np.linspace(0.0, 1.0, FADE, dtype=np.float32)
    word[:FADE] = word[:FADE] * fade + samples[start : start + FADE] * (1 - fade)
    word[-FADE:] = word[-FADE:] * (1 - fade) + samples[end - FADE : end] * fade
    # The rest keeps its time, so that the lips still fit: the word is cut, or quiet follows it.
    filled = np.zeros(end - start, dtype=np.float32)
    length = min(len(word), end - start)
    filled[:length] = word[:length]
    filled[-FADE:] = filled[-FADE:] * (1 - fade) + samples[end - FADE : end] * fade
    return np.concatenate((samples[:start], filled, samples[end:])), end / SAMPLE_RATE


def lip_curve(phones: list[tuple[str, float]], n_frames: int) -> np.ndarray:
    """Give opening and width of the lips for each frame (n_frames, 2), smoothed as muscles do."""
    times = np.arange(4 * n_frames) / (4 * RATE)
    ends = np.array([end for _, end in phones])
    shapes = np.array([LIPS.get(name, OTHER_PHONE) for name, _ in phones] + [LIPS["pau"]])
    raw = shapes[np.searchsorted(ends, times, side="right").clip(max=len(phones))]
    kernel = np.hanning(13)
    smooth = np.stack(
        [np.convolve(np.pad(c, 6, mode="edge"), kernel / kernel.sum(), mode="valid") for c in raw.T], 1
    )
    return smooth[2::4]


def ellipse(
    image: np.ndarray, centre: tuple[float, float], axes: tuple[float, float], colour: tuple, *arc: float
) -> None:
    """Draw a filled ellipse in units of the final picture; ``arc`` is angle, start and end in degrees."""
    angle, first, last = arc if arc else (0.0, 0.0, 360.0)
    at = tuple(round(16 * SCALE * v) for v in centre)
    size = tuple(max(1, round(16 * SCALE * v)) for v in axes)
    cv2.ellipse(image, at, size, angle, first, last, colour, -1, cv2.LINE_AA, 4)


def draw_frame(k: int, lips: np.ndarray, rng: np.random.Generator, grain: np.ndarray) -> np.ndarray:
    """Draw a frame (H, W, 3) uint8: a head that sways a little, blinks, and speaks."""
    image = np.zeros((HEIGHT * SCALE, WIDTH * SCALE, 3), np.uint8)
    rows = np.linspace(120, 90, HEIGHT * SCALE)[:, None, None]
    image[:] = (rows * np.array([0.75, 0.9, 1.0])).astype(np.uint8)
    x = WIDTH / 2 + 4 * math.sin(k / 37) + 1.5 * math.sin(k / 11)
    y = HEIGHT / 2 + 4 + 2 * math.sin(k / 23)
    skin, shade, hair = (206, 160, 132), (172, 124, 100), (52, 38, 30)
    ellipse(image, (x, y + 128), (92, 62), (60, 72, 104))  # shoulders
    ellipse(image, (x, y + 78), (24, 40), shade)  # neck
    ellipse(image, (x, y - 18), (66, 82), hair)
    jaw = 5 * lips[0]
    ellipse(image, (x, y + 4 + jaw / 2), (55, 74 + jaw / 2), skin)
    ellipse(image, (x, y - 58), (52, 26), hair)  # hair line
    for side in (-1, 1):
        ellipse(image, (x + 22 * side, y - 14), (15, 10), shade)  # eye socket
        blink = 0.15 if k % 90 in (40, 41, 42) else 1.0
        ellipse(image, (x + 22 * side, y - 12), (10, 5.5 * blink), (238, 236, 232))
        ellipse(image, (x + 22 * side + math.sin(k / 60), y - 12), (4.6, 4.8 * blink), (46, 34, 28))
        ellipse(image, (x + 22 * side, y - 27), (14, 3.2), hair, 6.0 * side, 0, 360)  # brow
        ellipse(image, (x + 33 * side, y + 22), (12, 9), (214, 158, 136))  # cheek
    ellipse(image, (x, y + 6), (5, 18), (222, 176, 148))  # bridge of the nose
    ellipse(image, (x, y + 22), (10, 6), (190, 142, 116))
    for side in (-1, 1):
        ellipse(image, (x + 5 * side, y + 25), (2.4, 1.6), (96, 62, 52))
    opening, width = 1.0 + 11 * lips[0], 13 + 9 * lips[1]
    mouth = y + 45 + jaw * 0.6
    ellipse(image, (x, mouth), (width + 2, opening + 4), (168, 84, 82))  # lips
    ellipse(image, (x, mouth), (width - 2, opening), (58, 22, 26))  # inside
    if opening > 4:
        ellipse(image, (x, mouth - opening + 2), (width - 6, 2.2), (230, 226, 220))  # teeth
    image = cv2.GaussianBlur(image, (0, 0), 1.6 * SCALE)
    image = cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32)
    light = 1.12 - 0.35 * np.linspace(0, 1, WIDTH)[None, :, None]  # a lamp from the left
    noise = np.roll(grain, rng.integers(0, WIDTH, size=2), axis=(0, 1))[..., None]
    return np.clip(image * light + noise, 0, 255).astype(np.uint8)


def face_share(path: Path) -> float:
    """Measure the share of the frames in which the tracker finds a face."""
    seen = total = 0
    with Decoder(open_recording(path)) as decoder:
        for block in decoder:
            if isinstance(block, VideoBlock):
                total += len(block.source_index)
                seen += int(np.any([face.present for face in block.faces], axis=0).sum())
    return seen / total


def main(out: str) -> None:
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        samples, phones = speak(SENTENCE, VOICE, Path(scratch))
        word, word_phones = speak(OTHER_WORD, OTHER_VOICE, Path(scratch))
    start, end = find_word(phones, SPOKEN_PHONES)
    first, last = (word_phones[k][1] for k in (0, len(word_phones) - 2))  # between the two pauses
    word = word[round(first * SAMPLE_RATE) : round(last * SAMPLE_RATE)]
    forged, end = replace_word(samples, start, end, word)
    # A room, not digital silence, under the whole recording.
    rng = np.random.default_rng(1)
    forged = 0.9 * forged / np.abs(forged).max() + 0.002 * rng.standard_normal(len(forged)).astype(np.float32)
    n_frames = math.ceil(len(forged) / SAMPLE_RATE * RATE)
    lips = lip_curve(phones, n_frames)
    grain = rng.normal(0, 2.0, size=(HEIGHT, WIDTH)).astype(np.float32)
    frames = np.stack([draw_frame(k, lips[k], rng, grain) for k in range(n_frames)])
    clip = folder / "talking_head.mp4"
    write_video(clip, frames, Fraction(RATE), forged[None].astype(np.float32), SAMPLE_RATE)
    share = face_share(clip)
    if share < 0.9:
        raise SystemExit(f"a face was found in {share:.0%} of the frames, expected at least 90 %")
    truth = {
        "segments": [{"start_s": round(start, 3), "end_s": round(end, 3), "modality": "audio"}],
        "sentence": SENTENCE,
        "spoken": SPOKEN_WORD,
        "replaced_by": OTHER_WORD,
        "made_by": f"tools/make_demo.py, flite voices {VOICE} and {OTHER_VOICE}",
    }
    (folder / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")
    print(f"{clip}: {n_frames} frames, a face in {share:.1%}, forged {start:.2f} to {end:.2f} s")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "demo")
