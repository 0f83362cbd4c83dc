// Similarity of sound and picture over a band of lags, without the T x T product of all frames with all.
#include <algorithm>
#include <cstdint>

#include "avloc_kernels.h"

namespace avloc {
namespace {

// Frames t of the picture for which frame t + shift of the sound exists.
struct Overlap {
  int64_t begin;
  int64_t end;
};

Overlap overlap(int64_t shift, int64_t n_frames) {
  return {std::max<int64_t>(0, -shift), std::min(n_frames, n_frames - shift)};
}

template <class T>
void correlate(
    const T* audio, const T* visual, int64_t n_channels, int64_t n_frames, int64_t max_lag, int64_t first,
    int64_t last, T* correlation) {
  const int64_t n_lags = 2 * max_lag + 1;
  const T scale = T(1) / static_cast<T>(n_channels);
  for (int64_t row = first; row < last; ++row) {
    const int64_t shift = row % n_lags - max_lag;
    const int64_t offset = row / n_lags * n_channels * n_frames;
    const Overlap frames = overlap(shift, n_frames);
    T* out = correlation + row * n_frames;
    std::fill(out, out + n_frames, T(0));
    for (int64_t channel = 0; channel < n_channels; ++channel) {
      const T* sound = audio + offset + channel * n_frames;
      const T* picture = visual + offset + channel * n_frames;
      for (int64_t t = frames.begin; t < frames.end; ++t) {
        out[t] += sound[t + shift] * picture[t];
      }
    }
    for (int64_t t = frames.begin; t < frames.end; ++t) {
      out[t] *= scale;
    }
  }
}

template <class T>
void correlate_backward(
    const T* grad, const T* audio, const T* visual, int64_t n_channels, int64_t n_frames, int64_t max_lag,
    int64_t first, int64_t last, T* grad_audio, T* grad_visual) {
  const int64_t n_lags = 2 * max_lag + 1;
  const T scale = T(1) / static_cast<T>(n_channels);
  for (int64_t row = first; row < last; ++row) {
    const int64_t offset = row * n_frames;
    const T* own = grad + row / n_channels * n_lags * n_frames;
    T* to_sound = grad_audio + offset;
    T* to_picture = grad_visual + offset;
    std::fill(to_sound, to_sound + n_frames, T(0));
    std::fill(to_picture, to_picture + n_frames, T(0));
    for (int64_t lag = 0; lag < n_lags; ++lag) {
      const int64_t shift = lag - max_lag;
      const Overlap frames = overlap(shift, n_frames);
      const T* weight = own + lag * n_frames;
      for (int64_t t = frames.begin; t < frames.end; ++t) {
        to_sound[t + shift] += weight[t] * visual[offset + t];
      }
      for (int64_t t = frames.begin; t < frames.end; ++t) {
        to_picture[t] += weight[t] * audio[offset + t + shift];
      }
    }
    for (int64_t t = 0; t < n_frames; ++t) {
      to_sound[t] *= scale;
      to_picture[t] *= scale;
    }
  }
}

} // namespace
} // namespace avloc

extern "C" void avloc_band_correlation_f32(
    const float* audio, const float* visual, int64_t n_channels, int64_t n_frames, int64_t max_lag,
    int64_t first, int64_t last, float* correlation) {
  avloc::correlate(audio, visual, n_channels, n_frames, max_lag, first, last, correlation);
}

extern "C" void avloc_band_correlation_f64(
    const double* audio, const double* visual, int64_t n_channels, int64_t n_frames, int64_t max_lag,
    int64_t first, int64_t last, double* correlation) {
  avloc::correlate(audio, visual, n_channels, n_frames, max_lag, first, last, correlation);
}

extern "C" void avloc_band_correlation_backward_f32(
    const float* grad, const float* audio, const float* visual, int64_t n_channels, int64_t n_frames,
    int64_t max_lag, int64_t first, int64_t last, float* grad_audio, float* grad_visual) {
  avloc::correlate_backward(
      grad, audio, visual, n_channels, n_frames, max_lag, first, last, grad_audio, grad_visual);
}

extern "C" void avloc_band_correlation_backward_f64(
    const double* grad, const double* audio, const double* visual, int64_t n_channels, int64_t n_frames,
    int64_t max_lag, int64_t first, int64_t last, double* grad_audio, double* grad_visual) {
  avloc::correlate_backward(
      grad, audio, visual, n_channels, n_frames, max_lag, first, last, grad_audio, grad_visual);
}
