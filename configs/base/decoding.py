"""From proposals to detections."""

decoding = dict()
