// nccl.cc: ranks that meet through NCCL.

#define USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include <cstdlib>
#include <exception>

#include "parts.h"

namespace golite {
namespace {

// settings turns off libtorch's handling of failed groups: its watchdog would end the process, and with it ranks that
// share it. A user's own settings stand.
void settings() {
  static const int once = [] {
    setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", "2", 0);  // abort the communicators, and go on
    setenv("TORCH_NCCL_ENABLE_MONITORING", "0", 0);     // no thread that ends the process when the watchdog is slow
    setenv("TORCH_NCCL_RETHROW_CUDA_ERRORS", "0", 0);   // nor the watchdog itself
    setenv("TORCH_NCCL_DUMP_ON_TIMEOUT", "0", 0);
    // the recorder of collectives, which two groups' threads write without a lock
    setenv("TORCH_FR_BUFFER_SIZE", "0", 0);
    return 0;
  }();
  (void)once;
}

// make gives a new reference. Works time out by golite's own clock first, with a report of the ranks and calls: NCCL's
// limit ends what remains.
c10d::Backend* make(c10d::Store* store, int rank, int size, int64_t timeout_ms) {
  settings();
  auto o = c10d::ProcessGroupNCCL::Options::create();
  o->timeout = std::chrono::milliseconds(timeout_ms + 60000);
  auto own = c10::intrusive_ptr<c10d::Store>::reclaim_copy(store);
  return c10::make_intrusive<c10d::ProcessGroupNCCL>(c10::make_intrusive<c10d::PrefixStore>("nccl", own), rank, size, o)
      .release();
}

}  // namespace

void* nccl_maker() { return reinterpret_cast<void*>(make); }

}  // namespace golite
