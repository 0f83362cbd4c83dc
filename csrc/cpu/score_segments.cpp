// Three scores of a segment from frame scores: mean inside, contrast to the surround, sharpness of the
// boundaries.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "avloc_kernels.h"
#include "segments.h"

namespace avloc {
namespace {

// Frame scores of one recording as a piecewise constant function of time in frames.
struct Frames {
  const double* scores;
  const double* prefix;
  int64_t n;

  // Whole frames by running sums, the parts at either end by themselves: a span of a small part of a frame
  // would otherwise be the difference of two large numbers.
  double sum(const Span& span) const {
    if (length(span) <= 0.0) {
      return 0.0;
    }
    const int64_t first = static_cast<int64_t>(span.start);
    const int64_t last = static_cast<int64_t>(span.end);
    if (first == last) {
      return length(span) * scores[first];
    }
    const double head = (static_cast<double>(first + 1) - span.start) * scores[first];
    const double tail = last < n ? (span.end - static_cast<double>(last)) * scores[last] : 0.0;
    return head + (prefix[last] - prefix[first + 1]) + tail;
  }
  double mean(const Span& span) const {
    return length(span) > 0.0 ? sum(span) / length(span) : 0.0;
  }
};

double sign(double value) {
  return static_cast<double>((value > 0.0) - (value < 0.0));
}

void score(const Frames& frames, double start, double end, double* scores) {
  const SegmentSpans spans = segment_spans(start, end, frames.n);
  if (length(spans.inside) <= 0.0) {
    std::fill(scores, scores + 3, 0.0);
    return;
  }
  const double around = length(spans.before) + length(spans.after);
  const double surround = around > 0.0 ? (frames.sum(spans.before) + frames.sum(spans.after)) / around : 0.0;
  scores[0] = frames.mean(spans.inside);
  scores[1] = scores[0] - surround;
  scores[2] = 0.5 * (std::fabs(frames.mean(spans.onset_inner) - frames.mean(spans.onset_outer)) +
                     std::fabs(frames.mean(spans.offset_inner) - frames.mean(spans.offset_outer)));
}

// Spread `grad`, the gradient to the mean over a span of `total` frames, over the frames of one part of that
// span.
void spread(double grad, const Span& part, double total, double* grad_frames) {
  if (length(part) <= 0.0) {
    return;
  }
  for (int64_t frame = static_cast<int64_t>(part.start); static_cast<double>(frame) < part.end; ++frame) {
    const double covered =
        smaller(part.end, static_cast<double>(frame + 1)) - larger(part.start, static_cast<double>(frame));
    grad_frames[frame] += grad / total * covered;
  }
}

void score_backward(const double* grad, const Frames& frames, double start, double end, double* grad_frames) {
  const SegmentSpans spans = segment_spans(start, end, frames.n);
  if (length(spans.inside) <= 0.0) {
    return;
  }
  const double around = length(spans.before) + length(spans.after);
  const double onset = 0.5 * grad[2] * sign(frames.mean(spans.onset_inner) - frames.mean(spans.onset_outer));
  const double offset =
      0.5 * grad[2] * sign(frames.mean(spans.offset_inner) - frames.mean(spans.offset_outer));
  spread(grad[0] + grad[1], spans.inside, length(spans.inside), grad_frames);
  spread(-grad[1], spans.before, around, grad_frames);
  spread(-grad[1], spans.after, around, grad_frames);
  spread(onset, spans.onset_inner, length(spans.onset_inner), grad_frames);
  spread(-onset, spans.onset_outer, length(spans.onset_outer), grad_frames);
  spread(offset, spans.offset_inner, length(spans.offset_inner), grad_frames);
  spread(-offset, spans.offset_outer, length(spans.offset_outer), grad_frames);
}

Frames frames_of(int64_t row, const double* frame_scores, const double* prefix, int64_t n_frames) {
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
    avloc::score(frames, segment[1], segment[2], scores + 3 * index);
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
