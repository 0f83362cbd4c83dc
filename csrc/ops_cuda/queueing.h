// What the bindings of CUDA share: tensors on the device, and the errors of launches.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/shim_utils.h>

#include <array>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "arguments.h"
#include "avloc_cuda.h"
#include "device.h"

// The dispatch key that the kernels answer to, and the library of torch that their operations belong to.
#ifndef AVLOC_DEVICE_KEY
#define AVLOC_DEVICE_KEY CUDA
#endif
#ifndef AVLOC_LIBRARY
#define AVLOC_LIBRARY avloc
#endif
#define AVLOC_IMPLEMENT_AS(library, key, m) STABLE_TORCH_LIBRARY_IMPL(library, key, m)
#define AVLOC_IMPLEMENT(m) AVLOC_IMPLEMENT_AS(AVLOC_LIBRARY, AVLOC_DEVICE_KEY, m)

namespace avloc {

inline void check_launch(int error) {
  if (error != 0) {
    throw std::runtime_error(std::string("a CUDA kernel was not launched: ") + avloc_cuda_error(error));
  }
}

inline bool is_on_device_of(const Tensor& tensor, const Tensor& other) {
  return is_on_device(tensor) && tensor.get_device_index() == other.get_device_index();
}

// A contiguous tensor of float32 or float64 on the device of another one.
inline Tensor real_on_device(const Tensor& tensor, const char* name, const Tensor& other) {
  check(is_real(tensor), name, " must be float32 or float64, got another dtype");
  check(
      is_on_device_of(tensor, other), name, " must be on the device of the other arguments, got another one");
  return torch::stable::contiguous(tensor);
}

inline Tensor empty_on(const Tensor& other, std::vector<int64_t> shape, ScalarType dtype) {
  return torch::stable::new_empty(
      other, torch::headeronly::IntHeaderOnlyArrayRef(shape.data(), shape.size()), dtype);
}

inline Tensor zeros_on(const Tensor& other, std::vector<int64_t> shape, ScalarType dtype) {
  return torch::stable::new_zeros(
      other, torch::headeronly::IntHeaderOnlyArrayRef(shape.data(), shape.size()), dtype);
}

// Where a stable sort of a (n,) tensor puts its values: their places before, and with them the sorted values.
inline std::pair<Tensor, Tensor> stable_sort(const Tensor& values, bool descending) {
  std::array<StableIValue, 4> stack{
      torch::stable::detail::from(values), torch::stable::detail::from(std::optional<bool>(true)),
      torch::stable::detail::from(int64_t{0}), torch::stable::detail::from(descending)};
  TORCH_ERROR_CODE_CHECK(torch_call_dispatcher("aten::sort", "stable", stack.data(), TORCH_ABI_VERSION));
  return {torch::stable::detail::to<Tensor>(stack[0]), torch::stable::detail::to<Tensor>(stack[1])};
}

inline Tensor on_cpu(const Tensor& tensor) {
  return torch::stable::to(tensor, torch::stable::Device(torch::headeronly::DeviceType::CPU));
}

inline int64_t* mutable_indices(const Tensor& tensor) {
  return static_cast<int64_t*>(tensor.mutable_data_ptr());
}

inline const int64_t* indices(const Tensor& tensor) {
  return static_cast<const int64_t*>(tensor.const_data_ptr());
}

// Call run(float{}) or run(double{}), whichever the tensor holds.
template <class Run>
void for_dtype_of(const Tensor& tensor, const Run& run) {
  tensor.scalar_type() == ScalarType::Float ? run(0.0F) : run(0.0);
}

// One name for both variants of a kernel.
template <class T, class F32, class F64>
auto variant(F32 f32, F64 f64) {
  if constexpr (std::is_same_v<T, float>) {
    return f32;
  } else {
    return f64;
  }
}

} // namespace avloc
