// In the place of csrc/device.h: tensors of the host, no stream.
#pragma once

#include <torch/csrc/stable/tensor.h>

namespace avloc {

inline bool is_on_device(const torch::stable::Tensor& tensor) {
  return tensor.is_cpu();
}

class OnDevice {
 public:
  explicit OnDevice(const torch::stable::Tensor&) {}

  void* stream() const {
    return nullptr;
  }
};

} // namespace avloc
