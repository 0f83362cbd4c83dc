"""Read AV-HuBERT's encoder from the published fairseq checkpoint."""

import os
from collections.abc import Mapping

from torch import Tensor

from avloc.errors import CheckpointError
from avloc.models.weights.fairseq import read_fairseq

HEAD_WIDTH = 64
# Of the pre-training: they change no embedding. The last one's size depends on the iteration.
DROPPED = ("final_proj.", "mask_emb", "label_embs_concat")


def describe_av_hubert(state: Mapping[str, Tensor]) -> dict:
    """Read the ``model`` key of a configuration off the shapes of a state dict; heads are 64 wide.

    Raises
    ------
    KeyError
        If an entry that tells a size is missing.
    """
    width = state["post_extract_proj.weight"].shape[0]
    return {
        "type": "AvHubertEncoder",
        "stream": "both",
        "stem_width": state["feature_extractor_video.resnet.frontend3D.0.weight"].shape[0],
        "width": width,
        "n_heads": max(1, width // HEAD_WIDTH),
        "n_layers": len({key.split(".")[2] for key in state if key.startswith("encoder.layers.")}),
        "hidden": state["encoder.layers.0.fc1.weight"].shape[0],
    }


def read_av_hubert(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the encoder of an AV-HuBERT checkpoint.

    Parameters
    ----------
    path : str or os.PathLike
        ``base_lrs3_iter4.pt`` and the like, as of ``read_fairseq``.

    Returns
    -------
    dict of str to Tensor [float32, counters int64]
        The encoder's entries under their published names, which are avloc's.

    Raises
    ------
    CheckpointError
        As ``read_fairseq``, or if it holds no such encoder.
    """
    state = {key: value for key, value in read_fairseq(path).items() if not key.startswith(DROPPED)}
    if "post_extract_proj.weight" not in state:
        first = sorted(state)[:5]
        raise CheckpointError(f"{os.fspath(path)!r}: holds no encoder of AV-HuBERT; its keys begin {first}")
    return state
