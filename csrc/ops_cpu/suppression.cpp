// Schemas of suppression and their CPU registration on torch's stable ABI: every argument is
// checked here, before a kernel sees a pointer.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "arguments.h"
#include "avloc_kernels.h"

namespace avloc {
namespace {

Tensor segment_nms(Tensor segments, Tensor scores, double iou_threshold, std::optional<Tensor> splits) {
  check_shapes(segments, scores);
  check(iou_threshold >= 0.0 && iou_threshold <= 1.0, "iou_threshold must be in [0, 1], got ", iou_threshold);
  const Tensor times = as_double(segments, "segments");
  const Tensor values = as_double(scores, "scores");
  const int64_t n = times.size(0);
  check_segments(doubles(times), n);
  for (int64_t i = 0; i < n; ++i) {
    check(!std::isnan(doubles(values)[i]), "scores must not be NaN, got nan at row ", i);
  }
  const auto rows = recordings_of(splits, n);
  const auto n_recordings = static_cast<int64_t>(rows.size()) - 1;
  std::vector<int64_t> kept(n), counts(n_recordings);
  torch::stable::parallel_for(0, n_recordings, 1, [&](int64_t first, int64_t last) {
    avloc_segment_nms(
        doubles(times), doubles(values), rows.data(), first, last, iou_threshold, kept.data(), counts.data());
  });
  return packed(kept, rows, counts, ScalarType::Long);
}

int32_t decay_of(const std::string& method) {
  if (method == "linear") {
    return AVLOC_DECAY_LINEAR;
  }
  if (method == "gaussian") {
    return AVLOC_DECAY_GAUSSIAN;
  }
  check(method == "adaptive", "method must be 'gaussian', 'linear' or 'adaptive', got '", method, "'");
  return AVLOC_DECAY_ADAPTIVE;
}

std::tuple<Tensor, Tensor> soft_segment_nms(
    Tensor segments, Tensor scores, std::string method, double sigma, double iou_threshold, double iou_at_0s,
    double iou_at_1s, double min_score, std::optional<int64_t> max_segments, std::optional<Tensor> splits) {
  check_shapes(segments, scores);
  const int32_t decay = decay_of(method);
  check(sigma > 0.0 && std::isfinite(sigma), "sigma must be positive and finite, got ", sigma);
  check(iou_threshold >= 0.0 && iou_threshold <= 1.0, "iou_threshold must be in [0, 1], got ", iou_threshold);
  check(
      std::isfinite(iou_at_0s) && std::isfinite(iou_at_1s), "adaptive_thresholds must be finite, got ",
      iou_at_0s, " and ", iou_at_1s);
  check(min_score >= 0.0, "min_score must be at least 0, got ", min_score);
  const int64_t most = max_segments.value_or(std::numeric_limits<int64_t>::max());
  check(most >= 0, "max_segments must be at least 0, got ", most);
  const Tensor times = as_double(segments, "segments");
  const Tensor values = as_double(scores, "scores");
  const int64_t n = times.size(0);
  check_segments(doubles(times), n);
  for (int64_t i = 0; i < n; ++i) {
    const double score = doubles(values)[i];
    check(
        std::isfinite(score) && score >= 0.0, "scores must be finite and at least 0, got ", score, " at row ",
        i);
  }
  const auto rows = recordings_of(splits, n);
  const auto n_recordings = static_cast<int64_t>(rows.size()) - 1;
  std::vector<int64_t> kept(n), counts(n_recordings);
  std::vector<double> decayed(n);
  torch::stable::parallel_for(0, n_recordings, 1, [&](int64_t first, int64_t last) {
    avloc_soft_segment_nms(
        doubles(times), doubles(values), rows.data(), first, last, decay, sigma, iou_threshold, iou_at_0s,
        iou_at_1s, min_score, most, kept.data(), decayed.data(), counts.data());
  });
  return {
      packed(kept, rows, counts, ScalarType::Long),
      torch::stable::to(packed(decayed, rows, counts, ScalarType::Double), scores.scalar_type())};
}

} // namespace
} // namespace avloc

// The same schemas stand in avloc/ops/_extension.py, for an avloc without this library; a test compares them.
STABLE_TORCH_LIBRARY_FRAGMENT(avloc, m) {
  m.def("segment_nms(Tensor segments, Tensor scores, float iou_threshold, *, Tensor? splits) -> Tensor");
  m.def(
      "soft_segment_nms(Tensor segments, Tensor scores, *, str method, float sigma, float iou_threshold, "
      "float iou_at_0s, float iou_at_1s, float min_score, int? max_segments, Tensor? splits) "
      "-> (Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(avloc, CPU, m) {
  m.impl("segment_nms", TORCH_BOX(&avloc::segment_nms));
  m.impl("soft_segment_nms", TORCH_BOX(&avloc::soft_segment_nms));
}
