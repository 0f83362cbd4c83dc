// Voting: the boundaries of a kept segment become the mean of those of all that overlap it enough.
#include "avloc_cuda.h"
#include "launch.h"
#include "segments.h"

namespace avloc {
namespace {

constexpr int kVoters = 128; // threads that share the segments of one recording

template <class T>
__global__ void vote(
    const int64_t* kept, int64_t n_kept, const double* times, const double* values, int64_t n,
    const int64_t* splits, int64_t n_recordings, double threshold, T* voted, int64_t* is_wrong) {
  for (int64_t place = blockIdx.x; place < n_kept; place += gridDim.x) {
    const int64_t row = kept[place];
    if (row < 0 || row >= n) {
      *is_wrong = 1; // whoever writes it writes the same
      continue;
    }
    const int64_t recording = recording_of(splits, n_recordings, row);
    const double* own = times + 2 * row;
    const auto weight_of = [&](int64_t other) {
      const double iou = segment_iou(own, times + 2 * other);
      return iou >= threshold ? iou * values[other] : 0.0;
    };
    double weight = 0.0;
    for (int64_t other = splits[recording] + threadIdx.x; other < splits[recording + 1]; other += kVoters) {
      weight += weight_of(other);
    }
    const double total = block_sum(weight);
    double start = 0.0, end = 0.0;
    for (int64_t other = splits[recording] + threadIdx.x; other < splits[recording + 1]; other += kVoters) {
      // Divided before the sum: a segment that nothing else overlaps has a weight of one and stays as it is.
      const double share = total > 0.0 ? weight_of(other) / total : 0.0;
      start += share * times[2 * other];
      end += share * times[2 * other + 1];
    }
    start = block_sum(start);
    end = block_sum(end);
    if (threadIdx.x == 0) {
      voted[2 * place] = static_cast<T>(total > 0.0 ? start : own[0]);
      voted[2 * place + 1] = static_cast<T>(total > 0.0 ? end : own[1]);
    }
  }
}

template <class T>
int queue(
    const int64_t* kept, int64_t n_kept, const double* times, const double* values, int64_t n,
    const int64_t* splits, int64_t n_recordings, double threshold, T* voted, int64_t* is_wrong,
    void* stream) {
  const int64_t blocks = n_kept < (1 << 20) ? n_kept : 1 << 20;
  return launch(
      stream, blocks, kVoters, vote<T>, kept, n_kept, times, values, n, splits, n_recordings, threshold,
      voted, is_wrong);
}

} // namespace
} // namespace avloc

extern "C" int avloc_cuda_vote_segments_f32(
    const int64_t* kept, int64_t n_kept, const double* times, const double* values, int64_t n,
    const int64_t* splits, int64_t n_recordings, double iou_threshold, float* voted, int64_t* is_wrong,
    void* stream) {
  return avloc::queue(
      kept, n_kept, times, values, n, splits, n_recordings, iou_threshold, voted, is_wrong, stream);
}

extern "C" int avloc_cuda_vote_segments_f64(
    const int64_t* kept, int64_t n_kept, const double* times, const double* values, int64_t n,
    const int64_t* splits, int64_t n_recordings, double iou_threshold, double* voted, int64_t* is_wrong,
    void* stream) {
  return avloc::queue(
      kept, n_kept, times, values, n, splits, n_recordings, iou_threshold, voted, is_wrong, stream);
}
