// cpu_allocator.hh: libtorch's CPU allocator, with a count of the bytes in use and a store of free blocks.
//
// Go's collector doesn't count tensor memory, and is paced by this count. Why the store: malloc is slow for tensors:
// aligned blocks don't come from its caches of a thread, a scope frees more at once than those hold, and a big block
// goes back to the kernel when it is freed, or stays in a heap that no longer shrinks. Small blocks are kept by each
// thread; big ones by the process, within a bound that follows what tensors lately had in use.

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <unordered_map>

#include "collect.h"
#include "freelist.h"
#include "overrides.h"
#include "state.h"

#if defined(__APPLE__)
#include <malloc/malloc.h>
#define GL_USABLE(p) malloc_size(p)
#else
#include <malloc.h>
#define GL_USABLE(p) malloc_usable_size(p)
#endif

namespace golite {
namespace {

// Bytes are the process's figures of tensor memory.
struct Bytes {
  std::atomic<int64_t> live{0}, peak{0}, total{0};

  void add(int64_t allocated, int64_t freed) {
    int64_t now = live.fetch_add(allocated - freed, std::memory_order_relaxed) + allocated - freed;
    total.fetch_add(allocated, std::memory_order_relaxed);
    int64_t most = peak.load(std::memory_order_relaxed);
    while (now > most && !peak.compare_exchange_weak(most, now, std::memory_order_relaxed)) {
    }
  }
};
Bytes tensor_bytes;

// keeping reports whether freed blocks are kept.
bool keeping() {
  static const bool on = keeps_blocks("allocator");
  return on;
}

// SmallBlocks are a thread's free blocks of up to kMost bytes, by size, and its own count of the bytes of such blocks,
// which is added to the process's figures in portions.
struct SmallBlocks {
  static constexpr size_t kMost = 16 << 10, kClasses = 41;
  static constexpr size_t kKept = 1 << 20, kBlocks = 256;  // of each size: bytes, and blocks
  static constexpr int64_t kPortion = 256 << 10;

  FreeLists<kClasses> lists;
  int64_t allocated, freed;
  enum { kNew, kUsed, kOver } life;

  // size is that of a class: steps of 64 bytes up to 1 KiB, of 256 up to 4, of 1 KiB beyond. up is the least class of n
  // bytes and more, down the one of a block that malloc made, which may have added a little.
  static constexpr size_t size(size_t c) {
    return c <= 16 ? c << 6 : c <= 28 ? 1024 + ((c - 16) << 8) : 4096 + ((c - 28) << 10);
  }
  static constexpr size_t up(size_t n) {
    return n <= 1024 ? (n + 63) >> 6 : n <= 4096 ? 16 + ((n - 1024 + 255) >> 8) : 28 + ((n - 4096 + 1023) >> 10);
  }
  static constexpr size_t down(size_t n) {
    return n < 1024 ? n >> 6 : n < 4096 ? 16 + ((n - 1024) >> 8) : 28 + ((n - 4096) >> 10);
  }
  // least is the smallest block that release does not take for one of these.
  static constexpr size_t least() { return size(kClasses - 1) + 1024; }

  void* take(size_t n) {
    size_t c = up(n);
    void* p = lists.take(c);
    if (!p) p = c10::alloc_cpu(size(c));
    if ((allocated += static_cast<int64_t>(size(c))) >= kPortion || life != kUsed) settle();
    return p;
  }

  void give(void* p, size_t c) {
    if ((freed += static_cast<int64_t>(size(c))) >= kPortion || life != kUsed) settle();
    if (c == 0 || life != kUsed || !lists.give(p, c, static_cast<uint32_t>(std::min(kKept / size(c), kBlocks))))
      c10::free_cpu(p);
  }

  // settle updates the process's figures. The first one on a thread registers the emptying of the lists at its end.
  void settle();
  void end() {
    settle();
    life = kOver;
    lists.empty([](void* p) { c10::free_cpu(p); });
  }
};

// __thread: tensors are still freed while a thread's other variables are being destroyed.
__thread SmallBlocks small_blocks;

struct SmallBlocksEnd {
  bool on = false;
  ~SmallBlocksEnd() { small_blocks.end(); }
};
thread_local SmallBlocksEnd small_blocks_end;

void SmallBlocks::settle() {
  if (life == kNew) {
    life = keeping() ? kUsed : kOver;
    small_blocks_end.on = true;  // the first touch registers the destructor
  }
  tensor_bytes.add(allocated, freed);
  allocated = freed = 0;
  handle_count.settle();
}

// BigBlocks are the process's free blocks of kLeast bytes and more, which are no thread's SmallBlocks.
//
// Why from kLeast, though malloc maps those of kMapped and more only: an aligned block needs a free one of its size,
// the alignment and a header, so that the hole which it leaves between two blocks in use is too small for its like, and
// each epoch that moves small blocks would fragment the heap further.
class BigBlocks {
 public:
  static constexpr size_t kLeast = 16 << 10;
  // kMapped is the size from which malloc gives a block a mapping of its own, which goes back to the kernel when it is
  // freed.
  static constexpr size_t kMapped = 128 << 10;

  std::atomic<int64_t> used{0};  // bytes of blocks of kMapped and more that are in use

  // take returns a block of n bytes or somewhat more, a kept one if there is one that is at most twice as large. excess
  // is what such a one has beyond n: it does not count as in use.
  void* take(size_t n, size_t& excess) {
    excess = 0;
    size_t c = up(n);
    if (n >= kMapped) allowance.need(tensor_bytes.live, static_cast<int64_t>(size(c)), !thread_state.dropping);
    Block* b;
    Block* surplus;
    {
      std::lock_guard<std::mutex> l(m_);
      b = fit(c);
      if (b) remove(b);
      if (b && b->c > c + kNear) {
        excess = size(b->c) - size(c);
        excesses_[b] = excess;
        excess_ += static_cast<int64_t>(excess);
      }
      look(size(c));
      surplus = trim(size(c));
    }
    release(surplus);
    if (b) return b;
    try {
      return c10::alloc_cpu(size(c));
    } catch (...) {
      empty();
    }
    return c10::alloc_cpu(size(c));
  }

  // excess forgets what take gave beyond what was asked for, and returns it.
  size_t excess(void* p) {
    std::lock_guard<std::mutex> l(m_);
    auto i = excesses_.find(p);
    if (i == excesses_.end()) return 0;
    size_t n = i->second;
    excesses_.erase(i);
    excess_ -= static_cast<int64_t>(n);
    return n;
  }

  void give(void* p, size_t usable) {
    if (!keeping()) return c10::free_cpu(p);
    auto* b = static_cast<Block*>(p);
    size_t c = down(usable);
    Block* surplus;
    {
      std::lock_guard<std::mutex> l(m_);
      insert(b, c);
      surplus = trim(0);
    }
    release(surplus);
  }

  // empty gives all blocks back.
  void empty() {
    Block* all;
    {
      std::lock_guard<std::mutex> l(m_);
      before_ = recent_ = 0;
      all = trim(0);
    }
    release(all);
  }

 private:
  // A free block holds the list of its size and that of its age in its own first bytes.
  struct Block {
    Block *next, *prev, *newer, *older;
    size_t c;
  };
  static constexpr int kBits = 14, kParts = 64;  // sizes: parts of a power of two, from 2^14
  static constexpr size_t kNear = 2;             // a block that is larger by so many parts counts as it is
  static constexpr int kWindow = 16 * 1024;

  static size_t size(size_t c) { return (kParts + c % kParts) << (c / kParts + kBits - 6); }
  static size_t down(size_t n) {
    int k = 63 - __builtin_clzll(n);
    return (k - kBits) * kParts + ((n >> (k - 6)) - kParts);
  }
  static size_t up(size_t n) {
    size_t c = down(n);
    return size(c) == n ? c : c + 1;
  }

  // fit finds the smallest block that is at most twice the size: without that, as many blocks of each size would be
  // kept as were in use at once, and they are at different times. Those that are not mapped must be near it: to note
  // their excess would cost more than they do.
  Block* fit(size_t c) {
    size_t most = c + (size(c) < kMapped ? kNear : kParts);
    for (size_t i = c; i <= most; i++) {
      if (by_size_[i]) return by_size_[i];
    }
    return nullptr;
  }

  // look keeps the most bytes that were in use at once during the last one to two windows. A mapped block counts as 16
  // others: windows of many small ones would be too short.
  void look(int64_t coming) {
    int64_t live = tensor_bytes.live.load(std::memory_order_relaxed);
    allowance.seen(live);
    recent_ = std::max(recent_, live + coming);
    looks_ += coming < static_cast<int64_t>(kMapped) ? 1 : 16;
    if (looks_ >= kWindow) {
      looks_ = 0;
      before_ = recent_;
      recent_ = 0;
      if (++windows_ % 16 == 0) allowance.decay();
    }
  }

  // trim takes the oldest blocks out until what is kept and what is in use, or about to be, fits into one and a half of
  // what was lately in use. Without the half, a training step near its peak drops blocks that the next one asks for,
  // and pays for clearing new pages.
  Block* trim(int64_t coming) {
    int64_t most =
        std::max(before_, recent_) * 3 / 2 - tensor_bytes.live.load(std::memory_order_relaxed) - excess_ - coming;
    Block* out = nullptr;
    while (oldest_ && kept_ > most) {
      Block* b = oldest_;
      remove(b);
      b->next = out;
      out = b;
    }
    return out;
  }

  void insert(Block* b, size_t c) {
    *b = {by_size_[c], nullptr, nullptr, newest_, c};
    if (b->next) b->next->prev = b;
    by_size_[c] = b;
    (newest_ ? newest_->newer : oldest_) = b;
    newest_ = b;
    kept_ += static_cast<int64_t>(size(c));
  }

  void remove(Block* b) {
    (b->prev ? b->prev->next : by_size_[b->c]) = b->next;
    if (b->next) b->next->prev = b->prev;
    (b->older ? b->older->newer : oldest_) = b->newer;
    (b->newer ? b->newer->older : newest_) = b->older;
    kept_ -= static_cast<int64_t>(size(b->c));
  }

  static void release(Block* list) {
    while (list) {
      Block* next = list->next;
      c10::free_cpu(list);
      list = next;
    }
  }

  std::mutex m_;
  std::unordered_map<void*, size_t> excesses_;  // of blocks in use
  int64_t excess_ = 0;
  Block* by_size_[(65 - kBits) * kParts] = {};
  Block *oldest_ = nullptr, *newest_ = nullptr;
  int64_t kept_ = 0, recent_ = 0, before_ = 0;
  int looks_ = 0;
  uint64_t windows_ = 0;
};

// big_blocks is never destroyed: tensors outlive static variables.
BigBlocks& big_blocks = *new BigBlocks;

struct CountingAllocator final : at::Allocator {
  at::DataPtr allocate(size_t n) override {
    void* p = nullptr;
    if (n > SmallBlocks::kMost) {
      size_t excess = 0;
      p = big_blocks.take(std::max(n, SmallBlocks::least()), excess);
      int64_t usable = static_cast<int64_t>(GL_USABLE(p) - excess);
      tensor_bytes.add(usable, 0);
      if (usable >= static_cast<int64_t>(BigBlocks::kMapped))
        big_blocks.used.fetch_add(usable, std::memory_order_relaxed);
    } else if (n > 0) {
      p = small_blocks.take(n);
    }
    return {p, p, &release, at::Device(at::kCPU)};
  }

  static void release(void* p) {
    if (!p) return;
    size_t size = GL_USABLE(p);
    if (size < SmallBlocks::least()) return small_blocks.give(p, SmallBlocks::down(size));
    size_t used = size < BigBlocks::kMapped ? size : size - big_blocks.excess(p);
    tensor_bytes.add(0, static_cast<int64_t>(used));
    if (used >= BigBlocks::kMapped) big_blocks.used.fetch_sub(static_cast<int64_t>(used), std::memory_order_relaxed);
    big_blocks.give(p, size);
  }

  at::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t n) const override { default_copy_data(to, from, n); }
};

CountingAllocator counting;

struct Install {
  Install() {
#ifndef GOLITE_NO_OVERRIDES
    c10::SetCPUAllocator(&counting, 100);
#endif
#ifdef __GLIBC__
    // By default glibc moves big blocks from mappings of their own into its heap, which keeps their pages when they are
    // freed. A user's own setting stands.
    if (overridden("mallopt") && !std::getenv("MALLOC_MMAP_THRESHOLD_"))
      mallopt(M_MMAP_THRESHOLD, static_cast<int>(BigBlocks::kMapped));
#endif
  }
} install;

}  // namespace
}  // namespace golite

using namespace golite;

extern "C" {

// gl_memory gives the bytes of CPU tensor memory in use, their peak, all that was ever allocated, the bytes in use of
// big blocks, and the handles in use. Each thread's last 256 KiB of small tensors and last few handles may be missing,
// but for the calling one's.
void gl_memory(int64_t* out, int32_t reset_peak) {
  small_blocks.settle();
  out[0] = tensor_bytes.live.load(std::memory_order_relaxed);
  out[1] = tensor_bytes.peak.load(std::memory_order_relaxed);
  out[2] = tensor_bytes.total.load(std::memory_order_relaxed);
  out[3] = big_blocks.used.load(std::memory_order_relaxed);
  out[4] = HandleCount::sum.load(std::memory_order_relaxed);
  if (reset_peak) tensor_bytes.peak.store(out[0]);
}

// gl_collectable estimates the bytes on a kind of device that a collection by Go would free.
int64_t gl_collectable(int32_t device) {
  try {
    return suspects.dead(static_cast<c10::DeviceType>(device));
  } catch (...) {
    return 0;
  }
}

}  // extern "C"
