// Finds the segments of a recording that overlap a given one without looking at all of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace avloc {

class OverlapIndex {
 public:
  explicit OverlapIndex(int64_t capacity) : by_start_(capacity), reach_(capacity) {}

  // Index n segments (start, end); n is at most the capacity, and the array must outlive the queries.
  void build(const double* segments, int64_t n) {
    segments_ = segments;
    n_ = n;
    std::iota(by_start_.begin(), by_start_.begin() + n, int64_t{0});
    std::sort(by_start_.begin(), by_start_.begin() + n, [segments](int64_t a, int64_t b) {
      return segments[2 * a] < segments[2 * b];
    });
    double reach = 0.0;
    for (int64_t position = 0; position < n; ++position) {
      const double end = segments[2 * by_start_[position] + 1];
      reach = position == 0 ? end : std::max(reach, end);
      reach_[position] = reach;
    }
  }

  // Call visit(index) for every segment whose intersection with [start, end) is longer than zero.
  template <class Visit>
  void visit_overlapping(double start, double end, const Visit& visit) const {
    // reach_ never falls, so everything before the first reach beyond `start` ends at or before it.
    const auto begin = std::upper_bound(reach_.begin(), reach_.begin() + n_, start);
    for (int64_t position = begin - reach_.begin(); position < n_; ++position) {
      const int64_t index = by_start_[position];
      if (segments_[2 * index] >= end) {
        break;
      }
      if (segments_[2 * index + 1] > start) {
        visit(index);
      }
    }
  }

 private:
  std::vector<int64_t> by_start_; // indices in order of start
  std::vector<double> reach_;     // largest end among the first positions
  const double* segments_ = nullptr;
  int64_t n_ = 0;
};

// Number of segments of the largest recording in [first, last): what scratch space must hold.
inline int64_t largest_recording(const int64_t* splits, int64_t first, int64_t last) {
  int64_t largest = 0;
  for (int64_t recording = first; recording < last; ++recording) {
    largest = std::max(largest, splits[recording + 1] - splits[recording]);
  }
  return largest;
}

} // namespace avloc
