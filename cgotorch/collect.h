// collect.h: what Go's collector could free, and how the allocator runs it.
//
// A tensor that the program has dropped stays in memory until Go's collector finds its handle. That matters to the
// allocator where the memory in use is about to exceed all that was needed so far. It then requests a collection of Go
// and waits for it, on whatever thread it runs; that thread runs C++, so that Go's collector need not stop it.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "handles.h"

// Written in Go (state.go): it runs a collection, and reports whether it did.
extern "C" int32_t goliteCollect(void);

namespace golite {

// Suspects are handles of big tensors that a few collections at most have found alive. What survives more of them is a
// parameter, an optimizer's state or a data set.
class Suspects {
 public:
  static constexpr int64_t kLeast = 128 << 10;  // bytes of a big tensor
  static constexpr uint32_t kOld = 3;

  void note(Handle h) {
    std::lock_guard<std::mutex> l(m_);
    list_.push_back({h, 0});
    if (list_.size() >= full_) sweep();
  }

  // dead estimates the bytes that a collection would free: those of storages that only handles, and views that only
  // handles hold, refer to, and that no running call uses. Some of them may be alive in Go. What a graph holds is not
  // counted, dead or not.
  //
  // Why a race is harmless: what another thread does to a tensor meanwhile makes the estimate wrong, and nothing else.
  int64_t dead(c10::DeviceType device) {
    Pins pins;
    std::unordered_map<at::TensorImpl*, size_t> known;  // with the references that come from handles and views
    std::lock_guard<std::mutex> l(m_);
    sweep();
    pins.held.reserve(list_.size());
    for (const Suspect& s : list_) {
      Slot* slot = table.try_pin(s.handle);
      if (!slot) continue;
      pins.held.push_back({slot, static_cast<uint32_t>(s.handle)});
      at::TensorImpl* t = slot->impl;
      if (Table::pins(slot) != 1 || t->device_type() != device || !t->has_storage()) continue;
      known[t]++;
      if (at::TensorImpl* base = base_of(t)) known[base]++;
    }
    struct Storage {
      size_t tensors = 0;
      bool only = true;
    };
    std::unordered_map<c10::StorageImpl*, Storage> storages;
    for (auto [t, references] : known) {
      if (!t->has_storage()) continue;
      Storage& s = storages[t->unsafe_storage().unsafeGetStorageImpl()];
      s.tensors++;
      if (c10::raw::intrusive_ptr::use_count(t) != references) s.only = false;
    }
    int64_t bytes = 0;
    for (auto& [storage, s] : storages) {
      if (s.only && c10::raw::intrusive_ptr::use_count(storage) == s.tensors)
        bytes += static_cast<int64_t>(storage->nbytes());
    }
    return bytes;
  }

  // collected ages what a collection has left.
  void collected() {
    std::lock_guard<std::mutex> l(m_);
    for (Suspect& s : list_) s.age++;
    sweep();
  }

 private:
  struct Suspect {
    Handle handle;
    uint32_t age;
  };

  // Pins keeps tensors in their slots during its lifetime.
  struct Pins {
    std::vector<std::pair<Slot*, uint32_t>> held;
    ~Pins() {
      for (auto [slot, index] : held) table.unpin(slot, index);
    }
  };

  // base_of gives the tensor that autograd keeps for a view; null for others.
  static at::TensorImpl* base_of(at::TensorImpl* t) {
    auto* meta = static_cast<torch::autograd::AutogradMeta*>(t->autograd_meta());
    if (!meta || !meta->is_view_) return nullptr;
    auto* view = static_cast<torch::autograd::DifferentiableViewMeta*>(meta);
    return view->has_bw_view() ? view->get_backward_view().base_.unsafeGetTensorImpl() : nullptr;
  }

  void sweep() {
    list_.erase(std::remove_if(list_.begin(), list_.end(),
                               [](const Suspect& s) { return s.age >= kOld || !table.alive(s.handle); }),
                list_.end());
    full_ = std::max<size_t>(1024, 2 * list_.size());
  }

  std::mutex m_;
  std::vector<Suspect> list_;
  size_t full_ = 1024;
};

// Collector requests collections of Go, on a thread of its own that starts with the first request. Why: a waiting
// goroutine would count as leaked in tests of a user's program.
class Collector {
 public:
  // ask requests a collection and waits for its end, for a second at most. It reports whether a collection ran.
  bool ask() {
    std::unique_lock<std::mutex> l(m_);
    if (!started_) {
      try {
        std::thread([this] { serve(); }).detach();
      } catch (const std::system_error&) {  // the next request tries again
        return false;
      }
      started_ = true;
    }
    uint64_t mine = ++asked_;
    wanted_.notify_one();
    return ended_.wait_for(l, std::chrono::seconds(1), [&] { return done_ >= mine; }) && ran_;
  }

 private:
  void serve() {
    std::unique_lock<std::mutex> l(m_);
    for (;;) {
      wanted_.wait(l, [&] { return asked_ > done_; });
      uint64_t upto = asked_;
      l.unlock();
      bool ran = goliteCollect() != 0;
      l.lock();
      done_ = upto;
      ran_ = ran;
      ended_.notify_all();
    }
  }

  std::mutex m_;
  std::condition_variable wanted_, ended_;
  uint64_t asked_ = 0, done_ = 0;
  bool started_ = false, ran_ = false;
};

// Never destroyed: tensors outlive static variables.
inline Suspects& suspects = *new Suspects;
inline Collector& collector = *new Collector;

// Allowance is how much CPU memory tensors may have in use before a collection is called for: what they needed so far.
class Allowance {
 public:
  static constexpr int64_t kFree = 16 << 20;  // what is below is not worth a collection

  // need is called before n bytes are added to live. It raises the allowance where a collection would free too little.
  void need(const std::atomic<int64_t>& live, int64_t n, bool may_wait) {
    int64_t want = live.load(std::memory_order_relaxed) + n;
    if (want <= most_.load(std::memory_order_relaxed)) return;
    if (may_wait && worth(want) && collect()) {
      int64_t now = live.load(std::memory_order_relaxed);
      left_.store(now, std::memory_order_relaxed);
      want = now + n;
    }
    int64_t most = most_.load(std::memory_order_relaxed);
    while (want > most && !most_.compare_exchange_weak(most, want, std::memory_order_relaxed)) {
    }
  }

  // seen takes note of what is in use.
  void seen(int64_t live) {
    if (live < left_.load(std::memory_order_relaxed)) left_.store(live, std::memory_order_relaxed);
  }

  // decay lowers the allowance by an eighth: what a program needed once it may never need again.
  void decay() {
    int64_t most = most_.load(std::memory_order_relaxed);
    most_.store(std::max(kFree, most - most / 8), std::memory_order_relaxed);
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr int64_t kLeast = 2 << 20;  // bytes that are worth a collection

  // worth reports whether a collection is: it would free a 128th, or so much has come since the last one that graphs,
  // which the estimate leaves out, may have died. Those for little take a sixteenth of the time at most.
  bool worth(int64_t want) {
    int64_t left = left_.load(std::memory_order_relaxed);
    if (want - left >= std::max(kFree, left / 4)) return true;
    int64_t dead = suspects.dead(c10::kCPU);
    if (dead < std::max(kLeast, want / 128)) return false;
    return dead >= want / 64 || Clock::now().time_since_epoch().count() >= next_.load(std::memory_order_relaxed);
  }

  bool collect() {
    Clock::time_point begin = Clock::now();
    if (!collector.ask()) return false;
    suspects.collected();
    Clock::time_point end = Clock::now();
    // One that takes long was delayed by other programs.
    Clock::duration took = std::min<Clock::duration>(end - begin, std::chrono::milliseconds(1));
    next_.store((end + 15 * took).time_since_epoch().count(), std::memory_order_relaxed);
    return true;
  }

  std::atomic<int64_t> most_{kFree};
  std::atomic<int64_t> next_{0};  // when the next collection for little may be
  std::atomic<int64_t> left_{0};  // in use after the last collection, or the least since
};

inline Allowance& allowance = *new Allowance;

}  // namespace golite
