"""The weights that ship with avloc."""

from mmengine.config import read_base

with read_base():
    from .base.decoding import decoding
    from .base.model import model
    from .base.train import train
