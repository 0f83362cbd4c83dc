"""A training on extracted features in one place: start, loop, result."""

import hashlib
import logging
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from avloc.config import load_config
from avloc.datasets.feature_set import FeatureSet
from avloc.errors import CheckpointError
from avloc.models.weights.card import Card, unmeasured_card
from avloc.models.weights.importing import LANDMARK_LIMIT, SPEECH_ENCODERS, SPEECH_LIMIT
from avloc.models.weights.store import load_weights, save_weights
from avloc.training.checkpoints import BEST, keep_run, progress_of, restore_best, starting_checkpoint
from avloc.training.devices import choose_device
from avloc.training.engine import ONE_PROCESS, Training, run_loop, work_folder
from avloc.training.learners import Learner, learner_of
from avloc.training.optimization import Plateau
from avloc.training.parallel import gathered, is_main, n_processes, rank, refuse_several, together
from avloc.training.published_development import FeatureDevelopment
from avloc.training.published_features import FeatureBatches, reaches_beyond
from avloc.training.published_settings import check_settings
from avloc.training.published_source import FeatureFolder, check_features
from avloc.training.runner import build_checked

MAY_CHANGE = ("epochs", "patience", "stop_after", "workers", "log_every", "checkpoint_every")  # on the way

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """The weights that a training started from: as they were named, their hash and card."""

    name: str
    sha256: str
    card: Card


def train_published(
    config: str,
    source: FeatureFolder,
    *,
    work_dir: str,
    overrides: Mapping[str, object] | None = None,
    init: str | None = None,
    resume: bool = False,
    device: str = "auto",
    plain: bool = False,
) -> Path:
    """Train DiMoDif, AuViRe or avloc's own network and write the best weights by validation.

    ``work_dir`` gets them as ``weights.safetensors``, and the newest checkpoints, ``best.pth``,
    ``losses.jsonl``, ``development.jsonl``, ``families.json``. Several processes that torchrun started train
    together and write once.

    Parameters
    ----------
    config : str
        Name of a file in ``configs/``, such as ``"dimodif_lavdf"``, or a path.
    source : FeatureFolder
        Features of the splits ``train.train_split`` and ``train.validation_split``.
    work_dir : str
        Checkpoints, logs and the result.
    overrides : mapping
        Key paths such as ``train.epochs`` and their values.
    init : str
        Weights to start from, a name or a path: of the same network and sizes, such as an imported public
        checkpoint.
    resume : bool
        Go on from the newest checkpoint of ``work_dir``.
    device : str
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, or ``"auto"``, a GPU if there is one. On a GPU the network
        runs in bfloat16; with several processes each has the GPU of its number.
    plain : bool
        As of ``run_loop``.

    Returns
    -------
    Path
        The weights file.

    Raises
    ------
    ConfigError
        If the configuration does not fit, or the features are not those of the network or of one extraction.
    CheckpointError
        If an encoder of the features is not there or another file, or a checkpoint or ``init`` does not
        fit.
    AnnotationError
        If the truth or the features cannot be read.
    """
    cfg = load_config(config, overrides=dict(overrides or {}))
    settings = cfg["train"]
    torch.manual_seed(settings.get("seed", 0))
    network = build_checked(cfg["model"])
    learner = learner_of(network, cfg)
    check_settings(cfg, learner)
    if plain:
        refuse_several(ONE_PROCESS)
    place, folder = choose_device(device), work_folder(work_dir)
    kind, target = type(network).__name__, folder / "weights.safetensors"
    sets = {name: source.open(settings[name]) for name in ("train_split", "validation_split")}
    encoders, stored = check_features(source.folder, *sets.values(), learner)
    start = None if init is None else _start_from(network, init, encoders)
    checkpoint = starting_checkpoint(folder, resume=resume)
    with together(place) as place:
        best = _train(learner, stored, cfg, sets, folder, checkpoint, place, start=start, plain=plain)
        if is_main():
            card = _card(config, kind, source, settings, encoders, best, overrides or {}, start)
            save_weights(target, network.cpu().eval(), config=cfg, card=card, exact=True)
            logger.info("%s: the best of %d updates, after %d", target, best["n_updates"], best["iter"])
    return target


def _train(
    learner: Learner,
    stored: Mapping[str, int],
    cfg: Mapping,
    sets: Mapping[str, FeatureSet],
    folder: Path,
    checkpoint: Path | None,
    device: torch.device,
    *,
    start: Start | None,
    plain: bool,
) -> dict:
    """Train, leave the best weights in the network and give what is said of them and of the run."""
    settings = cfg["train"]
    examples = {name: learner.examples(features, stored) for name, features in sets.items()}
    first, told = progress_of(checkpoint, learner.network)
    batches = FeatureBatches(
        examples["train_split"],
        indices=_trained_on(sets["train_split"], learner.n_frames, drops_late=settings["drops_late"]),
        batch_size=settings["batch_size"],
        epochs=settings["epochs"],
        seed=settings["seed"],
        first=first,
        rank=rank(),
        n_ranks=n_processes(),
        modality_dropout=settings.get("modality_dropout", 0.0),
    )
    schedule = Plateau(
        iterations=len(batches),
        told=told,
        **{key: settings[key] for key in ("monitor", "patience", "rate_factor", "stop_after")},
    )
    if schedule.best is not None and not (folder / BEST).is_file():
        raise CheckpointError(f"{str(folder)!r}: {BEST} belongs beside the checkpoint {checkpoint.name!r}")
    development = FeatureDevelopment(
        examples["validation_split"],
        protocol=settings["protocol"],
        learner=learner,
        batch_size=settings["batch_size"],
        workers=settings["workers"],
    )
    schedule.check(development.of_nothing())  # not only after the first epoch
    keep_run(folder, _what_decides(cfg, sets, start), resume=checkpoint is not None)
    objective = learner.objective(bfloat16=device.type == "cuda")
    lengths = {"iterations": len(batches), "evaluate_every": batches.per_epoch}
    training = Training(
        objective, batches, settings | lengths, schedule, folder, development, checkpoint, device
    )
    _, n_updates = run_loop(training, plain=plain)
    gathered(None)  # what the one process wrote last is there for all
    return restore_best(folder, objective) | {"n_updates": n_updates, "n_recordings": len(batches.indices)}


def _start_from(network: torch.nn.Module, init: str, encoders: Mapping[str, Mapping]) -> Start:
    """Take over weights of the same network and sizes."""
    other, card, sha256 = load_weights(init)
    if type(other) is not type(network):
        kinds = f"{type(other).__name__}, and the configuration trains {type(network).__name__}"
        raise CheckpointError(f"{init!r} holds the network {kinds}; name weights of that")
    here, there = network.state_dict(), other.state_dict()
    for name in sorted(here.keys() | there.keys()):
        shapes = [tuple(state[name].shape) if name in state else "nothing" for state in (there, here)]
        if shapes[0] != shapes[1]:
            raise CheckpointError(
                f"{init!r} has other sizes: {name!r} is {shapes[0]} there and {shapes[1]} in the "
                "configuration; give the sizes of the file with --set model.KEY=VALUE"
            )
    network.load_state_dict(there)
    for stream, own in card.encoders.items():
        if own["sha256"] != encoders[stream]["sha256"]:
            logger.warning(
                "%r reads the %s features of %r, and those here are of %r, another file",
                init,
                stream,
                own["name"],
                encoders[stream]["name"],
            )
    return Start(init, sha256, card)


def _what_decides(cfg: Mapping, sets: Mapping[str, FeatureSet], start: Start | None) -> dict:
    """Give all that must be as it was for a resumed training to end where it would have."""
    settings = {key: value for key, value in cfg["train"].items() if key not in MAY_CHANGE}
    told = {"model": cfg["model"], "decoding": cfg["decoding"], "train": settings}
    told["init_sha256"] = None if start is None else start.sha256
    for name, features in sets.items():
        ids = "\n".join(reference.recording_id for reference in features.references)
        told[name] = dict(features.made) | {
            "n_recordings": len(features),
            "recordings_sha256": hashlib.sha256(ids.encode(errors="replace")).hexdigest(),
        }
    return told


def _trained_on(features: FeatureSet, n_frames: int, *, drops_late: bool) -> list[int]:
    late = {i for i, r in enumerate(features.references) if reaches_beyond(r, n_frames)}
    if late:
        done = "left out" if drops_late else "trained on with the part inside"
        logger.warning(
            "%d of %d recordings have a segment behind the window: %s", len(late), len(features), done
        )
    return [i for i in range(len(features)) if not (drops_late and i in late)]


def _card(
    config: str,
    kind: str,
    source: FeatureFolder,
    settings: Mapping,
    encoders: dict,
    best: Mapping,
    overrides: Mapping[str, object],
    start: Start | None,
) -> Card:
    name, dataset = Path(config).stem, Path(source.dataset).name  # where they lie is nobody's business
    command = ["avloc", "train", Path(config).name, "--features", Path(source.folder).name, "--data"]
    command += [dataset, "--work-dir", name]
    command += [word for key, value in overrides.items() for word in ("--set", f"{key}={value}")]
    if start is not None:
        command += ["--init", Path(start.name).name]
    validation = f"{dataset} {settings['validation_split']}, protocol {settings['protocol']}"
    chosen = " + ".join(settings["monitor"])
    of_public = any(told["network"] in SPEECH_ENCODERS for told in encoders.values())
    return replace(
        unmeasured_card(name, network=kind, version="trained"),
        data=(
            {
                "name": dataset,
                "licence": "terms of the data set",
                "split": settings["train_split"],
                "n_recordings": best["n_recordings"],
            },
            *(() if start is None else start.card.data),
        ),
        figures={f"{validation}, one window a recording": {**best["figures"], "updates": best["iter"]}},
        limits=(
            f"chosen by {chosen} of the figures above, which therefore tell nothing of other recordings",
            *(() if start is None else (f"started from {start.card.name!r}, sha256 {start.sha256}",)),
            *((SPEECH_LIMIT, LANDMARK_LIMIT) if of_public else ()),
        ),
        commands=(shlex.join(command),),
        encoders=encoders,
    )
