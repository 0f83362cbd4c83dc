// Schemas of suppression and their CPU registration on torch's stable ABI: every argument is
// checked here, before a kernel sees a pointer.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "arguments.h"
#include "avloc_kernels.h"
#include "checks.h"

namespace avloc {
namespace {

Tensor segment_nms(Tensor segments, Tensor scores, double iou_threshold, std::optional<Tensor> splits) {
  check_shapes(segments, scores);
  check_threshold(iou_threshold);
  const Tensor times = as_double(segments, "segments");
  const Tensor values = as_double(scores, "scores");
  const int64_t n = times.size(0);
  check_segments(doubles(times), n);
  check_no_nan(doubles(values), n);
  const auto rows = recordings_of(splits, n);
  const auto n_recordings = static_cast<int64_t>(rows.size()) - 1;
  std::vector<int64_t> kept(n), counts(n_recordings);
  torch::stable::parallel_for(0, n_recordings, 1, [&](int64_t first, int64_t last) {
    avloc_segment_nms(
        doubles(times), doubles(values), rows.data(), first, last, iou_threshold, kept.data(), counts.data());
  });
  return packed(kept, rows, counts, ScalarType::Long);
}

std::tuple<Tensor, Tensor> soft_segment_nms(
    Tensor segments, Tensor scores, std::string method, double sigma, double iou_threshold, double iou_at_0s,
    double iou_at_1s, double min_score, std::optional<int64_t> max_segments, std::optional<Tensor> splits) {
  check_shapes(segments, scores);
  const avloc_decay decay = decay_of(method);
  check_soft(sigma, iou_threshold, iou_at_0s, iou_at_1s, min_score, max_segments);
  const int64_t most = max_segments.value_or(std::numeric_limits<int64_t>::max());
  const Tensor times = as_double(segments, "segments");
  const Tensor values = as_double(scores, "scores");
  const int64_t n = times.size(0);
  check_segments(doubles(times), n);
  check_scores(doubles(values), n);
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

Tensor vote_segments(
    Tensor kept, Tensor segments, Tensor scores, double iou_threshold, std::optional<Tensor> splits) {
  check_shapes(segments, scores);
  check_threshold(iou_threshold);
  check(
      kept.dim() == 1 && kept.scalar_type() == ScalarType::Long && kept.is_cpu(),
      "kept must be int64 of shape (n,) on the CPU, got shape ", shape_of(kept));
  const Tensor times = as_double(segments, "segments");
  const Tensor values = as_double(scores, "scores");
  const int64_t n = times.size(0), n_kept = kept.size(0);
  check_segments(doubles(times), n);
  check_scores(doubles(values), n);
  const Tensor packed_kept = torch::stable::contiguous(kept);
  const auto* indices = static_cast<const int64_t*>(packed_kept.const_data_ptr());
  check_kept(indices, n_kept, n);
  const auto rows = recordings_of(splits, n);
  std::vector<int64_t> picks(n_kept);
  std::iota(picks.begin(), picks.end(), int64_t{0});
  std::sort(picks.begin(), picks.end(), [indices](int64_t a, int64_t b) { return indices[a] < indices[b]; });
  const Tensor out = empty({n_kept, 2}, ScalarType::Double);
  torch::stable::parallel_for(0, static_cast<int64_t>(rows.size()) - 1, 1, [&](int64_t first, int64_t last) {
    avloc_vote_segments(
        indices, picks.data(), n_kept, doubles(times), doubles(values), rows.data(), first, last,
        iou_threshold, mutable_doubles(out));
  });
  return torch::stable::to(out, segments.scalar_type());
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
  m.def(
      "vote_segments(Tensor kept, Tensor segments, Tensor scores, *, float iou_threshold, Tensor? splits) "
      "-> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(avloc, CPU, m) {
  m.impl("segment_nms", TORCH_BOX(&avloc::segment_nms));
  m.impl("soft_segment_nms", TORCH_BOX(&avloc::soft_segment_nms));
  m.impl("vote_segments", TORCH_BOX(&avloc::vote_segments));
}
