// Soft suppression: scores decay with the overlap of every better segment that was picked before.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "avloc_kernels.h"
#include "overlap_index.h"
#include "segments.h"

namespace avloc {
namespace {

struct Rule {
  int32_t decay;
  double sigma;
  double iou_threshold;
  double iou_at_0s;
  double iou_at_1s;
  double min_score;
  int64_t max_segments;

  // length_s: of the segment that was picked.
  double factor(double iou, double length_s) const {
    if (decay == AVLOC_DECAY_LINEAR) {
      return iou >= iou_threshold ? 1.0 - iou : 1.0;
    }
    if (decay == AVLOC_DECAY_ADAPTIVE && !(iou > iou_at_0s + (iou_at_1s - iou_at_0s) * length_s)) {
      return 1.0;
    }
    return std::exp(-(iou * iou) / sigma);
  }
};

struct Candidate {
  double score;
  int64_t index;
};

// Order of the heap: the highest score on top, the lower index first among equals.
bool ranks_below(const Candidate& a, const Candidate& b) {
  return a.score < b.score || (a.score == b.score && a.index > b.index);
}

constexpr double kPicked = -1.0; // below every real score

struct Scratch {
  explicit Scratch(int64_t capacity) : index(capacity), current(capacity) {
    heap.reserve(capacity);
  }
  OverlapIndex index;
  std::vector<double> current; // scores as decayed so far
  std::vector<Candidate> heap;
};

void fill(const double* segments, const double* scores, int64_t n, const Rule& rule, Scratch& scratch) {
  scratch.index.build(segments, n);
  std::copy(scores, scores + n, scratch.current.begin());
  scratch.heap.clear();
  for (int64_t index = 0; index < n; ++index) {
    if (scores[index] >= rule.min_score) {
      scratch.heap.push_back({scores[index], index});
    }
  }
  std::make_heap(scratch.heap.begin(), scratch.heap.end(), ranks_below);
}

// Write local indices and decayed scores in the order of the picks, and return how many they are.
int64_t suppress(const double* segments, const Rule& rule, Scratch& scratch, int64_t* kept, double* decayed) {
  auto& heap = scratch.heap;
  auto& current = scratch.current;
  int64_t n_kept = 0;
  while (!heap.empty() && n_kept < rule.max_segments) {
    std::pop_heap(heap.begin(), heap.end(), ranks_below);
    Candidate& top = heap.back();
    // Scores only fall, so the heap keeps the score of an earlier time and is put right when it comes to the
    // top.
    if (top.score != current[top.index]) {
      top.score = current[top.index];
      if (top.score < rule.min_score) {
        heap.pop_back();
      } else {
        std::push_heap(heap.begin(), heap.end(), ranks_below);
      }
      continue;
    }
    const Candidate pick = top;
    heap.pop_back();
    kept[n_kept] = pick.index;
    decayed[n_kept++] = pick.score;
    current[pick.index] = kPicked;
    const double* best = segments + 2 * pick.index;
    scratch.index.visit_overlapping(best[0], best[1], [&](int64_t other) {
      if (current[other] != kPicked) {
        current[other] *= rule.factor(segment_iou(best, segments + 2 * other), best[1] - best[0]);
      }
    });
  }
  return n_kept;
}

} // namespace
} // namespace avloc

extern "C" void avloc_soft_segment_nms(
    const double* segments, const double* scores, const int64_t* splits, int64_t first, int64_t last,
    int32_t decay, double sigma, double iou_threshold, double iou_at_0s, double iou_at_1s, double min_score,
    int64_t max_segments, int64_t* kept, double* decayed, int64_t* counts) {
  const avloc::Rule rule{decay, sigma, iou_threshold, iou_at_0s, iou_at_1s, min_score, max_segments};
  avloc::Scratch scratch(avloc::largest_recording(splits, first, last));
  for (int64_t recording = first; recording < last; ++recording) {
    const int64_t offset = splits[recording];
    const double* own = segments + 2 * offset;
    avloc::fill(own, scores + offset, splits[recording + 1] - offset, rule, scratch);
    counts[recording] = avloc::suppress(own, rule, scratch, kept + offset, decayed + offset);
    std::for_each(
        kept + offset, kept + offset + counts[recording], [offset](int64_t& index) { index += offset; });
  }
}
