"""Order of proposals by score, inside a recording and over all of them."""

import numpy as np

from avloc.metrics.compiled import jit
from avloc.metrics.table import SegmentTable


def rank_rows(proposals: SegmentTable) -> np.ndarray:
    """Rank (0 first) of every row inside its recording by score, start and end, shape (N,), int32."""
    owner = proposals.recordings
    ranks = (np.arange(len(owner)) - proposals.splits[owner]).astype(np.int32)
    rows = np.lexsort((proposals.ends, proposals.starts, -proposals.scores, owner))
    sorted_ranks = np.empty_like(ranks)
    sorted_ranks[rows] = ranks  # recordings are contiguous, so position minus split is the rank there too
    return sorted_ranks


def by_descending_score(proposals: SegmentTable, ranks: np.ndarray, dtype: type, order: str) -> np.ndarray:
    """Rows by descending score in the arithmetic ``dtype``; ties as ``match`` says for ``order``."""
    falling = -proposals.scores.astype(dtype)
    if order == "as_given":
        return stable_order(falling)
    place = {recording: i for i, recording in enumerate(sorted(proposals.ids))}
    by_id = np.array([place[recording] for recording in proposals.ids], dtype=np.int64)
    return np.lexsort((ranks, by_id[proposals.recordings], falling))


def stable_order(values: np.ndarray) -> np.ndarray:
    """Places of values in rising order, ties in their own; as ``np.argsort(values, kind="stable")``."""
    if values.dtype != np.float32 or len(values) >= 2**32:
        return np.argsort(values, kind="stable")
    packed = _with_places(values.view(np.uint32))
    packed.sort()  # NumPy sorts whole numbers in place and many times faster
    packed &= np.uint64(2**32 - 1)
    return packed.view(np.int64)


@jit
def _with_places(bits: np.ndarray) -> np.ndarray:
    """Bits of float32 values, turned so that they rise with the values, above the place of each."""
    packed = np.empty(len(bits), dtype=np.uint64)
    sign = np.uint32(2**31)
    for place in range(len(bits)):
        own = bits[place] if bits[place] != sign else np.uint32(0)  # -0.0 is 0.0
        turned = ~own if own & sign else own | sign
        packed[place] = np.uint64(turned) << np.uint64(32) | np.uint64(place)
    return packed
