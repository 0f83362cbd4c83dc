// Hard suppression: a segment is dropped when its IoU with a better one that was kept reaches the threshold.
#include <algorithm>
#include <cstdint>

#include "avloc_kernels.h"
#include "kept_grid.h"
#include "overlap_index.h"
#include "prefetch.h"
#include "ranking.h"

namespace avloc {
namespace {

constexpr int64_t kAhead = 12; // places; picks jump about in memory

struct Scratch {
  explicit Scratch(int64_t capacity) : ranking(capacity), grid(capacity) {}
  Ranking ranking;
  KeptGrid grid;
};

// Write the local indices that survive to `kept`, in score order, and return how many they are.
int64_t suppress(
    const double* segments, const double* scores, int64_t n, double threshold, Scratch& scratch,
    int64_t* kept) {
  auto& [ranking, grid] = scratch;
  ranking.rank(scores, n);
  if (threshold <= 0.0) {
    // Every IoU reaches a threshold of zero, that of disjoint segments too.
    const int64_t n_kept = std::min<int64_t>(n, 1);
    for (int64_t place = 0; place < n_kept; ++place) {
      kept[place] = ranking[place];
    }
    return n_kept;
  }
  grid.clear(segments, n, threshold);
  int64_t n_kept = 0;
  for (int64_t place = 0; place < n; ++place) {
    prefetch(segments + 2 * ranking[std::min(place + kAhead, n - 1)]);
    const int64_t index = ranking[place];
    if (!grid.covers(segments + 2 * index)) {
      grid.add(segments + 2 * index);
      kept[n_kept++] = index;
    }
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
