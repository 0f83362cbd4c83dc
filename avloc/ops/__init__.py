"""Kernels: tensors in, tensors out, compiled where the build allowed it."""

from avloc.ops._extension import kernels
from avloc.ops.correlation import band_correlation
from avloc.ops.scoring import score_segments
from avloc.ops.suppression import segment_nms, soft_segment_nms

__all__ = ["band_correlation", "kernels", "score_segments", "segment_nms", "soft_segment_nms"]
