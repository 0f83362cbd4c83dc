"""A whole study from a folder of genuine recordings: corpus, features, three networks, one table.

python tools/study.py --media FOLDER --work WORK             # a smoke run of minutes
python tools/study.py --media FOLDER --work WORK --full      # seeds, ablations, intervals: hours

The stages, each done once and kept in ``--work``, so that the same command goes on where it was stopped:

1. ``recordings``: what shows a face and holds speech, made small and split by identity;
2. ``corpus``: ``avloc synth`` for each split, annotated as LAV-DF is;
3. ``features``: ``avloc extract`` with the encoders of ``--encoders``;
4. ``train``: ``avloc train`` for every network, seed and ablation;
5. ``predict``: the test split by each of them;
6. ``table``: the protocols ``lavdf`` and ``corrected``.

FOLDER holds videos, those of one person in a subfolder of their own, or a ``manifest.json`` whose entries of
use train and dev are taken. No identity is in two splits.
"""

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from avloc.cli.main import main as avloc
from avloc.errors import AvlocError, ConfigError
from avloc.models.weights.store import read_header
from avloc.studies.miniature.corpus import (
    ANNOTATION,
    FAMILIES,
    identity_of_files,
    shared_identities,
    write_annotation,
)
from avloc.studies.miniature.recordings import MANIFEST, SPLITS, find_sources, prepare
from avloc.studies.miniature.table import PROTOCOLS, Answer, figures_of, show
from avloc.training.published_development import predict_features
from avloc.training.published_source import FeatureFolder, channels_stored

FRAMES = 128
SECONDS = FRAMES / 25
OWN = "avloc"
NETWORKS = {OWN: "avloc_lavdf", "DiMoDif": "dimodif_lavdf", "AuViRe": "auvire_lavdf"}
ABLATIONS = {
    "no alignment": {"model.alignment.max_lag": 0, "model.alignment.reach": 0},
    "no discrepancy map": {"model.discrepancy": None},
    "no pyramid": {"model.pyramid.n_levels": 1},
    "no boundary and inside targets": {
        "train.losses.boundary": 0.0,
        "train.losses.inside": 0.0,
        "decoding.inside_weight": 0.0,
        "decoding.contrast_weight": 0.0,
        "decoding.sharpness_weight": 0.0,
    },
    "no modality dropout": {"train.modality_dropout": 0.0},
    "low-pass prior": {"train.losses.low_pass": 10.0},
}
FAILED_SOME = 3  # exit code of a command that went on without some recordings


@dataclass(frozen=True, slots=True)
class Plan:
    """How large a study is; the same plan and recordings give the same corpus."""

    n_items: Mapping[str, int]
    epochs: int
    seeds: tuple[int, ...] = (0,)
    ablations: Mapping[str, Mapping] = field(default_factory=dict)
    bootstrap: int = 0
    remark: str = ""
    overrides: Mapping[str, Mapping] = field(default_factory=dict)  # of a network, beyond what all have


PLANS = {
    "smoke": Plan(
        {"train": 96, "dev": 32, "test": 64},
        epochs=12,
        remark="Smoke run: its figures mean nothing beyond that it runs.",
    ),
    "full": Plan(
        {"train": 480, "dev": 96, "test": 240},
        epochs=40,
        seeds=(0, 1, 2),
        ablations=ABLATIONS,
        bootstrap=1000,
        remark="Mean over the trainings, and 95 % intervals over identities of the test split.",
    ),
}


@dataclass(frozen=True, slots=True)
class Arm:
    """One training: its name, the row of the table that it belongs to, its configuration and what differs."""

    name: str
    row: str
    config: str
    seed: int
    overrides: Mapping


class Study:
    """The stages of a study in their order."""

    def __init__(self, media: Path, work: Path, plan: Plan, *, encoders: str, device: str) -> None:
        self.media, self.work, self.plan, self.encoders, self.device = media, work, plan, encoders, device
        self.recordings, self.corpus = work / "recordings", work / "corpus"
        self.features = FeatureFolder(str(work / "features"), "lavdf", str(self.corpus))

    def stages(self) -> Iterator[tuple[str, Callable[[], dict | None]]]:
        """Give each stage's name and what does it."""
        yield "recordings", self._prepare
        for split in SPLITS:
            yield f"corpus {split}", lambda split=split: self._synthesize(split)
        yield "corpus", self._annotate
        for split in SPLITS:
            yield f"features {split}", lambda split=split: self._extract(split)
        for arm in self.arms():
            yield f"train {arm.name}", lambda arm=arm: self._train(arm)
            yield f"predict {arm.name}", lambda arm=arm: self._predict(arm)
        yield "table", self._write_table

    def arms(self) -> Iterator[Arm]:
        """List the trainings: every network with every seed, then the ablations with the first."""
        for row, config in NETWORKS.items():
            for seed in self.plan.seeds:
                yield Arm(f"{row}-{seed}", row, config, seed, self.plan.overrides.get(row, {}))
        for row, changed in self.plan.ablations.items():
            seed, same = self.plan.seeds[0], self.plan.overrides.get(OWN, {})
            name = f"{row.replace(' ', '-')}-{seed}"
            yield Arm(name, f"{OWN}, {row}", NETWORKS[OWN], seed, {**same, **changed})

    def _prepare(self) -> dict:
        _, card = read_header(self.encoders)
        return prepare(find_sources(self.media), self.recordings, seen=set(card.recordings), seed=0)

    def _synthesize(self, split: str) -> None:
        made = self.corpus / split
        if made.exists():
            return
        part = _empty(self.corpus / f".{split}")
        given = ["--media", self.recordings / MANIFEST, "--cache", self.recordings / "cache"]
        given += ["--use", split, "--any-licence", "--video", "--families", ",".join(FAMILIES)]
        given += ["--n", self.plan.n_items[split], "--seed", SPLITS.index(split), "--duration", SECONDS]
        _command("synth", part, *given)
        part.rename(made)

    def _annotate(self) -> None:
        if shared := shared_identities(self.corpus, self.recordings / MANIFEST):
            raise ConfigError(
                f"{sorted(shared)} are in two splits of {str(self.corpus)!r}; remove the folder"
            )
        write_annotation(self.corpus)

    def _extract(self, split: str) -> None:
        encoders = f"audio={self.encoders},visual={self.encoders}"
        given = ["--root", self.corpus, "--split", split, "--encoders", encoders, "--device", self.device]
        _command("extract", "lavdf", *given, "--out", self.features.folder, "--quiet")

    def _train(self, arm: Arm) -> None:
        folder = self.work / "train" / arm.name
        given = ["--features", self.features.folder, "--data", "lavdf", "--root", self.corpus]
        given += ["--work-dir", folder, "--device", self.device]
        given += ["--resume"] if (folder / "last_checkpoint").is_file() else []
        for key, value in (self._settings(arm) | dict(arm.overrides)).items():
            given += ["--set", f"{key}={value!r}"]
        _command("train", arm.config, *given)

    def _settings(self, arm: Arm) -> dict:
        channels = channels_stored(self.features.open("train"))
        shared = {"train.batch_size": 16, "train.epochs": self.plan.epochs, "train.seed": arm.seed}
        shared |= {"train.workers": 0, "train.checkpoint_every": 100}
        if arm.config != NETWORKS[OWN]:
            return shared | {"model.max_length": FRAMES, "model.feature_channels": max(channels.values())}
        widths = {f"model.{stream}_encoder.out_channels": width for stream, width in channels.items()}
        return shared | {"train.n_frames": FRAMES} | widths

    def _predict(self, arm: Arm) -> None:
        weights = self.work / "train" / arm.name / "weights.safetensors"
        proposals, scores, _ = predict_features(weights, self.features, "test")
        told = {"proposals": proposals, "scores": scores}
        _write(self.work / "predictions" / f"{arm.name}.json", json.dumps(told))

    def _write_table(self) -> dict:
        references = self.features.open("test").references
        identities = identity_of_files(self.corpus / ANNOTATION)
        answers: dict[str, list[Answer]] = {}
        for arm in self.arms():
            told = json.loads((self.work / "predictions" / f"{arm.name}.json").read_text(encoding="utf-8"))
            answers.setdefault(arm.row, []).append(Answer(**told))
        given = {"identities": identities, "bootstrap": self.plan.bootstrap}
        rows = {
            row: [figures_of(found, references, protocol=protocol, **given) for protocol in PROTOCOLS]
            for row, found in answers.items()
        }
        _write(self.work / "table.json", json.dumps(rows, indent=1))
        _write(self.work / "table.md", show(rows, title=self._title()))
        return {"recordings": len(references)}

    def _title(self) -> str:
        told = self.done("recordings")
        _, card = read_header(self.encoders)
        of = ", ".join(
            f"{self.plan.n_items[s]} of {told[f'{s}_identities']} identities in {s}" for s in SPLITS
        )
        seen = {source.id for source in find_sources(self.media)} & set(card.recordings)
        known = (
            f"; {len(seen)} of {told['n']} recordings trained the encoders ({self.encoders})" if seen else ""
        )
        return (
            f"{self.plan.remark} Recordings: {of}; {self.plan.epochs} epochs of sequences of {FRAMES}{known}."
        )

    def done(self, stage: str) -> dict | None:
        """Say what a finished stage told, None if it is not finished."""
        path = self._told(stage)
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def run(self) -> None:
        """Do what is not done, and print the time of each stage and the table."""
        for stage, work in self.stages():
            if (told := self.done(stage)) is None:
                print(f"study: {stage}", file=sys.stderr, flush=True)
                began = time.monotonic()
                told = {**(work() or {}), "seconds": round(time.monotonic() - began, 1)}
                _write(self._told(stage), json.dumps(told))
            print(f"{told['seconds']:8.1f} s  {stage}", flush=True)
        print()
        print((self.work / "table.md").read_text(encoding="utf-8"), end="")

    def _told(self, stage: str) -> Path:
        return self.work / "done" / f"{stage.replace(' ', '-')}.json"


def _command(*words: object) -> None:
    """Run a command of avloc in this process; all that it says goes to stderr."""
    with contextlib.redirect_stdout(sys.stderr):
        code = avloc([str(word) for word in words])
    if code not in (0, FAILED_SOME):
        raise ConfigError(f"avloc {words[0]} ended with exit code {code}; see above, and run the study again")


def _empty(folder: Path) -> Path:
    """Make an empty folder in the place of what a run that was stopped left."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    return folder


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _check_same(work: Path, told: Mapping) -> None:
    """Refuse a work folder of another study; its stages would be taken for those of this one."""
    path = work / "study.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    if before is not None and before != told:
        raise ConfigError(f"{str(work)!r} holds the study {before}, this one is {told}; name another --work")
    _write(path, json.dumps(told))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--media", required=True, metavar="FOLDER", help="genuine recordings of talking faces"
    )
    parser.add_argument("--work", required=True, metavar="FOLDER", help="gets what is made")
    parser.add_argument("--full", action="store_true", help="three seeds, ablations and intervals: hours")
    parser.add_argument("--encoders", default="default", metavar="NAME", help="weights with both encoders")
    parser.add_argument("--device", default="cpu", help="where encoders and networks run")
    options = parser.parse_args(arguments)
    size, work = "full" if options.full else "smoke", Path(options.work)
    study = Study(Path(options.media), work, PLANS[size], encoders=options.encoders, device=options.device)
    try:
        if study.done("recordings") is None:
            find_sources(study.media)  # before anything is written
        media = str(study.media.resolve())
        _check_same(work, {"size": size, "media": media, "encoders": options.encoders})
        study.run()
    except AvlocError as error:
        print(f"study: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
