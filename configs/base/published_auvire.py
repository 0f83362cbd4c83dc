"""AuViRe with the published sizes for LAV-DF."""

from avloc.models.auvire import AuViRe

model = dict(
    type=AuViRe,
    max_length=512,
    width=128,
    kernel=15,
    n_outer=2,
    n_halvings=3,
    n_retain=2,
    n_downsample=2,
    pyramid=True,
    pairs=["av", "aa", "vv"],
    operation="subtraction",
    feature_channels=768,
)
