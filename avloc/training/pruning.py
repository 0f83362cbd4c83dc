"""Begin a narrower network with the hidden channels of a wider one that the rest cannot make up for."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from avloc.models.encoders.spectral import LogSpectraStem
from avloc.models.temporal import ConvBlock
from avloc.training.objective import TrainingBatch

RIDGE = 1e-5  # of the mean square of a hidden channel
STEPS = 12  # one in so many channels goes before the others are judged again
ROWS = 3000  # positions of a batch that stand for all where a kernel reads many

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HiddenLayer:
    """Channels that one layer alone reads.

    Attributes
    ----------
    makers : tuple of str
        The layer that makes them, then its normalisation, if there is one.
    reader : str
        The layer that reads them.
    part : tuple of str
        First and last layer of the part of the network that the channels are hidden in.
    n_reads : int
        Inputs of the reader that one channel is: bands or elements of a kernel.
    """

    makers: tuple[str, ...]
    reader: str
    part: tuple[str, str]
    n_reads: int = 1

    @property
    def width_key(self) -> str:
        """Name the entry whose first axis are the channels."""
        return f"{self.makers[0]}.weight"


@torch.inference_mode()
def prune(
    wide: nn.Module, wanted: Mapping[str, Tensor], batches: Iterable[TrainingBatch]
) -> dict[str, Tensor]:
    """Cut hidden channels of a network down to the number that another one has, and fit what reads them.

    Hidden are the channels of feed-forward pairs in the recogniser and in ``ConvBlock``, and of the
    convolutions of ``LogSpectraStem``; parts that read or give other numbers of channels than before, or have
    a wider layer, are left out. Channels go in steps, those first without which the layer behind, fitted anew
    to its old output on the sound of ``batches`` by least squares, changes least.

    Parameters
    ----------
    wide : nn.Module
        The wider network; it is put into evaluation mode.
    wanted : mapping of str to Tensor
        Entries of the narrower network; only their shapes are read.
    batches : iterable of TrainingBatch
        Sound with the wider network's inputs.

    Returns
    -------
    dict of str to Tensor
        Entries of the layers that make or read fewer channels now; of a network whose hidden layers are all
        as wide as wanted none.

    References
    ----------
    .. [1] Hassibi and Stork, "Second order derivatives for network pruning: optimal brain surgeon", NIPS
       1992.
    """
    state = dict(wide.eval().state_dict())
    hidden = [layer for layer in _hidden_layers(wide) if layer.width_key in wanted]
    # Beside a layer that becomes wider nothing can be cut: what joins the two would fit neither.
    widened = {x.part for x in hidden if len(wanted[x.width_key]) > len(state[x.width_key])}
    layers = [x for x in hidden if x.part not in widened and _is_narrower(x, state, wanted)]
    if not layers:
        return {}
    products = _products(wide, {layer.reader for layer in layers}, batches)
    touched = set()
    for layer in layers:
        if layer.reader not in products:
            continue  # sound alone does not reach it
        weight, bias = (state[f"{layer.reader}.{name}"] for name in ("weight", "bias"))
        read = torch.cat((weight.flatten(1), bias[:, None]), dim=1).double()
        n_kept = len(wanted[layer.width_key])
        kept, fitted = _choose(products[layer.reader], read, n_kept=n_kept, n_reads=layer.n_reads)
        logger.info("%s: %d of %d hidden channels", layer.reader, n_kept, len(state[layer.width_key]))
        made = [key for key in state if key.rpartition(".")[0] in layer.makers and state[key].dim()]
        state |= {key: state[key][kept] for key in made}
        shape = (len(weight), -1, *weight.shape[2:])
        state[f"{layer.reader}.weight"] = fitted[:, :-1].reshape(shape).to(weight.dtype)
        state[f"{layer.reader}.bias"] = fitted[:, -1].to(bias.dtype)
        touched |= {*layer.makers, layer.reader}
    return {key: value for key, value in state.items() if key.rpartition(".")[0] in touched}


def _is_narrower(layer: HiddenLayer, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> bool:
    first, last = (f"{name}.weight" for name in layer.part)
    if not {first, last} <= wanted.keys():
        return False
    as_before = wanted[first].shape[1:] == state[first].shape[1:] and len(wanted[last]) == len(state[last])
    return as_before and len(wanted[layer.width_key]) < len(state[layer.width_key])


def _hidden_layers(network: nn.Module) -> Iterator[HiddenLayer]:
    """List hidden layers, before those that are made of them."""
    for name, module in network.named_modules():
        if name.endswith(".mlp"):
            yield HiddenLayer((f"{name}.0",), f"{name}.2", (f"{name}.0", f"{name}.2"))
        elif isinstance(module, ConvBlock):
            expand, reduce = f"{name}.expand", f"{name}.reduce"
            yield HiddenLayer((expand,), reduce, (expand, reduce))
        elif isinstance(module, LogSpectraStem):
            readers = [*(f"{name}.convs.{i}" for i in range(1, len(module.convs))), f"{name}.project"]
            for i, reader in enumerate(readers):
                weight = network.get_submodule(reader).weight
                n_reads = weight[0].numel() // module.convs[i].out_channels
                makers = (f"{name}.convs.{i}", f"{name}.norms.{i}")
                yield HiddenLayer(makers, reader, (f"{name}.convs.0", f"{name}.project"), n_reads)


def _products(wide: nn.Module, readers: set[str], batches: Iterable[TrainingBatch]) -> dict[str, Tensor]:
    """Sum the products of all that each reader reads, and 1 for its bias, over positions: (n + 1, n + 1).

    What is never read has none.
    """
    products: dict[str, Tensor] = {}

    def add(name: str, module: nn.Module, x: Tensor) -> None:
        rows = _rows(module, x)
        rows = torch.cat((rows, rows.new_ones(len(rows), 1)), dim=1).double()
        products[name] = products.get(name, 0.0) + rows.T @ rows

    stems = [module for module in wide.modules() if isinstance(module, LogSpectraStem)]
    hooks = [
        module.register_forward_pre_hook(lambda module, x, name=name: add(name, module, x[0]))
        for name, module in wide.named_modules()
        if name in readers
    ]
    try:
        for stem in stems:
            stem.training = True  # alone, not its normalisations: it then calls its convolutions as modules
        for batch in batches:
            wide(audio=batch.audio, audio_mask=batch.audio_mask)
    finally:
        for hook in hooks:
            hook.remove()
        wide.eval()
    return products


def _rows(module: nn.Module, x: Tensor) -> Tensor:
    """Give what a layer reads at each position, channels first: (positions, channels * kernel)."""
    if isinstance(module, nn.Linear):
        return x.flatten(0, -2)
    if isinstance(module, nn.Conv1d):  # of kernel 1
        return x.transpose(1, 2).flatten(0, 1)
    patches = functional.unfold(x, module.kernel_size, padding=module.padding, stride=module.stride)
    rows = patches.transpose(1, 2).flatten(0, 1)
    return rows[:: max(1, len(rows) // ROWS)]


def _choose(products: Tensor, read: Tensor, *, n_kept: int, n_reads: int) -> tuple[Tensor, Tensor]:
    """Choose channels, and fit what reads them.

    Parameters
    ----------
    products : Tensor [shape=(n + 1, n + 1)]
        Of what is read, and 1.
    read : Tensor [shape=(m, n + 1)]
        Weights and bias that read it.
    n_kept : int
        Channels to keep.
    n_reads : int
        Inputs of a channel; n is a multiple.

    Returns
    -------
    tuple of Tensor
        Channels (n_kept,) in their order, and weights and bias (m, n_kept * n_reads + 1).
    """
    n = len(products) - 1
    ridge = RIDGE * products.diagonal()[:-1].mean()
    kept = torch.arange(n // n_reads)
    while True:
        inputs = (kept[:, None] * n_reads + torch.arange(n_reads)).flatten()
        inputs = torch.cat((inputs, torch.tensor([n])))
        identity = torch.eye(len(inputs), dtype=products.dtype)
        inverse = torch.linalg.inv(products[inputs][:, inputs] + ridge * identity)
        fitted = (inverse @ (products[inputs] @ read.T)).T
        n_over = len(kept) - n_kept
        if not n_over:
            return kept, fitted
        # What the best fit without a channel is off by, summed over outputs: w' inv(H^-1) w.
        weights = fitted[:, :-1].unflatten(1, (len(kept), n_reads)).transpose(0, 1)  # (channels, m, n_reads)
        blocks = inverse[:-1, :-1].unflatten(0, (len(kept), n_reads)).unflatten(2, (len(kept), n_reads))
        own = torch.linalg.inv(blocks.diagonal(dim1=0, dim2=2).permute(2, 0, 1))
        cost = torch.einsum("cmi,cij,cmj->c", weights, own, weights)
        n_next = len(kept) - min(n_over, max(1, len(kept) // STEPS))
        kept = kept[cost.topk(n_next).indices.sort().values]
