"""Kernels: tensors in, tensors out, compiled where the build allowed it."""

from avloc.ops._extension import kernels
from avloc.ops.correlation import band_correlation
from avloc.ops.scoring import score_segments, segment_iou
from avloc.ops.suppression import segment_nms, soft_segment_nms, vote_segments

__all__ = [
    "band_correlation",
    "kernels",
    "score_segments",
    "segment_iou",
    "segment_nms",
    "soft_segment_nms",
    "vote_segments",
]
