// Arithmetic on segments, shared by host and device and by every kernel.
#pragma once

#include <stdint.h>

#ifdef __CUDACC__
#define AVLOC_HOST_DEVICE __host__ __device__
#else
#define AVLOC_HOST_DEVICE
#endif

namespace avloc {

AVLOC_HOST_DEVICE inline double smaller(double a, double b) {
  return a < b ? a : b;
}

AVLOC_HOST_DEVICE inline double larger(double a, double b) {
  return a > b ? a : b;
}

// Whether start and end are of a segment: finite, in order, and of a finite length.
AVLOC_HOST_DEVICE inline bool is_segment(double start, double end) {
  const double length = end - start; // infinite or not a number where one of them is
  return length >= 0.0 && length <= 1.7976931348623157e308;
}

// How far two segments (start, end) overlap; negative where they are apart.
AVLOC_HOST_DEVICE inline double overlap_of(const double* a, const double* b) {
  return smaller(a[1], b[1]) - larger(a[0], b[0]);
}

AVLOC_HOST_DEVICE inline double union_of(const double* a, const double* b) {
  return (a[1] - a[0]) + (b[1] - b[0]) - larger(overlap_of(a, b), 0.0);
}

// Intersection over union of two segments; a zero union gives 0.
AVLOC_HOST_DEVICE inline double segment_iou(const double* a, const double* b) {
  const double together = union_of(a, b);
  return together > 0.0 ? larger(overlap_of(a, b), 0.0) / together : 0.0;
}

// Slope of max(x, 0); at the kink the mean of both sides.
AVLOC_HOST_DEVICE inline double slope(double x) {
  return x > 0.0 ? 1.0 : (x < 0.0 ? 0.0 : 0.5);
}

// Add `weight` times the gradient of segment_iou(a, b) to the start and the end of a.
AVLOC_HOST_DEVICE inline void add_iou_gradient(
    double weight, const double* a, const double* b, double* grad_a) {
  const double together = union_of(a, b);
  if (together <= 0.0) {
    return;
  }
  const double overlap = overlap_of(a, b);
  const double iou = larger(overlap, 0.0) / together;
  // The intersection I and the lengths L enter as dIoU = ((1 + IoU) dI - IoU dL) / union.
  const double to_intersection = (1.0 + iou) * slope(overlap);
  grad_a[0] -= weight / together * (to_intersection * slope(a[0] - b[0]) - iou);
  grad_a[1] += weight / together * (to_intersection * slope(b[1] - a[1]) - iou);
}

// A span of frames [start, end), fractions of frames count.
struct Span {
  double start;
  double end;
};

AVLOC_HOST_DEVICE inline Span cut_to_recording(double start, double end, int64_t n_frames) {
  const double limit = static_cast<double>(n_frames);
  const double cut_start = smaller(larger(start, 0.0), limit);
  return {cut_start, larger(smaller(end, limit), cut_start)};
}

AVLOC_HOST_DEVICE inline double length(const Span& span) {
  return span.end - span.start;
}

// The spans that the three scores of a segment read; each is cut to the recording and may be empty.
struct SegmentSpans {
  Span inside;
  Span before, after;              // surround, of width max(1, length / 4) frames on either side
  Span onset_inner, onset_outer;   // two frames on either side of the start
  Span offset_inner, offset_outer; // two frames on either side of the end
};

AVLOC_HOST_DEVICE inline SegmentSpans segment_spans(double start, double end, int64_t n_frames) {
  const Span inside = cut_to_recording(start, end, n_frames);
  const double width = larger(1.0, length(inside) / 4.0);
  const double edge = 2.0;
  return {
      inside,
      cut_to_recording(inside.start - width, inside.start, n_frames),
      cut_to_recording(inside.end, inside.end + width, n_frames),
      cut_to_recording(inside.start, inside.start + edge, n_frames),
      cut_to_recording(inside.start - edge, inside.start, n_frames),
      cut_to_recording(inside.end - edge, inside.end, n_frames),
      cut_to_recording(inside.end, inside.end + edge, n_frames)};
}

} // namespace avloc
