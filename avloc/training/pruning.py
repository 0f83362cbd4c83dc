"""Begin a narrower network with the strongest hidden channels of a wider one."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

BATCH_NORM_EPS = 1e-5


def prune(known: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Cut hidden channels of a state dict down to the number that another network has.

    A hidden channel is one that a single layer reads: of a recogniser's feed-forward pair, of a
    ``ConvBlock``'s pointwise pair, of the first two convolutions of ``LogSpectraStem``. Those stay whose
    weights in, times weights out, are largest (2-norms, batch normalisation counted in); their order is kept.

    Parameters
    ----------
    known : mapping of str to Tensor
        The wider network's entries.
    wanted : mapping of str to Tensor
        The narrower network's entries; only their shapes are read.

    Returns
    -------
    dict of str to Tensor
        ``known`` with the entries of narrower layers cut.

    References
    ----------
    .. [1] Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017.
    """
    pruned = dict(known)
    for makers, reader in _hidden_layers(wanted):
        first, after = f"{makers[0]}.weight", f"{reader}.weight"
        n_kept = len(wanted[first])
        if first not in known or after not in known or len(known[first]) <= n_kept:
            continue
        strength = _gain(pruned, makers) * pruned[after].transpose(0, 1).flatten(1).norm(dim=1)
        kept = strength.topk(n_kept).indices.sort().values
        for key in [k for k in pruned if k.rpartition(".")[0] in makers and pruned[k].dim()]:
            pruned[key] = pruned[key][kept]
        pruned[after] = pruned[after][:, kept]
    return pruned


def _hidden_layers(state: Mapping[str, Tensor]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Name what makes hidden channels (a layer, its normalisation if there is one) and what reads them."""
    for key in state:
        layer = key.removesuffix(".weight")
        if layer.endswith(".mlp.0"):
            yield (layer,), layer.removesuffix("0") + "2"
        elif layer.endswith(".expand"):
            yield (layer,), layer.removesuffix("expand") + "reduce"
        elif layer.endswith((".spectral.convs.0", ".spectral.convs.1")):
            stem, _, n = layer.rpartition(".convs.")
            yield (layer, f"{stem}.norms.{n}"), f"{stem}.convs.{int(n) + 1}"


def _gain(state: Mapping[str, Tensor], makers: tuple[str, ...]) -> Tensor:
    gain = state[f"{makers[0]}.weight"].flatten(1).norm(dim=1)
    for norm in makers[1:]:
        spread = torch.sqrt(state[f"{norm}.running_var"] + BATCH_NORM_EPS)
        gain = gain * state[f"{norm}.weight"].abs() / spread
    return gain
