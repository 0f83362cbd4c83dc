"""Features of a data set for the training of a network, and whether they are what it reads."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from avloc.datasets.feature_set import FeatureSet, open_features
from avloc.errors import CheckpointError, ConfigError
from avloc.models.hierarchical import HierarchicalLocalizer
from avloc.models.weights.encoders import stream_sha256
from avloc.models.weights.importing import SPEECH_ENCODERS, STREAMS
from avloc.models.weights.locate import find_weights
from avloc.models.weights.store import file_sha256, read_header
from avloc.training.learners import Learner

ENCODERS = (*SPEECH_ENCODERS, HierarchicalLocalizer.__name__)  # networks whose embeddings are learnt from
TO_LOOK_AT = 100  # first recordings, to see what a folder holds

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FeatureFolder:
    """Where the features and the truth of a data set lie; all as of ``open_features``."""

    folder: str
    dataset: str
    root: str | None = None
    encoders: Mapping[str, str] | None = None
    run: tuple[str, ...] = ()

    def open(self, split: str) -> FeatureSet:
        """Open a split, and say how much of it there is."""
        features = open_features(
            self.folder, self.dataset, root=self.root, split=split, encoders=self.encoders, run=self.run
        )
        if features.missing:
            name, why = next(iter(features.missing.items()))
            n_all = len(features) + len(features.missing)
            logger.warning(
                "%s: %d of %d recordings have no features and are left out, such as %s (%s)",
                split,
                len(features.missing),
                n_all,
                name,
                why,
            )
        return features


def check_features(
    folder: str, trained: FeatureSet, validated: FeatureSet, learner: Learner
) -> tuple[dict[str, dict[str, str]], dict[str, int]]:
    """See that features are those that a network reads, and of one extraction.

    DiMoDif and AuViRe read as many channels of both streams; where the features of one stream have fewer than
    those of the other, zeros stand for the rest.

    Returns
    -------
    dict
        The encoders by stream, for the card of the weights.
    dict of str to int
        Channels of the features by stream.

    Raises
    ------
    ConfigError
        If the splits were not extracted alike, a stream is absent, features have another number of channels,
        there is no recording to train on, or none to validate on is forged.
    CheckpointError
        If an encoder is not there, is another file than made the features, or none that the network reads.
    """
    kind, made = type(learner.network).__name__, trained.made
    if differing := sorted(key for key in made if made[key] != validated.made[key]):
        raise ConfigError(
            f"{folder!r}: {', '.join(differing)} of the two splits differ: {made} and {validated.made}; "
            "extract both with the same options, or choose with --encoders or --run"
        )
    if lacking := [stream for stream in STREAMS if stream not in made["encoders"]]:
        raise ConfigError(
            f"{folder!r} lacks {lacking[0]} features; {kind} reads both streams, extract it too"
        )
    if not len(trained):
        raise ConfigError(f"{folder!r}: no recording of the training split has features")
    if not any(reference.segments for reference in validated.references):
        raise ConfigError(f"{folder!r}: no recording of the validation split with features is forged")
    stored = channels_stored(trained)
    widest = max(stored.values(), default=0)
    for stream, channels in stored.items():
        wanted = learner.channels[stream]
        if channels != wanted and not (learner.fills_up and widest == wanted):
            raise ConfigError(
                f"{folder!r}: {stream} features of {made['encoders'][stream]['name']!r} have {channels} "
                f"channels; {kind} reads {wanted}; extract with other encoders, or set "
                f"{learner.channels_key[stream]} to {widest if learner.fills_up else channels}"
            )
    return _encoders_of(made["encoders"], kind), stored


def channels_stored(features: FeatureSet) -> dict[str, int]:
    """Count the channels of each stream that one of the first recordings has."""
    stored = {}
    for stream in STREAMS:
        items = (getattr(features[i], stream) for i in range(min(len(features), TO_LOOK_AT)))
        rows = next((item for item in items if item is not None), None)
        if rows is not None:
            stored[stream] = len(rows)
    return stored


def _encoders_of(made: Mapping[str, Mapping[str, str]], kind: str) -> dict[str, dict[str, str]]:
    chosen = {}
    for stream, told in made.items():
        try:
            path = find_weights(told["name"])
        except CheckpointError as error:
            raise CheckpointError(
                f"features were made by the {stream} encoder {told['name']!r}, which is not here; import it "
                f"as for avloc extract, so that the weights can name it ({error})"
            ) from error
        sha256 = file_sha256(path)
        if stream_sha256(sha256, stream, told["kind"]) != told["sha256"]:
            raise CheckpointError(
                f"the {stream} encoder {told['name']!r} is another file than the one that made the features; "
                "import that one again, or extract anew"
            )
        _, card = read_header(path)
        if card.network not in ENCODERS:
            raise CheckpointError(f"{told['name']!r} is a {card.network}, no encoder that {kind} reads")
        chosen[stream] = {"name": told["name"], "network": card.network, "sha256": sha256}
    return chosen
