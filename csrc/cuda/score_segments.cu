// Three scores of a segment from frame scores: mean inside, contrast to the surround, sharpness of the
// boundaries; and their gradient.
#include "avloc_cuda.h"
#include "frame_sums.h"
#include "launch.h"

namespace avloc {
namespace {

constexpr int kRowThreads = 512; // of the block that sums up a batch row

template <class T>
__global__ void prefix_sums(const T* frame_scores, int64_t n_rows, int64_t n_frames, double* prefix) {
  for (int64_t row = blockIdx.x; row < n_rows; row += gridDim.x) {
    const T* own = frame_scores + row * n_frames;
    double* to = prefix + row * (n_frames + 1);
    double before = 0.0, total;
    for (int64_t first = 0; first < n_frames; first += blockDim.x) {
      const int64_t frame = first + threadIdx.x;
      const double sum = block_scan(frame < n_frames ? static_cast<double>(own[frame]) : 0.0, total);
      if (frame < n_frames) {
        to[frame + 1] = before + sum;
      }
      before += total;
    }
    if (threadIdx.x == 0) {
      to[0] = 0.0;
    }
  }
}

// The batch row that a segment names, or -1 where it names none or its times are not in order.
template <class T>
__device__ int64_t row_of(const T* segment, int64_t n_rows) {
  const double row = segment[0];
  const bool is_row = row >= 0.0 && row < static_cast<double>(n_rows) && row == floor(row);
  return is_row && is_segment(segment[1], segment[2]) ? static_cast<int64_t>(row) : -1;
}

template <class T>
__global__ void score(
    const T* frame_scores, const double* prefix, int64_t n_rows, int64_t n_frames, const T* segments,
    int64_t n, T* scores) {
  for (int64_t index = first_item(); index < n; index += items_at_once()) {
    const T* segment = segments + 3 * index;
    const int64_t row = row_of(segment, n_rows);
    double own[3] = {nan(""), nan(""), nan("")};
    if (row >= 0) {
      const Frames<T> frames{frame_scores + row * n_frames, prefix + row * (n_frames + 1), n_frames};
      score_segment(frames, segment[1], segment[2], own);
    }
    for (int which = 0; which < 3; ++which) {
      scores[3 * index + which] = static_cast<T>(own[which]);
    }
  }
}

template <class T>
__global__ void batch_rows(const T* segments, int64_t n, int64_t n_rows, int64_t* rows) {
  for (int64_t index = first_item(); index < n; index += items_at_once()) {
    const int64_t row = row_of(segments + 3 * index, n_rows);
    rows[index] = row >= 0 ? row : n_rows;
  }
}

// The gradient of a segment, and the frames that any of it lies in.
struct SegmentGradient {
  Span hull;
  GradientPart parts[kGradientParts];
};

// gradients: of each segment, in the order of their rows.
template <class T>
__global__ void split_gradient(
    const T* grad_scores, const T* frame_scores, const double* prefix, int64_t n_rows, int64_t n_frames,
    const T* segments, const int64_t* sorted, const int64_t* order, int64_t n, SegmentGradient* gradients) {
  for (int64_t place = first_item(); place < n; place += items_at_once()) {
    const int64_t row = sorted[place];
    if (row < n_rows) {
      const T* segment = segments + 3 * order[place];
      const T* grad = grad_scores + 3 * order[place];
      const double weights[3] = {grad[0], grad[1], grad[2]};
      const Frames<T> frames{frame_scores + row * n_frames, prefix + row * (n_frames + 1), n_frames};
      SegmentGradient& own = gradients[place];
      segment_gradient(weights, frames, segment[1], segment[2], own.parts);
      own.hull = own.parts[0].span;
      for (const GradientPart& part : own.parts) {
        if (length(part.span) > 0.0) {
          own.hull.start = smaller(own.hull.start, part.span.start);
          own.hull.end = larger(own.hull.end, part.span.end);
        }
      }
    }
  }
}

// First place of sorted that holds `row` or more.
__device__ int64_t place_of(const int64_t* sorted, int64_t n, int64_t row) {
  int64_t low = 0, high = n;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (sorted[middle] < row) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// A thread a frame: it adds up what the segments of its row give it, in their order.
template <class T>
__global__ void gather_gradient(
    const SegmentGradient* gradients, const int64_t* sorted, int64_t n, int64_t n_rows, int64_t n_frames,
    T* grad_frame_scores) {
  for (int64_t item = first_item(); item < n_rows * n_frames; item += items_at_once()) {
    const int64_t row = item / n_frames, frame = item % n_frames;
    const int64_t end = place_of(sorted, n, row + 1);
    double sum = 0.0;
    for (int64_t place = place_of(sorted, n, row); place < end; ++place) {
      const SegmentGradient& own = gradients[place];
      if (own.hull.start < static_cast<double>(frame + 1) && own.hull.end > static_cast<double>(frame)) {
        for (const GradientPart& part : own.parts) {
          sum += part.weight * coverage(part.span, frame);
        }
      }
    }
    grad_frame_scores[item] = static_cast<T>(sum);
  }
}

template <class T>
int queue_prefix_sums(const T* frame_scores, int64_t n_rows, int64_t n_frames, double* prefix, void* stream) {
  const int64_t blocks = n_rows < (1 << 20) ? n_rows : 1 << 20;
  return launch(stream, blocks, kRowThreads, prefix_sums<T>, frame_scores, n_rows, n_frames, prefix);
}

template <class T>
int queue_scores(
    const T* frame_scores, const double* prefix, int64_t n_rows, int64_t n_frames, const T* segments,
    int64_t n, T* scores, void* stream) {
  return launch(
      stream, blocks_for(n), kThreads, score<T>, frame_scores, prefix, n_rows, n_frames, segments, n, scores);
}

template <class T>
int queue_backward(
    const T* grad_scores, const T* frame_scores, const double* prefix, int64_t n_rows, int64_t n_frames,
    const T* segments, const int64_t* sorted, const int64_t* order, int64_t n, double* scratch,
    T* grad_frame_scores, void* stream) {
  static_assert(sizeof(SegmentGradient) == 23 * sizeof(double), "scratch is (n, 23)");
  auto* gradients = reinterpret_cast<SegmentGradient*>(scratch);
  const int error = launch(
      stream, blocks_for(n), kThreads, split_gradient<T>, grad_scores, frame_scores, prefix, n_rows, n_frames,
      segments, sorted, order, n, gradients);
  return error != 0 ? error
                    : launch(
                          stream, blocks_for(n_rows * n_frames), kThreads, gather_gradient<T>, gradients,
                          sorted, n, n_rows, n_frames, grad_frame_scores);
}

} // namespace
} // namespace avloc

#define AVLOC_SCORE_SEGMENTS(SUFFIX, T)                                                                    \
  extern "C" int avloc_cuda_prefix_sums_##SUFFIX(                                                          \
      const T* frame_scores, int64_t n_rows, int64_t n_frames, double* prefix, void* stream) {             \
    return avloc::queue_prefix_sums(frame_scores, n_rows, n_frames, prefix, stream);                       \
  }                                                                                                        \
  extern "C" int avloc_cuda_score_segments_##SUFFIX(                                                       \
      const T* frame_scores, const double* prefix, int64_t n_rows, int64_t n_frames, const T* segments,    \
      int64_t n, T* scores, void* stream) {                                                                \
    return avloc::queue_scores(frame_scores, prefix, n_rows, n_frames, segments, n, scores, stream);       \
  }                                                                                                        \
  extern "C" int avloc_cuda_batch_rows_##SUFFIX(                                                           \
      const T* segments, int64_t n, int64_t n_rows, int64_t* rows, void* stream) {                         \
    return avloc::launch(                                                                                  \
        stream, avloc::blocks_for(n), avloc::kThreads, avloc::batch_rows<T>, segments, n, n_rows, rows);   \
  }                                                                                                        \
  extern "C" int avloc_cuda_score_segments_backward_##SUFFIX(                                              \
      const T* grad_scores, const T* frame_scores, const double* prefix, int64_t n_rows, int64_t n_frames, \
      const T* segments, const int64_t* sorted, const int64_t* order, int64_t n, double* parts,            \
      T* grad_frame_scores, void* stream) {                                                                \
    return avloc::queue_backward(                                                                          \
        grad_scores, frame_scores, prefix, n_rows, n_frames, segments, sorted, order, n, parts,            \
        grad_frame_scores, stream);                                                                        \
  }

AVLOC_SCORE_SEGMENTS(f32, float)
AVLOC_SCORE_SEGMENTS(f64, double)
