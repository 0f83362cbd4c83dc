// CUDA registration of suppression on torch's stable ABI. Everything is queued on the current stream; the
// host waits once, for the sizes of the results and for whether the values were right.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "avloc_kernels.h"
#include "checks.h"
#include "queueing.h"

namespace avloc {
namespace {

// Segments and scores of many recordings on a device.
struct Proposals {
  Proposals(const Tensor& segments, const Tensor& scores, const std::optional<Tensor>& splits, bool soft)
      : n(segments.size(0)),
        rows(recordings_of(splits, n)),
        n_recordings(static_cast<int64_t>(rows.size()) - 1),
        is_soft(soft),
        on_device(segments),
        times(empty_on(segments, {n, 2}, ScalarType::Double)),
        values(empty_on(segments, {n}, ScalarType::Double)),
        splits_here(empty({n_recordings + 1}, ScalarType::Long)),
        splits_there(empty_on(segments, {n_recordings + 1}, ScalarType::Long)),
        status(zeros_on(segments, {n_recordings + 3}, ScalarType::Long)) {
    const Tensor own = real_on_device(segments, "segments", segments);
    const Tensor own_scores = real_on_device(scores, "scores", segments);
    std::copy(rows.begin(), rows.end(), mutable_indices(splits_here));
    torch::stable::copy_(splits_there, splits_here, true); // its source lives until the host has waited
    for_dtype_of(segments, [&](auto zero) {
      using T = decltype(zero);
      const auto read = variant<T>(avloc_cuda_proposals_f32, avloc_cuda_proposals_f64);
      check_launch(read(
          static_cast<const T*>(own.const_data_ptr()), static_cast<const T*>(own_scores.const_data_ptr()), n,
          is_soft, mutable_doubles(times), mutable_doubles(values), is_wrong(), stream()));
    });
  }

  void* stream() const {
    return on_device.stream();
  }
  const int64_t* splits() const {
    return indices(splits_there);
  }
  // Running sums of how many segments are left of each recording.
  int64_t* offsets() const {
    return mutable_indices(status);
  }
  int64_t* is_wrong() const {
    return mutable_indices(status) + n_recordings + 1;
  }
  int64_t* is_wrong_kept() const {
    return is_wrong() + 1;
  }
  int64_t largest() const {
    int64_t most = 0;
    for (int64_t recording = 0; recording < n_recordings; ++recording) {
      most = std::max(most, rows[recording + 1] - rows[recording]);
    }
    return most;
  }

  // Wait for the device; returns the last offset. Wrong values are an error, which names the first.
  int64_t wait() {
    const Tensor end = on_cpu(torch::stable::narrow(status, 0, n_recordings, 3));
    if (indices(end)[1] != 0) {
      const Tensor times_here = on_cpu(times), values_here = on_cpu(values);
      check_segments(doubles(times_here), n);
      is_soft ? check_scores(doubles(values_here), n) : check_no_nan(doubles(values_here), n);
    }
    is_kept_wrong = indices(end)[2] != 0;
    return indices(end)[0];
  }

  const int64_t n;
  const std::vector<int64_t> rows;
  const int64_t n_recordings;
  const bool is_soft;
  const OnDevice on_device;
  const Tensor times;  // (n, 2)
  const Tensor values; // (n,)
  const Tensor splits_here;
  Tensor splits_there;
  Tensor status; // (n_recordings + 3,): offsets, is_wrong, is_wrong_kept
  bool is_kept_wrong = false;
};

// Rows by recording, in score order inside.
Tensor ranked(const Proposals& proposals) {
  const Tensor by_score = stable_sort(proposals.values, true).second;
  if (proposals.n_recordings == 1) {
    return by_score;
  }
  const Tensor recording = empty_on(by_score, {proposals.n}, ScalarType::Int); // half the bits to sort by
  check_launch(avloc_cuda_recordings(
      proposals.splits(), proposals.n_recordings, indices(by_score), proposals.n,
      static_cast<int32_t*>(recording.mutable_data_ptr()), proposals.stream()));
  const Tensor places = stable_sort(recording, false).second;
  const Tensor order = empty_on(by_score, {proposals.n}, ScalarType::Long);
  check_launch(avloc_cuda_pick(
      indices(by_score), indices(places), proposals.n, mutable_indices(order), proposals.stream()));
  return order;
}

// Close the gaps between recordings; decayed may be undefined.
std::tuple<Tensor, Tensor> packed_there(
    Proposals& proposals, const Tensor& kept, const Tensor& counts, const Tensor* decayed, ScalarType dtype) {
  check_launch(
      avloc_cuda_offsets(indices(counts), proposals.n_recordings, proposals.offsets(), proposals.stream()));
  const int64_t total = proposals.wait();
  Tensor packed_rows = empty_on(kept, {total}, ScalarType::Long);
  Tensor packed_scores = empty_on(kept, {decayed == nullptr ? 0 : total}, dtype);
  for_dtype_of(packed_scores, [&](auto zero) {
    using T = decltype(zero);
    const auto pack = variant<T>(avloc_cuda_pack_f32, avloc_cuda_pack_f64);
    check_launch(pack(
        indices(kept), decayed == nullptr ? nullptr : doubles(*decayed), proposals.splits(),
        proposals.offsets(), proposals.n_recordings, proposals.n, mutable_indices(packed_rows),
        static_cast<T*>(packed_scores.mutable_data_ptr()), proposals.stream()));
  });
  return {packed_rows, packed_scores};
}

Tensor segment_nms(Tensor segments, Tensor scores, double iou_threshold, std::optional<Tensor> splits) {
  check_shapes(segments, scores);
  check_threshold(iou_threshold);
  Proposals proposals(segments, scores, splits, false);
  const Tensor kept = empty_on(segments, {proposals.n}, ScalarType::Long);
  if (proposals.n == 0) {
    return kept;
  }
  const Tensor order = ranked(proposals);
  const Tensor kept_times = empty_on(segments, {proposals.n, 2}, ScalarType::Double);
  const Tensor dropped = zeros_on(segments, {proposals.n}, ScalarType::Byte);
  const Tensor counts = zeros_on(segments, {proposals.n_recordings}, ScalarType::Long);
  check_launch(avloc_cuda_segment_nms(
      doubles(proposals.times), indices(order), proposals.splits(), proposals.n_recordings,
      proposals.largest(), iou_threshold, mutable_doubles(kept_times),
      static_cast<uint8_t*>(dropped.mutable_data_ptr()), mutable_indices(kept), mutable_indices(counts),
      proposals.stream()));
  return std::get<0>(packed_there(proposals, kept, counts, nullptr, segments.scalar_type()));
}

std::tuple<Tensor, Tensor> soft_segment_nms(
    Tensor segments, Tensor scores, std::string method, double sigma, double iou_threshold, double iou_at_0s,
    double iou_at_1s, double min_score, std::optional<int64_t> max_segments, std::optional<Tensor> splits) {
  check_shapes(segments, scores);
  const avloc_decay decay = decay_of(method);
  check_soft(sigma, iou_threshold, iou_at_0s, iou_at_1s, min_score, max_segments);
  Proposals proposals(segments, scores, splits, true);
  const int64_t n = proposals.n;
  const Tensor kept = empty_on(segments, {n}, ScalarType::Long);
  if (n == 0) {
    return {kept, empty_on(segments, {0}, segments.scalar_type())};
  }
  const Tensor decayed = empty_on(segments, {n}, ScalarType::Double);
  const Tensor scratch = empty_on(segments, {n, 5}, ScalarType::Double);
  const Tensor rows = empty_on(segments, {n}, ScalarType::Long);
  const Tensor counts = zeros_on(segments, {proposals.n_recordings}, ScalarType::Long);
  check_launch(avloc_cuda_soft_segment_nms(
      doubles(proposals.times), doubles(proposals.values), proposals.splits(), proposals.n_recordings, n,
      decay, sigma, iou_threshold, iou_at_0s, iou_at_1s, min_score,
      max_segments.value_or(std::numeric_limits<int64_t>::max()), mutable_doubles(scratch),
      mutable_indices(rows), mutable_indices(kept), mutable_doubles(decayed), mutable_indices(counts),
      proposals.stream()));
  return packed_there(proposals, kept, counts, &decayed, segments.scalar_type());
}

Tensor vote_segments(
    Tensor kept, Tensor segments, Tensor scores, double iou_threshold, std::optional<Tensor> splits) {
  check_shapes(segments, scores);
  check_threshold(iou_threshold);
  check(
      kept.dim() == 1 && kept.scalar_type() == ScalarType::Long && is_on_device_of(kept, segments),
      "kept must be int64 of shape (n,) on the device of segments, got shape ", shape_of(kept));
  Proposals proposals(segments, scores, splits, true);
  const int64_t n_kept = kept.size(0);
  Tensor voted = empty_on(segments, {n_kept, 2}, segments.scalar_type());
  const Tensor own = torch::stable::contiguous(kept);
  for_dtype_of(segments, [&](auto zero) {
    using T = decltype(zero);
    const auto vote = variant<T>(avloc_cuda_vote_segments_f32, avloc_cuda_vote_segments_f64);
    check_launch(vote(
        indices(own), n_kept, doubles(proposals.times), doubles(proposals.values), proposals.n,
        proposals.splits(), proposals.n_recordings, iou_threshold, static_cast<T*>(voted.mutable_data_ptr()),
        proposals.is_wrong_kept(), proposals.stream()));
  });
  proposals.wait();
  if (proposals.is_kept_wrong) {
    check_kept(indices(on_cpu(own)), n_kept, proposals.n);
  }
  return voted;
}

} // namespace
} // namespace avloc

AVLOC_IMPLEMENT(m) {
  m.impl("segment_nms", TORCH_BOX(&avloc::segment_nms));
  m.impl("soft_segment_nms", TORCH_BOX(&avloc::soft_segment_nms));
  m.impl("vote_segments", TORCH_BOX(&avloc::vote_segments));
}
