// Three scores of a segment from frame scores: mean inside, contrast to the surround, sharpness of the
// boundaries.
#include <algorithm>
#include <cstdint>

#include "avloc_kernels.h"
#include "frame_sums.h"

namespace avloc {
namespace {

void score_backward(
    const double* grad, const Frames<double>& frames, double start, double end, double* grad_frames) {
  GradientPart parts[kGradientParts];
  segment_gradient(grad, frames, start, end, parts);
  for (const auto& [span, weight] : parts) {
    for (auto frame = static_cast<int64_t>(span.start); static_cast<double>(frame) < span.end; ++frame) {
      grad_frames[frame] += weight * coverage(span, frame);
    }
  }
}

Frames<double> frames_of(int64_t row, const double* frame_scores, const double* prefix, int64_t n_frames) {
  return {frame_scores + row * n_frames, prefix + row * (n_frames + 1), n_frames};
}

} // namespace
} // namespace avloc

extern "C" void avloc_prefix_sums(
    const double* frame_scores, int64_t n_frames, int64_t first, int64_t last, double* prefix) {
  for (int64_t row = first; row < last; ++row) {
    double* own = prefix + row * (n_frames + 1);
    own[0] = 0.0;
    for (int64_t frame = 0; frame < n_frames; ++frame) {
      own[frame + 1] = own[frame] + frame_scores[row * n_frames + frame];
    }
  }
}

extern "C" void avloc_score_segments(
    const double* frame_scores, const double* prefix, int64_t n_frames, const double* segments, int64_t first,
    int64_t last, double* scores) {
  for (int64_t index = first; index < last; ++index) {
    const double* segment = segments + 3 * index;
    const auto frames = avloc::frames_of(static_cast<int64_t>(segment[0]), frame_scores, prefix, n_frames);
    avloc::score_segment(frames, segment[1], segment[2], scores + 3 * index);
  }
}

extern "C" void avloc_score_segments_backward(
    const double* grad_scores, const double* frame_scores, const double* prefix, int64_t n_frames,
    const double* segments, int64_t n_segments, int64_t first, int64_t last, double* grad_frame_scores) {
  std::fill(grad_frame_scores + first * n_frames, grad_frame_scores + last * n_frames, 0.0);
  for (int64_t index = 0; index < n_segments; ++index) {
    const double* segment = segments + 3 * index;
    const int64_t row = static_cast<int64_t>(segment[0]);
    if (row >= first && row < last) {
      const auto frames = avloc::frames_of(row, frame_scores, prefix, n_frames);
      avloc::score_backward(
          grad_scores + 3 * index, frames, segment[1], segment[2], grad_frame_scores + row * n_frames);
    }
  }
}
