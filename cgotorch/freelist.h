// freelist.h: free blocks by class of size, for one thread.
#ifndef GOLITE_LISTS_H
#define GOLITE_LISTS_H

#include <cstddef>
#include <cstdint>

namespace golite {

// FreeLists has no constructor: it is for __thread variables, which are zero, and outlive a thread's other variables.
template <size_t kClasses>
struct FreeLists {
  struct Block {
    Block* next;
  };
  Block* first[kClasses];
  uint32_t count[kClasses];

  // take returns a block of a class, or null.
  void* take(size_t c) {
    Block* b = first[c];
    if (b) {
      first[c] = b->next;
      count[c]--;
    }
    return b;
  }

  // give keeps a block where there are fewer than so many of its class.
  bool give(void* p, size_t c, uint32_t most) {
    if (count[c] >= most) return false;
    auto* b = static_cast<Block*>(p);
    b->next = first[c];
    first[c] = b;
    count[c]++;
    return true;
  }

  template <class Free>
  void empty(Free&& release) {
    for (size_t c = 0; c < kClasses; c++) {
      while (void* b = take(c)) release(b);
    }
  }
};

}  // namespace golite

#endif
