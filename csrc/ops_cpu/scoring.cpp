// Schemas of the scores of segments and their CPU registration on torch's stable ABI: every argument is
// checked here, before a kernel sees a pointer.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "arguments.h"
#include "avloc_kernels.h"
#include "checks.h"

namespace avloc {
namespace {

struct ScoreInput {
  Tensor frame_scores; // (B, T)
  Tensor segments;     // (N, 3)
  Tensor prefix;       // (B, T + 1)
};

void check_rows(const double* segments, int64_t n, int64_t n_rows) {
  for (int64_t i = 0; i < n; ++i) {
    const double row = segments[3 * i];
    const double start = segments[3 * i + 1];
    const double end = segments[3 * i + 2];
    check(
        row >= 0.0 && row < static_cast<double>(n_rows) && row == std::floor(row),
        "segments must name a batch row in [0, ", n_rows, "), got ", row, " at row ", i);
    check(
        std::isfinite(start) && std::isfinite(end) && start <= end,
        "segments must be finite with start <= end, got [", start, ", ", end, "] at row ", i);
    check(
        std::isfinite(end - start), "segments must have a finite length, got [", start, ", ", end,
        "] at row ", i);
  }
}

ScoreInput score_input(const Tensor& frame_scores, const Tensor& segments) {
  check_score_shapes(frame_scores, segments);
  const Tensor values = as_double(frame_scores, "frame_scores");
  const Tensor spans = as_double(segments, "segments");
  check_rows(doubles(spans), spans.size(0), values.size(0));
  for (int64_t i = 0; i < values.numel(); ++i) {
    check(std::isfinite(doubles(values)[i]), "frame_scores must be finite, got ", doubles(values)[i]);
  }
  const int64_t n_frames = values.size(1);
  const Tensor prefix = empty({values.size(0), n_frames + 1}, ScalarType::Double);
  torch::stable::parallel_for(0, values.size(0), 1, [&](int64_t first, int64_t last) {
    avloc_prefix_sums(doubles(values), n_frames, first, last, mutable_doubles(prefix));
  });
  return {values, spans, prefix};
}

Tensor score_segments(Tensor frame_scores, Tensor segments) {
  const ScoreInput input = score_input(frame_scores, segments);
  const int64_t n = input.segments.size(0);
  const Tensor out = empty({n, 3}, ScalarType::Double);
  torch::stable::parallel_for(0, n, 256, [&](int64_t first, int64_t last) {
    avloc_score_segments(
        doubles(input.frame_scores), doubles(input.prefix), input.frame_scores.size(1),
        doubles(input.segments), first, last, mutable_doubles(out));
  });
  return torch::stable::to(out, frame_scores.scalar_type());
}

Tensor score_segments_backward(Tensor grad, Tensor frame_scores, Tensor segments) {
  const ScoreInput input = score_input(frame_scores, segments);
  const int64_t n = input.segments.size(0);
  check_score_grad(grad, segments);
  const Tensor weights = as_double(grad, "grad");
  const Tensor out = empty({input.frame_scores.size(0), input.frame_scores.size(1)}, ScalarType::Double);
  torch::stable::parallel_for(0, input.frame_scores.size(0), 1, [&](int64_t first, int64_t last) {
    avloc_score_segments_backward(
        doubles(weights), doubles(input.frame_scores), doubles(input.prefix), input.frame_scores.size(1),
        doubles(input.segments), n, first, last, mutable_doubles(out));
  });
  return torch::stable::to(out, frame_scores.scalar_type());
}

struct Pairs {
  Tensor a; // (N, 2)
  Tensor b; // (M, 2)
};

Pairs pairs_of(const Tensor& a, const Tensor& b) {
  check_pair_shapes(a, b);
  const Pairs pairs{as_double(a, "a"), as_double(b, "b")};
  check_segments(doubles(pairs.a), pairs.a.size(0), "a");
  check_segments(doubles(pairs.b), pairs.b.size(0), "b");
  return pairs;
}

// Rows of `a` for one thread: enough pairs to be worth a thread.
int64_t rows_at_once(int64_t m) {
  return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, m));
}

Tensor segment_iou(Tensor a, Tensor b) {
  const Pairs pairs = pairs_of(a, b);
  const int64_t n = a.size(0), m = b.size(0);
  Tensor out = empty({n, m}, a.scalar_type());
  const auto run = [&](auto kernel, auto zero) {
    auto* to = static_cast<decltype(zero)*>(out.mutable_data_ptr());
    torch::stable::parallel_for(0, n, rows_at_once(m), [&](int64_t first, int64_t last) {
      kernel(doubles(pairs.a), doubles(pairs.b), m, first, last, to);
    });
  };
  a.scalar_type() == ScalarType::Float ? run(avloc_segment_iou_f32, 0.0F) : run(avloc_segment_iou_f64, 0.0);
  return out;
}

Tensor segment_iou_backward(Tensor grad, Tensor a, Tensor b) {
  const Pairs pairs = pairs_of(a, b);
  const int64_t n = a.size(0), m = b.size(0);
  check_pair_grad(grad, a, b);
  check(grad.is_cpu(), "grad must be on the CPU, got another device");
  const Tensor weights = torch::stable::contiguous(grad);
  const Tensor out = empty({n, 2}, ScalarType::Double);
  const auto run = [&](auto kernel, auto zero) {
    const auto* from = static_cast<const decltype(zero)*>(weights.const_data_ptr());
    torch::stable::parallel_for(0, n, rows_at_once(m), [&](int64_t first, int64_t last) {
      kernel(from, doubles(pairs.a), doubles(pairs.b), m, first, last, mutable_doubles(out));
    });
  };
  a.scalar_type() == ScalarType::Float ? run(avloc_segment_iou_backward_f32, 0.0F)
                                       : run(avloc_segment_iou_backward_f64, 0.0);
  return torch::stable::to(out, a.scalar_type());
}

} // namespace
} // namespace avloc

// The same schemas stand in avloc/ops/_extension.py, for an avloc without this library; a test compares them.
STABLE_TORCH_LIBRARY_FRAGMENT(avloc, m) {
  m.def("score_segments(Tensor frame_scores, Tensor segments) -> Tensor");
  m.def("score_segments_backward(Tensor grad, Tensor frame_scores, Tensor segments) -> Tensor");
  m.def("segment_iou(Tensor a, Tensor b) -> Tensor");
  m.def("segment_iou_backward(Tensor grad, Tensor a, Tensor b) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(avloc, CPU, m) {
  m.impl("score_segments", TORCH_BOX(&avloc::score_segments));
  m.impl("score_segments_backward", TORCH_BOX(&avloc::score_segments_backward));
  m.impl("segment_iou", TORCH_BOX(&avloc::segment_iou));
  m.impl("segment_iou_backward", TORCH_BOX(&avloc::segment_iou_backward));
}
