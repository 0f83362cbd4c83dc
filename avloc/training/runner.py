"""Training in one place: mmengine's Runner, its optimizer, schedules and hooks, in order of action."""

import errno
import logging
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from mmengine.hooks import EMAHook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner, find_latest_checkpoint
from torch.utils.data import DataLoader, Dataset

from avloc.config import load_config
from avloc.errors import CheckpointError, ConfigError
from avloc.features.audio import PIECE_FRAMES, PIECE_HOP
from avloc.models.hierarchical import build_network
from avloc.models.weights.card import unmeasured_card
from avloc.models.weights.store import load_weights, save_weights
from avloc.models.weights.whisper_ctranslate2 import read_whisper_ctranslate2
from avloc.models.weights.whisper_openai import read_whisper_openai
from avloc.training.development import DevelopmentSet
from avloc.training.hooks import DevelopmentHook, PlainCheckpointHook
from avloc.training.objective import LossWeights, Objective
from avloc.training.sources import build_source, standardise_recogniser

logger = logging.getLogger(__name__)


def train(
    config: str,
    *,
    media: tuple[str, ...],
    work_dir: str,
    overrides: Mapping[str, object] | None = None,
    recogniser: str | None = None,
    init: str | None = None,
    resume: bool = False,
) -> Path:
    """Train the network of a configuration and write ``weights.safetensors`` into ``work_dir``.

    Parameters
    ----------
    config : str
        Name of a file in ``configs/`` or a path.
    media : tuple of str
        ``manifest.json`` files; only entries with ``use: train`` whose licence allows shipped weights are
        trained on, and development figures come from ``use: dev``.
    work_dir : str
        Checkpoints, logs, caches and the result.
    overrides : mapping
        Key paths such as ``train.iterations`` and their values.
    recogniser : str
        Published Whisper weights (OpenAI's or CTranslate2's file) that the recogniser's stem starts from.
    init : str
        Weights of avloc to start from; parts that they lack start fresh.
    resume : bool
        Go on from the newest checkpoint of ``work_dir``.

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
    folder = _writable(work_dir)
    torch.manual_seed(settings["seed"])  # the first weights belong to the seed, as all that follows does
    network = build_checked(cfg["model"])
    _check(settings, network)
    start_from(network, recogniser=recogniser, init=init)
    checkpoint = find_latest_checkpoint(str(folder)) if resume else None
    if resume and checkpoint is None:
        raise CheckpointError(f"{work_dir!r}: there is no checkpoint to resume; start without --resume")
    first = _iteration_of(checkpoint, network)
    source = build_source(settings, network.inputs, media=media, cache=folder / "cache", first=first)
    if init is None and checkpoint is None:
        standardise_recogniser(network, source)
    _freeze(network, settings["trainable_layers"])
    objective = Objective(network, LossWeights(**settings["losses"]))
    development = DevelopmentSet.build(
        settings, cfg["decoding"], network.inputs, media=media, cache=folder / "cache"
    )
    runner = _assemble(objective, source, settings, folder, development, checkpoint)
    runner.train()
    return _write_weights(runner, cfg, folder, config)


def _writable(work_dir: str) -> Path:
    """Make the folder and try to write there, before hours are spent on what could not be kept."""
    folder = Path(work_dir)
    try:
        if not work_dir:
            raise FileNotFoundError(errno.ENOENT, "the name is empty")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        why = error.strerror or error
        raise ConfigError(f"--work-dir {work_dir!r}: expected a folder to write to, got: {why}") from error


def build_checked(model: Mapping) -> torch.nn.Module:
    """Build the network of a configuration's ``model``; ConfigError if that makes none."""
    try:
        return build_network(model)
    except (TypeError, ValueError, ArithmeticError, RuntimeError, AssertionError) as error:
        raise ConfigError(f"no network can be built of the key 'model': {error}") from error


def _check(settings: Mapping, network: torch.nn.Module) -> None:
    """Refuse settings that would fail, or train something else, only after the media have been decoded."""
    if not 0 < settings["warmup"] < settings["iterations"]:
        got = f"{settings['warmup']} and {settings['iterations']}"
        raise ConfigError(f"train.warmup must be above 0 and below train.iterations, got {got}")
    if any(n < PIECE_FRAMES or (n - PIECE_FRAMES) % PIECE_HOP for n in settings["window_frames"]):
        got = settings["window_frames"]
        raise ConfigError(f"train.window_frames must be {PIECE_FRAMES} + {PIECE_HOP} k, got {got}")
    if network.audio_encoder is None:
        raise ConfigError("training needs a network with an audio encoder, got model.audio_encoder=None")
    if settings["picture_share"] > 0 and network.visual_encoder is None:
        got = settings["picture_share"]
        raise ConfigError(f"without a visual encoder train.picture_share must be 0, got {got}")


def start_from(network: torch.nn.Module, *, recogniser: str | None, init: str | None) -> None:
    """Take over what fits a network by name and shape; parameters as of ``train``.

    An eye that reads its crops in another way is left out, though its shapes fit.
    """
    if init is not None:
        started, _, _ = load_weights(init)
        known = started.state_dict()
        if _view(started) != _view(network):
            logger.warning("the eye of %r reads crops in another way than the configuration's", init)
            known = {k: v for k, v in known.items() if not k.startswith("visual_encoder.")}
        fits = {k: v for k, v in network.state_dict().items() if k in known and known[k].shape == v.shape}
        logger.info("%d of %d entries start from %r", len(fits), len(network.state_dict()), init)
        network.load_state_dict({k: known[k] for k in fits}, strict=False)
    if recogniser is not None:
        network.audio_encoder.recogniser.load_published(_read_recogniser(recogniser))


def _view(network: torch.nn.Module) -> tuple[bool, int] | None:
    return getattr(network.visual_encoder, "view", None)


def _read_recogniser(path: str) -> dict[str, torch.Tensor]:
    """Read Whisper's published encoder; OpenAI's files are archives, CTranslate2's are not."""
    return read_whisper_openai(path) if zipfile.is_zipfile(path) else read_whisper_ctranslate2(path)


def _freeze(network: torch.nn.Module, trainable_layers: int) -> None:
    """Keep the recogniser as it was published but for its last ``trainable_layers`` blocks."""
    if network.audio_encoder is None:
        return
    recogniser = network.audio_encoder.recogniser
    recogniser.requires_grad_(False)
    n_frozen = max(0, len(recogniser.blocks) - trainable_layers)
    for block in list(recogniser.blocks)[n_frozen:]:
        block.requires_grad_(True)


def _iteration_of(checkpoint: str | None, network: torch.nn.Module) -> int:
    """Tell how many batches a checkpoint was trained on; it must be of this network."""
    if checkpoint is None:
        return 0
    try:
        stored = torch.load(checkpoint, map_location="cpu", weights_only=True)
        shapes = {key: tuple(value.shape) for key, value in stored["state_dict"].items()}
        first = int(stored["meta"]["iter"])
    except (OSError, EOFError, RuntimeError, LookupError, UnpicklingError) as error:
        raise CheckpointError(
            f"{checkpoint!r}: expected a checkpoint of a training, got {error!r}"
        ) from error
    expected = {f"network.{key}": tuple(value.shape) for key, value in network.state_dict().items()}
    other = sorted(key for key, shape in expected.items() if shapes.get(key) != shape)
    if other:
        raise CheckpointError(
            f"{checkpoint!r}: {other[0]!r} must have shape {expected[other[0]]}, got {shapes.get(other[0])}; "
            "resume with the configuration that the training began with"
        )
    return first


def _optimizer(objective: Objective, settings: Mapping) -> OptimWrapper:
    recogniser, others = [], []
    for name, parameter in objective.named_parameters():
        if parameter.requires_grad:
            (recogniser if ".recogniser." in name else others).append(parameter)
    groups = [{"params": others}]
    if recogniser:
        groups.append({"params": recogniser, "lr": settings["learning_rate"] * settings["recogniser_rate"]})
    optimizer = torch.optim.AdamW(
        groups, lr=settings["learning_rate"], weight_decay=settings["weight_decay"], betas=(0.9, 0.98)
    )
    return OptimWrapper(optimizer, clip_grad={"max_norm": settings["clip_norm"]})


def _assemble(
    objective: Objective,
    source: Dataset,
    settings: Mapping,
    folder: Path,
    development: DevelopmentSet,
    checkpoint: str | None,
) -> Runner:
    iterations, warmup = settings["iterations"], settings["warmup"]
    return Runner(
        model=objective,
        work_dir=str(folder),
        train_dataloader=DataLoader(
            source,
            batch_size=None,
            shuffle=False,
            num_workers=settings["workers"],
            prefetch_factor=4 if settings["workers"] else None,
        ),
        train_cfg={"by_epoch": False, "max_iters": iterations},
        optim_wrapper=_optimizer(objective, settings),
        param_scheduler=[
            {"type": "LinearLR", "start_factor": 0.05, "by_epoch": False, "begin": 0, "end": warmup},
            {
                "type": "CosineAnnealingLR",
                "T_max": iterations - warmup,
                "eta_min_ratio": 0.02,
                "by_epoch": False,
                "begin": warmup,
                "end": iterations,
            },
        ],
        default_hooks={
            "logger": {"type": "LoggerHook", "interval": settings["log_every"]},
            "checkpoint": {
                "type": "CheckpointHook",
                "by_epoch": False,
                "interval": settings["checkpoint_every"],
                "max_keep_ckpts": 2,
            },
            "sampler_seed": None,  # the source has no sampler: a batch depends on its index alone
        },
        custom_hooks=[
            # Averaged weights are what a checkpoint's state_dict holds and what is written in the end.
            {"type": "EMAHook", "ema_type": "MomentumAnnealingEMA", "momentum": 0.002, "gamma": 8},
            DevelopmentHook(
                measure=development.measure,
                interval=settings["evaluate_every"],
                path=folder / "development.jsonl",
            ),
            PlainCheckpointHook(),
        ],
        log_processor={"by_epoch": False},
        log_level="INFO",
        load_from=checkpoint,
        resume=checkpoint is not None,
        randomness={"seed": settings["seed"]},
        experiment_name=folder.name,
        cfg={},
    )


def _write_weights(runner: Runner, cfg: Mapping, folder: Path, config: str) -> Path:
    averaged = next(hook.ema_model.module for hook in runner.hooks if isinstance(hook, EMAHook))
    target = folder / "weights.safetensors"
    save_weights(target, averaged.network.eval(), config=cfg, card=unmeasured_card(config))
    return target
