// Tells whether a segment overlaps a kept one by at least a threshold, looking only at kept segments of
// similar start and length.
//
// IoU >= t says two things about segments of lengths a and b: the shorter is at least t times the longer,
// because no more than the shorter is shared and no less than the longer covered; and the second starts at
// most (a - t b) / (1 + t) after the first, because t (a + b) / (1 + t) of both is shared and the first ends
// no earlier than that. So kept segments lie in classes of length, each a row of cells of the start. Kept
// segments do not overlap each other by t, so a cell holds few, unless an outlier makes the cells wide.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "segments.h"

namespace avloc {

class KeptGrid {
 public:
  explicit KeptGrid(int64_t capacity) {
    kept_.reserve(capacity);
  }

  // Empty the grid, for n segments of one recording. threshold: in (0, 1].
  void clear(const double* segments, int64_t n, double threshold) {
    threshold_ = threshold;
    kept_.clear();
    classes_.clear();
    double shortest = std::numeric_limits<double>::infinity(), longest = 0.0;
    origin_ = std::numeric_limits<double>::infinity();
    double last = -origin_;
    for (int64_t index = 0; index < n; ++index) {
      const double length = segments[2 * index + 1] - segments[2 * index];
      origin_ = smaller(origin_, segments[2 * index]);
      last = larger(last, segments[2 * index]);
      longest = larger(longest, length);
      shortest = length > 0.0 ? smaller(shortest, length) : shortest;
    }
    if (longest > 0.0) {
      make_classes(shortest, longest, last - origin_, n);
    }
  }

  // Whether a kept segment overlaps this one by at least the threshold.
  bool covers(const double* segment) const {
    const double length = segment[1] - segment[0];
    if (length <= 0.0) {
      return false; // overlaps nothing
    }
    const int64_t own = class_of(length);
    if (covers_in(own, segment, length)) {
      return true; // the likeliest first
    }
    for (int64_t away = 1; away <= reach_; ++away) {
      if (covers_in(own - away, segment, length) || covers_in(own + away, segment, length)) {
        return true;
      }
    }
    return false;
  }

  void add(const double* segment) {
    const double length = segment[1] - segment[0];
    if (length <= 0.0) {
      return;
    }
    const Class& row = classes_[class_of(length)];
    int32_t& newest = newest_[row.first + cell_of(row, segment[0])];
    kept_.push_back({{segment[0], segment[1]}, newest});
    newest = static_cast<int32_t>(kept_.size()) - 1;
  }

 private:
  static constexpr double kSlack = 1.0 + 1e-9; // for the rounding of what is only an estimate here

  static constexpr double kNormal = 1e-290; // numbers above it keep all their digits in a product

  struct Class {
    double shortest, longest; // bounds of its lengths
    double cells_per_s;
    int64_t first, size; // its cells
  };

  struct Kept {
    double segment[2];
    int32_t older; // in the same cell; -1: none
  };

  // Rises with the length about as its logarithm does: by 2^52 from one power of two to the next.
  static int64_t bits_of(double length) {
    int64_t bits;
    std::memcpy(&bits, &length, sizeof bits);
    return bits;
  }

  static double length_of(int64_t bits) {
    double length;
    std::memcpy(&length, &bits, sizeof length);
    return length;
  }

  void make_classes(double shortest, double longest, double range, int64_t n) {
    // A factor of two is 2^52 in bits_of, any part of it at most 2 ln 2 times as much as in proportion.
    const double one = 4503599627370496.0; // 2^52
    const double ratio_bits = -2.0 * std::log(threshold_) * kSlack * one;
    const double step = smaller(larger(ratio_bits, one / 32.0), one);
    reach_ = static_cast<int64_t>(std::ceil(ratio_bits / step));
    lowest_ = bits_of(shortest);
    classes_per_bit_ = 1.0 / step;
    const int64_t n_classes = class_of_bits(bits_of(longest)) + 1;
    const double most_cells = static_cast<double>(2 * n / n_classes);
    int64_t first = 0;
    for (int64_t index = 0; index < n_classes; ++index) {
      const double least = length_above(static_cast<double>(index) * step) / kSlack;
      const double most = smaller(length_above(static_cast<double>(index + 1) * step) * kSlack, longest);
      const double width = larger(1.0 - threshold_, 1e-3) / (1.0 + threshold_) * most;
      const int64_t size = static_cast<int64_t>(smaller(range / width, most_cells)) + 1;
      classes_.push_back({least, most, range > 0.0 ? static_cast<double>(size) / range : 0.0, first, size});
      first += size;
    }
    newest_.assign(first, -1);
  }

  double length_above(double bits) const {
    return length_of(lowest_ + static_cast<int64_t>(bits));
  }

  int64_t class_of_bits(int64_t bits) const {
    return static_cast<int64_t>(static_cast<double>(bits - lowest_) * classes_per_bit_);
  }

  int64_t class_of(double length) const {
    return class_of_bits(bits_of(length));
  }

  int64_t cell_of(const Class& row, double start) const {
    const double cell = (start - origin_) * row.cells_per_s;
    return cell <= 0.0 ? 0 : static_cast<int64_t>(smaller(cell, static_cast<double>(row.size - 1)));
  }

  bool covers_in(int64_t index, const double* segment, double length) const {
    if (index < 0 || index >= static_cast<int64_t>(classes_.size())) {
      return false;
    }
    const Class& row = classes_[index];
    const double before = (row.longest * kSlack - threshold_ * length) / (1.0 + threshold_);
    const double after = (length * kSlack - threshold_ * row.shortest) / (1.0 + threshold_);
    const int32_t* newest = newest_.data() + row.first;
    const int64_t end = cell_of(row, segment[0] + after);
    for (int64_t cell = cell_of(row, segment[0] - before); cell <= end; ++cell) {
      for (int32_t place = newest[cell]; place >= 0; place = kept_[place].older) {
        if (reaches(kept_[place].segment, segment)) {
          return true;
        }
      }
    }
    return false;
  }

  // Whether the IoU reaches the threshold: divided only where a product of about the same does not tell.
  bool reaches(const double* a, const double* b) const {
    const double overlap = overlap_of(a, b);
    const double least = threshold_ * union_of(a, b);
    if (least > kNormal) {
      if (overlap * kSlack < least || overlap >= least * kSlack) {
        return overlap >= least;
      }
    }
    return segment_iou(a, b) >= threshold_;
  }

  double threshold_ = 1.0;
  double origin_ = 0.0; // earliest start
  int64_t lowest_ = 0;  // bits_of the shortest length
  double classes_per_bit_ = 0.0;
  int64_t reach_ = 1; // classes on either side in which the threshold can be reached
  std::vector<Class> classes_;
  std::vector<int32_t> newest_; // of each cell the newest of kept_; -1: none
  std::vector<Kept> kept_;
};

} // namespace avloc
