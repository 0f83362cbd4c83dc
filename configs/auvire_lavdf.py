"""AuViRe on LAV-DF (arXiv 2511.18993), from features of avloc extract."""

from mmengine.config import read_base

with read_base():
    from .base.published_auvire import model
    from .base.published_decoding import decoding
    from .base.published_train import train

train.update(seed=1234567891)
