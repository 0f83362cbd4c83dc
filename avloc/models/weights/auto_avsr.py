"""Read the encoders of Auto-AVSR from both published forms of its checkpoints.

Either holds 767 entries: the encoder, a decoder and a CTC layer, of which the last two are dropped. The
namings differ in the front-end (``frontend.*`` or ``encoder.frontend.*``) and the projection behind it
(``proj_encoder.*`` or ``encoder.embed.0.*``); a prefix ``model.`` may stand before all.
"""

import os
import re
from collections.abc import Mapping

from torch import Tensor

from avloc.errors import CheckpointError
from avloc.models.weights.torch_file import copy_tensors, read_torch_file

DROPPED = ("decoder.", "ctc.")
RENAMED = (  # in this order; the last two are of old checkpoints, whose modules rename them too
    (re.compile(r"^proj_encoder\."), "embed.0."),
    (re.compile(r"^encoder\."), ""),
    (re.compile(r"^input_layer\."), "embed."),
    (re.compile(r"^norm\."), "after_norm."),
)


def read_auto_avsr(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the encoder of an Auto-AVSR checkpoint.

    Parameters
    ----------
    path : str or os.PathLike
        ``.pth`` of either repository; read with ``weights_only=True``.

    Returns
    -------
    dict of str to Tensor [float32, counters int64]
        The encoder's entries under avloc's names.

    Raises
    ------
    CheckpointError
        If the file cannot be read that way or holds no such encoder.
    """
    content = read_torch_file(path)
    inner = content.get("state_dict", content)
    state = to_own_names(inner if isinstance(inner, Mapping) else {})
    if "embed.0.weight" not in state:
        keys = sorted(map(str, content))[:5]
        raise CheckpointError(f"{os.fspath(path)!r}: holds no encoder of Auto-AVSR; its keys begin {keys}")
    return copy_tensors(path, state)


def to_own_names(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Bring published names of either form to those of the modules; decoder and CTC are left out.

    Examples
    --------
    >>> sorted(to_own_names({"model.encoder.after_norm.bias": 0, "proj_encoder.bias": 1, "ctc.x": 2}))
    ['after_norm.bias', 'embed.0.bias']
    """
    state = {}
    for key, value in published.items():
        name = str(key).removeprefix("model.")
        if not name.startswith(DROPPED):
            for pattern, ours in RENAMED:
                name = pattern.sub(ours, name)
            state[name] = value
    return state


def is_visual(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict in own names is that of the encoder of pictures."""
    return any(key.startswith("frontend.frontend3D.") for key in state)


def describe_auto_avsr(state: Mapping[str, Tensor]) -> dict:
    """Read the ``model`` key of a configuration off the shapes of a state dict in own names.

    Raises
    ------
    KeyError
        If an entry that tells a size is missing.
    """
    visual = is_visual(state)
    stem = state["frontend.frontend3D.0.weight" if visual else "frontend.trunk.conv1.weight"]
    blocks = {key.split(".")[1] for key in state if key.startswith("encoders.")}
    return {
        "type": "AutoAvsrVisualEncoder" if visual else "AutoAvsrAudioEncoder",
        "stem_width": stem.shape[0],
        "width": state["embed.0.weight"].shape[0],
        "n_heads": state["encoders.0.self_attn.pos_bias_u"].shape[0],
        "n_blocks": len(blocks),
        "hidden": state["encoders.0.feed_forward.w_1.weight"].shape[0],
    }
