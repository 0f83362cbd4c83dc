// What all kernels share: launching, one thread an item, sums over a block.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace avloc {

constexpr int kThreads = 256; // of kernels that give each item a thread: enough to hide memory, few registers
constexpr int kWarp = 32;
constexpr unsigned kAll = 0xffffffff;

// Queue a kernel; returns cudaSuccess or the error of the launch. No blocks: nothing is launched.
template <class... Parameters, class... Arguments>
int launch(void* stream, int64_t blocks, int threads, void (*kernel)(Parameters...), Arguments... arguments) {
  if (blocks == 0) {
    return cudaSuccess;
  }
  if (blocks > INT32_MAX) {
    return cudaErrorInvalidConfiguration;
  }
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.stream = static_cast<cudaStream_t>(stream);
  const cudaError_t error = cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
  if (error != cudaSuccess) {
    cudaGetLastError(); // the runtime would tell it to whoever asks next, too
  }
  return error;
}

// Blocks of kThreads for n items; the kernels step over what a grid of them does not reach.
inline int64_t blocks_for(int64_t n) {
  const int64_t blocks = (n + kThreads - 1) / kThreads, most = 1 << 20;
  return blocks < most ? blocks : most;
}

__device__ inline int64_t first_item() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

__device__ inline int64_t items_at_once() {
  return static_cast<int64_t>(gridDim.x) * blockDim.x;
}

// The recording that owns a row: the last r with splits[r] <= row.
__device__ inline int64_t recording_of(const int64_t* splits, int64_t n_recordings, int64_t row) {
  int64_t low = 0, high = n_recordings; // splits[low] <= row < splits[high]
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (splits[middle] <= row ? low : high) = middle;
  }
  return low;
}

// Sum over a warp in a fixed order; every lane gets it.
__device__ inline double warp_sum(double value) {
  for (int apart = kWarp / 2; apart > 0; apart /= 2) {
    value += __shfl_xor_sync(kAll, value, apart);
  }
  return value;
}

// Sum over a block of at most 1,024 threads, whole warps, in a fixed order; every thread gets it.
__device__ inline double block_sum(double value) {
  __shared__ double sums[kWarp];
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  value = warp_sum(value);
  __syncthreads(); // the sums of an earlier call have been read
  if (lane == 0) {
    sums[warp] = value;
  }
  __syncthreads();
  const int n_warps = blockDim.x / kWarp;
  return warp_sum(lane < n_warps ? sums[lane] : 0.0);
}

// Running sum over a block of at most 1,024 threads, whole warps, each thread's own value included; `total`
// is the sum of all.
template <class T>
__device__ T block_scan(T value, T& total) {
  __shared__ T sums[kWarp];
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp, n_warps = blockDim.x / kWarp;
  for (int apart = 1; apart < kWarp; apart *= 2) {
    const T before = __shfl_up_sync(kAll, value, apart);
    value += lane >= apart ? before : T(0);
  }
  __syncthreads(); // the sums of an earlier call have been read
  if (lane == kWarp - 1) {
    sums[warp] = value;
  }
  __syncthreads();
  T before = T(0);
  total = T(0);
  for (int other = 0; other < n_warps; ++other) {
    before += other < warp ? sums[other] : T(0);
    total += sums[other];
  }
  return before + value;
}

} // namespace avloc
