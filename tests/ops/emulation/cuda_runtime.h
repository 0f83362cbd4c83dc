// Enough of CUDA to run the kernels of csrc/cuda on a processor, so that their logic is tested where no
// device is. Blocks run one after another; the threads of a block are fibers that run in turn up to their
// next barrier. What a device does at once is thus done in an order, which alternates from block to block.
// Memory of the device is that of the host.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __shared__ static // blocks run one after another and share nothing else
#define __launch_bounds__(threads)

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3() = default;
  explicit dim3(unsigned size) : x(size) {}
};

extern dim3 threadIdx, blockIdx, blockDim, gridDim;

using std::exp;
using std::floor;
using std::fma;
using std::isfinite;
using std::isnan;
using std::log1p;
using std::nan;
using std::rint;

namespace emulation {

// Waits until every thread of the block (or of the warp) has come here with its value, and returns that of
// `lane`, or of all together by `join`.
int64_t meet_block(int64_t value, int64_t (*join)(int64_t, int64_t));
int64_t meet_warp(int64_t value, unsigned lane);
unsigned ballot_of_warp(bool holds);

void run(unsigned blocks, unsigned threads, const std::function<void()>& kernel);

template <class T>
T exchange(T value, unsigned lane) {
  static_assert(sizeof(T) <= sizeof(int64_t), "one value of at most 64 bits");
  int64_t bits = 0;
  __builtin_memcpy(&bits, &value, sizeof value);
  bits = meet_warp(bits, lane);
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

} // namespace emulation

inline void __syncthreads() {
  emulation::meet_block(0, [](int64_t a, int64_t) { return a; });
}

inline int __syncthreads_and(int holds) {
  return static_cast<int>(emulation::meet_block(holds != 0, [](int64_t a, int64_t b) { return a & b; }));
}

inline unsigned __ballot_sync(unsigned, bool holds) {
  return emulation::ballot_of_warp(holds);
}

template <class T>
T __shfl_sync(unsigned, T value, int lane) {
  return emulation::exchange(value, static_cast<unsigned>(lane));
}

template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return emulation::exchange(value, (threadIdx.x % 32) ^ static_cast<unsigned>(mask));
}

template <class T>
T __shfl_up_sync(unsigned, T value, int apart) {
  const unsigned lane = threadIdx.x % 32, by = static_cast<unsigned>(apart);
  return emulation::exchange(value, lane >= by ? lane - by : lane);
}

inline int __popc(unsigned bits) {
  return __builtin_popcount(bits);
}

inline int __ffs(int bits) {
  return __builtin_ffs(bits);
}

enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidConfiguration = 9 };
using cudaStream_t = void*;

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  cudaStream_t stream = nullptr;
};

inline cudaError_t cudaGetLastError() {
  return cudaSuccess;
}

inline const char* cudaGetErrorString(cudaError_t) {
  return "no error";
}

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(
    const cudaLaunchConfig_t* config, void (*kernel)(Parameters...), Arguments... arguments) {
  emulation::run(config->gridDim.x, config->blockDim.x, [&] { kernel(arguments...); });
  return cudaSuccess;
}
