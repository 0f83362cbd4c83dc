"""import_weights(): a public checkpoint to a weights file of avloc, kept in float32, with a card."""

import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from torch import Tensor

from avloc.decoding.published import PublishedQuirks
from avloc.errors import CheckpointError
from avloc.models.building import build_model
from avloc.models.weights.auto_avsr import describe_auto_avsr, to_own_names
from avloc.models.weights.av_hubert import describe_av_hubert, read_av_hubert
from avloc.models.weights.card import Card, unmeasured_card
from avloc.models.weights.import_settings import check_settings, limits_of_settings
from avloc.models.weights.locate import NAME, SUFFIX, find_weights, user_folder
from avloc.models.weights.published_networks import is_auvire, is_dimodif, model_entries, read_network
from avloc.models.weights.store import file_sha256, read_header, save_weights
from avloc.models.weights.torch_file import check_archive, copy_tensors, load_strictly, read_torch_file
from avloc.models.weights.whisper import (
    describe_whisper,
    is_whisper,
    read_whisper,
    whisper_file,
    whisper_form,
    without_prefix,
)
from avloc.registry import suggest

STREAMS = ("audio", "visual")
# What the published networks learnt with, and the names that are looked for where none are given.
DEFAULT_ENCODERS = {
    "DiMoDif": {
        "audio": ("AutoAvsrAudioEncoder", "auto-avsr-audio"),
        "visual": ("AutoAvsrVisualEncoder", "auto-avsr-visual"),
    },
    "AuViRe": {
        "audio": ("AvHubertEncoder", "av-hubert"),
        "visual": ("AvHubertEncoder", "av-hubert"),
    },
}
SPEECH_ENCODERS = ("AutoAvsrAudioEncoder", "AutoAvsrVisualEncoder", "AvHubertEncoder")
ONLY_STREAM = {"AutoAvsrAudioEncoder": "audio", "AutoAvsrVisualEncoder": "visual"}  # AV-HuBERT reads both
# The networks suppress what a window proposes; what is left of several windows is suppressed hard.
DECODING = {
    "method": "across_windows",
    "iou_threshold": 0.7,
    "min_score": 0.0,
    "point_weight": 1.0,
    "inside_weight": 0.0,
    "contrast_weight": 0.0,
    "sharpness_weight": 0.0,
}
LICENCES = {
    "AutoAvsrAudioEncoder": "non-commercial",
    "AutoAvsrVisualEncoder": "non-commercial",
    "AvHubertEncoder": "AV-HuBERT licence, non-commercial research",
    "DiMoDif": "Apache-2.0 (code), as published",
    "AuViRe": "Apache-2.0 (code), as published",
    "WhisperEncoder": "MIT",
}
LIMITS = ("imported: nothing has been measured with these weights in avloc, and every threshold is 0.5",)
SPEECH_LIMIT = "for speech in English of faces that are seen, as the encoders were trained"
LANDMARK_LIMIT = (
    "faces are warped by four points of a public mean face; 68 points are reduced to these four groups, "
    "where AuViRe's own features were made with five of the 68"
)


def import_weights(
    path: str | os.PathLike[str],
    name: str,
    *,
    encoders: Mapping[str, str] | None = None,
    settings: Mapping[str, object] | None = None,
) -> tuple[Path, Card]:
    """Convert a public checkpoint.

    Parameters
    ----------
    path : str or os.PathLike
        A checkpoint of Auto-AVSR, AV-HuBERT, DiMoDif or AuViRe as it was published, or any form of Whisper's
        that ``read_whisper`` reads.
    name : str
        What ``--weights`` calls it from then on. Weights of that name in the user's folder are replaced.
    encoders : mapping of str to str, optional
        Names of imported encoders by stream, ``audio`` and ``visual``, for a network that has none of its
        own. Empty: it reads saved features only. Without it the names in ``DEFAULT_ENCODERS``.
    settings : mapping, optional
        Arguments of the network that no shape in the file tells, such as ``n_heads``, and for DiMoDif and
        AuViRe those of ``PublishedQuirks``.

    Returns
    -------
    Path
        The new file, in ``$AVLOC_HOME/weights``.
    Card

    Raises
    ------
    CheckpointError
        If the file is none of these or does not fit its network, the name cannot be one, or an encoder is
        missing.
    ConfigError
        If the network has no such setting, or a value is of another kind.
    """
    path = whisper_file(path)
    shown = os.fspath(path)
    if not NAME.fullmatch(name) or name == "default":
        raise CheckpointError(f"{name!r} cannot be a name of weights: letters, digits, '.', '_' and '-'")
    config, state = read_checkpoint(path)
    kind = config["type"]
    said = check_settings(config, settings or {}, has_quirks=kind in DEFAULT_ENCODERS)
    limits = limits_of_settings(config, said)
    config |= said.network
    network = _build(shown, config)
    load_strictly(network, state, source=shown)
    card = _card(name, kind, source=path, limits=limits)
    if kind in DEFAULT_ENCODERS:
        card = replace(card, encoders=chosen_encoders(kind, encoders, width=network.feature_channels))
    elif encoders:
        raise CheckpointError(f"{shown!r} holds an encoder ({kind}), which reads no other encoders")
    target = user_folder() / "weights" / f"{name}{SUFFIX}"
    target.parent.mkdir(parents=True, exist_ok=True)
    decoding = {}
    if kind in DEFAULT_ENCODERS:
        decoding = DECODING | {"published": asdict(PublishedQuirks.from_mapping(said.quirks))}
    whole = {"model": config, "decoding": decoding, "train": {}}
    save_weights(target, network, config=whole, card=card, exact=True)
    return target, card


def read_checkpoint(path: str | os.PathLike[str]) -> tuple[dict, dict[str, Tensor]]:
    """Tell what a public checkpoint is of: the ``model`` key of a configuration, and the state dict.

    Raises
    ------
    CheckpointError
        If it is none that is known, or holds anything but tensors and, for fairseq, known inert objects.
    """
    shown = repr(os.fspath(path))
    if whisper_form(path) in ("ctranslate2", "huggingface"):
        return _of_whisper(shown, read_whisper(path))
    check_archive(path)
    if _is_of_fairseq(path):
        state = read_av_hubert(path)
        return _described(shown, describe_av_hubert, state), state
    content = read_torch_file(path)
    if isinstance(whole := content.get("model_state_dict"), Mapping) and is_whisper(whole):
        return _of_whisper(shown, read_whisper(path))
    entries = model_entries(content)
    if is_auvire(entries) or is_dimodif(entries):
        return read_network(path, content)
    inner = content.get("state_dict", content)
    state = to_own_names(inner) if isinstance(inner, Mapping) else {}
    if "embed.0.weight" in state and "after_norm.weight" in state:
        state = copy_tensors(path, state)
        return _described(shown, describe_auto_avsr, state), state
    first = sorted(map(str, entries or content))[:5]
    raise CheckpointError(
        f"{shown}: is no checkpoint of Auto-AVSR, AV-HuBERT, Whisper, DiMoDif or AuViRe; its keys begin "
        f"{first}"
    )


def encoder_problems(card: Card) -> list[str]:
    """Say which encoders of a card are missing or others than it names; empty where all are there."""
    problems = []
    for stream, told in card.encoders.items():
        try:
            found = find_weights(told["name"])
        except CheckpointError:
            problems.append(f"{stream}: {told['name']!r} ({told['network']}) is not there")
            continue
        if file_sha256(found) != told["sha256"]:
            problems.append(f"{stream}: {told['name']!r} is another file than the one it was imported with")
    return problems


def _is_of_fairseq(path: str | os.PathLike[str]) -> bool:
    """Whether the names of AV-HuBERT's modules stand in the pickle; nothing of it is read as a pickle."""
    with zipfile.ZipFile(path) as archive:
        found = [n for n in archive.namelist() if n.endswith("/data.pkl") and n.count("/") == 1]
        return any(b"feature_extractor_audio.proj" in archive.read(name) for name in found)


def _of_whisper(shown: str, state: Mapping[str, Tensor]) -> tuple[dict, dict[str, Tensor]]:
    return _described(shown, describe_whisper, state), without_prefix(state)


def _described(shown: str, describe: Callable[[Mapping], dict], state: Mapping[str, Tensor]) -> dict:
    try:
        return describe(state)
    except (KeyError, IndexError) as error:
        raise CheckpointError(f"{shown}: lacks {error}, so its size is not known") from error


def _build(shown: str, config: Mapping) -> object:
    try:
        return build_model(config).eval()
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise CheckpointError(f"{shown!r}: {config['type']} cannot be built of {config}: {error}") from error


def _card(name: str, kind: str, *, source: str | os.PathLike[str], limits: tuple[str, ...]) -> Card:
    card = unmeasured_card(name, network=kind, version="imported")
    origin = {"name": Path(source).name, "licence": LICENCES[kind], "sha256": file_sha256(source)}
    of_speech = () if kind == "WhisperEncoder" else (SPEECH_LIMIT,)
    of_faces = () if kind in ("WhisperEncoder", "AutoAvsrAudioEncoder") else (LANDMARK_LIMIT,)
    limits = (*LIMITS, *of_speech, *of_faces, *limits)
    return replace(card, starting_weights=(origin,), limits=limits)


def chosen_encoders(kind: str, given: Mapping[str, str] | None, *, width: int) -> dict:
    """Look up the encoders that a network reads, for its card.

    Parameters
    ----------
    kind : str
        ``"DiMoDif"`` or ``"AuViRe"``.
    given : mapping of str to str or None
        Names by stream; empty: none; None: those of ``DEFAULT_ENCODERS``.
    width : int
        Channels that the network reads.

    Raises
    ------
    CheckpointError
        If one is no encoder that the network can read, or not there: all that are missing are named at once.
    """
    defaults = DEFAULT_ENCODERS[kind]
    if given is not None and (unknown := sorted(set(given) - set(STREAMS))):
        hint = suggest(unknown[0], STREAMS)
        raise CheckpointError(f"encoders are for {STREAMS}, got {unknown[0]!r}; {hint}")
    if given is not None and not given:
        return {}
    names = {stream: (given or {}).get(stream, defaults[stream][1]) for stream in STREAMS}
    chosen, missing = {}, []
    for stream, name in names.items():
        try:
            found = find_weights(name)
        except CheckpointError:
            missing.append(f"{stream}={name} ({defaults[stream][0]})")
            continue
        config, card = read_header(found)
        if card.network not in SPEECH_ENCODERS:
            raise CheckpointError(f"{name!r} is a {card.network}, no encoder of speech that {kind} reads")
        if ONLY_STREAM.get(card.network, stream) != stream:
            raise CheckpointError(f"{name!r} is a {card.network} and cannot be the {stream} encoder")
        if config["model"].get("width", width) != width:
            raise CheckpointError(f"{name!r} gives {config['model']['width']} channels; {kind} reads {width}")
        chosen[stream] = {"name": name, "network": card.network, "sha256": file_sha256(found)}
    if missing:
        raise CheckpointError(
            f"{kind} reads the encoders {', '.join(missing)}, which are not there; import them first with "
            "'avloc weights import FILE --as NAME', name others with --encoders audio=NAME,visual=NAME, or "
            "give '--encoders none' for saved features only"
        )
    return chosen
