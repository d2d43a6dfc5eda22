// state.h: what the shim remembers for each OS thread.
#pragma once

#include <ATen/core/Generator.h>

#include <atomic>
#include <cstdint>

namespace golite {

// threads_wanted is torch.SetNumThreads's number, with a count of changes in the upper half.
extern std::atomic<uint64_t> threads_wanted;

struct ThreadState {
  uint64_t scope = 0;           // the scope that new tensors join, a token of Go's; 0: none
  uint64_t threads_seen = 0;    // the threads_wanted that this thread has taken over
  at::Generator* generator = nullptr;  // this thread's default CPU generator; null: the process's
  int32_t dtype = 0;                   // this thread's default dtype, plus 1; 0: the process's
  bool dropping = false;               // in gl_drop, for which a collection may be waiting

  // enter brings the thread's OpenMP and MKL settings up to date: libtorch keeps them per thread,
  // and goroutines change threads.
  void enter() {
    if (threads_seen != threads_wanted.load(std::memory_order_relaxed)) catch_up();
  }
  void catch_up();
};

// materialize seeds a generator where that is pending, and returns it.
c10::GeneratorImpl* materialize(c10::GeneratorImpl* g);

// __thread and not thread_local: no initialiser has to run at each first look.
extern __thread ThreadState thread_state;

}  // namespace golite
