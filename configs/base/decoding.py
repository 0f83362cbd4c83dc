"""From proposals to detections; the defaults of ``avloc.decoding.select.Selection``, open to overrides."""

decoding = dict(
    pre_top_k=5000,
    window_top_k=300,
    min_score=0.01,
    method="gaussian",
    sigma=0.5,
    iou_threshold=0.5,
    max_segments=100,
    final_iou=None,
    point_weight=1.0,
    inside_weight=0.5,
    contrast_weight=0.25,
    sharpness_weight=0.25,
)
