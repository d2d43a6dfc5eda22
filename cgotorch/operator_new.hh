// operator_new.hh: C++'s operator new, with free lists of each thread.
//
// A tensor is three small objects besides its memory, and a scope of Go's frees some hundred tensors at once. glibc's
// cache of a thread holds seven blocks of a size; what is beyond goes through its shared bins, which costs more than
// the rest of a small operation's administration. Every block here is malloc's own, so it does not matter whose new or
// delete it passes through.

#include "overrides.h"

#if defined(__GLIBC__) && !defined(GOLITE_NO_OVERRIDES) && !defined(GOLITE_SANITIZED)

#include <malloc.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "freelist.h"

namespace golite {
namespace {

// Objects are a thread's free blocks of up to kMost bytes, by size.
struct Objects {
  static constexpr size_t kStep = 16, kMost = 384, kClasses = kMost / kStep + 1;
  static constexpr uint32_t kKept = 256;  // of each size

  FreeLists<kClasses> lists;
  enum { kNew, kUsed, kOver } life;

  // take returns a block of n bytes, or null where malloc has none.
  void* take(size_t n) {
    size_t c = n ? (n + kStep - 1) / kStep : 1;
    if (c >= kClasses) return std::malloc(n);
    void* p = lists.take(c);
    return p ? p : std::malloc(c * kStep);
  }

  void give(void* p) {
    size_t c = malloc_usable_size(p) / kStep;
    if (c >= kClasses || (life != kUsed && !start()) || !lists.give(p, c, kKept)) std::free(p);
  }

  // start registers the emptying of the lists at the thread's end, and reports whether that is still to come.
  bool start();
  void end() {
    life = kOver;
    lists.empty([](void* p) { std::free(p); });
  }
};

// __thread: objects are still freed while a thread's other variables are being destroyed.
__thread Objects objects;

struct ObjectsEnd {
  bool on = false;
  ~ObjectsEnd() { objects.end(); }
};
thread_local ObjectsEnd objects_end;

bool Objects::start() {
  if (life == kOver) return false;
  if (!keeps_blocks("new")) {
    life = kOver;
    return false;
  }
  life = kUsed;
  objects_end.on = true;  // the first touch registers the destructor
  return true;
}

void* object(size_t n) {
  for (;;) {
    if (void* p = objects.take(n)) return p;
    std::new_handler handler = std::get_new_handler();
    if (!handler) throw std::bad_alloc();
    handler();
  }
}

}  // namespace
}  // namespace golite

// Weak, so that a program which brings an operator new of its own has that one.
[[gnu::weak]] void* operator new(std::size_t n) { return golite::object(n); }
[[gnu::weak]] void operator delete(void* p) noexcept {
  if (p) golite::objects.give(p);
}
[[gnu::weak]] void operator delete(void* p, std::size_t) noexcept {
  if (p) golite::objects.give(p);
}

#endif
