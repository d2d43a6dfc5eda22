// parts.h: what the library's sources share.
#pragma once

#include <c10/cuda/CUDAStream.h>
#include <c10/util/Exception.h>

#include "../cuda_library.h"
#include "../guard.h"

namespace golite {

extern const gl_cuda_host* host;

// Each runs the functions of its subject, and reports whether the number is one of them.
bool call_device(uint32_t function, Reader& r, Writer& w);
bool call_stream(uint32_t function, Reader& r, Writer& w);
bool call_graph(uint32_t function, Reader& r, Writer& w);

int64_t allocated_bytes(int64_t* reserved);
int32_t recording();
void* nccl_maker();

inline c10::DeviceIndex device(Reader& r) { return static_cast<c10::DeviceIndex>(static_cast<int64_t>(r.word())); }

inline c10::cuda::CUDAStream stream(Reader& r) {
  auto id = static_cast<c10::StreamId>(r.word());
  auto index = static_cast<c10::DeviceIndex>(r.word());
  return c10::cuda::CUDAStream::unpack3(id, index, static_cast<c10::DeviceType>(r.word()));
}

inline void write(Writer& w, c10::cuda::CUDAStream s) {
  auto p = s.pack3();
  w.word(static_cast<uint64_t>(p.stream_id));
  w.word(static_cast<uint64_t>(p.device_index));
  w.word(static_cast<uint64_t>(p.device_type));
}

}  // namespace golite
