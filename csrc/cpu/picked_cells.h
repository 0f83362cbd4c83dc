// What the picked segments take from the score of another one, without looking at those far from it.
//
// Cells of time hold the picks that cover them and, apart from those, the picks that start in them. A segment
// reads the covering picks of its first cell and the starting ones of its others, so that it meets every pick
// that overlaps it once. Losses are rounded to multiples of 2^-36: their sum is then exact, whatever the
// order, and segments that lie alike lose alike.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "segments.h"
#include "soft_rule.h"

// One more copy of a function for processors with wider vectors; both round alike.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__)
#define AVLOC_WIDER_TOO __attribute__((target_clones("avx2", "default")))
#else
#define AVLOC_WIDER_TOO
#endif

namespace avloc {

constexpr int kPicksPerBlock = 16;
constexpr double kNowhere = 1e300; // start and end of places that hold no pick: it overlaps nothing

// A run of picks, in order.
struct PickBlock {
  double start[kPicksPerBlock], end[kPicksPerBlock];
  double least[kPicksPerBlock]; // IoU that takes nothing yet
  double turn[kPicksPerBlock];  // how many were picked before
  int32_t size, older;          // older: block of earlier picks; -1: none
};

// Sum of the squares of the IoU with the picks of a block from a turn on, where it exceeds their least.
AVLOC_WIDER_TOO inline double squares_of_block(
    const PickBlock& block, double start, double end, double length, double turn) {
  double squares[kPicksPerBlock];
  for (int place = 0; place < kPicksPerBlock; ++place) {
    const double overlap = larger(smaller(end, block.end[place]) - larger(start, block.start[place]), 0.0);
    const double iou = overlap / (length + (block.end[place] - block.start[place]) - overlap);
    const bool counts = iou > block.least[place] && block.turn[place] >= turn;
    squares[place] = counts ? rounded_loss(iou * iou) : 0.0;
  }
  double sums[4] = {0.0, 0.0, 0.0, 0.0};
  for (int place = 0; place < kPicksPerBlock; ++place) {
    sums[place % 4] += squares[place];
  }
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

class PickedCells {
 public:
  // Forget all picks, for n segments of one recording.
  void clear(const double* segments, int64_t n) {
    blocks_.clear();
    turns_ = 0;
    double last = -std::numeric_limits<double>::infinity(), total = 0.0;
    origin_ = -last;
    for (int64_t index = 0; index < n; ++index) {
      origin_ = smaller(origin_, segments[2 * index]);
      last = larger(last, segments[2 * index + 1]);
      total += segments[2 * index + 1] - segments[2 * index];
    }
    // A mean length: a pick then covers about two cells, and most of what a segment meets overlaps it.
    const double width = total / static_cast<double>(std::max<int64_t>(n, 1));
    const double range = n > 0 ? last - origin_ : 0.0;
    const double cells = width > 0.0 ? smaller(range / width, static_cast<double>(n)) : 0.0;
    const auto size = static_cast<int64_t>(cells) + 1;
    cells_per_s_ = range > 0.0 ? static_cast<double>(size) / range : 0.0;
    covering_.assign(size, -1);
    starting_.assign(size, -1);
  }

  int64_t n_picks() const {
    return turns_;
  }

  // Add a pick, which takes nothing from segments whose IoU with it is at most `least`.
  void add(const double* segment, double least) {
    if (segment[1] > segment[0]) { // another overlaps nothing
      const int64_t first = cell_of(segment[0]), last = cell_of(segment[1]);
      append(starting_[first], segment, least);
      for (int64_t cell = first; cell <= last; ++cell) {
        append(covering_[cell], segment, least);
      }
    }
    ++turns_;
  }

  // Sum over picks from a turn on of what `of_block(block, start, end, length, turn)` gives; ends early once
  // it is above `most`.
  template <class OfBlock>
  double sum(const double* segment, int64_t turn, double most, const OfBlock& of_block) const {
    const double length = segment[1] - segment[0];
    double total = 0.0;
    if (length <= 0.0) {
      return total;
    }
    const auto from = static_cast<double>(turn);
    const int64_t first = cell_of(segment[0]), last = cell_of(segment[1]);
    for (int64_t cell = first; cell <= last && total <= most; ++cell) {
      int32_t place = cell == first ? covering_[cell] : starting_[cell];
      while (place >= 0 && blocks_[place].turn[blocks_[place].size - 1] >= from && total <= most) {
        total += of_block(blocks_[place], segment[0], segment[1], length, from);
        place = blocks_[place].older;
      }
    }
    return total;
  }

 private:
  int64_t cell_of(double time) const {
    const double cell = (time - origin_) * cells_per_s_;
    return static_cast<int64_t>(smaller(cell, static_cast<double>(covering_.size() - 1)));
  }

  void append(int32_t& newest, const double* segment, double least) {
    if (newest < 0 || blocks_[newest].size == kPicksPerBlock) {
      PickBlock block;
      std::fill_n(block.start, kPicksPerBlock, kNowhere);
      std::fill_n(block.end, kPicksPerBlock, kNowhere);
      std::fill_n(block.least, kPicksPerBlock, 0.0);
      std::fill_n(block.turn, kPicksPerBlock, 0.0);
      block.size = 0;
      block.older = newest;
      newest = static_cast<int32_t>(blocks_.size());
      blocks_.push_back(block);
    }
    PickBlock& block = blocks_[newest];
    block.start[block.size] = segment[0];
    block.end[block.size] = segment[1];
    block.least[block.size] = least;
    block.turn[block.size++] = static_cast<double>(turns_);
  }

  double origin_ = 0.0; // earliest start
  double cells_per_s_ = 0.0;
  int64_t turns_ = 0;
  std::vector<PickBlock> blocks_;
  std::vector<int32_t> covering_, starting_; // of each cell the newest block; -1: none
};

} // namespace avloc
