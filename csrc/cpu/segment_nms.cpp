// Hard suppression: a segment is dropped when its IoU with a better one that was kept reaches the threshold.
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "avloc_kernels.h"
#include "overlap_index.h"
#include "segments.h"

namespace avloc {
namespace {

struct Scratch {
  explicit Scratch(int64_t capacity) : index(capacity), order(capacity), dropped(capacity) {}
  OverlapIndex index;
  std::vector<int64_t> order;
  std::vector<char> dropped;
};

// Write the local indices that survive to `kept`, in score order, and return how many they are.
int64_t suppress(
    const double* segments, const double* scores, int64_t n, double threshold, Scratch& scratch,
    int64_t* kept) {
  auto& order = scratch.order;
  std::iota(order.begin(), order.begin() + n, int64_t{0});
  std::sort(order.begin(), order.begin() + n, [scores](int64_t a, int64_t b) {
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
  });
  std::fill(scratch.dropped.begin(), scratch.dropped.begin() + n, 0);
  scratch.index.build(segments, n);
  int64_t n_kept = 0;
  for (int64_t rank = 0; rank < n; ++rank) {
    const int64_t pick = order[rank];
    if (scratch.dropped[pick]) {
      continue;
    }
    kept[n_kept++] = pick;
    if (threshold <= 0.0) {
      break; // every IoU reaches a threshold of zero, that of disjoint segments too
    }
    const double* best = segments + 2 * pick;
    scratch.index.visit_overlapping(best[0], best[1], [&](int64_t other) {
      if (!scratch.dropped[other] && segment_iou(best, segments + 2 * other) >= threshold) {
        scratch.dropped[other] = 1;
      }
    });
  }
  return n_kept;
}

} // namespace
} // namespace avloc

extern "C" void avloc_segment_nms(
    const double* segments, const double* scores, const int64_t* splits, int64_t first, int64_t last,
    double iou_threshold, int64_t* kept, int64_t* counts) {
  avloc::Scratch scratch(avloc::largest_recording(splits, first, last));
  for (int64_t recording = first; recording < last; ++recording) {
    const int64_t offset = splits[recording];
    const int64_t n = splits[recording + 1] - offset;
    int64_t* own = kept + offset;
    counts[recording] =
        avloc::suppress(segments + 2 * offset, scores + offset, n, iou_threshold, scratch, own);
    std::for_each(own, own + counts[recording], [offset](int64_t& index) { index += offset; });
  }
}
