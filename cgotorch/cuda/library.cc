// library.cc: the way in.

#include <torch/version.h>

#include "parts.h"

namespace golite {

std::atomic<bool> cpp_traces{false};
const gl_cuda_host* host = nullptr;

namespace {

int64_t call(uint32_t function, const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  cpp_traces = host->traces() != 0;
  return guarded(out, room, [&](Writer& w) {
    Reader r{in, in + n};
    if (call_device(function, r, w) || call_stream(function, r, w) || call_graph(function, r, w)) return;
    TORCH_CHECK(false, "libcgotorch_cuda.so has no function number ", function);
  });
}

}  // namespace
}  // namespace golite

extern "C" __attribute__((visibility("default"))) const gl_cuda_library* golite_cuda_library(const gl_cuda_host* h) {
  static const gl_cuda_library library{GL_CUDA_ABI,       TORCH_VERSION,       golite::call, golite::allocated_bytes,
                                       golite::recording, golite::nccl_maker()};
  golite::host = h;
  return &library;
}
