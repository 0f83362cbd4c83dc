"""Checks of arguments that several wrappers share."""

import torch
from torch import Tensor

REAL = (torch.float32, torch.float64)


def check_segments(name: str, segments: Tensor) -> None:
    """Raise ``ValueError`` unless ``segments`` has shape (N, 2) and is float32 or float64."""
    if segments.ndim != 2 or segments.shape[1] != 2:
        raise ValueError(f"{name} must have shape (N, 2) in seconds, got {tuple(segments.shape)}")
    if segments.dtype not in REAL:
        raise ValueError(f"{name} must be float32 or float64, got {segments.dtype}")
