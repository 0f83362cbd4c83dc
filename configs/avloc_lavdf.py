"""avloc's own network on LAV-DF, from features of avloc extract."""

from mmengine.config import read_base

with read_base():
    from .base.decoding import decoding
    from .base.feature_model import model
    from .base.feature_train import train

decoding.update(min_score=0.0)  # published figures count every proposal
