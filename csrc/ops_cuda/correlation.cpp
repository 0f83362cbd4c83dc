// CUDA registration of the correlation of sound and picture on torch's stable ABI.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <cstdint>
#include <tuple>

#include "checks.h"
#include "queueing.h"

namespace avloc {
namespace {

Tensor band_correlation(Tensor audio, Tensor visual, int64_t max_lag) {
  check_streams(audio, visual, max_lag);
  const Tensor sound = real_on_device(audio, "audio", audio);
  const Tensor picture = real_on_device(visual, "visual", audio);
  const OnDevice on_device(sound);
  const int64_t batch = audio.size(0), channels = audio.size(1), frames = audio.size(2);
  Tensor out = empty_on(sound, {batch, 2 * max_lag + 1, frames}, audio.scalar_type());
  for_dtype_of(sound, [&](auto zero) {
    using T = decltype(zero);
    const auto correlate = variant<T>(avloc_cuda_band_correlation_f32, avloc_cuda_band_correlation_f64);
    check_launch(correlate(
        static_cast<const T*>(sound.const_data_ptr()), static_cast<const T*>(picture.const_data_ptr()), batch,
        channels, frames, max_lag, static_cast<T*>(out.mutable_data_ptr()), on_device.stream()));
  });
  return out;
}

std::tuple<Tensor, Tensor> band_correlation_backward(
    Tensor grad, Tensor audio, Tensor visual, int64_t max_lag) {
  check_streams(audio, visual, max_lag);
  check_stream_grad(grad, audio, max_lag);
  const Tensor sound = real_on_device(audio, "audio", audio);
  const Tensor picture = real_on_device(visual, "visual", audio);
  const Tensor weights = real_on_device(grad, "grad", audio);
  const OnDevice on_device(sound);
  const int64_t batch = audio.size(0), channels = audio.size(1), frames = audio.size(2);
  Tensor grad_audio = empty_on(sound, {batch, channels, frames}, audio.scalar_type());
  Tensor grad_visual = empty_on(sound, {batch, channels, frames}, audio.scalar_type());
  for_dtype_of(sound, [&](auto zero) {
    using T = decltype(zero);
    const auto correlate =
        variant<T>(avloc_cuda_band_correlation_backward_f32, avloc_cuda_band_correlation_backward_f64);
    check_launch(correlate(
        static_cast<const T*>(weights.const_data_ptr()), static_cast<const T*>(sound.const_data_ptr()),
        static_cast<const T*>(picture.const_data_ptr()), batch, channels, frames, max_lag,
        static_cast<T*>(grad_audio.mutable_data_ptr()), static_cast<T*>(grad_visual.mutable_data_ptr()),
        on_device.stream()));
  });
  return {grad_audio, grad_visual};
}

} // namespace
} // namespace avloc

AVLOC_IMPLEMENT(m) {
  m.impl("band_correlation", TORCH_BOX(&avloc::band_correlation));
  m.impl("band_correlation_backward", TORCH_BOX(&avloc::band_correlation_backward));
}
