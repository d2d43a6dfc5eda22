// stream.cc: streams and events.

#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAGuard.h>

#include "parts.h"

namespace golite {
namespace {

using c10::cuda::CUDAEvent;

CUDAEvent& event(Reader& r) { return *reinterpret_cast<CUDAEvent*>(r.word()); }

at::Tensor tensor(uint64_t handle) {
  void* p = host->retain(handle);
  if (!p) throw StaleHandle(handle);
  return at::Tensor(
      c10::intrusive_ptr<at::TensorImpl, c10::UndefinedTensorImpl>::reclaim(static_cast<at::TensorImpl*>(p)));
}

bool call_event(uint32_t function, Reader& r, Writer& w) {
  switch (function) {
    case GL_CUDA_EVENT_NEW:
      w.word(reinterpret_cast<uint64_t>(new CUDAEvent(r.word() ? cudaEventDefault : cudaEventDisableTiming)));
      return true;
    case GL_CUDA_EVENT_RECORD: {
      CUDAEvent& e = event(r);
      e.record(stream(r));
      return true;
    }
    case GL_CUDA_EVENT_WAIT: {
      CUDAEvent& e = event(r);
      e.block(stream(r));
      return true;
    }
    case GL_CUDA_EVENT_SYNC:
      event(r).synchronize();
      return true;
    case GL_CUDA_EVENT_QUERY:
      w.word(event(r).query());
      return true;
    case GL_CUDA_EVENT_ELAPSED: {
      CUDAEvent& from = event(r);
      w.real(from.elapsed_time(event(r)));
      return true;
    }
    case GL_CUDA_EVENT_FREE:
      delete &event(r);
      return true;
  }
  return false;
}

}  // namespace

bool call_stream(uint32_t function, Reader& r, Writer& w) {
  switch (function) {
    case GL_CUDA_STREAM_NEW: {
      auto i = device(r);
      write(w, c10::cuda::getStreamFromPool(static_cast<int>(static_cast<int64_t>(r.word())), i));
      return true;
    }
    case GL_CUDA_STREAM_OWN: {
      c10::cuda::CUDAGuard guard(device(r));
      cudaStream_t s = nullptr;
      C10_CUDA_CHECK(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
      write(w, c10::cuda::getStreamFromExternal(s, guard.current_device().index()));
      return true;
    }
    case GL_CUDA_STREAM_CURRENT:
      write(w, c10::cuda::getCurrentCUDAStream(device(r)));
      return true;
    case GL_CUDA_STREAM_DEFAULT:
      write(w, c10::cuda::getDefaultCUDAStream(device(r)));
      return true;
    case GL_CUDA_STREAM_SET:
      c10::cuda::setCurrentCUDAStream(stream(r));
      return true;
    case GL_CUDA_STREAM_SYNC:
      stream(r).synchronize();
      return true;
    case GL_CUDA_STREAM_QUERY:
      w.word(stream(r).query());
      return true;
    case GL_CUDA_STREAM_USES: {
      auto s = stream(r);
      for (uint64_t n = r.word(); n > 0; n--) tensor(r.word()).record_stream(s.unwrap());
      return true;
    }
  }
  return call_event(function, r, w);
}

}  // namespace golite
