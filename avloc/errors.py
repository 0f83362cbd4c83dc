"""The exceptions of avloc: a wrong argument is ``ValueError`` or ``TypeError``, the rest is one of these."""


class AvlocError(Exception):
    """Base of every error that is about the outside world, not about the caller's arguments."""


class MediaError(AvlocError):
    """A recording could not be used.

    Parameters
    ----------
    path : str
        The recording as the caller named it.
    message : str
        What was expected, what came, and what to do.
    reason : str
        Code of the closed list ``avloc.structures.Reason``, such as ``"truncated"``.
    """

    def __init__(self, path: str, message: str, *, reason: str = "unrecognised") -> None:
        super().__init__(f"{path!r}: {message}")
        self.path = path
        self.message = message
        self.reason = reason


class UnreadableMediaError(MediaError):
    """The file cannot be opened or decoded."""


class MissingStreamError(MediaError):
    """The file lacks the stream that was asked for."""


class SegmentError(AvlocError, ValueError):
    """An impossible time span."""


class AnnotationError(AvlocError):
    """A data set file does not hold what its format promises; the message names file and key."""


class SchemaError(AvlocError, ValueError):
    """A result document is of a newer schema, or lacks what its schema promises; the key is named."""


class ConfigError(AvlocError):
    """A configuration has an unknown key or a wrong value; the message names the key path."""


class CheckpointError(AvlocError):
    """A weights file does not fit; the message names the file and what is missing."""


class ExtensionError(AvlocError):
    """The compiled library is there but does not load."""
