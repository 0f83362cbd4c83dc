"""avloc finds the time intervals of a recording whose sound, picture or both were forged.

The public names are those of ``__all__``; each loads its module on first use, so that ``import avloc`` is
quick and needs neither torch nor NumPy.
"""

from importlib import import_module

__version__ = "0.1.0"

_NAMES = {
    "avloc.errors": "AnnotationError AvlocError CheckpointError ConfigError MediaError UnreadableMediaError",
    "avloc.datasets.named": "build_dataset",
    "avloc.media.probe": "open_recording",
    "avloc.metrics.evaluate": "evaluate",
    "avloc.pipelines.loading": "load_localizer",
    "avloc.report.writers": "write_report",
    "avloc.structures": (
        "Detection Modality Prediction Reason Recording Reference Segment Status Timeline Verdict"
    ),
}
_OWNERS = {name: module for module, names in _NAMES.items() for name in names.split()}
_MODULES = ("metrics", "ops", "structures")

__all__ = sorted(_OWNERS)


def __getattr__(name: str) -> object:
    """Load a public name on first use."""
    if name in _OWNERS:
        value = getattr(import_module(_OWNERS[name]), name)
    elif name in _MODULES:
        value = import_module(f"avloc.{name}")
    else:
        raise AttributeError(f"module 'avloc' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names without loading them."""
    return sorted({*globals(), *__all__, *_MODULES})
