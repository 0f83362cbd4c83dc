"""avloc's own network on embeddings that were made before, as wide as those of the default weights."""

from avloc.models.encoders.stored import StoredFeatures
from avloc.models.hierarchical import HierarchicalLocalizer

model = dict(
    type=HierarchicalLocalizer,
    audio_encoder=dict(type=StoredFeatures, out_channels=256, sync_channels=128),
    visual_encoder=dict(type=StoredFeatures, out_channels=128, sync_channels=128),
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
