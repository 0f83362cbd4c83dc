// Soft suppression of many recordings at once: scores decay with the overlap of every better segment that was
// picked before.
//
// One block a recording, since each pick depends on the one before. Every thread holds each n-th segment, n
// being the threads of the block, in columns of memory so that a warp reads neighbours; what is picked, or
// falls below the least score, leaves its column at once.
#include "avloc_cuda.h"
#include "launch.h"
#include "segments.h"
#include "soft_rule.h"

namespace avloc {
namespace {

// What a pick adds to the loss of a segment that overlaps it.
__device__ double loss_of(const SoftRule& rule, const double* pick, double iou) {
  if (rule.decay == AVLOC_DECAY_LINEAR) {
    return iou >= rule.iou_threshold ? rounded_loss(-log1p(-iou)) : 0.0;
  }
  if (rule.decay == AVLOC_DECAY_ADAPTIVE) {
    const double least = rule.adaptive_threshold(pick[1] - pick[0]);
    return iou > least ? rounded_loss(iou * iou) : 0.0;
  }
  return rounded_loss(iou * iou);
}

// The segments that are left; arrays of a whole recording.
struct Left {
  double* times; // (n, 2)
  double* score; // before any pick
  double* loss;
  double* value; // score * exp(-loss / spread)
  int64_t* row;

  __device__ void move(int64_t from, int64_t to) const {
    times[2 * to] = times[2 * from];
    times[2 * to + 1] = times[2 * from + 1];
    score[to] = score[from];
    loss[to] = loss[from];
    value[to] = value[from];
    row[to] = row[from];
  }
};

struct Best {
  double value; // below any score: nothing is left
  int64_t row;

  __device__ bool is_worse_than(const Best& other) const {
    return value < other.value || (value == other.value && row > other.row);
  }
};

__device__ Best best_of_warp(Best own) {
  for (int apart = kWarp / 2; apart > 0; apart /= 2) {
    const Best other{__shfl_xor_sync(kAll, own.value, apart), __shfl_xor_sync(kAll, own.row, apart)};
    own = own.is_worse_than(other) ? other : own;
  }
  return own;
}

template <int n_threads>
__global__ void __launch_bounds__(n_threads) suppress(
    const double* times, const double* values, const int64_t* splits, SoftRule rule, int64_t n,
    double* scratch, int64_t* rows, int64_t* kept, double* decayed, int64_t* counts) {
  __shared__ Best best_of[kWarp];
  const int64_t offset = splits[blockIdx.x], size = splits[blockIdx.x + 1] - offset;
  const int thread = threadIdx.x, warp = thread / kWarp, lane = thread % kWarp;
  const double spread = rule.spread();
  const Left left{
      scratch + 2 * offset, scratch + 2 * n + offset, scratch + 3 * n + offset, scratch + 4 * n + offset,
      rows + offset};

  const Best nothing{-1.0, 0};
  Best own = nothing;
  int64_t own_end = thread; // places thread, thread + n_threads, … below it hold what is left
  for (int64_t row = thread; row < size; row += n_threads) {
    const double value = values[offset + row];
    if (value >= rule.min_score) {
      left.times[2 * own_end] = times[2 * (offset + row)];
      left.times[2 * own_end + 1] = times[2 * (offset + row) + 1];
      left.score[own_end] = left.value[own_end] = value;
      left.loss[own_end] = 0.0;
      left.row[own_end] = row;
      own_end += n_threads;
      const Best candidate{value, row};
      own = own.is_worse_than(candidate) ? candidate : own;
    }
  }

  int64_t n_picked = 0;
  while (n_picked < rule.max_segments) {
    Best best = best_of_warp(own);
    if (lane == 0) {
      best_of[warp] = best;
    }
    __syncthreads();
    best = best_of_warp(lane < n_threads / kWarp ? best_of[lane] : nothing);
    __syncthreads(); // all have read them
    if (best.value < 0.0) {
      break;
    }
    if (thread == 0) {
      kept[offset + n_picked] = offset + best.row;
      decayed[offset + n_picked] = best.value;
    }
    ++n_picked;
    const double* pick = times + 2 * (offset + best.row);
    own = nothing;
    for (int64_t place = thread; place < own_end;) {
      const double overlap = overlap_of(pick, left.times + 2 * place);
      if (overlap > 0.0) {
        const double loss = loss_of(rule, pick, overlap / union_of(pick, left.times + 2 * place));
        if (loss > 0.0) {
          left.loss[place] += loss;
          left.value[place] = left.score[place] * exp(-left.loss[place] / spread);
        }
      }
      const Best candidate{left.value[place], left.row[place]};
      if (candidate.row == best.row || candidate.value < rule.min_score) {
        own_end -= n_threads;
        left.move(own_end, place);
      } else {
        own = own.is_worse_than(candidate) ? candidate : own;
        place += n_threads;
      }
    }
  }
  if (thread == 0) {
    counts[blockIdx.x] = n_picked;
  }
}

} // namespace
} // namespace avloc

extern "C" int avloc_cuda_soft_segment_nms(
    const double* times, const double* values, const int64_t* splits, int64_t n_recordings, int64_t n,
    int32_t decay, double sigma, double iou_threshold, double iou_at_0s, double iou_at_1s, double min_score,
    int64_t max_segments, double* scratch, int64_t* rows, int64_t* kept, double* decayed, int64_t* counts,
    void* stream) {
  using namespace avloc;
  const SoftRule rule{decay, sigma, iou_threshold, iou_at_0s, iou_at_1s, min_score, max_segments};
  // A pick costs a block two barriers, which fewer threads pass sooner, and a step over what each of them
  // holds.
  const bool is_wide = n > n_recordings * 4096;
  return launch(
      stream, n_recordings, is_wide ? 1024 : 256, is_wide ? suppress<1024> : suppress<256>, times, values,
      splits, rule, n, scratch, rows, kept, decayed, counts);
}
