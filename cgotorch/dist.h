// dist.h: the C surface of what ranks need: stores, process groups, collectives, the Reducer. Statuses, words and
// errors are those of cgotorch.h. Stores, hubs, groups, works and reducers are identified by numbers that are never
// used twice; 0 is none, and a number kept too long is an error.
#ifndef GOLITE_DIST_H
#define GOLITE_DIST_H

#include "cgotorch.h"

#ifdef __cplusplus
extern "C" {
#endif

// Kinds of collectives.
enum {
  GL_BROADCAST = 0,
  GL_ALL_REDUCE = 1,
  GL_REDUCE = 2,
  GL_ALL_GATHER = 3,
  GL_ALL_GATHER_INTO = 4,
  GL_REDUCE_SCATTER = 5,
  GL_REDUCE_SCATTER_TENSOR = 6,
  GL_GATHER = 7,
  GL_SCATTER = 8,
  GL_ALL_TO_ALL = 9,
  GL_ALL_TO_ALL_SINGLE = 10,
  GL_SEND = 11,
  GL_RECV = 12,
  GL_BARRIER = 13,
  GL_ALL_REDUCE_COALESCED = 14,
  GL_ALL_GATHER_INTO_COALESCED = 15,
  GL_REDUCE_SCATTER_TENSOR_COALESCED = 16,
};

// Kinds of failures.
enum {
  GL_FAILURE_OTHER = 0,
  GL_FAILURE_ABORTED = 1,   // a rank aborted the group
  GL_FAILURE_LOST = 2,      // the connection to a rank, or its process, has ended
  GL_FAILURE_DIFFERS = 3,   // ranks made different calls
  GL_FAILURE_TIMEOUT = 4,   // time was up
  GL_FAILURE_FINISHED = 5,  // a rank waits for one that makes no more collectives
  GL_FAILURE_CONTEXT = 6,   // the context of a rank ended
  GL_FAILURE_FAILED = 7,    // a rank's own work failed
  GL_FAILURE_PARENT = 8,    // the group that this one is part of has ended
};

// Stores (dist_store.hh).
int64_t gl_store_tcp(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
int64_t gl_store_file(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
int64_t gl_store_hash(uint64_t* out, uint32_t room);
int64_t gl_store_prefix(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
int64_t gl_store_set(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
int64_t gl_store_swap(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
int64_t gl_store_get(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
int64_t gl_store_add(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
int64_t gl_store_check(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
int64_t gl_store_delete(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
int64_t gl_store_keys(uint64_t store, uint64_t* out, uint32_t room);
void gl_store_free(uint64_t store);

// Groups (dist_group.hh).
uint64_t gl_hub_new(int32_t size);
void gl_hub_free(uint64_t hub);
int64_t gl_group_inprocess(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
int64_t gl_group_gloo(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
int64_t gl_group_attach(uint64_t group, const char* maker, int32_t device, uint64_t store, int64_t timeout_ms,
                        uint64_t* out, uint32_t room);
int64_t gl_group_attach_go(uint64_t group, const char* name, int32_t device, uint64_t closure, uint64_t* out,
                           uint32_t room);
int32_t gl_group_maker(const char* name, void* make);
int64_t gl_collective(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
int64_t gl_work_wait(uint64_t work, int64_t timeout_ms, uint64_t* out, uint32_t room);
int64_t gl_work_done(uint64_t work, uint64_t* out, uint32_t room);
void gl_work_free(uint64_t work);
int64_t gl_group_abort(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
int64_t gl_group_pending(uint64_t group, uint64_t* out, uint32_t room);
int64_t gl_group_trace(uint64_t group, int32_t keep, uint64_t* out, uint32_t room);
int64_t gl_group_site(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
void gl_group_free(uint64_t group);
int64_t gl_now(void);  // nanoseconds, by the clock of pending and trace

// The Reducer of DistributedDataParallel (dist_reducer.hh).
int64_t gl_trainable_new(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
int32_t gl_trainable_differs(uint64_t trainable);
void gl_trainable_free(uint64_t trainable);
int64_t gl_reducer_new(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
int64_t gl_reducer_hook(uint64_t reducer, int32_t kind, uint64_t closure, uint64_t* out, uint32_t room);
int64_t gl_reducer_forward(uint64_t reducer, int32_t joined, uint64_t* out, uint32_t room);
int64_t gl_reducer_backward(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
int64_t gl_reducer_sink(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);
int64_t gl_reducer_reductions(uint64_t reducer, uint64_t* out, uint32_t room);
int64_t gl_reducer_join(uint64_t reducer, int32_t action, uint64_t work, uint64_t* out, uint32_t room);
int64_t gl_reducer_stats(uint64_t reducer, uint64_t* out, uint32_t room);
void gl_reducer_free(uint64_t reducer);
int64_t gl_broadcast_coalesced(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room);

#ifdef __cplusplus
}
#endif
#endif
