// Intersection over union of every pair of segments of two lists.
#include <algorithm>
#include <cstdint>

#include "avloc_kernels.h"
#include "segments.h"

namespace avloc {
namespace {

template <class T>
void compare(const double* a, const double* b, int64_t m, int64_t first, int64_t last, T* iou) {
  for (int64_t row = first; row < last; ++row) {
    for (int64_t column = 0; column < m; ++column) {
      iou[row * m + column] = static_cast<T>(segment_iou(a + 2 * row, b + 2 * column));
    }
  }
}

template <class T>
void compare_backward(
    const T* grad, const double* a, const double* b, int64_t m, int64_t first, int64_t last, double* grad_a) {
  std::fill(grad_a + 2 * first, grad_a + 2 * last, 0.0);
  for (int64_t row = first; row < last; ++row) {
    for (int64_t column = 0; column < m; ++column) {
      const auto weight = static_cast<double>(grad[row * m + column]);
      add_iou_gradient(weight, a + 2 * row, b + 2 * column, grad_a + 2 * row);
    }
  }
}

} // namespace
} // namespace avloc

extern "C" void avloc_segment_iou_f32(
    const double* a, const double* b, int64_t m, int64_t first, int64_t last, float* iou) {
  avloc::compare(a, b, m, first, last, iou);
}

extern "C" void avloc_segment_iou_f64(
    const double* a, const double* b, int64_t m, int64_t first, int64_t last, double* iou) {
  avloc::compare(a, b, m, first, last, iou);
}

extern "C" void avloc_segment_iou_backward_f32(
    const float* grad, const double* a, const double* b, int64_t m, int64_t first, int64_t last,
    double* grad_a) {
  avloc::compare_backward(grad, a, b, m, first, last, grad_a);
}

extern "C" void avloc_segment_iou_backward_f64(
    const double* grad, const double* a, const double* b, int64_t m, int64_t first, int64_t last,
    double* grad_a) {
  avloc::compare_backward(grad, a, b, m, first, last, grad_a);
}
