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

// Intersection over union of two segments (start, end); a zero union gives 0.
AVLOC_HOST_DEVICE inline double segment_iou(const double* a, const double* b) {
  const double intersection = larger(smaller(a[1], b[1]) - larger(a[0], b[0]), 0.0);
  const double together = (a[1] - a[0]) + (b[1] - b[0]) - intersection;
  return together > 0.0 ? intersection / together : 0.0;
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
