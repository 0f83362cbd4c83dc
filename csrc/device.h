// The CUDA device of a tensor, for the bindings of csrc/ops_cuda.
#pragma once

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/shim_utils.h>

#include <cstdint>

namespace avloc {

inline bool is_on_device(const torch::stable::Tensor& tensor) {
  return tensor.is_cuda();
}

// Makes the device of a tensor the current one while it lives, and names its current stream.
class OnDevice {
 public:
  explicit OnDevice(const torch::stable::Tensor& tensor) : guard_(tensor.get_device_index()) {
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream_));
  }

  void* stream() const {
    return stream_;
  }

 private:
  torch::stable::accelerator::DeviceGuard guard_;
  void* stream_ = nullptr;
};

} // namespace avloc
