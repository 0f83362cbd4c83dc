"""The small weights that ship with avloc: sound alone, through the first block of a recogniser."""

from mmengine.config import read_base

from avloc.models.encoders.two_stem import TwoStemEncoder

with read_base():
    from .base.decoding import decoding
    from .base.model import model
    from .base.train import train

model.update(
    # The first convolution of the log spectra makes the largest tensors: it is narrow, later ones are not.
    audio_encoder=dict(
        type=TwoStemEncoder,
        width=384,
        n_layers=1,
        n_heads=6,
        pooling=2,
        recogniser_channels=128,
        spectral_channels=64,
        spectral_widths=(8, 24, 64),
        spectrum="log_spectrum",
    ),
    visual_encoder=None,
    pyramid=dict(channels=128, n_levels=6, n_stem_blocks=1, attention_from=2, n_heads=4, dropout=0.1),
    head=dict(n_head_layers=1),
    window_hop_frames=480,
)
# The block was not made for frames of 40 ms, so it must learn faster than those of the larger network.
train.update(picture_share=0.0, trainable_layers=1, recogniser_rate=0.2)
