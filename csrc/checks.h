// Checks of the arguments of operations, the same on every device.
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>

#include "arguments.h"
#include "avloc_kernels.h"

namespace avloc {

inline void check_segments_shape(const Tensor& segments, const char* name) {
  check(
      segments.dim() == 2 && segments.size(1) == 2, name, " must have shape (N, 2) in seconds, got ",
      shape_of(segments));
}

inline void check_shapes(const Tensor& segments, const Tensor& scores) {
  check_segments_shape(segments, "segments");
  check(
      scores.dim() == 1 && scores.size(0) == segments.size(0),
      "scores must have shape (N,) for segments of shape (N, 2), got ", shape_of(scores), " and ",
      shape_of(segments));
  check(
      scores.scalar_type() == segments.scalar_type(),
      "scores must have the dtype of segments, got two dtypes");
}

inline void check_segments(const double* segments, int64_t n, const char* name = "segments") {
  for (int64_t i = 0; i < n; ++i) {
    const double start = segments[2 * i];
    const double end = segments[2 * i + 1];
    check(
        std::isfinite(start) && std::isfinite(end) && start <= end, name,
        " must be finite with start <= end, got [", start, ", ", end, "] at row ", i);
    check(
        std::isfinite(end - start), name, " must have a finite length, got [", start, ", ", end, "] at row ",
        i);
  }
}

inline void check_no_nan(const double* scores, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    check(!std::isnan(scores[i]), "scores must not be NaN, got nan at row ", i);
  }
}

inline void check_scores(const double* scores, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    check(
        std::isfinite(scores[i]) && scores[i] >= 0.0, "scores must be finite and at least 0, got ", scores[i],
        " at row ", i);
  }
}

inline void check_kept(const int64_t* kept, int64_t n_kept, int64_t n) {
  for (int64_t i = 0; i < n_kept; ++i) {
    check(
        kept[i] >= 0 && kept[i] < n, "kept must hold rows of segments in [0, ", n, "), got ", kept[i],
        " at row ", i);
  }
}

inline void check_threshold(double iou_threshold) {
  check(iou_threshold >= 0.0 && iou_threshold <= 1.0, "iou_threshold must be in [0, 1], got ", iou_threshold);
}

inline avloc_decay decay_of(const std::string& method) {
  if (method == "linear") {
    return AVLOC_DECAY_LINEAR;
  }
  if (method == "gaussian") {
    return AVLOC_DECAY_GAUSSIAN;
  }
  check(method == "adaptive", "method must be 'gaussian', 'linear' or 'adaptive', got '", method, "'");
  return AVLOC_DECAY_ADAPTIVE;
}

inline void check_soft(
    double sigma, double iou_threshold, double iou_at_0s, double iou_at_1s, double min_score,
    const std::optional<int64_t>& max_segments) {
  check(sigma > 0.0 && std::isfinite(sigma), "sigma must be positive and finite, got ", sigma);
  check_threshold(iou_threshold);
  check(
      std::isfinite(iou_at_0s) && std::isfinite(iou_at_1s), "adaptive_thresholds must be finite, got ",
      iou_at_0s, " and ", iou_at_1s);
  check(min_score >= 0.0, "min_score must be at least 0, got ", min_score);
  check(max_segments.value_or(0) >= 0, "max_segments must be at least 0, got ", max_segments.value_or(0));
}

inline void check_score_shapes(const Tensor& frame_scores, const Tensor& segments) {
  check(frame_scores.dim() == 2, "frame_scores must have shape (B, T), got ", shape_of(frame_scores));
  check(
      segments.dim() == 2 && segments.size(1) == 3,
      "segments must have shape (N, 3): batch row, start and end in frames, got ", shape_of(segments));
  check(
      frame_scores.scalar_type() == segments.scalar_type(),
      "segments must have the dtype of frame_scores, got two dtypes");
}

inline void check_score_grad(const Tensor& grad, const Tensor& segments) {
  check(
      grad.dim() == 2 && grad.size(0) == segments.size(0) && grad.size(1) == 3 &&
          grad.scalar_type() == segments.scalar_type(),
      "grad must have shape (N, 3) and the dtype of segments (N, 3), got ", shape_of(grad), " and ",
      shape_of(segments));
}

inline void check_pair_shapes(const Tensor& a, const Tensor& b) {
  check_segments_shape(a, "a");
  check_segments_shape(b, "b");
  check(a.scalar_type() == b.scalar_type(), "b must have the dtype of a, got two dtypes");
}

inline void check_pair_grad(const Tensor& grad, const Tensor& a, const Tensor& b) {
  check(
      grad.dim() == 2 && grad.size(0) == a.size(0) && grad.size(1) == b.size(0) &&
          grad.scalar_type() == a.scalar_type(),
      "grad must have shape (N, M) and the dtype of a, got ", shape_of(grad));
}

inline void check_streams(const Tensor& audio, const Tensor& visual, int64_t max_lag) {
  check(
      audio.dim() == 3 && visual.dim() == 3 && audio.size(0) == visual.size(0) &&
          audio.size(1) == visual.size(1) && audio.size(2) == visual.size(2) && audio.size(1) > 0,
      "audio and visual must have the same shape (B, C, T) with C > 0, got ", shape_of(audio), " and ",
      shape_of(visual));
  check(
      is_real(audio) && audio.scalar_type() == visual.scalar_type(),
      "audio and visual must both be float32 or both float64");
  check(max_lag >= 0, "max_lag must be at least 0 frames, got ", max_lag);
}

inline void check_stream_grad(const Tensor& grad, const Tensor& audio, int64_t max_lag) {
  check(
      grad.dim() == 3 && grad.size(0) == audio.size(0) && grad.size(1) == 2 * max_lag + 1 &&
          grad.size(2) == audio.size(2) && grad.scalar_type() == audio.scalar_type(),
      "grad must have shape (B, 2 * max_lag + 1, T) and the dtype of audio, got ", shape_of(grad));
}

} // namespace avloc
