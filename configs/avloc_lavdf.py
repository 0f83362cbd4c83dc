"""avloc's own network on LAV-DF, from features of avloc extract, as wide as those of the default weights."""

from mmengine.config import read_base

from avloc.models.encoders.stored import StoredFeatures

with read_base():
    from .base.decoding import decoding
    from .base.feature_train import train
    from .base.model import model

model.update(
    audio_encoder=dict(type=StoredFeatures, out_channels=256, sync_channels=128),
    visual_encoder=dict(type=StoredFeatures, out_channels=128, sync_channels=128),
)
decoding.update(min_score=0.0)  # published figures count every proposal
