// Similarity of sound and picture over a band of lags, and its gradient.
#include "avloc_cuda.h"
#include "launch.h"

namespace avloc {
namespace {

constexpr int kFrames = 4;       // neighbouring frames of a thread,
constexpr int kLags = 8;         // and lags: 32 products from four reads
constexpr int kFrameGroups = 32; // threads along time: a block has 128 frames
constexpr int kLagGroups = 4;    // and along lags: 32
constexpr int kChannels = 8;     // read at once
constexpr int kTileFrames = kFrames * kFrameGroups;
constexpr int kTileLags = kLags * kLagGroups;
constexpr int kWindow = kTileFrames + kTileLags; // frames of the sound that a tile meets, and one

// What a thread reads at once.
template <class T>
struct alignas(16) Four {
  T value[4];
};

// Blocks of kTileFrames frames and kTileLags lags of a batch row. Sums run over the channels in order.
template <class T>
__global__ void __launch_bounds__(kFrameGroups* kLagGroups) correlate(
    const T* audio, const T* visual, int64_t n_channels, int64_t n_frames, int64_t max_lag,
    int64_t frame_tiles, int64_t lag_tiles, T* correlation) {
  __shared__ Four<T> sound[kChannels][kWindow / 4];
  __shared__ Four<T> picture[kChannels][kTileFrames / 4];
  const int64_t n_lags = 2 * max_lag + 1, batch = blockIdx.x / (frame_tiles * lag_tiles);
  const int64_t first_frame = blockIdx.x % frame_tiles * kTileFrames;
  const int64_t first_lag = blockIdx.x / frame_tiles % lag_tiles * kTileLags;
  const int64_t first_sound = first_frame + first_lag - max_lag;
  const int frame = threadIdx.x % kFrameGroups * kFrames, lag = threadIdx.x / kFrameGroups * kLags;
  T sums[kLags][kFrames] = {};
  for (int64_t first_channel = 0; first_channel < n_channels; first_channel += kChannels) {
    const int64_t rest = n_channels - first_channel;
    const int n = rest < kChannels ? static_cast<int>(rest) : kChannels;
    const int64_t row = batch * n_channels + first_channel;
    for (int item = threadIdx.x; item < n * kWindow; item += blockDim.x) {
      const int64_t at = first_sound + item % kWindow;
      sound[item / kWindow][item % kWindow / 4].value[item % 4] =
          at >= 0 && at < n_frames ? audio[(row + item / kWindow) * n_frames + at] : T(0);
    }
    for (int item = threadIdx.x; item < n * kTileFrames; item += blockDim.x) {
      const int64_t at = first_frame + item % kTileFrames;
      picture[item / kTileFrames][item % kTileFrames / 4].value[item % 4] =
          at < n_frames ? visual[(row + item / kTileFrames) * n_frames + at] : T(0);
    }
    __syncthreads();
    for (int channel = 0; channel < n; ++channel) {
      const Four<T>* from = sound[channel] + (frame + lag) / 4;
      const Four<T> heard[3] = {from[0], from[1], from[2]};
      const Four<T> seen = picture[channel][frame / 4];
      for (int own = 0; own < kFrames; ++own) {
        for (int shift = 0; shift < kLags; ++shift) {
          const T sound_then = heard[(own + shift) / 4].value[(own + shift) % 4];
          sums[shift][own] = fma(sound_then, seen.value[own], sums[shift][own]);
        }
      }
    }
    __syncthreads();
  }
  const T scale = T(1) / static_cast<T>(n_channels);
  for (int shift = 0; shift < kLags; ++shift) {
    for (int own = 0; own < kFrames; ++own) {
      const int64_t to_lag = first_lag + lag + shift, to_frame = first_frame + frame + own;
      if (to_lag < n_lags && to_frame < n_frames) {
        correlation[(batch * n_lags + to_lag) * n_frames + to_frame] = sums[shift][own] * scale;
      }
    }
  }
}

// A thread a frame of a channel: neighbours read neighbours, and channels share the gradient in the cache.
template <class T>
__global__ void correlate_backward(
    const T* grad, const T* audio, const T* visual, int64_t n_batch, int64_t n_channels, int64_t n_frames,
    int64_t max_lag, T* grad_audio, T* grad_visual) {
  const int64_t n_lags = 2 * max_lag + 1;
  const T scale = T(1) / static_cast<T>(n_channels);
  for (int64_t item = first_item(); item < n_batch * n_channels * n_frames; item += items_at_once()) {
    const int64_t row = item / n_frames, frame = item % n_frames;
    const T* own = grad + row / n_channels * n_lags * n_frames;
    const T* sound = audio + row * n_frames;
    const T* picture = visual + row * n_frames;
    T to_sound = T(0), to_picture = T(0);
    for (int64_t lag = 0; lag < n_lags; ++lag) {
      const int64_t heard = frame + lag - max_lag, seen = frame - (lag - max_lag);
      if (heard >= 0 && heard < n_frames) {
        to_picture = fma(own[lag * n_frames + frame], sound[heard], to_picture);
      }
      if (seen >= 0 && seen < n_frames) {
        to_sound = fma(own[lag * n_frames + seen], picture[seen], to_sound);
      }
    }
    grad_audio[item] = to_sound * scale;
    grad_visual[item] = to_picture * scale;
  }
}

template <class T>
int queue(
    const T* audio, const T* visual, int64_t n_batch, int64_t n_channels, int64_t n_frames, int64_t max_lag,
    T* correlation, void* stream) {
  const int64_t frame_tiles = (n_frames + kTileFrames - 1) / kTileFrames;
  const int64_t lag_tiles = (2 * max_lag + 1 + kTileLags - 1) / kTileLags;
  return launch(
      stream, n_batch * frame_tiles * lag_tiles, kFrameGroups * kLagGroups, correlate<T>, audio, visual,
      n_channels, n_frames, max_lag, frame_tiles, lag_tiles, correlation);
}

template <class T>
int queue_backward(
    const T* grad, const T* audio, const T* visual, int64_t n_batch, int64_t n_channels, int64_t n_frames,
    int64_t max_lag, T* grad_audio, T* grad_visual, void* stream) {
  return launch(
      stream, blocks_for(n_batch * n_channels * n_frames), kThreads, correlate_backward<T>, grad, audio,
      visual, n_batch, n_channels, n_frames, max_lag, grad_audio, grad_visual);
}

} // namespace
} // namespace avloc

extern "C" int avloc_cuda_band_correlation_f32(
    const float* audio, const float* visual, int64_t n_batch, int64_t n_channels, int64_t n_frames,
    int64_t max_lag, float* correlation, void* stream) {
  return avloc::queue(audio, visual, n_batch, n_channels, n_frames, max_lag, correlation, stream);
}

extern "C" int avloc_cuda_band_correlation_f64(
    const double* audio, const double* visual, int64_t n_batch, int64_t n_channels, int64_t n_frames,
    int64_t max_lag, double* correlation, void* stream) {
  return avloc::queue(audio, visual, n_batch, n_channels, n_frames, max_lag, correlation, stream);
}

extern "C" int avloc_cuda_band_correlation_backward_f32(
    const float* grad, const float* audio, const float* visual, int64_t n_batch, int64_t n_channels,
    int64_t n_frames, int64_t max_lag, float* grad_audio, float* grad_visual, void* stream) {
  return avloc::queue_backward(
      grad, audio, visual, n_batch, n_channels, n_frames, max_lag, grad_audio, grad_visual, stream);
}

extern "C" int avloc_cuda_band_correlation_backward_f64(
    const double* grad, const double* audio, const double* visual, int64_t n_batch, int64_t n_channels,
    int64_t n_frames, int64_t max_lag, double* grad_audio, double* grad_visual, void* stream) {
  return avloc::queue_backward(
      grad, audio, visual, n_batch, n_channels, n_frames, max_lag, grad_audio, grad_visual, stream);
}
