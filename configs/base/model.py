"""The default network: hierarchical cross-modal fusion of a two-stem ear and a compact eye."""

from avloc.models.encoders.compact import CompactVisualEncoder
from avloc.models.encoders.two_stem import TwoStemEncoder
from avloc.models.hierarchical import HierarchicalLocalizer

model = dict(
    type=HierarchicalLocalizer,
    audio_encoder=dict(
        type=TwoStemEncoder,
        width=384,
        n_layers=3,
        n_heads=6,
        recogniser_channels=128,
        spectral_channels=128,
        spectrum="log_spectrum",
    ),
    visual_encoder=dict(
        type=CompactVisualEncoder,
        width=24,
        out_channels=128,
        n_blocks=3,
        face_channels=0,
        halved=False,
        motion=0,
    ),
    alignment=dict(channels=64, max_lag=15, reach=3),
    discrepancy=dict(channels=64, n_blocks=2),
    pyramid=dict(
        channels=192,
        n_levels=6,
        n_stem_blocks=2,
        attention_from=2,
        n_heads=4,
        dropout=0.1,
        expansion=2.0,
    ),
    head=dict(n_head_layers=2),
    window_hop_frames=360,
)
