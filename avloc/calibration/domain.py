"""How far a sound is from what the network was trained on: the distance behind ``out_of_domain``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

QUANTILE = 0.995  # of genuine recordings that lie within the limit
SMALLEST_SCALE = 1e-3  # of a channel that hardly varies


@dataclass(frozen=True, slots=True)
class Domain:
    """Where the embeddings of genuine recordings lie.

    Parameters
    ----------
    centre, scale : np.ndarray [shape=(C,)]
        Mean and standard deviation of each channel over the recordings of the training.
    limit : float [> 0]
        Distance from which a recording is unlike them.
    """

    centre: np.ndarray
    scale: np.ndarray
    limit: float

    @classmethod
    def fit(cls, embeddings: np.ndarray) -> "Domain":
        """Measure it on genuine recordings.

        Parameters
        ----------
        embeddings : float (N, C)
            Mean embedding of each recording, N at least 2.
        """
        centre, scale = embeddings.mean(axis=0), np.maximum(embeddings.std(axis=0), SMALLEST_SCALE)
        loose = cls(centre, scale, np.inf)
        return cls(centre, scale, float(np.quantile([loose.distance(row) for row in embeddings], QUANTILE)))

    @classmethod
    def from_card(cls, values: Mapping[str, Sequence[float] | float] | None) -> "Domain | None":
        """Make it of what a card holds; None where it holds nothing."""
        if values is None:
            return None
        return cls(np.array(values["centre"]), np.array(values["scale"]), float(values["limit"]))

    def to_card(self) -> dict[str, list[float] | float]:
        """Plain values for a card."""
        centre, scale = (
            np.round(values.astype(np.float64), 6).tolist() for values in (self.centre, self.scale)
        )
        return {"centre": centre, "scale": scale, "limit": round(self.limit, 6)}

    def distance(self, embedding: np.ndarray) -> float:
        """Root mean square of the deviations (C,) in standard deviations: Mahalanobis, channels apart."""
        return float(np.sqrt(np.mean(np.square((embedding - self.centre) / self.scale))))
