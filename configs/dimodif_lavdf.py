"""DiMoDif on LAV-DF (arXiv 2411.10193), from features of avloc extract."""

from mmengine.config import read_base

with read_base():
    from .base.published_decoding import decoding
    from .base.published_dimodif import model
    from .base.published_train import train
