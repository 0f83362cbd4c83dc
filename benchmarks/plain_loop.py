"""Suppression by the plain loop over all pairs that localization code usually has, compiled on the spot."""

import ctypes
import subprocess
from pathlib import Path

import numpy as np


class PlainLoop:
    """``plain_suppression.cpp``, compiled with ``c++ -O3`` into a folder; its numbers are float32."""

    def __init__(self, folder: Path) -> None:
        source = Path(__file__).with_name("plain_suppression.cpp")
        target = folder / "plain_suppression.so"
        subprocess.run(["c++", "-O3", "-shared", "-fPIC", "-o", str(target), str(source)], check=True)
        self._library = ctypes.CDLL(str(target))
        for name in ("plain_hard", "plain_soft"):
            getattr(self._library, name).restype = ctypes.c_int64

    def hard(self, segments: np.ndarray, scores: np.ndarray, iou_threshold: float) -> np.ndarray:
        """Give the kept indices of one recording, float32 (N, 2) and (N,)."""
        kept = np.empty(len(scores), np.int64)
        numbers = (ctypes.c_int64(len(scores)), ctypes.c_float(iou_threshold))
        n_kept = self._library.plain_hard(_pointer(segments), _pointer(scores), *numbers, _pointer(kept))
        return kept[:n_kept]

    def soft(self, segments: np.ndarray, scores: np.ndarray, sigma: float, min_score: float) -> np.ndarray:
        """Give the picked indices of one recording under Gaussian decay."""
        kept, decayed = np.empty(len(scores), np.int64), np.empty(len(scores), np.float32)
        numbers = (ctypes.c_int64(len(scores)), ctypes.c_float(sigma), ctypes.c_float(min_score))
        arrays = (_pointer(kept), _pointer(decayed))
        n_kept = self._library.plain_soft(_pointer(segments), _pointer(scores), *numbers, *arrays)
        return kept[:n_kept]


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)
