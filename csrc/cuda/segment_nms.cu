// Hard suppression of many recordings at once: a segment is dropped when its IoU with a better one that was
// kept reaches the threshold.
//
// All recordings go through their segments in step, in score order, a chunk at a time. First every segment of
// the chunk is compared with those that earlier chunks kept, over the whole device; then one block a
// recording compares what is left of its chunk among itself, all pairs at once, and one warp goes through
// them in order. The number of launches depends on the size of the largest recording alone.
#include "avloc_cuda.h"
#include "launch.h"
#include "segments.h"

namespace avloc {
namespace {

constexpr int kChunk =
    512; // segments of a step: their pairs take 34 KiB of the 48 KiB that a block may share
constexpr int kWords = kChunk / kWarp;
constexpr int kTile = 128; // segments of a chunk that a block compares, and kept ones that it reads at once
constexpr int kTiles = kChunk / kTile;

// Whether the IoU of two segments reaches the threshold: the quotient decides, but most pairs are far from
// it.
__device__ bool reaches(const double* a, const double* b, double threshold) {
  if (threshold <= 0.0) {
    return true; // every IoU reaches zero, that of disjoint segments too
  }
  const double overlap = larger(overlap_of(a, b), 0.0);
  return overlap >= 0.999 * threshold * union_of(a, b) && segment_iou(a, b) >= threshold;
}

__global__ void compare_with_kept(
    const double* times, const int64_t* order, const int64_t* splits, int64_t chunk, int64_t slices,
    double threshold, const double* kept_times, const int64_t* counts, uint8_t* dropped) {
  __shared__ double kept[kTile][2];
  const int64_t slice = blockIdx.x % slices, tile = blockIdx.x / slices % kTiles;
  const int64_t recording = blockIdx.x / (slices * kTiles);
  const int64_t place = splits[recording] + chunk * kChunk + tile * kTile + threadIdx.x;
  const int64_t end = splits[recording + 1], n_kept = counts[recording];
  if (place - threadIdx.x >= end) {
    return;
  }
  const bool exists = place < end;
  const int64_t row = exists ? order[place] : 0;
  const double segment[2] = {times[2 * row], times[2 * row + 1]};
  const int64_t per_slice = (n_kept + slices - 1) / slices, from = slice * per_slice;
  const int64_t to = from + per_slice < n_kept ? from + per_slice : n_kept;
  bool is_covered = !exists;
  for (int64_t base = from; base < to; base += kTile) {
    const int64_t size = to - base < kTile ? to - base : kTile;
    if (threadIdx.x < size) {
      const double* own = kept_times + 2 * (splits[recording] + base + threadIdx.x);
      kept[threadIdx.x][0] = own[0];
      kept[threadIdx.x][1] = own[1];
    }
    __syncthreads();
    for (int64_t other = 0; other < size && !is_covered; ++other) {
      is_covered = reaches(kept[other], segment, threshold);
    }
    if (__syncthreads_and(is_covered)) {
      break;
    }
  }
  if (exists && is_covered) {
    dropped[place] = 1; // whoever writes it writes the same
  }
}

struct Chunk {
  double segment[kChunk][2];
  int64_t row[kChunk];
  uint32_t covers[kChunk][kWords + 1]; // bit j of row i: i is before j, and j is dropped if i is kept; padded
  uint32_t word[kWords];
};

// Give the segments of a chunk that no kept one covers places 0, 1, … in their order; returns how many.
__device__ int gather_open(
    const double* times, const int64_t* order, int64_t first, int n, const uint8_t* dropped, Chunk& chunk) {
  const int place = threadIdx.x, warp = place / kWarp, lane = place % kWarp;
  const bool is_open = place < n && dropped[first + place] == 0;
  const uint32_t open = __ballot_sync(kAll, is_open);
  if (lane == 0) {
    chunk.word[warp] = open;
  }
  __syncthreads();
  int before = __popc(open & ((1u << lane) - 1)), total = 0;
  for (int other = 0; other < kWords; ++other) {
    before += other < warp ? __popc(chunk.word[other]) : 0;
    total += __popc(chunk.word[other]);
  }
  if (is_open) {
    const int64_t row = order[first + place];
    chunk.row[before] = row;
    chunk.segment[before][0] = times[2 * row];
    chunk.segment[before][1] = times[2 * row + 1];
  }
  __syncthreads();
  return total;
}

__device__ void compare_pairs(int n, double threshold, Chunk& chunk) {
  const int words = (n + kWarp - 1) / kWarp;
  for (int task = threadIdx.x; task < n * words; task += kChunk) {
    const int first = task % n, word = task / n; // neighbours in a warp read the same others
    uint32_t covers = 0;
    for (int bit = 0; bit < kWarp; ++bit) {
      const int other = word * kWarp + bit;
      if (other > first && other < n && reaches(chunk.segment[first], chunk.segment[other], threshold)) {
        covers |= 1u << bit;
      }
    }
    chunk.covers[first][word] = covers;
  }
  __syncthreads();
}

// One warp goes through n segments in order; lane w knows which of word w are dropped. Leaves the kept ones
// in chunk.word.
__device__ void keep_in_order(int n, Chunk& chunk) {
  const int lane = threadIdx.x, words = (n + kWarp - 1) / kWarp;
  uint32_t dropped = 0;
  for (int word = 0; word < words; ++word) {
    const int left_over = n - word * kWarp;
    const uint32_t exist = left_over >= kWarp ? kAll : (1u << left_over) - 1;
    uint32_t gone = __shfl_sync(kAll, dropped, word), kept = 0;
    for (uint32_t open = exist & ~gone; open != 0; open = exist & ~gone) {
      const int bit = __ffs(static_cast<int>(open)) - 1;
      const uint32_t* covers = chunk.covers[word * kWarp + bit];
      kept |= 1u << bit;
      gone |= covers[word] | 1u << bit;
      dropped |= lane < words ? covers[lane] : 0;
    }
    if (lane == 0) {
      chunk.word[word] = kept;
    }
  }
  if (lane >= words && lane < kWords) {
    chunk.word[lane] = 0;
  }
}

__global__ void __launch_bounds__(kChunk) resolve(
    const double* times, const int64_t* order, const int64_t* splits, int64_t step, double threshold,
    const uint8_t* dropped, double* kept_times, int64_t* kept, int64_t* counts) {
  __shared__ Chunk chunk;
  const int64_t recording = blockIdx.x, first = splits[recording] + step * kChunk;
  const int64_t rest = splits[recording + 1] - first;
  if (rest <= 0) {
    return;
  }
  const int n =
      gather_open(times, order, first, rest < kChunk ? static_cast<int>(rest) : kChunk, dropped, chunk);
  compare_pairs(n, threshold, chunk);
  if (threadIdx.x < kWarp) {
    keep_in_order(n, chunk);
  }
  __syncthreads();
  const int own = threadIdx.x, warp = own / kWarp, lane = own % kWarp;
  int before = __popc(chunk.word[warp] & ((1u << lane) - 1)), total = 0;
  for (int other = 0; other < kWords; ++other) {
    before += other < warp ? __popc(chunk.word[other]) : 0;
    total += __popc(chunk.word[other]);
  }
  const int64_t to = splits[recording] + counts[recording] + before;
  __syncthreads(); // all have read the count
  if (chunk.word[warp] >> lane & 1) {
    kept[to] = chunk.row[own];
    kept_times[2 * to] = chunk.segment[own][0];
    kept_times[2 * to + 1] = chunk.segment[own][1];
  }
  if (own == 0) {
    counts[recording] += total;
  }
}

} // namespace
} // namespace avloc

extern "C" int avloc_cuda_segment_nms(
    const double* times, const int64_t* order, const int64_t* splits, int64_t n_recordings, int64_t largest,
    double iou_threshold, double* kept_times, uint8_t* dropped, int64_t* kept, int64_t* counts,
    void* stream) {
  using namespace avloc;
  // Few recordings: the kept segments are cut into slices, so that the whole device compares.
  const int64_t tiles = n_recordings * kTiles, enough = 1024;
  const int64_t slices = tiles >= enough || tiles == 0 ? 1 : enough / tiles;
  for (int64_t step = 0; step * kChunk < largest; ++step) {
    if (step > 0) {
      const int error = launch(
          stream, tiles * slices, kTile, compare_with_kept, times, order, splits, step, slices, iou_threshold,
          kept_times, counts, dropped);
      if (error != 0) {
        return error;
      }
    }
    const int error = launch(
        stream, n_recordings, kChunk, resolve, times, order, splits, step, iou_threshold, dropped, kept_times,
        kept, counts);
    if (error != 0) {
      return error;
    }
  }
  return 0;
}
