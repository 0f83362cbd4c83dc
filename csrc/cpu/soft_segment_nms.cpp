// Soft suppression: scores decay with the overlap of every better segment that was picked before.
//
// A score is worked out only when it may be the best that is left: until then what it was at an earlier time
// stands for it, which is never less. All that was picked since is then counted at once.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "avloc_kernels.h"
#include "falling_queue.h"
#include "overlap_index.h"
#include "picked_cells.h"
#include "prefetch.h"
#include "soft_rule.h"

namespace avloc {
namespace {

// Largest IoU with a pick of this length that takes nothing.
double least_iou(const SoftRule& rule, double length_s) {
  switch (rule.decay) {
    case AVLOC_DECAY_LINEAR:
      return std::nextafter(rule.iou_threshold, -1.0); // the threshold itself counts
    case AVLOC_DECAY_ADAPTIVE:
      return rule.adaptive_threshold(length_s);
    default:
      return -1.0;
  }
}

constexpr double kNormal = 1e-300;    // scores above it differ by far less than a hundredth
constexpr double kLogsToZero = 750.0; // natural logarithms from 1.0 to what a double rounds to zero

double logs_of_block(const PickBlock& block, double start, double end, double length, double turn) {
  double total = 0.0;
  for (int place = 0; place < block.size; ++place) {
    const double overlap = larger(smaller(end, block.end[place]) - larger(start, block.start[place]), 0.0);
    const double iou = overlap / (length + (block.end[place] - block.start[place]) - overlap);
    if (iou > block.least[place] && block.turn[place] >= turn) {
      total += rounded_loss(-std::log1p(-iou));
    }
  }
  return total;
}

struct Candidate {
  double segment[2];
  double score; // before any pick
  double loss;  // through the first `turn` picks
  int64_t turn;
};

class Suppression {
 public:
  Suppression(const SoftRule& rule, int64_t capacity)
      : rule_(rule), candidates_(capacity), queue_(capacity) {}

  // Write local indices and decayed scores of one recording in the order of the picks; returns how many.
  int64_t run(const double* segments, const double* scores, int64_t n, int64_t* kept, double* decayed) {
    start(segments, scores, n);
    int64_t n_kept = 0;
    while (n_kept < rule_.max_segments) {
      FallingQueue::Entry* best = queue_.best();
      if (best == nullptr) {
        if (!queue_.open_next([this](int64_t index, int64_t after) { add(index, after); })) {
          break;
        }
        continue;
      }
      Candidate& candidate = candidates_[best->index];
      if (candidate.turn == picked_.n_picks()) {
        picked_.add(candidate.segment, least_iou(rule_, candidate.segment[1] - candidate.segment[0]));
        kept[n_kept] = best->index;
        decayed[n_kept++] = best->score;
        queue_.remove_best();
      } else {
        best->score = work_out(candidate);
        best->score < rule_.min_score ? queue_.remove_best() : queue_.best_fell();
      }
    }
    return n_kept;
  }

 private:
  void start(const double* segments, const double* scores, int64_t n) {
    picked_.clear(segments, n);
    double highest = 0.0;
    for (int64_t index = 0; index < n; ++index) {
      highest = larger(highest, scores[index]);
    }
    queue_.clear(highest);
    for (int64_t index = 0; index < n; ++index) {
      if (scores[index] >= rule_.min_score) {
        const double* segment = segments + 2 * index;
        candidates_[index] = {{segment[0], segment[1]}, scores[index], 0.0, 0};
        queue_.add({scores[index], index});
      }
    }
  }

  void add(int64_t index, int64_t after) {
    prefetch(candidates_.data() + std::max<int64_t>(after, 0));
    const double score = work_out(candidates_[index]);
    if (score >= rule_.min_score) {
      queue_.add({score, index});
    }
  }

  // The score after all picks so far. One that lies below the least score, or is zero, may be too high.
  double work_out(Candidate& candidate) {
    const double spread = rule_.spread(), score = candidate.score;
    const double logs =
        rule_.min_score > kNormal ? std::log(score / rule_.min_score) + 0.01 : std::log(score) + kLogsToZero;
    const double most = spread * logs - candidate.loss; // more does not matter
    candidate.loss += rule_.decay == AVLOC_DECAY_LINEAR
                          ? picked_.sum(candidate.segment, candidate.turn, most, logs_of_block)
                          : picked_.sum(candidate.segment, candidate.turn, most, squares_of_block);
    candidate.turn = picked_.n_picks();
    return score * std::exp(-candidate.loss / spread);
  }

  const SoftRule& rule_;
  std::vector<Candidate> candidates_;
  PickedCells picked_;
  FallingQueue queue_;
};

} // namespace
} // namespace avloc

extern "C" void avloc_soft_segment_nms(
    const double* segments, const double* scores, const int64_t* splits, int64_t first, int64_t last,
    int32_t decay, double sigma, double iou_threshold, double iou_at_0s, double iou_at_1s, double min_score,
    int64_t max_segments, int64_t* kept, double* decayed, int64_t* counts) {
  const avloc::SoftRule rule{decay, sigma, iou_threshold, iou_at_0s, iou_at_1s, min_score, max_segments};
  avloc::Suppression suppression(rule, avloc::largest_recording(splits, first, last));
  for (int64_t recording = first; recording < last; ++recording) {
    const int64_t offset = splits[recording], n = splits[recording + 1] - offset;
    int64_t* own = kept + offset;
    counts[recording] = suppression.run(segments + 2 * offset, scores + offset, n, own, decayed + offset);
    std::for_each(own, own + counts[recording], [offset](int64_t& index) { index += offset; });
  }
}
