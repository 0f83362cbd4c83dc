// Order of picks: the highest score first, the lower index first among equals.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

namespace avloc {

// Ranks up to 2^32 scores, none of them NaN.
class Ranking {
 public:
  explicit Ranking(int64_t capacity) : keys_(capacity), others_(capacity) {}

  // Rank n scores; n is at most the capacity.
  void rank(const double* scores, int64_t n) {
    for (int64_t index = 0; index < n; ++index) {
      keys_[index] = uint64_t{falling(scores[index])} << 32 | static_cast<uint64_t>(index);
    }
    if (n < kFewest) {
      std::sort(keys_.begin(), keys_.begin() + n);
    } else {
      radix_sort(n);
    }
    // The keys hold the upper half of a score: where halves are equal, whole scores decide.
    for (int64_t first = 0, last; first < n; first = last) {
      last = first + 1;
      while (last < n && keys_[last] >> 32 == keys_[first] >> 32) {
        ++last;
      }
      if (last - first > 1) {
        std::sort(keys_.begin() + first, keys_.begin() + last, [scores](uint64_t a, uint64_t b) {
          const double one = scores[a & kIndex], other = scores[b & kIndex];
          return one > other || (one == other && a < b);
        });
      }
    }
  }

  // Index of the score at a place of the last ranking.
  int64_t operator[](int64_t place) const {
    return static_cast<int64_t>(keys_[place] & kIndex);
  }

 private:
  static constexpr uint64_t kIndex = 0xffffffff;
  static constexpr int64_t kFewest = 256; // below it, clearing the counts costs more than comparing
  static constexpr int kBits = 11;
  static constexpr int kDigits = 3;
  static constexpr uint64_t kDigit = (uint64_t{1} << kBits) - 1;

  // Upper half of the bits of a score, turned so that it rises as the score falls.
  static uint32_t falling(double score) {
    uint64_t bits;
    std::memcpy(&bits, &score, sizeof bits);
    const auto upper = static_cast<uint32_t>(bits >> 32);
    const bool is_negative = bits > uint64_t{1} << 63; // -0.0 is not: 0.0 and -0.0 are one score
    return is_negative ? upper : ~upper & 0x7fffffff;
  }

  // By the upper halves of the keys, from the lowest digit on: stable, so that equal ones stay in order.
  void radix_sort(int64_t n) {
    std::array<std::array<uint32_t, kDigit + 1>, kDigits> counts{};
    for (int64_t place = 0; place < n; ++place) {
      for (int digit = 0; digit < kDigits; ++digit) {
        ++counts[digit][keys_[place] >> (32 + digit * kBits) & kDigit];
      }
    }
    for (int digit = 0; digit < kDigits; ++digit) {
      auto& places = counts[digit];
      uint32_t sum = 0;
      for (uint32_t& place : places) {
        const uint32_t count = place;
        place = sum;
        sum += count;
      }
      for (int64_t place = 0; place < n; ++place) {
        others_[places[keys_[place] >> (32 + digit * kBits) & kDigit]++] = keys_[place];
      }
      keys_.swap(others_);
    }
  }

  std::vector<uint64_t> keys_, others_;
};

} // namespace avloc
