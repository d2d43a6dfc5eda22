// device.cc: devices, their memory, and marks for NVIDIA's tools.

#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <nccl.h>
#include <torch/csrc/profiler/stubs/base.h>

#include "parts.h"

namespace golite {
namespace {

using c10::CachingAllocator::Stat;
using c10::CachingAllocator::StatArray;
using c10::CachingAllocator::StatType;
namespace allocator = c10::cuda::CUDACachingAllocator;

void write(Writer& w, const StatArray& a) {
  const Stat& s = a[static_cast<size_t>(StatType::AGGREGATE)];
  for (int64_t v : {s.current, s.peak, s.allocated, s.freed}) w.word(static_cast<uint64_t>(v));
}

void count(Writer& w) {
  int n = 0;
  cudaError_t e = cudaGetDeviceCount(&n);
  if (e != cudaSuccess) (void)cudaGetLastError();
  // libtorch's own count is what its operations go by.
  w.word(static_cast<uint64_t>(c10::cuda::device_count()));
  w.word(static_cast<uint64_t>(e));
  std::string why = e == cudaSuccess ? "" : std::string(cudaGetErrorName(e)) + ": " + cudaGetErrorString(e);
  w.text(why.data(), why.size());
}

void properties(c10::DeviceIndex i, Writer& w) {
  cudaDeviceProp p;
  C10_CUDA_CHECK(cudaGetDeviceProperties(&p, i));
  w.word(static_cast<uint64_t>(p.major));
  w.word(static_cast<uint64_t>(p.minor));
  w.word(p.totalGlobalMem);
  w.word(static_cast<uint64_t>(p.multiProcessorCount));
  w.text(p.name, std::strlen(p.name));
}

void versions(Writer& w) {
  int runtime = 0, driver = 0, nccl = 0;
  C10_CUDA_CHECK(cudaRuntimeGetVersion(&runtime));
  C10_CUDA_CHECK(cudaDriverGetVersion(&driver));
  TORCH_CHECK(ncclGetVersion(&nccl) == ncclSuccess, "NCCL doesn't tell its version");
  for (int v : {runtime, driver, nccl}) w.word(static_cast<uint64_t>(v));
}

void stats(c10::DeviceIndex i, Writer& w) {
  auto s = allocator::getDeviceStats(i);
  for (const StatArray* a : {&s.allocated_bytes, &s.reserved_bytes, &s.active_bytes, &s.inactive_split_bytes,
                             &s.requested_bytes, &s.allocation})
    write(w, *a);
  for (int64_t v : {s.num_alloc_retries, s.num_ooms, s.num_device_alloc, s.num_device_free})
    w.word(static_cast<uint64_t>(v));
}

// ready makes the allocator, which the first tensor on a device would otherwise make. Without devices it does nothing.
bool ready() {
  static const bool once = [] {
    auto n = c10::cuda::device_count();
    if (n > 0) allocator::init(n);
    return n > 0;
  }();
  return once;
}

}  // namespace

bool call_device(uint32_t function, Reader& r, Writer& w) {
  switch (function) {
    case GL_CUDA_COUNT:
      count(w);
      return true;
    case GL_CUDA_PROPERTIES:
      properties(device(r), w);
      return true;
    case GL_CUDA_VERSIONS:
      versions(w);
      return true;
    case GL_CUDA_MEMORY: {
      c10::cuda::CUDAGuard guard(device(r));
      size_t free = 0, all = 0;
      C10_CUDA_CHECK(cudaMemGetInfo(&free, &all));
      w.word(free);
      w.word(all);
      return true;
    }
    case GL_CUDA_STATS:
      ready();
      stats(device(r), w);
      return true;
    case GL_CUDA_RESET_STATS: {
      ready();
      auto i = device(r);
      r.word() == 1 ? allocator::resetPeakStats(i) : allocator::resetAccumulatedStats(i);
      return true;
    }
    case GL_CUDA_EMPTY_CACHE:
      if (ready()) allocator::emptyCache();
      return true;
    case GL_CUDA_MEMORY_FRACTION: {
      ready();
      auto i = device(r);
      allocator::setMemoryFraction(r.real(), i);
      return true;
    }
    case GL_CUDA_SYNCHRONIZE: {
      c10::cuda::CUDAGuard guard(device(r));
      c10::cuda::device_synchronize();
      return true;
    }
    case GL_CUDA_SET_DEVICE: {
      auto before = c10::cuda::current_device();
      auto i = device(r);
      // Coming back to a device that nothing has been done on must not make its context, which takes half a gigabyte of
      // its memory.
      bool asleep = r.word() != 0;
      if (i >= 0 && asleep) C10_CUDA_CHECK(c10::cuda::MaybeSetDevice(i));
      if (i >= 0 && !asleep) c10::cuda::set_device(i);
      w.word(static_cast<uint64_t>(static_cast<int64_t>(before)));
      return true;
    }
    case GL_CUDA_NVTX_MARK:
      torch::profiler::impl::cudaStubs()->mark(r.text().c_str());
      return true;
    case GL_CUDA_NVTX_PUSH:
      torch::profiler::impl::cudaStubs()->rangePush(r.text().c_str());
      return true;
    case GL_CUDA_NVTX_POP:
      torch::profiler::impl::cudaStubs()->rangePop();
      return true;
  }
  return false;
}

int64_t allocated_bytes(int64_t* reserved) {
  static std::atomic<bool> used{false};
  try {
    // The allocator has no figures before the first tensor, and a query would make it. Without a device a query is an
    // error.
    if (!used) {
      if (c10::cuda::device_count() == 0 || !c10::cuda::getDeviceIndexWithPrimaryContext() || !ready()) return 0;
      used = true;
    }
    int64_t sum = 0;
    for (c10::DeviceIndex i = 0, n = c10::cuda::device_count(); i < n; i++) {
      auto s = allocator::getDeviceStats(i);
      sum += s.allocated_bytes[static_cast<size_t>(StatType::AGGREGATE)].current;
      *reserved += s.reserved_bytes[static_cast<size_t>(StatType::AGGREGATE)].current;
    }
    return sum;
  } catch (...) {
    return 0;
  }
}

}  // namespace golite
