"""How DiMoDif and AuViRe are decoded: as weights of theirs that were imported."""

decoding = dict(
    # The networks suppress what a window proposes; what is left of several windows is suppressed hard.
    method="across_windows",
    iou_threshold=0.7,
    min_score=0.0,
    point_weight=1.0,
    inside_weight=0.0,
    contrast_weight=0.0,
    sharpness_weight=0.0,
    published=dict(clamps_to_window=False, drops_last=True, most_kept=101, truncates=False),
)
