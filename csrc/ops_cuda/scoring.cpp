// CUDA registration of the scores of segments on torch's stable ABI. Nothing waits for the device, and so
// wrong values are not errors here: their results are not numbers.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <cstdint>

#include "checks.h"
#include "queueing.h"

namespace avloc {
namespace {

template <class T>
Tensor prefix_of(const Tensor& frame_scores, const OnDevice& on_device) {
  const int64_t n_rows = frame_scores.size(0), n_frames = frame_scores.size(1);
  Tensor prefix = empty_on(frame_scores, {n_rows, n_frames + 1}, ScalarType::Double);
  const auto sum = variant<T>(avloc_cuda_prefix_sums_f32, avloc_cuda_prefix_sums_f64);
  check_launch(
      sum(static_cast<const T*>(frame_scores.const_data_ptr()), n_rows, n_frames, mutable_doubles(prefix),
          on_device.stream()));
  return prefix;
}

Tensor score_segments(Tensor frame_scores, Tensor segments) {
  check_score_shapes(frame_scores, segments);
  const Tensor frames = real_on_device(frame_scores, "frame_scores", frame_scores);
  const Tensor spans = real_on_device(segments, "segments", frame_scores);
  const OnDevice on_device(frames);
  const int64_t n = spans.size(0);
  Tensor out = empty_on(frames, {n, 3}, frames.scalar_type());
  for_dtype_of(frames, [&](auto zero) {
    using T = decltype(zero);
    const Tensor prefix = prefix_of<T>(frames, on_device);
    const auto score = variant<T>(avloc_cuda_score_segments_f32, avloc_cuda_score_segments_f64);
    check_launch(score(
        static_cast<const T*>(frames.const_data_ptr()), doubles(prefix), frames.size(0), frames.size(1),
        static_cast<const T*>(spans.const_data_ptr()), n, static_cast<T*>(out.mutable_data_ptr()),
        on_device.stream()));
  });
  return out;
}

Tensor score_segments_backward(Tensor grad, Tensor frame_scores, Tensor segments) {
  check_score_shapes(frame_scores, segments);
  const Tensor frames = real_on_device(frame_scores, "frame_scores", frame_scores);
  const Tensor spans = real_on_device(segments, "segments", frame_scores);
  const Tensor weights = real_on_device(grad, "grad", frame_scores);
  const int64_t n = spans.size(0), n_rows = frames.size(0), n_frames = frames.size(1);
  check_score_grad(grad, segments);
  const OnDevice on_device(frames);
  Tensor out = empty_on(frames, {n_rows, n_frames}, frames.scalar_type());
  for_dtype_of(frames, [&](auto zero) {
    using T = decltype(zero);
    const auto* from = static_cast<const T*>(spans.const_data_ptr());
    const Tensor prefix = prefix_of<T>(frames, on_device);
    const Tensor rows = empty_on(frames, {n}, ScalarType::Long);
    const auto name_rows = variant<T>(avloc_cuda_batch_rows_f32, avloc_cuda_batch_rows_f64);
    check_launch(name_rows(from, n, n_rows, mutable_indices(rows), on_device.stream()));
    const auto [sorted, order] = stable_sort(rows, false);
    const Tensor parts = empty_on(frames, {n, 23}, ScalarType::Double);
    const auto backward =
        variant<T>(avloc_cuda_score_segments_backward_f32, avloc_cuda_score_segments_backward_f64);
    check_launch(backward(
        static_cast<const T*>(weights.const_data_ptr()), static_cast<const T*>(frames.const_data_ptr()),
        doubles(prefix), n_rows, n_frames, from, indices(sorted), indices(order), n, mutable_doubles(parts),
        static_cast<T*>(out.mutable_data_ptr()), on_device.stream()));
  });
  return out;
}

Tensor segment_iou(Tensor a, Tensor b) {
  check_pair_shapes(a, b);
  const Tensor ours = real_on_device(a, "a", a), theirs = real_on_device(b, "b", a);
  const OnDevice on_device(ours);
  const int64_t n = a.size(0), m = b.size(0);
  Tensor out = empty_on(ours, {n, m}, a.scalar_type());
  for_dtype_of(ours, [&](auto zero) {
    using T = decltype(zero);
    const auto compare = variant<T>(avloc_cuda_segment_iou_f32, avloc_cuda_segment_iou_f64);
    check_launch(compare(
        static_cast<const T*>(ours.const_data_ptr()), static_cast<const T*>(theirs.const_data_ptr()), n, m,
        static_cast<T*>(out.mutable_data_ptr()), on_device.stream()));
  });
  return out;
}

Tensor segment_iou_backward(Tensor grad, Tensor a, Tensor b) {
  check_pair_shapes(a, b);
  check_pair_grad(grad, a, b);
  const Tensor ours = real_on_device(a, "a", a), theirs = real_on_device(b, "b", a);
  const Tensor weights = real_on_device(grad, "grad", a);
  const OnDevice on_device(ours);
  const int64_t n = a.size(0), m = b.size(0);
  Tensor out = empty_on(ours, {n, 2}, a.scalar_type());
  for_dtype_of(ours, [&](auto zero) {
    using T = decltype(zero);
    const auto compare = variant<T>(avloc_cuda_segment_iou_backward_f32, avloc_cuda_segment_iou_backward_f64);
    check_launch(compare(
        static_cast<const T*>(weights.const_data_ptr()), static_cast<const T*>(ours.const_data_ptr()),
        static_cast<const T*>(theirs.const_data_ptr()), n, m, static_cast<T*>(out.mutable_data_ptr()),
        on_device.stream()));
  });
  return out;
}

} // namespace
} // namespace avloc

AVLOC_IMPLEMENT(m) {
  m.impl("score_segments", TORCH_BOX(&avloc::score_segments));
  m.impl("score_segments_backward", TORCH_BOX(&avloc::score_segments_backward));
  m.impl("segment_iou", TORCH_BOX(&avloc::segment_iou));
  m.impl("segment_iou_backward", TORCH_BOX(&avloc::segment_iou_backward));
}
