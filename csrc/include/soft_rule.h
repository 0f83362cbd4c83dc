// The rule of a soft suppression, shared by host and device.
#pragma once

#include <stdint.h>

#include "avloc_kernels.h"
#include "segments.h"

namespace avloc {

// A score is its first value times exp(-loss / spread); what one pick adds to the loss is the square of the
// IoU (Gaussian, adaptive) or -log(1 - IoU) (linear), rounded.
struct SoftRule {
  int32_t decay;
  double sigma;
  double iou_threshold;
  double iou_at_0s;
  double iou_at_1s;
  double min_score;
  int64_t max_segments;

  AVLOC_HOST_DEVICE double spread() const {
    return decay == AVLOC_DECAY_LINEAR ? 1.0 : sigma;
  }

  // IoU with a pick of this length that the adaptive decay has to exceed.
  AVLOC_HOST_DEVICE double adaptive_threshold(double length_s) const {
    return iou_at_0s + (iou_at_1s - iou_at_0s) * length_s;
  }
};

// Nearest multiple of 2^-36, of a value in [0, 2^15]: sums of them are exact, whatever their order.
AVLOC_HOST_DEVICE inline double rounded_loss(double loss) {
  const double shift = 98304.0; // 1.5 * 2^16: one unit in its last place is 2^-36
  return (loss + shift) - shift;
}

} // namespace avloc
