"""The small weights that ship with avloc: sound alone, without a recogniser."""

from mmengine.config import read_base

from avloc.models.encoders.spectral import SpectralEncoder

with read_base():
    from .base.decoding import decoding
    from .base.model import model
    from .base.train import train

model.update(
    audio_encoder=dict(
        type=SpectralEncoder, channels=128, spectrum="log_spectrum", widths=(16, 32, 64), n_blocks=3
    ),
    visual_encoder=None,
    pyramid=dict(channels=128, n_levels=6, n_stem_blocks=2, attention_from=2, n_heads=4, dropout=0.1),
    head=dict(n_head_layers=1),
    window_hop_frames=480,
)
# An update costs a fraction of what it does with a recogniser, so it may be of more windows.
train.update(picture_share=0.0, batch_size=16, learning_rate=1.5e-3)
