// handles.h: the table that stands between Go and libtorch's tensors.
//
// Go never holds a pointer into libtorch. It holds a handle: the index of a slot and the slot's
// generation. Releasing a tensor raises the generation, so a handle kept too long is recognised
// and refused; it can never reach freed memory, whichever thread uses it and whenever.
#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>

namespace golite {

using Handle = uint64_t;  // generation << 32 | slot index; 0 is no tensor

// Slot holds one reference to a tensor. `word` is the only thing that threads race for:
// generation << 32 | kLive | number of threads copying the reference at this moment.
struct Slot {
  std::atomic<uint64_t> word;
  at::TensorImpl* impl;
  std::atomic<uint32_t> next;  // free list
};

constexpr uint64_t kLive = 1ull << 31;
constexpr uint32_t kChunkBits = 15;
constexpr uint32_t kChunkSize = 1u << kChunkBits;
constexpr uint32_t kChunks = 1u << 16;

// StaleHandle is thrown when a handle outlived its tensor.
struct StaleHandle : std::exception {
  explicit StaleHandle(Handle h) : handle(h) {}
  const char* what() const noexcept override { return "the tensor was released"; }
  Handle handle;
};

class Table {
 public:
  // put moves a defined tensor into a free slot and returns its handle.
  Handle put(at::Tensor&& t) {
    uint32_t i = pop();
    Slot& s = at(i);
    s.impl = t.unsafeReleaseTensorImpl();
    uint64_t gen = s.word.load(std::memory_order_relaxed) >> 32;
    s.word.store(gen << 32 | kLive, std::memory_order_release);
    live_.fetch_add(1, std::memory_order_relaxed);
    return gen << 32 | i;
  }

  // get returns a new reference to the handle's tensor, or throws StaleHandle.
  at::Tensor get(Handle h) {
    Slot* s = find(h);
    if (!s) throw StaleHandle(h);
    uint64_t w = s->word.load(std::memory_order_acquire);
    do {
      if (w >> 32 != h >> 32 || !(w & kLive)) throw StaleHandle(h);
    } while (!s->word.compare_exchange_weak(w, w + 1, std::memory_order_acquire));
    at::Tensor t(c10::intrusive_ptr<at::TensorImpl>::reclaim_copy(s->impl));
    s->word.fetch_sub(1, std::memory_order_release);
    return t;
  }

  bool alive(Handle h) {
    Slot* s = find(h);
    if (!s) return false;
    uint64_t w = s->word.load(std::memory_order_acquire);
    return w >> 32 == h >> 32 && (w & kLive);
  }

  // drop releases each handle's reference; those already released are passed over.
  // It returns how many it released.
  size_t drop(const Handle* h, size_t n) {
    uint32_t first = 0, last = 0;
    size_t dropped = 0;
    for (size_t k = 0; k < n; k++) {
      at::TensorImpl* impl = take(h[k]);
      if (!impl) continue;
      uint32_t i = static_cast<uint32_t>(h[k]);
      at(i).next.store(first, std::memory_order_relaxed);
      first = i;
      if (!last) last = i;
      dropped++;
      c10::intrusive_ptr<at::TensorImpl>::reclaim(impl);
    }
    if (dropped) push(first, last);
    live_.fetch_sub(dropped, std::memory_order_relaxed);
    return dropped;
  }

  int64_t live() const { return live_.load(std::memory_order_relaxed); }

 private:
  Slot& at(uint32_t i) {
    return chunks_[i >> kChunkBits].load(std::memory_order_acquire)[i & (kChunkSize - 1)];
  }

  Slot* find(Handle h) {
    uint32_t i = static_cast<uint32_t>(h);
    if (i == 0 || i >= top_.load(std::memory_order_acquire)) return nullptr;
    return &at(i);
  }

  // take ends the slot's generation and hands over its reference; null if it had ended already.
  at::TensorImpl* take(Handle h) {
    Slot* s = find(h);
    if (!s) return nullptr;
    for (;;) {
      uint64_t w = s->word.load(std::memory_order_acquire);
      if (w >> 32 != h >> 32 || !(w & kLive)) return nullptr;
      uint64_t idle = (w >> 32) << 32 | kLive;
      // Another thread is copying the reference: that takes nanoseconds.
      if (w != idle) continue;
      uint64_t gen = ((w >> 32) + 1) & 0xffffffffu;
      if (s->word.compare_exchange_weak(idle, gen << 32, std::memory_order_acq_rel)) return s->impl;
    }
  }

  uint32_t pop() {
    uint64_t head = free_.load(std::memory_order_acquire);
    while (static_cast<uint32_t>(head) != 0) {
      uint32_t i = static_cast<uint32_t>(head);
      uint64_t next = ((head >> 32) + 1) << 32 | at(i).next.load(std::memory_order_relaxed);
      if (free_.compare_exchange_weak(head, next, std::memory_order_acq_rel)) return i;
    }
    return grow();
  }

  void push(uint32_t first, uint32_t last) {
    uint64_t head = free_.load(std::memory_order_relaxed);
    uint64_t next;
    do {
      at(last).next.store(static_cast<uint32_t>(head), std::memory_order_relaxed);
      next = ((head >> 32) + 1) << 32 | first;  // the upper half counts, so that a head reused meanwhile is noticed
    } while (!free_.compare_exchange_weak(head, next, std::memory_order_acq_rel));
  }

  uint32_t grow() {
    uint32_t i = reserved_.fetch_add(1, std::memory_order_relaxed);
    if (i >= kChunks * static_cast<uint64_t>(kChunkSize)) throw std::length_error("more than two billion live tensors");
    std::atomic<Slot*>& c = chunks_[i >> kChunkBits];
    if (!c.load(std::memory_order_acquire)) {
      auto* fresh = static_cast<Slot*>(std::calloc(kChunkSize, sizeof(Slot)));
      if (!fresh) throw std::bad_alloc();
      Slot* none = nullptr;
      if (!c.compare_exchange_strong(none, fresh, std::memory_order_acq_rel)) std::free(fresh);
    }
    uint32_t top = top_.load(std::memory_order_relaxed);
    while (top < i + 1 && !top_.compare_exchange_weak(top, i + 1, std::memory_order_release)) {
    }
    return i;
  }

  std::atomic<Slot*> chunks_[kChunks] = {};
  std::atomic<uint32_t> reserved_{1};  // slot 0 is never used: handle 0 is no tensor
  std::atomic<uint32_t> top_{1};       // slots below it may be looked at
  std::atomic<uint64_t> free_{0};
  std::atomic<int64_t> live_{0};
};

// table is the process's one table; defined in call.hh.
extern Table table;

}  // namespace golite
