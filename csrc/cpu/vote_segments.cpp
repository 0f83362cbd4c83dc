// Voting: the boundaries of a kept segment become the mean of those of all that overlap it enough.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "avloc_kernels.h"
#include "overlap_index.h"
#include "segments.h"

namespace avloc {
namespace {

struct Vote {
  int64_t index;
  double weight;
};

struct Scratch {
  explicit Scratch(int64_t capacity) : index(capacity) {
    votes.reserve(capacity);
  }
  OverlapIndex index;
  std::vector<Vote> votes;
};

// segments, scores: of one recording, which the index holds; kept: one of them; voted: its new boundaries.
void vote(
    const double* kept, const double* segments, const double* scores, double threshold, Scratch& scratch,
    double* voted) {
  auto& votes = scratch.votes;
  votes.clear();
  double total = 0.0;
  scratch.index.visit_overlapping(kept[0], kept[1], [&](int64_t other) {
    const double iou = segment_iou(kept, segments + 2 * other);
    if (iou >= threshold) {
      votes.push_back({other, iou * scores[other]});
      total += votes.back().weight;
    }
  });
  if (total <= 0.0) {
    std::copy(kept, kept + 2, voted);
    return;
  }
  std::fill(voted, voted + 2, 0.0);
  for (const Vote& one : votes) {
    // Divided before the sum: a segment that nothing else overlaps has a weight of one and stays as it is.
    const double share = one.weight / total;
    voted[0] += share * segments[2 * one.index];
    voted[1] += share * segments[2 * one.index + 1];
  }
}

} // namespace
} // namespace avloc

extern "C" void avloc_vote_segments(
    const int64_t* kept, const int64_t* picks, int64_t n_kept, const double* segments, const double* scores,
    const int64_t* splits, int64_t first, int64_t last, double iou_threshold, double* voted) {
  avloc::Scratch scratch(avloc::largest_recording(splits, first, last));
  const int64_t* end = picks + n_kept;
  const int64_t* pick = std::lower_bound(
      picks, end, splits[first], [kept](int64_t one, int64_t row) { return kept[one] < row; });
  for (int64_t recording = first; recording < last; ++recording) {
    const int64_t offset = splits[recording];
    const double* own = segments + 2 * offset;
    if (pick != end && kept[*pick] < splits[recording + 1]) {
      scratch.index.build(own, splits[recording + 1] - offset);
    }
    for (; pick != end && kept[*pick] < splits[recording + 1]; ++pick) {
      avloc::vote(
          segments + 2 * kept[*pick], own, scores + offset, iou_threshold, scratch, voted + 2 * *pick);
    }
  }
}
