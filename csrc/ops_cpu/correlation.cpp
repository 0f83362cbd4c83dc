// Schemas of the correlation of sound and picture and their CPU registration on torch's stable ABI: every
// argument is checked here, before a kernel sees a pointer.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <cstdint>
#include <tuple>

#include "arguments.h"
#include "avloc_kernels.h"
#include "checks.h"

namespace avloc {
namespace {

// A contiguous tensor on the CPU.
Tensor stream(const Tensor& tensor, const char* name) {
  check(tensor.is_cpu(), name, " must be on the CPU, got another device");
  return torch::stable::contiguous(tensor);
}

Tensor band_correlation(Tensor audio, Tensor visual, int64_t max_lag) {
  check_streams(audio, visual, max_lag);
  const Tensor sound = stream(audio, "audio"), picture = stream(visual, "visual");
  const int64_t channels = audio.size(1), frames = audio.size(2), n_lags = 2 * max_lag + 1;
  Tensor out = empty({audio.size(0), n_lags, frames}, audio.scalar_type());
  const auto run = [&](auto kernel, auto zero) {
    using T = decltype(zero);
    const auto* a = static_cast<const T*>(sound.const_data_ptr());
    const auto* v = static_cast<const T*>(picture.const_data_ptr());
    auto* to = static_cast<T*>(out.mutable_data_ptr());
    torch::stable::parallel_for(0, audio.size(0) * n_lags, 4, [&](int64_t first, int64_t last) {
      kernel(a, v, channels, frames, max_lag, first, last, to);
    });
  };
  audio.scalar_type() == ScalarType::Float ? run(avloc_band_correlation_f32, 0.0F)
                                           : run(avloc_band_correlation_f64, 0.0);
  return out;
}

std::tuple<Tensor, Tensor> band_correlation_backward(
    Tensor grad, Tensor audio, Tensor visual, int64_t max_lag) {
  check_streams(audio, visual, max_lag);
  check_stream_grad(grad, audio, max_lag);
  const int64_t batch = audio.size(0), channels = audio.size(1), frames = audio.size(2);
  const Tensor weights = stream(grad, "grad");
  const Tensor sound = stream(audio, "audio"), picture = stream(visual, "visual");
  Tensor grad_audio = empty({batch, channels, frames}, audio.scalar_type());
  Tensor grad_visual = empty({batch, channels, frames}, audio.scalar_type());
  const auto run = [&](auto kernel, auto zero) {
    using T = decltype(zero);
    const auto* g = static_cast<const T*>(weights.const_data_ptr());
    const auto* a = static_cast<const T*>(sound.const_data_ptr());
    const auto* v = static_cast<const T*>(picture.const_data_ptr());
    auto* to_audio = static_cast<T*>(grad_audio.mutable_data_ptr());
    auto* to_visual = static_cast<T*>(grad_visual.mutable_data_ptr());
    torch::stable::parallel_for(0, batch * channels, 4, [&](int64_t first, int64_t last) {
      kernel(g, a, v, channels, frames, max_lag, first, last, to_audio, to_visual);
    });
  };
  audio.scalar_type() == ScalarType::Float ? run(avloc_band_correlation_backward_f32, 0.0F)
                                           : run(avloc_band_correlation_backward_f64, 0.0);
  return {grad_audio, grad_visual};
}

} // namespace
} // namespace avloc

// The same schemas stand in avloc/ops/_extension.py, for an avloc without this library; a test compares them.
STABLE_TORCH_LIBRARY_FRAGMENT(avloc, m) {
  m.def("band_correlation(Tensor audio, Tensor visual, int max_lag) -> Tensor");
  m.def(
      "band_correlation_backward(Tensor grad, Tensor audio, Tensor visual, int max_lag) -> (Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(avloc, CPU, m) {
  m.impl("band_correlation", TORCH_BOX(&avloc::band_correlation));
  m.impl("band_correlation_backward", TORCH_BOX(&avloc::band_correlation_backward));
}
