// A queue of candidates whose scores only fall, and are taken out only below those that were taken before.
//
// Scores are sorted into buckets, 64 to a factor of two, one where they are very low. Only that of the
// highest scores is in order, as a heap; the others are lists, which costs little for the many that fall
// from one to the next.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace avloc {

class FallingQueue {
 public:
  struct Entry {
    double score;
    int64_t index; // the lower one goes first among equals
  };

  explicit FallingQueue(int64_t capacity) : next_(capacity) {}

  // Empty the queue, for scores from 0 to `highest`.
  void clear(double highest) {
    lists_.fill(-1);
    top_.clear();
    open_ = -1;
    highest_ = bits_of(highest);
  }

  // Add a candidate that is not in the queue, with a score not above that of the bucket that is open.
  void add(const Entry& entry) {
    const int64_t bucket = bucket_of(entry.score);
    if (bucket <= open_) {
      push(entry);
    } else {
      next_[entry.index] = lists_[bucket];
      lists_[bucket] = entry.index;
    }
  }

  // Whether a score belongs to the bucket that is open.
  bool is_open(double score) const {
    return bucket_of(score) <= open_;
  }

  // Best entry of the open bucket; null: it is empty.
  Entry* best() {
    return top_.empty() ? nullptr : &top_.front();
  }

  // Open the next bucket that holds anything, and hand its candidates, which leave the queue, to
  // `visit(index, after)`, which may add them again; `after` is the next one, or -1. False: there is none.
  template <class Visit>
  bool open_next(const Visit& visit) {
    while (++open_ < kBuckets) {
      int64_t index = std::exchange(lists_[open_], -1);
      if (index >= 0) {
        while (index >= 0) {
          const int64_t after = next_[index];
          visit(index, after);
          index = after;
        }
        return true;
      }
    }
    return false;
  }

  void remove_best() {
    top_.front() = top_.back();
    top_.pop_back();
    if (!top_.empty()) {
      sink();
    }
  }

  // Put the queue right after the score of the best entry fell.
  void best_fell() {
    if (is_open(top_.front().score)) {
      sink();
    } else {
      const Entry entry = top_.front();
      remove_best();
      add(entry);
    }
  }

 private:
  static constexpr int kBitsPerOctave = 6;
  static constexpr int64_t kFine = 40 << kBitsPerOctave; // buckets of scores above 2^-40 of the highest
  static constexpr int64_t kBuckets = kFine + 2048;      // more octaves than a double has

  static int64_t bits_of(double score) {
    uint64_t bits;
    std::memcpy(&bits, &score, sizeof bits);
    return static_cast<int64_t>(bits << 1 >> (53 - kBitsPerOctave)); // without the sign that -0.0 has
  }

  int64_t bucket_of(double score) const {
    const int64_t under = highest_ - bits_of(score);
    return under < kFine ? under : kFine + ((under - kFine) >> kBitsPerOctave);
  }

  static bool ranks_above(const Entry& a, const Entry& b) {
    return a.score > b.score || (a.score == b.score && a.index < b.index);
  }

  void push(const Entry& entry) {
    size_t place = top_.size();
    top_.push_back(entry);
    for (size_t above; place > 0 && ranks_above(entry, top_[above = (place - 1) / 2]); place = above) {
      top_[place] = top_[above];
    }
    top_[place] = entry;
  }

  // Let the first entry go down to where it belongs.
  void sink() {
    const Entry entry = top_.front();
    size_t place = 0;
    for (size_t under; (under = 2 * place + 1) < top_.size(); place = under) {
      if (under + 1 < top_.size() && ranks_above(top_[under + 1], top_[under])) {
        ++under;
      }
      if (!ranks_above(top_[under], entry)) {
        break;
      }
      top_[place] = top_[under];
    }
    top_[place] = entry;
  }

  int64_t highest_ = 0, open_ = -1;
  std::array<int64_t, kBuckets> lists_{}; // first candidate of each bucket; -1: none
  std::vector<int64_t> next_;             // in the same bucket
  std::vector<Entry> top_;                // heap of the open bucket
};

} // namespace avloc
