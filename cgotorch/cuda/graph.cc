// graph.cc: CUDA graphs.

#include <ATen/core/Generator.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGraphsC10Utils.h>

#include "parts.h"

namespace golite {
namespace {

at::cuda::CUDAGraph& graph(Reader& r) { return *reinterpret_cast<at::cuda::CUDAGraph*>(r.word()); }

}  // namespace

bool call_graph(uint32_t function, Reader& r, Writer& w) {
  switch (function) {
    case GL_CUDA_GRAPH_NEW:
      w.word(reinterpret_cast<uint64_t>(new at::cuda::CUDAGraph()));
      return true;
    case GL_CUDA_GRAPH_GENERATOR: {
      auto& g = graph(r);
      auto* impl = reinterpret_cast<c10::GeneratorImpl*>(r.word());
      g.register_generator_state(at::Generator(c10::intrusive_ptr<c10::GeneratorImpl>::reclaim_copy(impl)));
      return true;
    }
    case GL_CUDA_GRAPH_BEGIN: {
      auto& g = graph(r);
      uint64_t first = r.word(), second = r.word();
      // Of this thread alone: elsewhere in the process Go's collector frees tensors, loaders page-lock batches and backward runs.
      g.capture_begin({first, second}, cudaStreamCaptureModeThreadLocal);
      return true;
    }
    case GL_CUDA_GRAPH_END:
      graph(r).capture_end();
      return true;
    case GL_CUDA_GRAPH_REPLAY:
      graph(r).replay();
      return true;
    case GL_CUDA_GRAPH_POOL: {
      auto pool = graph(r).pool();
      w.word(pool.first);
      w.word(pool.second);
      return true;
    }
    case GL_CUDA_GRAPH_FREE:
      delete &graph(r);
      return true;
  }
  return false;
}

int32_t recording() {
  try {
    return c10::cuda::currentStreamCaptureStatusMayInitCtx() != c10::cuda::CaptureStatus::None;
  } catch (...) {
    return 0;
  }
}

}  // namespace golite
