// cuda.h: the C surface of what a GPU and the profiler need. Statuses, words and errors are those of cgotorch.h.
#ifndef GOLITE_CUDA_H
#define GOLITE_CUDA_H

#include "cgotorch.h"

#ifdef __cplusplus
extern "C" {
#endif

// Switches of the process, for gl_switch.
enum {
  GL_SWITCH_TF32_MATMUL = 0,
  GL_SWITCH_TF32_CUDNN = 1,
  GL_SWITCH_CUDNN = 2,
  GL_SWITCH_CUDNN_BENCHMARK = 3,
  GL_SWITCH_CUDNN_DETERMINISTIC = 4,
  GL_SWITCH_FLASH_ATTENTION = 5,
  GL_SWITCH_MEMORY_EFFICIENT_ATTENTION = 6,
  GL_SWITCH_MATH_ATTENTION = 7,
  GL_SWITCH_CUDNN_ATTENTION = 8,
  GL_SWITCH_DETERMINISTIC = 9,
};

// Flags of gl_profiler_start.
enum {
  GL_PROFILE_SHAPES = 1,
  GL_PROFILE_MEMORY = 2,
  GL_PROFILE_FLOPS = 4,
  GL_PROFILE_ALL_THREADS = 8,
  GL_PROFILE_CUDA = 16,
};

// libcgotorch_cuda.so and switches (cuda.hh).
int64_t gl_torch_path(uint64_t* out, uint32_t room);
int64_t gl_cuda_open(const char* torch_cuda, const char* path, uint64_t* out, uint32_t room);
int64_t gl_cuda(uint32_t function, const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
int64_t gl_cuda_allocated(int64_t* reserved);
void* gl_nccl(void);
int32_t gl_switch(int32_t which, int32_t on);

// The profiler (profiler.hh).
int64_t gl_profiler_start(uint32_t flags, uint64_t* out, uint32_t room);
int64_t gl_profiler_stop(const char* path, uint64_t* out, uint32_t room);
uint64_t gl_range_enter(const char* name);
void gl_range_exit(uint64_t range);

#ifdef __cplusplus
}
#endif
#endif
