// cgotorch.h: the C surface of the shim. Every function that can fail returns a status:
// a count >= 0, or one of the negative codes below, with the message in the result buffer.
// Result and error come back from the same call, because a goroutine may be on another thread
// at the next one.
#ifndef GOLITE_CGOTORCH_H
#define GOLITE_CGOTORCH_H

#include <stdint.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef uint64_t gl_handle;

enum {
  GL_ERROR = -1,     // out[0] = malloc'd message, out[1] = its length, out[2] = 1 if memory ran out
  GL_SPILLED = -2,   // out[0] = a heap buffer for gl_take, out[1] = its length in words
  GL_STALE = -3,     // out[0] = the released handle
  GL_CALLBACK = -4,  // out[0] = id of the Go panic that crossed C++
  GL_STOPPED = -5,   // out[0] = the frame of the checkpoint whose second run ends here
};

// Operators, by schema (call.hh).
int64_t gl_find(const char* name, const char* overload);
int64_t gl_schema(uint32_t op, uint64_t* out, uint32_t room);
int64_t gl_schemas(uint64_t* out, uint32_t room);
int64_t gl_call(uint32_t op, const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
int64_t gl_call_with_hooks(uint32_t op, const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
void gl_take(uint64_t spill, uint64_t* out);
void gl_free_text(uint64_t text);

// Handles, scopes (call.hh).
int64_t gl_drop(const gl_handle* h, uint64_t n);
uint64_t gl_sift(gl_handle* h, uint64_t n);
int32_t gl_alive(gl_handle h);
int64_t gl_live(void);
uint64_t gl_scope(uint64_t token);
uint64_t gl_scope_now(void);

// Words of gl_info's result; the sizes and the strides follow from GL_INFO_FIXED on.
enum {
  GL_INFO_DTYPE = 0,
  GL_INFO_DEVICE_TYPE = 1,
  GL_INFO_DEVICE_INDEX = 2,
  GL_INFO_LAYOUT = 3,
  GL_INFO_FLAGS = 4,
  GL_INFO_STORAGE_OFFSET = 5,
  GL_INFO_NUMEL = 6,
  GL_INFO_STORAGE_BYTES = 7,
  GL_INFO_DIM = 8,
  GL_INFO_FIXED = 9,
};

// Flags of a tensor, in the word GL_INFO_FLAGS.
enum {
  GL_FLAG_REQUIRES_GRAD = 1,
  GL_FLAG_LEAF = 2,
  GL_FLAG_CONTIGUOUS = 4,
  GL_FLAG_INFERENCE = 8,
  GL_FLAG_NEG = 16,
  GL_FLAG_CONJ = 32,
  GL_FLAG_VIEW = 64,
  GL_FLAG_COMPLEX = 128,
  GL_FLAG_FLOATING = 256,
  GL_FLAG_NESTED = 512,
  GL_FLAG_ZERO = 1024,  // _is_zerotensor: its elements are 0, and it has no memory
};

// What a tensor is and holds (tensor.hh).
int64_t gl_info(gl_handle h, int64_t* out, uint32_t room);
int64_t gl_data(gl_handle h, uint64_t* out, uint32_t room);
int64_t gl_tensor_version(gl_handle h, uint64_t* out, uint32_t room);
int64_t gl_storage(gl_handle h, uint64_t* out, uint32_t room);
int64_t gl_item(gl_handle h, uint64_t* out, uint32_t room);
int64_t gl_alias(gl_handle h, uint64_t* out, uint32_t room);
int64_t gl_storage_resize(gl_handle h, int64_t bytes, uint64_t* out, uint32_t room);
int64_t gl_set_data(gl_handle h, gl_handle data, uint64_t* out, uint32_t room);

// Autograd (autograd.hh).
int64_t gl_backward(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
int64_t gl_gradients(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
int64_t gl_grads(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
int64_t gl_set_grad(gl_handle h, gl_handle grad, uint64_t* out, uint32_t room);
int64_t gl_clear_grads(const gl_handle* h, uint32_t n, uint64_t* out, uint32_t room);
int64_t gl_requires_grad(gl_handle h, int32_t on, uint64_t* out, uint32_t room);
int64_t gl_retain_grad(gl_handle h, uint64_t* out, uint32_t room);
int64_t gl_grad_fn(gl_handle h, uint64_t* out, uint32_t room);
int64_t gl_apply(uint64_t closure, const char* name, const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
int64_t gl_saved(uint64_t node, uint64_t* out, uint32_t room);
int32_t gl_grad_mode(int32_t on);  // returns the mode before; on < 0 changes nothing
int32_t gl_inference(int32_t enter);

// Go's functions in the graph (closure.hh, hooks.hh).
int64_t gl_dead_closures(uint64_t* out, uint32_t room);
int64_t gl_hook(gl_handle h, uint64_t closure, int32_t after_accumulate, uint64_t* out, uint32_t room);
void gl_remove_hook(uint64_t closure);
int64_t gl_queue_callback(uint64_t closure, uint64_t* out, uint32_t room);

// Tensors that autograd saves (saved_hooks.hh, checkpoint.hh).
int64_t gl_saved_hooks(uint64_t closure, int32_t pin, uint64_t* out, uint32_t room);
void gl_leave_saved_hooks(void);
uint64_t gl_share_saved_hooks(void);
uint64_t gl_use_saved_hooks(uint64_t shared);
void gl_free_saved_hooks(uint64_t shared);
int64_t gl_checkpoint_enter(uint64_t closure, const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
void gl_checkpoint_leave(uint64_t frame);

// State of threads and of the process (state.hh).
int32_t gl_autocast(int32_t device, int32_t enabled, int32_t dtype, int32_t cache, int32_t* before);
void gl_autocast_nesting(int32_t enter);
int32_t gl_set_threads(int32_t n);
int32_t gl_set_thread_threads(int32_t n);
int32_t gl_get_threads(void);
int32_t gl_default_dtype(int32_t dtype);

// Overrides of the process (overrides.h, mkl.hh, state.hh).
int32_t gl_overridden(const char* name);
int32_t gl_interposed(void);
int32_t gl_mkl_avx512(int32_t set);

int32_t gl_thread_dtype(int32_t dtype);
void gl_memory(int64_t* out, int32_t reset_peak);
int64_t gl_collectable(int32_t device);
void gl_deterministic(int32_t on, int32_t warn_only);
void gl_cpp_traces(int32_t on);
void gl_version(uint64_t* out);

int64_t gl_gen_new(int32_t device, int32_t index, uint64_t seed, uint64_t* out, uint32_t room);
int64_t gl_gen_default(int32_t device, int32_t index, uint64_t* out, uint32_t room);
void gl_gen_free(uint64_t gen);
int64_t gl_gen_seed(uint64_t gen, uint64_t seed, uint64_t* out, uint32_t room);
int64_t gl_gen_initial_seed(uint64_t gen, uint64_t* out, uint32_t room);
int64_t gl_gen_state(uint64_t gen, uint64_t* out, uint32_t room);
int64_t gl_gen_set_state(uint64_t gen, gl_handle state, uint64_t* out, uint32_t room);
uint64_t gl_gen_use(uint64_t gen);  // the calling thread's default generator; 0: the process's. Returns the one before.

#ifdef __cplusplus
}
#endif
#endif
