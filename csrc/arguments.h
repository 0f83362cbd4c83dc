// What the bindings share: argument checks and conversions on torch's stable ABI.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace avloc {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// A wrong argument: std::invalid_argument arrives in Python as ValueError.
template <class... Parts>
void check(bool holds, const Parts&... parts) {
  if (!holds) {
    std::ostringstream message;
    ((message << parts), ...);
    throw std::invalid_argument(message.str());
  }
}

inline std::string shape_of(const Tensor& tensor) {
  std::ostringstream text;
  text << "(";
  for (int64_t axis = 0; axis < tensor.dim(); ++axis) {
    text << (axis == 0 ? "" : ", ") << tensor.size(axis);
  }
  text << ")";
  return text.str();
}

inline bool is_real(const Tensor& tensor) {
  return tensor.scalar_type() == ScalarType::Float || tensor.scalar_type() == ScalarType::Double;
}

// Contiguous float64 copy (or the tensor itself): decisions are made in double whatever the input is.
inline Tensor as_double(const Tensor& tensor, const char* name) {
  check(is_real(tensor), name, " must be float32 or float64, got another dtype");
  check(tensor.is_cpu(), name, " must be on the CPU, got another device");
  return torch::stable::contiguous(torch::stable::to(tensor, ScalarType::Double));
}

inline const double* doubles(const Tensor& tensor) {
  return static_cast<const double*>(tensor.const_data_ptr());
}

inline double* mutable_doubles(const Tensor& tensor) {
  return static_cast<double*>(tensor.mutable_data_ptr());
}

inline std::vector<int64_t> recordings_of(const std::optional<Tensor>& splits, int64_t n) {
  if (!splits.has_value()) {
    return {0, n};
  }
  check(
      splits->scalar_type() == ScalarType::Long && splits->is_cpu() && splits->dim() == 1 &&
          splits->size(0) >= 1,
      "splits must be int64 of shape (R + 1,) on the CPU, got shape ", shape_of(*splits));
  const Tensor packed = torch::stable::contiguous(*splits);
  const auto* values = static_cast<const int64_t*>(packed.const_data_ptr());
  std::vector<int64_t> rows(values, values + packed.size(0));
  check(
      rows.front() == 0 && rows.back() == n && std::is_sorted(rows.begin(), rows.end()),
      "splits must rise from 0 to ", n, ", got ", rows.front(), " to ", rows.back());
  return rows;
}

inline Tensor empty(std::vector<int64_t> shape, ScalarType dtype) {
  return torch::stable::empty(torch::headeronly::IntHeaderOnlyArrayRef(shape.data(), shape.size()), dtype);
}

// Close the gaps between recordings: the first counts[r] items from values[splits[r]] on, one after another.
template <class T>
Tensor packed(
    const std::vector<T>& values, const std::vector<int64_t>& splits, const std::vector<int64_t>& counts,
    ScalarType dtype) {
  int64_t total = 0;
  for (const int64_t count : counts) {
    total += count;
  }
  Tensor out = empty({total}, dtype);
  auto* cursor = static_cast<T*>(out.mutable_data_ptr());
  for (size_t recording = 0; recording < counts.size(); ++recording) {
    cursor = std::copy_n(values.begin() + splits[recording], counts[recording], cursor);
  }
  return out;
}

} // namespace avloc
