// Schemas of the operations and their CPU registration on torch's stable ABI: every argument is checked here,
// before a kernel sees a pointer.
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
  }
}

ScoreInput score_input(const Tensor& frame_scores, const Tensor& segments) {
  check(frame_scores.dim() == 2, "frame_scores must have shape (B, T), got ", shape_of(frame_scores));
  check(
      segments.dim() == 2 && segments.size(1) == 3,
      "segments must have shape (N, 3): batch row, start and end in frames, got ", shape_of(segments));
  check(
      frame_scores.scalar_type() == segments.scalar_type(),
      "segments must have the dtype of frame_scores, got two dtypes");
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
  check(
      grad.dim() == 2 && grad.size(0) == n && grad.size(1) == 3,
      "grad must have shape (N, 3) for segments of shape (N, 3), got ", shape_of(grad), " and ",
      shape_of(segments));
  const Tensor weights = as_double(grad, "grad");
  const Tensor out = empty({input.frame_scores.size(0), input.frame_scores.size(1)}, ScalarType::Double);
  torch::stable::parallel_for(0, input.frame_scores.size(0), 1, [&](int64_t first, int64_t last) {
    avloc_score_segments_backward(
        doubles(weights), doubles(input.frame_scores), doubles(input.prefix), input.frame_scores.size(1),
        doubles(input.segments), n, first, last, mutable_doubles(out));
  });
  return torch::stable::to(out, frame_scores.scalar_type());
}

void check_streams(const Tensor& audio, const Tensor& visual, int64_t max_lag) {
  check(
      audio.dim() == 3 && visual.dim() == 3 && audio.size(0) == visual.size(0) &&
          audio.size(1) == visual.size(1) && audio.size(2) == visual.size(2) && audio.size(1) > 0,
      "audio and visual must have the same shape (B, C, T) with C > 0, got ", shape_of(audio), " and ",
      shape_of(visual));
  check(
      is_real(audio) && audio.scalar_type() == visual.scalar_type(),
      "audio and visual must both be float32 or both float64");
  check(audio.is_cpu() && visual.is_cpu(), "audio and visual must be on the CPU, got another device");
  check(max_lag >= 0, "max_lag must be at least 0 frames, got ", max_lag);
}

Tensor band_correlation(Tensor audio, Tensor visual, int64_t max_lag) {
  check_streams(audio, visual, max_lag);
  const Tensor sound = torch::stable::contiguous(audio);
  const Tensor picture = torch::stable::contiguous(visual);
  const int64_t channels = audio.size(1), frames = audio.size(2), n_lags = 2 * max_lag + 1;
  Tensor out = empty({audio.size(0), n_lags, frames}, audio.scalar_type());
  const auto run = [&](auto kernel, auto zero) {
    using T = decltype(zero);
    const auto* a = static_cast<const T*>(sound.const_data_ptr());
    const auto* v = static_cast<const T*>(picture.const_data_ptr());
    auto* to = static_cast<T*>(out.mutable_data_ptr());
    torch::stable::parallel_for(0, audio.size(0) * n_lags, 4, [&](int64_t first, int64_t last) {
      kernel(a, v, channels, frames, max_lag, first, last, to);
    });
  };
  audio.scalar_type() == ScalarType::Float ? run(avloc_band_correlation_f32, 0.0F)
                                           : run(avloc_band_correlation_f64, 0.0);
  return out;
}

std::tuple<Tensor, Tensor> band_correlation_backward(
    Tensor grad, Tensor audio, Tensor visual, int64_t max_lag) {
  check_streams(audio, visual, max_lag);
  const int64_t batch = audio.size(0), channels = audio.size(1), frames = audio.size(2);
  check(
      grad.dim() == 3 && grad.size(0) == batch && grad.size(1) == 2 * max_lag + 1 && grad.size(2) == frames &&
          grad.scalar_type() == audio.scalar_type() && grad.is_cpu(),
      "grad must have shape (B, 2 * max_lag + 1, T) and the dtype of audio, got ", shape_of(grad));
  const Tensor weights = torch::stable::contiguous(grad);
  const Tensor sound = torch::stable::contiguous(audio);
  const Tensor picture = torch::stable::contiguous(visual);
  Tensor grad_audio = empty({batch, channels, frames}, audio.scalar_type());
  Tensor grad_visual = empty({batch, channels, frames}, audio.scalar_type());
  const auto run = [&](auto kernel, auto zero) {
    using T = decltype(zero);
    const auto* g = static_cast<const T*>(weights.const_data_ptr());
    const auto* a = static_cast<const T*>(sound.const_data_ptr());
    const auto* v = static_cast<const T*>(picture.const_data_ptr());
    auto* to_audio = static_cast<T*>(grad_audio.mutable_data_ptr());
    auto* to_visual = static_cast<T*>(grad_visual.mutable_data_ptr());
    torch::stable::parallel_for(0, batch * channels, 4, [&](int64_t first, int64_t last) {
      kernel(g, a, v, channels, frames, max_lag, first, last, to_audio, to_visual);
    });
  };
  audio.scalar_type() == ScalarType::Float ? run(avloc_band_correlation_backward_f32, 0.0F)
                                           : run(avloc_band_correlation_backward_f64, 0.0);
  return {grad_audio, grad_visual};
}

} // namespace
} // namespace avloc

// The same schemas stand in avloc/ops/_extension.py, for an avloc without this library; a test compares them.
STABLE_TORCH_LIBRARY(avloc, m) {
  m.def("segment_nms(Tensor segments, Tensor scores, float iou_threshold, *, Tensor? splits) -> Tensor");
  m.def(
      "soft_segment_nms(Tensor segments, Tensor scores, *, str method, float sigma, float iou_threshold, "
      "float iou_at_0s, float iou_at_1s, float min_score, int? max_segments, Tensor? splits) "
      "-> (Tensor, Tensor)");
  m.def("score_segments(Tensor frame_scores, Tensor segments) -> Tensor");
  m.def("score_segments_backward(Tensor grad, Tensor frame_scores, Tensor segments) -> Tensor");
  m.def("band_correlation(Tensor audio, Tensor visual, int max_lag) -> Tensor");
  m.def(
      "band_correlation_backward(Tensor grad, Tensor audio, Tensor visual, int max_lag) -> (Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(avloc, CPU, m) {
  m.impl("segment_nms", TORCH_BOX(&avloc::segment_nms));
  m.impl("soft_segment_nms", TORCH_BOX(&avloc::soft_segment_nms));
  m.impl("score_segments", TORCH_BOX(&avloc::score_segments));
  m.impl("score_segments_backward", TORCH_BOX(&avloc::score_segments_backward));
  m.impl("band_correlation", TORCH_BOX(&avloc::band_correlation));
  m.impl("band_correlation_backward", TORCH_BOX(&avloc::band_correlation_backward));
}
