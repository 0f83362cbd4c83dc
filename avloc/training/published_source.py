"""Features of a data set for the training of a published network, and whether they are what it reads."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from avloc.datasets.feature_set import FeatureSet, open_features
from avloc.errors import CheckpointError, ConfigError
from avloc.models.auvire import AuViRe
from avloc.models.dimodif import DiMoDif
from avloc.models.weights.encoders import stream_sha256
from avloc.models.weights.importing import STREAMS, chosen_encoders
from avloc.models.weights.locate import find_weights
from avloc.models.weights.store import file_sha256

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
    folder: str, trained: FeatureSet, validated: FeatureSet, network: DiMoDif | AuViRe
) -> dict[str, dict[str, str]]:
    """See that features are those that a network reads, of one extraction; give the encoders for its card.

    Raises
    ------
    ConfigError
        If the splits were not extracted alike, a stream is absent, features have another number of channels,
        there is no recording to train on, or none to validate on is forged.
    CheckpointError
        If an encoder is not there, is another file than made the features, or none that the network reads.
    """
    kind, made = type(network).__name__, trained.made
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
    for stream in STREAMS:
        items = (getattr(trained[i], stream) for i in range(min(len(trained), TO_LOOK_AT)))
        rows = next((item for item in items if item is not None), None)
        if rows is not None and len(rows) != network.feature_channels:
            raise ConfigError(
                f"{folder!r}: {stream} features of {made['encoders'][stream]['name']!r} have {len(rows)} "
                f"channels; {kind} reads {network.feature_channels}; extract with other encoders"
            )
    return _encoders_of(made["encoders"], kind, network.feature_channels)


def _encoders_of(made: Mapping[str, Mapping[str, str]], kind: str, width: int) -> dict:
    for stream, told in made.items():
        try:
            found = file_sha256(find_weights(told["name"]))
        except CheckpointError as error:
            raise CheckpointError(
                f"features were made by the {stream} encoder {told['name']!r}, which is not here; import it "
                f"as for avloc extract, so that the weights can name it ({error})"
            ) from error
        if stream_sha256(found, stream, told["kind"]) != told["sha256"]:
            raise CheckpointError(
                f"the {stream} encoder {told['name']!r} is another file than the one that made the features; "
                "import that one again, or extract anew"
            )
    return chosen_encoders(kind, {stream: told["name"] for stream, told in made.items()}, width=width)
