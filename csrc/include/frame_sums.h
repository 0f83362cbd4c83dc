// Sums and means of frame scores over spans, shared by host and device.
#pragma once

#include <stdint.h>

#include "segments.h"

namespace avloc {

// Frame scores of one recording as a piecewise constant function of time in frames.
template <class T>
struct Frames {
  const T* scores;
  const double* prefix; // running sums, prefix[0] = 0
  int64_t n;

  // Whole frames by running sums, the parts at either end by themselves: a span of a small part of a frame
  // would otherwise be the difference of two large numbers.
  AVLOC_HOST_DEVICE double sum(const Span& span) const {
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

  AVLOC_HOST_DEVICE double mean(const Span& span) const {
    return length(span) > 0.0 ? sum(span) / length(span) : 0.0;
  }
};

AVLOC_HOST_DEVICE inline double magnitude(double value) {
  return value < 0.0 ? -value : value;
}

AVLOC_HOST_DEVICE inline double sign(double value) {
  return value != value ? value : static_cast<double>((value > 0.0) - (value < 0.0));
}

// scores: mean inside, contrast to the surround, sharpness of the boundaries; times in frames.
template <class T>
AVLOC_HOST_DEVICE void score_segment(const Frames<T>& frames, double start, double end, double* scores) {
  const SegmentSpans spans = segment_spans(start, end, frames.n);
  if (length(spans.inside) <= 0.0) {
    scores[0] = scores[1] = scores[2] = 0.0;
    return;
  }
  const double around = length(spans.before) + length(spans.after);
  const double surround = around > 0.0 ? (frames.sum(spans.before) + frames.sum(spans.after)) / around : 0.0;
  scores[0] = frames.mean(spans.inside);
  scores[1] = scores[0] - surround;
  scores[2] = 0.5 * (magnitude(frames.mean(spans.onset_inner) - frames.mean(spans.onset_outer)) +
                     magnitude(frames.mean(spans.offset_inner) - frames.mean(spans.offset_outer)));
}

constexpr int kGradientParts = 7;

// A span and the gradient to each frame that it covers wholly.
struct GradientPart {
  Span span;
  double weight;
};

// The gradient of the three scores of a segment to the frame scores, as constants over spans; the spans are
// empty where there is none.
template <class T>
AVLOC_HOST_DEVICE void segment_gradient(
    const double* grad, const Frames<T>& frames, double start, double end, GradientPart* parts) {
  const SegmentSpans spans = segment_spans(start, end, frames.n);
  const double around = length(spans.before) + length(spans.after);
  const double onset = 0.5 * grad[2] * sign(frames.mean(spans.onset_inner) - frames.mean(spans.onset_outer));
  const double offset =
      0.5 * grad[2] * sign(frames.mean(spans.offset_inner) - frames.mean(spans.offset_outer));
  parts[0] = {spans.inside, (grad[0] + grad[1]) / length(spans.inside)};
  parts[1] = {spans.before, -grad[1] / around};
  parts[2] = {spans.after, -grad[1] / around};
  parts[3] = {spans.onset_inner, onset / length(spans.onset_inner)};
  parts[4] = {spans.onset_outer, -onset / length(spans.onset_outer)};
  parts[5] = {spans.offset_inner, offset / length(spans.offset_inner)};
  parts[6] = {spans.offset_outer, -offset / length(spans.offset_outer)};
  for (int part = 0; part < kGradientParts; ++part) {
    // Nothing is left of the segment, or of this part: the quotients above say nothing.
    if (length(spans.inside) <= 0.0 || length(parts[part].span) <= 0.0) {
      parts[part] = {{0.0, 0.0}, 0.0};
    }
  }
}

// How much of a frame a span covers, in [0, 1].
AVLOC_HOST_DEVICE inline double coverage(const Span& span, int64_t frame) {
  const double covered =
      smaller(span.end, static_cast<double>(frame + 1)) - larger(span.start, static_cast<double>(frame));
  return larger(covered, 0.0);
}

} // namespace avloc
