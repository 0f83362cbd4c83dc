// Intersection over union of every pair of segments of two lists.
#include "avloc_cuda.h"
#include "launch.h"
#include "segments.h"

namespace avloc {
namespace {

template <class T>
__device__ bool read_segment(const T* from, double* segment) {
  segment[0] = from[0];
  segment[1] = from[1];
  return is_segment(segment[0], segment[1]);
}

template <class T>
__global__ void compare(const T* a, const T* b, int64_t n, int64_t m, T* iou) {
  for (int64_t pair = first_item(); pair < n * m; pair += items_at_once()) {
    // Division of 64 bits takes longer than all the rest.
    const int64_t row =
        n * m <= INT32_MAX ? static_cast<uint32_t>(pair) / static_cast<uint32_t>(m) : pair / m;
    double one[2], other[2];
    const bool are_right = read_segment(a + 2 * row, one) & read_segment(b + 2 * (pair - row * m), other);
    iou[pair] = are_right ? static_cast<T>(segment_iou(one, other)) : static_cast<T>(nan(""));
  }
}

// A block a segment of a.
template <class T>
__global__ void compare_backward(const T* grad, const T* a, const T* b, int64_t n, int64_t m, T* grad_a) {
  for (int64_t row = blockIdx.x; row < n; row += gridDim.x) {
    double one[2], other[2], sum[2] = {0.0, 0.0};
    bool are_right = read_segment(a + 2 * row, one);
    for (int64_t column = threadIdx.x; column < m; column += blockDim.x) {
      are_right &= read_segment(b + 2 * column, other);
      add_iou_gradient(grad[row * m + column], one, other, sum);
    }
    are_right = __syncthreads_and(are_right);
    const double to_start = block_sum(sum[0]), to_end = block_sum(sum[1]);
    if (threadIdx.x == 0) {
      grad_a[2 * row] = static_cast<T>(are_right ? to_start : nan(""));
      grad_a[2 * row + 1] = static_cast<T>(are_right ? to_end : nan(""));
    }
  }
}

template <class T>
int queue(const T* a, const T* b, int64_t n, int64_t m, T* iou, void* stream) {
  return launch(stream, blocks_for(n * m), kThreads, compare<T>, a, b, n, m, iou);
}

template <class T>
int queue_backward(const T* grad, const T* a, const T* b, int64_t n, int64_t m, T* grad_a, void* stream) {
  const int64_t blocks = n < (1 << 20) ? n : 1 << 20;
  return launch(stream, blocks, 128, compare_backward<T>, grad, a, b, n, m, grad_a);
}

} // namespace
} // namespace avloc

extern "C" int avloc_cuda_segment_iou_f32(
    const float* a, const float* b, int64_t n, int64_t m, float* iou, void* stream) {
  return avloc::queue(a, b, n, m, iou, stream);
}

extern "C" int avloc_cuda_segment_iou_f64(
    const double* a, const double* b, int64_t n, int64_t m, double* iou, void* stream) {
  return avloc::queue(a, b, n, m, iou, stream);
}

extern "C" int avloc_cuda_segment_iou_backward_f32(
    const float* grad, const float* a, const float* b, int64_t n, int64_t m, float* grad_a, void* stream) {
  return avloc::queue_backward(grad, a, b, n, m, grad_a, stream);
}

extern "C" int avloc_cuda_segment_iou_backward_f64(
    const double* grad, const double* a, const double* b, int64_t n, int64_t m, double* grad_a,
    void* stream) {
  return avloc::queue_backward(grad, a, b, n, m, grad_a, stream);
}
