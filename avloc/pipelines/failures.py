"""What an error of one recording is called in its row."""

import torch

from avloc.errors import MediaError
from avloc.structures import ERROR_REASONS, Reason, Status


def reason_of(error: Exception) -> Reason:
    """Give the reason of an error; what nobody foresaw is ``internal_error``."""
    if isinstance(error, MediaError):
        # The code comes from the decoding child, whose words are not trusted.
        return Reason(error.reason) if error.reason in set(Reason) else Reason.DECODER_CRASH
    return Reason.OUT_OF_MEMORY if is_out_of_memory(error) else Reason.INTERNAL_ERROR


def message_of(error: Exception) -> str:
    """Give the words of an error, with its name where it is none of a medium."""
    return error.message if isinstance(error, MediaError) else f"{type(error).__name__}: {error}"


def status_of(reason: Reason) -> Status:
    """Say whether a reason is an error or a property of the recording."""
    return Status.ERROR if reason in ERROR_REASONS else Status.NOT_ANALYSABLE


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, of the CPU or of a GPU."""
    # The CPU allocator of torch raises a plain RuntimeError.
    told = isinstance(error, RuntimeError) and "not enough memory" in str(error)
    return told or isinstance(error, MemoryError | torch.OutOfMemoryError)
