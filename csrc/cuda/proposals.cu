// Proposals of many recordings: their values in double precision, who owns them, what is left of them.
#include "avloc_cuda.h"
#include "launch.h"
#include "segments.h"

namespace avloc {
namespace {

template <class T>
__global__ void read_proposals(
    const T* segments, const T* scores, int64_t n, int32_t soft, double* times, double* values,
    int64_t* is_wrong) {
  for (int64_t row = first_item(); row < n; row += items_at_once()) {
    const double start = segments[2 * row], end = segments[2 * row + 1], score = scores[row];
    times[2 * row] = start;
    times[2 * row + 1] = end;
    values[row] = score + 0.0; // 0.0 and -0.0 are one score, to a sort of bits too
    if (!is_segment(start, end) || (soft ? !(isfinite(score) && score >= 0.0) : isnan(score))) {
      *is_wrong = 1; // whoever writes it writes the same
    }
  }
}

__global__ void find_recordings(
    const int64_t* splits, int64_t n_recordings, const int64_t* rows, int64_t n, int32_t* recording) {
  for (int64_t place = first_item(); place < n; place += items_at_once()) {
    recording[place] = static_cast<int32_t>(recording_of(splits, n_recordings, rows[place]));
  }
}

__global__ void pick(const int64_t* values, const int64_t* places, int64_t n, int64_t* picked) {
  for (int64_t place = first_item(); place < n; place += items_at_once()) {
    picked[place] = values[places[place]];
  }
}

// One block: each thread sums a run of recordings.
__global__ void add_up(const int64_t* counts, int64_t n_recordings, int64_t* offsets) {
  const int64_t run = (n_recordings + blockDim.x - 1) / blockDim.x;
  const int64_t first = run * threadIdx.x, end = first + run < n_recordings ? first + run : n_recordings;
  int64_t own = 0, total;
  for (int64_t recording = first; recording < end; ++recording) {
    own += counts[recording];
  }
  int64_t offset = block_scan(own, total) - own;
  for (int64_t recording = first; recording < end; ++recording) {
    offsets[recording] = offset;
    offset += counts[recording];
  }
  if (threadIdx.x == 0) {
    offsets[n_recordings] = total;
  }
}

template <class T>
__global__ void pack(
    const int64_t* kept, const double* decayed, const int64_t* splits, const int64_t* offsets,
    int64_t n_recordings, int64_t n, int64_t* packed, T* packed_scores) {
  for (int64_t place = first_item(); place < n; place += items_at_once()) {
    const int64_t recording = recording_of(splits, n_recordings, place);
    const int64_t to = offsets[recording] + (place - splits[recording]);
    if (to < offsets[recording + 1]) {
      packed[to] = kept[place];
      if (decayed != nullptr) {
        packed_scores[to] = static_cast<T>(decayed[place]);
      }
    }
  }
}

} // namespace
} // namespace avloc

extern "C" const char* avloc_cuda_error(int error) {
  return cudaGetErrorString(static_cast<cudaError_t>(error));
}

extern "C" int avloc_cuda_proposals_f32(
    const float* segments, const float* scores, int64_t n, int32_t soft, double* times, double* values,
    int64_t* is_wrong, void* stream) {
  using namespace avloc;
  return launch(
      stream, blocks_for(n), kThreads, read_proposals<float>, segments, scores, n, soft, times, values,
      is_wrong);
}

extern "C" int avloc_cuda_proposals_f64(
    const double* segments, const double* scores, int64_t n, int32_t soft, double* times, double* values,
    int64_t* is_wrong, void* stream) {
  using namespace avloc;
  return launch(
      stream, blocks_for(n), kThreads, read_proposals<double>, segments, scores, n, soft, times, values,
      is_wrong);
}

extern "C" int avloc_cuda_recordings(
    const int64_t* splits, int64_t n_recordings, const int64_t* rows, int64_t n, int32_t* recording,
    void* stream) {
  using namespace avloc;
  return launch(stream, blocks_for(n), kThreads, find_recordings, splits, n_recordings, rows, n, recording);
}

extern "C" int avloc_cuda_pick(
    const int64_t* values, const int64_t* places, int64_t n, int64_t* picked, void* stream) {
  using namespace avloc;
  return launch(stream, blocks_for(n), kThreads, pick, values, places, n, picked);
}

extern "C" int avloc_cuda_offsets(
    const int64_t* counts, int64_t n_recordings, int64_t* offsets, void* stream) {
  return avloc::launch(stream, 1, 1024, avloc::add_up, counts, n_recordings, offsets);
}

extern "C" int avloc_cuda_pack_f32(
    const int64_t* kept, const double* decayed, const int64_t* splits, const int64_t* offsets,
    int64_t n_recordings, int64_t n, int64_t* packed, float* packed_scores, void* stream) {
  using namespace avloc;
  return launch(
      stream, blocks_for(n), kThreads, pack<float>, kept, decayed, splits, offsets, n_recordings, n, packed,
      packed_scores);
}

extern "C" int avloc_cuda_pack_f64(
    const int64_t* kept, const double* decayed, const int64_t* splits, const int64_t* offsets,
    int64_t n_recordings, int64_t n, int64_t* packed, double* packed_scores, void* stream) {
  using namespace avloc;
  return launch(
      stream, blocks_for(n), kThreads, pack<double>, kept, decayed, splits, offsets, n_recordings, n, packed,
      packed_scores);
}
