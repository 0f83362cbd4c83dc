"""Read the tensors of a fairseq checkpoint, which also holds objects of its configuration and task.

``torch.load(weights_only=True)`` refuses such a file. Here the pickle is read by an unpickler that never
imports and never calls anything of it: names of fairseq, omegaconf and the like become inert placeholders, a
tensor becomes a note of where its numbers lie, and any other name is refused. Then the tensors under
``model`` are read.
"""

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from avloc.errors import CheckpointError
from avloc.models.weights.torch_file import check_archive, copy_tensors, first_line

INERT_MODULES = ("fairseq", "omegaconf", "avhubert")  # and what lies below them
CONTAINERS = {"dict", "list", "set", "frozenset", "tuple", "slice", "range"}
SCALARS = {"int", "long", "float", "complex", "bool", "str", "unicode", "bytes", "bytearray"}
INERT_NAMES = {
    "argparse": {"Namespace"},
    "copyreg": {"_reconstructor"},
    "typing": {"Any"},
    "enum": {"Enum"},
    "collections": {"defaultdict"},
    "builtins": {"object", *CONTAINERS, *SCALARS},
    # Numbers among the statistics of a training; nothing is computed with them.
    "numpy": {"dtype", "ndarray"},
    "numpy.core.multiarray": {"scalar", "_reconstruct"},
    "numpy._core.multiarray": {"scalar", "_reconstruct"},
    "_codecs": {"encode"},
}
OLD_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # as the protocol of torch.save spells them
STORAGES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
MAX_PICKLE_BYTES = 256 * 2**20  # of the objects without the numbers of tensors; real ones have a few million
MAX_RANK = 8


class _Inert:
    """Stands for an object of a name that is known and not wanted: takes anything, does nothing."""

    def __new__(cls, *arguments: object, **keywords: object) -> "_Inert":
        return super().__new__(cls)

    def __init__(self, *arguments: object, **keywords: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, value: object) -> None:
        """Take an item of a list."""

    def extend(self, values: object) -> None:
        """Take items of a list."""

    def add(self, value: object) -> None:
        """Take an item of a set."""


class _Sealed:
    """Something that a pickle may get hold of, and not change."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError(f"it would change a {type(self).__name__}")


class _Storage(_Sealed):
    """Where the numbers of tensors lie: an entry of the archive."""

    __slots__ = ("dtype", "key")

    def __init__(self, key: str, dtype: torch.dtype) -> None:
        self.key, self.dtype = key, dtype


class _Laid(_Sealed):
    """A tensor that is not read yet."""

    __slots__ = ("offset", "size", "storage", "stride")

    def __init__(
        self, storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
    ) -> None:
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride


class _Rebuild(_Sealed):
    """Stands for a function of torch; a function of ours would keep what a pickle writes into it."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., object]) -> None:
        self._make = make

    def __call__(self, *arguments: object) -> object:
        return self._make(*arguments)


def _lay_tensor(storage: object, offset: object, size: object, stride: object, *rest: object) -> _Laid:
    """Take what torch would rebuild a tensor of."""
    sizes = (size, stride)
    fits = all(isinstance(x, tuple) and len(x) <= MAX_RANK and all(type(n) is int for n in x) for x in sizes)
    if not (isinstance(storage, _Storage) and type(offset) is int and fits and len(size) == len(stride)):
        raise pickle.UnpicklingError("a tensor is not laid out as torch.save does")
    if offset < 0 or min((*size, *stride, 0)) < 0:
        raise pickle.UnpicklingError("a tensor has a negative offset, size or stride")
    return _Laid(storage, offset, size, stride)


def _lay_parameter(data: object, *rest: object) -> object:
    return data


class _Unpickler(pickle.Unpickler):
    """Knows a closed list of names; none of them is imported."""

    def find_class(self, module: str, name: str) -> object:
        module = OLD_MODULES.get(module, module)
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor"):
            return _Rebuild(_lay_tensor)
        if module == "torch._utils" and name == "_rebuild_parameter":
            return _Rebuild(_lay_parameter)
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict  # and no dict: a state dict carries an attribute
        if module.split(".")[0] in INERT_MODULES or name in INERT_NAMES.get(module, ()):
            return _Inert
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no checkpoint of tensors needs")

    def persistent_load(self, pid: object) -> _Storage:
        if not (isinstance(pid, tuple) and len(pid) == 5 and pid[0] == "storage"):
            raise pickle.UnpicklingError("a storage is not described as torch.save does")
        _, dtype, key, _, _ = pid
        if not (isinstance(dtype, torch.dtype) and isinstance(key, str) and key.isalnum()):
            raise pickle.UnpicklingError(f"a storage has the type {dtype!r:.60} and the key {key!r:.60}")
        return _Storage(key, dtype)


def read_fairseq(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the tensors under ``model``.

    Parameters
    ----------
    path : str or os.PathLike
        ``base_lrs3_iter4.pt`` and the like.

    Returns
    -------
    dict of str to Tensor [float32, counters int64]
        Under their published names.

    Raises
    ------
    CheckpointError
        If the file is no archive of ``torch.save``, names anything beyond the closed list (nothing of the
        file is run), or has no tensors under ``model``, or they hold NaN or infinity.
    """
    shown = repr(os.fspath(path))
    check_archive(path)
    try:
        with zipfile.ZipFile(path) as archive:
            root = _root_of(archive)
            if archive.getinfo(f"{root}/data.pkl").file_size > MAX_PICKLE_BYTES:
                raise pickle.UnpicklingError(f"its objects have more than {MAX_PICKLE_BYTES} bytes")
            content = _Unpickler(io.BytesIO(archive.read(f"{root}/data.pkl"))).load()
            model = content.get("model") if isinstance(content, Mapping) else None
            laid = {key: value for key, value in model.items()} if isinstance(model, dict) else {}
            if not laid:
                raise CheckpointError(f"{shown}: holds no mapping of tensors under 'model'")
            wrong = [
                key for key, value in laid.items() if not (isinstance(key, str) and isinstance(value, _Laid))
            ]
            if wrong:
                raise CheckpointError(f"{shown}: 'model' holds {wrong[0]!r:.80}, which is no tensor")
            state = _read_tensors(archive, root, laid)
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{shown}: was refused, and nothing in it was run: {first_line(error)}"
        ) from error
    except Exception as error:  # whatever a hostile pickle makes of the machine that reads it
        told = f"{type(error).__name__}: {first_line(error)}"
        raise CheckpointError(f"{shown}: is no fairseq checkpoint that can be read ({told})") from error
    return copy_tensors(path, state)


def _root_of(archive: zipfile.ZipFile) -> str:
    """Name of the folder in the archive that holds everything."""
    found = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(found) != 1:
        raise pickle.UnpicklingError(f"it has {len(found)} entries '*/data.pkl', expected one")
    return found[0].removesuffix("/data.pkl")


def _read_tensors(archive: zipfile.ZipFile, root: str, laid: Mapping[str, _Laid]) -> dict[str, Tensor]:
    storages: dict[str, Tensor] = {}
    state = {}
    for key, tensor in laid.items():
        storage = tensor.storage
        if storage.key not in storages:
            raw = archive.read(f"{root}/data/{storage.key}")
            storages[storage.key] = (
                torch.frombuffer(bytearray(raw), dtype=torch.uint8) if raw else torch.empty(0)
            )
        n_items = storages[storage.key].numel() // storage.dtype.itemsize
        last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.size, tensor.stride, strict=True))
        if 0 not in tensor.size and last >= n_items:
            raise pickle.UnpicklingError(f"{key!r} reaches number {last} of {n_items}")
        numbers = storages[storage.key][: n_items * storage.dtype.itemsize].view(storage.dtype)
        state[key] = numbers.as_strided(tensor.size, tensor.stride, tensor.offset)
    return state
