"""AuViRe on AV-Deepfake1M (arXiv 2511.18993), from features of avloc extract."""

from mmengine.config import read_base

with read_base():
    from .base.published_auvire import model
    from .base.published_decoding import decoding
    from .base.published_train import train

model.update(n_halvings=1, n_retain=1, n_downsample=1)
train.update(validation_split="val", protocol="av1m")
