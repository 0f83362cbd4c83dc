"""Small weights for sound alone: the default network without eye and last block, on fewer frames, pruned."""

from mmengine.config import read_base

from avloc.models.encoders.two_stem import TwoStemEncoder

with read_base():
    from .base.decoding import decoding
    from .base.model import model
    from .base.train import train

# Only hidden channels are fewer than in the default weights, so that training begins with what they know.
model.update(
    audio_encoder=dict(
        type=TwoStemEncoder,
        width=384,
        n_layers=2,
        n_heads=6,
        pooling=2,
        hidden=768,
        recogniser_channels=128,
        spectral_channels=128,
        spectrum="log_spectrum",
        spectral_widths=(8, 16, 32),
    ),
    visual_encoder=None,
    pyramid=dict(
        channels=192,
        n_levels=6,
        n_stem_blocks=2,
        attention_from=2,
        n_heads=4,
        dropout=0.1,
        expansion=0.25,
    ),
    window_hop_frames=480,
)
# The blocks were not made for frames of 40 ms, so they must learn faster than those of the larger network.
train.update(
    picture_share=0.0,
    trainable_layers=2,
    recogniser_rate=0.3,
    learning_rate=6e-4,
    warmup=50,
    telephone_share=0.35,
)
