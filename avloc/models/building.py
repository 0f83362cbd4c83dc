"""build_model(): a network or an encoder from the ``model`` key of a configuration, whatever it is."""

from collections.abc import Mapping

from torch import nn

from avloc.models import auvire, dimodif  # noqa: F401 - they register themselves, and so do the encoders
from avloc.models.encoders import auto_avsr, av_hubert  # noqa: F401
from avloc.models.hierarchical import build_network
from avloc.registry import ENCODERS, build


def build_model(cfg: Mapping) -> nn.Module:
    """Build what a weights file holds.

    Parameters
    ----------
    cfg : Mapping
        ``type`` names a class of NETWORKS or of ENCODERS; the other keys are its arguments.

    Raises
    ------
    ConfigError
        If the type is not registered.
    """
    name = cfg["type"] if isinstance(cfg["type"], str) else cfg["type"].__name__
    return build(ENCODERS, cfg) if name in ENCODERS.module_dict else build_network(cfg)
