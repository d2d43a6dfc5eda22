// handles.h: the table of handles through which Go refers to libtorch's tensors.
//
// Go holds no pointer into libtorch, but a handle: the index of a slot and the slot's generation. Releasing a tensor
// raises the generation, so a stale handle is recognised and refused: it never reaches freed memory, on whatever
// thread.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>

namespace golite {

using Handle = uint64_t;  // generation << 32 | slot index; 0 is no tensor

// Slot holds one reference to a tensor. Threads synchronize on `word` alone: generation << 32 | kLive or kEnding |
// number of pins. A pin keeps the slot's reference where it is. A handle that is released meanwhile is stale at once
// for all other callers; the end of the last pin frees the tensor.
struct Slot {
  std::atomic<uint64_t> word;
  at::TensorImpl* impl;
  std::atomic<uint32_t> next;  // free list
};

constexpr uint64_t kLive = 1ull << 31;
constexpr uint64_t kEnding = 1ull << 30;
constexpr uint32_t kChunkBits = 15;
constexpr uint32_t kChunkSize = 1u << kChunkBits;
constexpr uint32_t kChunks = 1u << 16;

// StaleHandle is thrown when a handle outlived its tensor.
struct StaleHandle : std::exception {
  explicit StaleHandle(Handle h) : handle(h) {}
  const char* what() const noexcept override { return "the tensor was released"; }
  Handle handle;
};

// HandleCount counts the handles in use. Each thread counts for itself, and adds what it counted to the sum in
// portions.
struct HandleCount {
  static constexpr int32_t kPortion = 64;
  static inline std::atomic<int64_t> sum{0};

  void add(int32_t n) {
    if ((own += n) >= kPortion || own <= -kPortion) settle();
  }
  void settle() {
    sum.fetch_add(own, std::memory_order_relaxed);
    own = 0;
  }

  int32_t own;
};
extern __thread HandleCount handle_count;

class Table {
 public:
  // put moves a defined tensor into a free slot and returns its handle.
  Handle put(at::Tensor&& t) {
    uint32_t i = pop();
    Slot& s = at(i);
    s.impl = t.unsafeReleaseTensorImpl();
    uint64_t gen = s.word.load(std::memory_order_relaxed) >> 32;
    s.word.store(gen << 32 | kLive, std::memory_order_release);
    handle_count.add(1);
    return gen << 32 | i;
  }

  // pin holds the handle's tensor in its slot until unpin, or throws StaleHandle.
  Slot* pin(Handle h) {
    Slot* s = try_pin(h);
    if (!s) throw StaleHandle(h);
    return s;
  }

  // try_pin is pin that returns null where the tensor was released.
  Slot* try_pin(Handle h) noexcept {
    Slot* s = find(h);
    if (!s) return nullptr;
    uint64_t w = s->word.load(std::memory_order_acquire);
    do {
      if (w >> 32 != h >> 32 || !(w & kLive)) return nullptr;
    } while (!s->word.compare_exchange_weak(w, w + 1, std::memory_order_acquire));
    return s;
  }

  // pins is how many pins a slot has, the caller's own included.
  static uint32_t pins(const Slot* s) {
    return static_cast<uint32_t>(s->word.load(std::memory_order_relaxed)) & (kEnding - 1);
  }

  // unpin ends a pin; i is the slot's index, the handle's lower half.
  void unpin(Slot* s, uint32_t i) {
    uint64_t w = s->word.fetch_sub(1, std::memory_order_acq_rel) - 1;
    if (static_cast<uint32_t>(w) != kEnding) return;
    at::TensorImpl* impl = s->impl;
    s->word.store(next_generation(w), std::memory_order_release);
    push(i, i);
    c10::intrusive_ptr<at::TensorImpl>::reclaim(impl);
  }

  // get returns a new reference to the handle's tensor, or throws StaleHandle.
  at::Tensor get(Handle h) {
    Slot* s = pin(h);
    at::Tensor t(c10::intrusive_ptr<at::TensorImpl>::reclaim_copy(s->impl));
    unpin(s, static_cast<uint32_t>(h));
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
      Slot* s = find(h[k]);
      if (!s) continue;
      at::TensorImpl* impl = nullptr;
      if (!end(*s, h[k], impl)) continue;
      dropped++;
      if (!impl) continue;
      uint32_t i = static_cast<uint32_t>(h[k]);
      s->next.store(first, std::memory_order_relaxed);
      first = i;
      if (!last) last = i;
      c10::intrusive_ptr<at::TensorImpl>::reclaim(impl);
    }
    if (first) push(first, last);
    handle_count.add(-static_cast<int32_t>(dropped));
    return dropped;
  }

  // sift moves the handles in use to the front of a list and returns how many there are.
  size_t sift(Handle* h, size_t n) {
    return static_cast<size_t>(std::remove_if(h, h + n, [this](Handle x) { return !alive(x); }) - h);
  }

  // live counts the handles in use by a scan of all slots ever used.
  int64_t live() {
    int64_t n = 0;
    uint32_t top = top_.load(std::memory_order_acquire);
    for (uint32_t i = 0; i < top; i += kChunkSize) {
      Slot* chunk = chunks_[i >> kChunkBits].load(std::memory_order_acquire);
      for (uint32_t k = 0; chunk && k < std::min(kChunkSize, top - i); k++)
        n += (chunk[k].word.load(std::memory_order_relaxed) & kLive) != 0;
    }
    return n;
  }

 private:
  Slot& at(uint32_t i) {
    return chunks_[i >> kChunkBits].load(std::memory_order_acquire)[i & (kChunkSize - 1)];
  }

  Slot* find(Handle h) {
    uint32_t i = static_cast<uint32_t>(h);
    if (i == 0 || i >= top_.load(std::memory_order_acquire)) return nullptr;
    return &at(i);
  }

  static uint64_t next_generation(uint64_t word) { return (((word >> 32) + 1) & 0xffffffffu) << 32; }

  // end ends the handle, and reports whether it was in use. impl becomes the slot's reference, or stays null where it
  // is pinned.
  bool end(Slot& s, Handle h, at::TensorImpl*& impl) {
    uint64_t w = s.word.load(std::memory_order_acquire);
    for (;;) {
      if (w >> 32 != h >> 32 || !(w & kLive)) return false;
      bool pinned = (w & (kEnding - 1)) != 0;
      if (s.word.compare_exchange_weak(w, pinned ? w - kLive + kEnding : next_generation(w),
                                       std::memory_order_acq_rel)) {
        if (!pinned) impl = s.impl;
        return true;
      }
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

  static std::atomic<Slot*> chunks_[kChunks];  // static: half a megabyte of zeros that needn't lie in the binary
  std::atomic<uint32_t> reserved_{1};  // slot 0 is never used: handle 0 is no tensor
  std::atomic<uint32_t> top_{1};       // slots below it may be read
  std::atomic<uint64_t> free_{0};
};

// table is the process's one table; defined in call.hh.
extern Table table;

}  // namespace golite
