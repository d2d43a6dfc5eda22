/* cuda_library.h: the interface between the program and libcgotorch_cuda.so.
 *
 * Whatever touches CUDA's or NCCL's classes is in a library of its own, which the program opens at run time where
 * libtorch_cuda.so is found: the same program runs with and without a GPU. The library exports one function,
 * golite_cuda_library; its sources are in folder cuda. */
#ifndef GOLITE_CUDA_LIBRARY_H
#define GOLITE_CUDA_LIBRARY_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The number of this interface: a library with another one is refused. */
enum { GL_CUDA_ABI = 3 };

/* Functions of the library, by number. Behind each: its arguments -> its results. A stream is three words: libtorch's
 * id, index and type of its device. Events and graphs are addresses. */
enum {
  GL_CUDA_COUNT = 0,        /* -> devices, CUDA's error code, what it means */
  GL_CUDA_PROPERTIES,       /* device -> major, minor, bytes of memory, multiprocessors, name */
  GL_CUDA_VERSIONS,         /* -> CUDA's run time, the driver, NCCL; each as its maker counts */
  GL_CUDA_MEMORY,           /* device -> free bytes, all bytes */
  GL_CUDA_STATS,            /* device -> (now, peak, sum of all, sum of freed) of 6 figures, then 4 counts */
  GL_CUDA_RESET_STATS,      /* device, 1 for peaks or 2 for sums */
  GL_CUDA_EMPTY_CACHE,
  GL_CUDA_MEMORY_FRACTION,  /* device, bits of the fraction */
  GL_CUDA_SYNCHRONIZE,      /* device */
  GL_CUDA_SET_DEVICE,       /* device (below 0 to ask), 1 if it need not be woken -> the one before */
  GL_CUDA_STREAM_NEW,       /* device, priority -> stream */
  GL_CUDA_STREAM_OWN,       /* device -> stream that is in no pool, for good */
  GL_CUDA_STREAM_CURRENT,   /* device -> stream */
  GL_CUDA_STREAM_DEFAULT,   /* device -> stream */
  GL_CUDA_STREAM_SET,       /* stream */
  GL_CUDA_STREAM_SYNC,      /* stream */
  GL_CUDA_STREAM_QUERY,     /* stream -> 1 if it is done */
  GL_CUDA_STREAM_USES,      /* stream, n, handles */
  GL_CUDA_EVENT_NEW,        /* 1 with timing -> event */
  GL_CUDA_EVENT_RECORD,     /* event, stream */
  GL_CUDA_EVENT_WAIT,       /* event, stream that is to wait */
  GL_CUDA_EVENT_SYNC,       /* event */
  GL_CUDA_EVENT_QUERY,      /* event -> 1 if it is done */
  GL_CUDA_EVENT_ELAPSED,    /* event, event -> bits of the milliseconds */
  GL_CUDA_EVENT_FREE,       /* event */
  GL_CUDA_GRAPH_NEW,        /* -> graph */
  GL_CUDA_GRAPH_GENERATOR,  /* graph, generator */
  GL_CUDA_GRAPH_BEGIN,      /* graph, the two words of a pool or 0, 0 */
  GL_CUDA_GRAPH_END,        /* graph */
  GL_CUDA_GRAPH_REPLAY,     /* graph */
  GL_CUDA_GRAPH_POOL,       /* graph -> the two words of its pool */
  GL_CUDA_GRAPH_RESET,      /* graph */
  GL_CUDA_GRAPH_FREE,       /* graph */
  GL_CUDA_GRAPH_RECORDING,  /* -> 1 if the thread's stream is being recorded */
  GL_CUDA_NVTX_MARK,        /* text */
  GL_CUDA_NVTX_PUSH,        /* text */
  GL_CUDA_NVTX_POP
};

/* What the library needs of the program. */
typedef struct {
  uint32_t abi;
  /* retain gives a new reference to a handle's at::TensorImpl, null if it was released. */
  void* (*retain)(uint64_t handle);
  /* traces reports whether errors are to have their C++ trace. */
  int32_t (*traces)(void);
} gl_cuda_host;

/* What the program needs of the library. */
typedef struct {
  uint32_t abi;
  const char* torch; /* the version of libtorch that it was built against */
  /* call runs a function; statuses and errors are those of cgotorch.h. */
  int64_t (*call)(uint32_t function, const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
  /* allocated returns the bytes in use by tensors on all devices, and the bytes that libtorch has reserved there. */
  int64_t (*allocated)(int64_t* reserved);
  /* recording reports whether the calling thread's stream is being recorded into a graph. */
  int32_t (*recording)(void);
  /* nccl makes a rank's backend: c10d::Backend* (c10d::Store*, int rank, int size, int64_t timeout_ms). */
  void* nccl;
} gl_cuda_library;

#ifdef __cplusplus
}
#endif
#endif
