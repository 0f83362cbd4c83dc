"""A round of training of avloc's own network in one place: start, loop, result."""

import logging
from collections.abc import Mapping
from pathlib import Path

import torch

from avloc.config import load_config
from avloc.datasets.pack import Unpacked, unpack
from avloc.errors import ConfigError
from avloc.features.audio import PIECE_FRAMES, PIECE_HOP
from avloc.media.recode import can_recode
from avloc.models.encoders.stored import StoredFeatures
from avloc.models.hierarchical import build_network
from avloc.models.weights.card import unmeasured_card
from avloc.models.weights.importing import DEFAULT_ENCODERS, STREAMS
from avloc.models.weights.store import load_weights, save_weights
from avloc.models.weights.whisper import read_whisper
from avloc.training.batches import BatchSource
from avloc.training.checkpoints import progress_of, starting_checkpoint
from avloc.training.development import DevelopmentSet
from avloc.training.devices import choose_device
from avloc.training.engine import Training, run_loop, work_folder
from avloc.training.objective import LossWeights, Objective
from avloc.training.optimization import ENDLESS, Schedule
from avloc.training.parallel import refuse_several
from avloc.training.pruning import prune
from avloc.training.sources import PRUNING_BATCHES, build_source, extra_sound, standardise_recogniser

NO_RECOGNISER = "the audio encoder of this configuration has no recogniser"

logger = logging.getLogger(__name__)


def train(
    config: str,
    *,
    media: tuple[str, ...] = (),
    pack: str | None = None,
    work_dir: str,
    overrides: Mapping[str, object] | None = None,
    recogniser: str | None = None,
    init: str | None = None,
    resume: bool = False,
    device: str = "auto",
    minutes: float | None = None,
    plain: bool = False,
) -> Path:
    """Train the network of a configuration and write ``weights.safetensors`` into ``work_dir``.

    Beside it ``families.json`` says how many items of each family it was trained on.

    Parameters
    ----------
    config : str
        Name of a file in ``configs/`` or a path.
    media : tuple of str
        ``manifest.json`` files; only entries with ``use: train`` whose licence allows shipped weights are
        trained on, and development figures come from ``use: dev``.
    pack : str
        A file of ``tools/pack_training.py`` in place of ``media``; where it holds weights and ``init`` is not
        given, they are started from.
    work_dir : str
        Checkpoints, logs, caches and the result.
    overrides : mapping
        Key paths such as ``train.iterations`` and their values.
    recogniser : str
        Published or imported Whisper weights, as of ``read_whisper``, that the recogniser's stem starts from.
    init : str
        Weights of avloc to start from; parts that they lack start fresh.
    resume : bool
        Go on from the newest checkpoint of ``work_dir``.
    device : str
        Where the network is trained: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, or ``"auto"``, a GPU if there is
        one. On a GPU the network runs in bfloat16 where that is safe.
    minutes : float
        Length of the round in place of ``train.iterations``, all its sessions together; what comes before
        the first update does not count.
    plain : bool
        Use the loop that needs no mmengine. It is used where mmengine is not installed, too, and on a device
        that mmengine would not choose.

    Returns
    -------
    Path
        The weights file.

    Raises
    ------
    ConfigError, CheckpointError, AnnotationError
        If the configuration, a weights file or a manifest does not fit, or ``work_dir`` cannot be written.
    """
    cfg = load_config(config, overrides=dict(overrides or {}))
    settings = cfg["train"]
    if _reads_features(cfg["model"]):
        raise ConfigError(f"{config!r} learns from features of avloc extract; give --features and --data")
    refuse_several("only a network that learns from features is trained by several")
    place = choose_device(device)
    folder = work_folder(work_dir)
    torch.manual_seed(settings["seed"])  # the first weights belong to the seed, as all that follows does
    network = build_checked(cfg["model"])
    _check(settings, network, minutes)
    if pack is not None:
        unpacked = _open_pack(pack, folder / "cache", settings, network)
        media, init = (str(unpacked.manifest),), init or unpacked.weights
    taken = start_from(network, recogniser=recogniser, init=init)
    checkpoint = starting_checkpoint(folder, resume=resume)
    first, told = progress_of(checkpoint, network)
    if not can_recode():
        logger.warning("PyAV is not installed: the genuine edit 'recode' is not drawn")
    if minutes is not None:
        settings = settings | {"iterations": ENDLESS}
    source = build_source(settings, network.inputs, media=media, cache=folder / "cache", first=first)
    if checkpoint is None and init is not None:
        narrow_from(network, init=init, source=source)
    if checkpoint is None and "audio_encoder.state_mean" not in taken:
        standardise_recogniser(network, source)
    _freeze(network, settings["trainable_layers"])
    objective = Objective(network, LossWeights(**settings["losses"]), bfloat16=place.type == "cuda")
    development = DevelopmentSet.build(
        settings, cfg["decoding"], network.inputs, media=media, cache=folder / "cache"
    )
    schedule = Schedule(
        warmup=settings["warmup"],
        iterations=settings["iterations"],
        seconds=None if minutes is None else minutes * 60,
        used=told.get("elapsed_s", 0.0),
    )
    training = Training(objective, source, settings, schedule, folder, development, checkpoint, place)
    averaged, n_updates = run_loop(training, plain=plain)
    cfg["train"]["iterations"] = n_updates
    target = folder / "weights.safetensors"
    save_weights(target, averaged.cpu().eval(), config=cfg, card=unmeasured_card(config))
    return target


def _reads_features(model: Mapping) -> bool:
    encoders = (model.get(f"{stream}_encoder") or {} for stream in STREAMS)
    is_own = any(encoder.get("type") == StoredFeatures.__name__ for encoder in encoders)
    return is_own or model.get("type") in DEFAULT_ENCODERS


def _open_pack(pack: str, cache: Path, settings: Mapping, network: torch.nn.Module) -> Unpacked:
    unpacked = unpack(pack, cache)
    wanted = network.inputs.get("visual", unpacked.crops)
    if settings["picture_share"] > 0 and wanted != unpacked.crops:
        raise ConfigError(
            f"{pack!r}: its faces have the crops {unpacked.crops}, the network reads {wanted}; make the pack "
            "with the same --config"
        )
    return unpacked


def build_checked(model: Mapping) -> torch.nn.Module:
    """Build the network of a configuration's ``model``; ConfigError if that makes none."""
    try:
        return build_network(model)
    except (TypeError, ValueError, ArithmeticError, RuntimeError, AssertionError) as error:
        raise ConfigError(f"no network can be built of the key 'model': {error}") from error


def _check(settings: Mapping, network: torch.nn.Module, minutes: float | None) -> None:
    """Refuse settings that would fail, or train something else, only after the media have been decoded."""
    if minutes is not None and not 0 < minutes < float("inf"):
        raise ConfigError(f"--minutes must be above 0, got {minutes:g}")
    if not 0 < settings["warmup"] < (ENDLESS if minutes else settings["iterations"]):
        got = f"{settings['warmup']} and {settings['iterations']}"
        raise ConfigError(f"train.warmup must be above 0 and below train.iterations, got {got}")
    if any(n < PIECE_FRAMES or (n - PIECE_FRAMES) % PIECE_HOP for n in settings["window_frames"]):
        got = settings["window_frames"]
        raise ConfigError(f"train.window_frames must be {PIECE_FRAMES} + {PIECE_HOP} k, got {got}")
    if network.audio_encoder is None:
        raise ConfigError("training needs a network with an audio encoder, got model.audio_encoder=None")
    if settings["trainable_layers"] and not _has_recogniser(network):
        got = settings["trainable_layers"]
        raise ConfigError(f"{NO_RECOGNISER}: train.trainable_layers must be 0, got {got}")
    if settings["picture_share"] > 0 and network.visual_encoder is None:
        got = settings["picture_share"]
        raise ConfigError(f"without a visual encoder train.picture_share must be 0, got {got}")


def start_from(network: torch.nn.Module, *, recogniser: str | None, init: str | None) -> frozenset[str]:
    """Take over what fits a network by name and shape, and name it; parameters as of ``train``.

    An eye that reads its crops in another way is left out, though its shapes fit, and so are the constants of
    a recogniser whose blocks see frames of another length.
    """
    fits = {}
    if init is not None:
        started, _, _ = load_weights(init)
        known = started.state_dict()
        if _view(started) != _view(network):
            logger.warning("the eye of %r reads crops in another way than the configuration's", init)
            known = {k: v for k, v in known.items() if not k.startswith("visual_encoder.")}
        if _pooling(started) != _pooling(network):
            known = {k: v for k, v in known.items() if not k.startswith("audio_encoder.state_")}
        fits = {k: v for k, v in network.state_dict().items() if k in known and known[k].shape == v.shape}
        logger.info("%d of %d entries start from %r", len(fits), len(network.state_dict()), init)
        network.load_state_dict({k: known[k] for k in fits}, strict=False)
    if recogniser is not None:
        if not _has_recogniser(network):
            raise ConfigError(f"{NO_RECOGNISER} that could start from {recogniser!r}")
        network.audio_encoder.recogniser.load_published(read_whisper(recogniser))
    return frozenset(fits)


def narrow_from(network: torch.nn.Module, *, init: str, source: BatchSource) -> None:
    """Take over the layers of ``init`` that have fewer hidden channels in a network, as of ``prune``."""
    wide, _, _ = load_weights(init)
    if wide.inputs.get("audio") != network.inputs["audio"]:
        logger.warning("the ear of %r reads something else: layers that are narrower start fresh", init)
        return
    cut = prune(wide, network.state_dict(), extra_sound(source, PRUNING_BATCHES))
    network.load_state_dict(cut, strict=False)


def _view(network: torch.nn.Module) -> tuple[bool, int] | None:
    return getattr(network.visual_encoder, "view", None)


def _pooling(network: torch.nn.Module) -> int | None:
    return network.audio_encoder.recogniser.pooling if _has_recogniser(network) else None


def _has_recogniser(network: torch.nn.Module) -> bool:
    return hasattr(network.audio_encoder, "recogniser")


def _freeze(network: torch.nn.Module, trainable_layers: int) -> None:
    """Keep the recogniser as it was published but for its last ``trainable_layers`` blocks."""
    if not _has_recogniser(network):
        return
    recogniser = network.audio_encoder.recogniser
    recogniser.requires_grad_(False)
    n_frozen = max(0, len(recogniser.blocks) - trainable_layers)
    for block in list(recogniser.blocks)[n_frozen:]:
        block.requires_grad_(True)
