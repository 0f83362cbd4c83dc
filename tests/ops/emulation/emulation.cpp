#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "cuda_runtime.h"

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {
namespace {

constexpr unsigned kWarp = 32;
constexpr size_t kStackBytes = 64 * 1024;

enum class State { runs, in_block_barrier, in_warp_barrier, is_done };

// A context is entered once; from then on jumps lead in and out of it, which need no call of the system.
struct Fiber {
  ucontext_t context;
  jmp_buf place;
  bool has_begun;
  std::unique_ptr<char[]> stack;
  State state;
  int64_t value;               // brought to the barrier that it waits in
  int64_t met_block, met_warp; // brought to the last barrier that all of the block, or warp, have met in
};

std::vector<Fiber> fibers;
jmp_buf scheduler;
unsigned current;
const std::function<void()>* body;
const char* failure;

void trampoline() {
  (*body)();
  fibers[current].state = State::is_done;
  _longjmp(scheduler, 1);
}

void wait(State state, int64_t value) {
  fibers[current].state = state;
  fibers[current].value = value;
  if (_setjmp(fibers[current].place) == 0) {
    _longjmp(scheduler, 1);
  }
}

void resume(unsigned thread) {
  current = thread;
  threadIdx = dim3(thread);
  if (_setjmp(scheduler) == 0) {
    if (fibers[thread].has_begun) {
      _longjmp(fibers[thread].place, 1);
    }
    fibers[thread].has_begun = true;
    setcontext(&fibers[thread].context);
  }
}

// Run each thread of [first, last) until it waits or is done.
void advance(unsigned first, unsigned last, bool backwards) {
  for (unsigned step = 0; step < last - first; ++step) {
    const unsigned thread = backwards ? last - 1 - step : first + step;
    if (fibers[thread].state == State::runs) {
      resume(thread);
    }
  }
}

bool all_are(State state, unsigned first, unsigned last) {
  return std::all_of(fibers.begin() + first, fibers.begin() + last, [state](const Fiber& one) {
    return one.state == state;
  });
}

// Run a warp until all of it waits for the block, or is done. Threads that part in between are a mistake.
void run_warp(unsigned first, unsigned last, bool backwards) {
  for (;;) {
    advance(first, last, backwards);
    if (!all_are(State::in_warp_barrier, first, last)) {
      break;
    }
    std::for_each(fibers.begin() + first, fibers.begin() + last, [](Fiber& one) {
      one.met_warp = one.value;
      one.state = State::runs;
    });
  }
  if (!all_are(State::in_block_barrier, first, last) && !all_are(State::is_done, first, last)) {
    failure = "the threads of a warp do not meet in the same barrier";
  }
}

void run_block(unsigned threads, bool backwards) {
  for (unsigned thread = 0; thread < threads; ++thread) {
    Fiber& fiber = fibers[thread];
    fiber.state = State::runs;
    fiber.has_begun = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, trampoline, 0);
  }
  while (failure == nullptr && !all_are(State::is_done, 0, threads)) {
    for (unsigned first = 0; first < threads && failure == nullptr; first += kWarp) {
      run_warp(first, first + kWarp, backwards);
    }
    if (failure == nullptr && !all_are(State::is_done, 0, threads)) {
      if (!all_are(State::in_block_barrier, 0, threads)) {
        failure = "a thread of a block left before the others' barrier";
      }
      std::for_each(fibers.begin(), fibers.begin() + threads, [](Fiber& one) {
        one.met_block = one.value;
        one.state = State::runs;
      });
    }
  }
}

} // namespace

int64_t meet_block(int64_t value, int64_t (*join)(int64_t, int64_t)) {
  wait(State::in_block_barrier, value);
  int64_t joined = fibers[0].met_block;
  for (unsigned thread = 1; thread < blockDim.x; ++thread) {
    joined = join(joined, fibers[thread].met_block);
  }
  return joined;
}

int64_t meet_warp(int64_t value, unsigned lane) {
  wait(State::in_warp_barrier, value);
  return fibers[current / kWarp * kWarp + lane].met_warp;
}

unsigned ballot_of_warp(bool holds) {
  wait(State::in_warp_barrier, holds);
  unsigned bits = 0;
  for (unsigned lane = 0; lane < kWarp; ++lane) {
    bits |= static_cast<unsigned>(fibers[current / kWarp * kWarp + lane].met_warp) << lane;
  }
  return bits;
}

void run(unsigned blocks, unsigned threads, const std::function<void()>& kernel) {
  if (threads == 0 || threads > 1024 || threads % kWarp != 0) {
    throw std::runtime_error("a block must have 1 to 32 whole warps");
  }
  while (fibers.size() < threads) {
    fibers.push_back({{}, {}, false, std::make_unique<char[]>(kStackBytes), State::is_done, 0, 0, 0});
  }
  gridDim = dim3(blocks);
  blockDim = dim3(threads);
  body = &kernel;
  failure = nullptr;
  for (unsigned block = 0; block < blocks && failure == nullptr; ++block) {
    blockIdx = dim3(block);
    run_block(threads, block % 2 == 1);
  }
  if (failure != nullptr) {
    throw std::runtime_error(failure);
  }
}

} // namespace emulation
