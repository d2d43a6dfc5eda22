// graph.cc: CUDA graphs.

#include <ATen/core/CachingHostAllocator.h>
#include <ATen/core/Generator.h>
#include <ATen/cuda/CUDAGeneratorImpl.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGraphsC10Utils.h>

#include "parts.h"

namespace golite {
namespace {

namespace allocator = c10::cuda::CUDACachingAllocator;

// Graph is libtorch's, and restores libtorch's state where a recording fails. Its capture_begin and capture_end go at
// the first error, and what they began stays: both allocators send memory to the graph's pool and put off what waits
// for the end of a recording, and generators hold their numbers back.
class Graph : public at::cuda::CUDAGraph {
 public:
  void begin(c10::MempoolId_t pool) {
    TORCH_CHECK(!open_, "the graph is being recorded");
    try {
      // Of this thread alone: elsewhere in the process Go's collector frees tensors, loaders page-lock batches and
      // backward runs.
      capture_begin(pool, cudaStreamCaptureModeThreadLocal);
      open_ = true;
    } catch (...) {
      undo();
      throw;
    }
  }

  void end() {
    try {
      capture_end();
      open_ = false;
    } catch (...) {
      undo();
      throw;
    }
  }

  ~Graph() {
    if (open_) undo();
  }

 private:
  template <class F>
  static bool works(F&& f) {
    try {
      f();
      return true;
    } catch (...) {
      return false;
    }
  }

  void undo() {
    if (open_) stop();
    close([&] { allocator::endAllocateToPool(capture_dev_, mempool_id_); },
          [&] { allocator::releasePool(capture_dev_, mempool_id_); });
    auto* host = at::getHostAllocator(at::kCUDA);
    close([&] { host->end_allocate_to_pool(mempool_id_); }, [&] { host->release_pool(mempool_id_); });
    for (auto& g : captured_generator_states_) g.first->capturing_ = false;
    open_ = false;
    (void)cudaGetLastError();
  }

  // stop takes the stream out of the recording, where that did not work before.
  void stop() {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    if (cudaStreamIsCapturing(capture_stream_, &status) != cudaSuccess || status == cudaStreamCaptureStatusNone) return;
    cudaGraph_t g = nullptr;
    (void)cudaStreamEndCapture(capture_stream_, &g);
    if (g) (void)cudaGraphDestroy(g);
  }

  // close ends an allocator's part. A begin that failed may not have come to it, which only the allocator can report;
  // reset releases the pool of a recording that ended.
  template <class End, class Release>
  void close(End&& end, Release&& release) {
    if (capture_dev_ < 0 || (!works(end) && !open_) || capture_ended_) return;
    works(release);
  }

  bool open_ = false;  // from begin to end
};

Graph& graph(Reader& r) { return *reinterpret_cast<Graph*>(r.word()); }

}  // namespace

bool call_graph(uint32_t function, Reader& r, Writer& w) {
  switch (function) {
    case GL_CUDA_GRAPH_NEW:
      w.word(reinterpret_cast<uint64_t>(new Graph()));
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
      g.begin({first, second});
      return true;
    }
    case GL_CUDA_GRAPH_END:
      graph(r).end();
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
    case GL_CUDA_GRAPH_RESET:
      graph(r).reset();
      return true;
    case GL_CUDA_GRAPH_FREE:
      delete &graph(r);
      return true;
    case GL_CUDA_GRAPH_RECORDING:
      w.word(static_cast<uint64_t>(recording()));
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
