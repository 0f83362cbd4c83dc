"""What a user of ``Localizer`` may choose."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user may choose; None leaves it to the card.

    ``threshold`` decides the verdict, ``min_score`` only what is listed, ``all_proposals`` how many proposals
    from before suppression are added.
    """

    threshold: float | None = None
    min_score: float | None = None
    curves: bool = False
    all_proposals: int | None = None

    def __post_init__(self) -> None:
        for name in ("threshold", "min_score"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} must be in [0, 1], got {value!r}")
