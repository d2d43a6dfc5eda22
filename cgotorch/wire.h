// wire.h: how arguments and results travel between Go and C++: one flat buffer of 64-bit words.
//
// Each value is a tag and its payload. Go writes arguments in the schema's order, C++ writes
// results in the schema's order; zz_generated_constants.go has the same constants.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/List.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/stack.h>

#include <cstring>
#include <string>
#include <vector>

#include "handles.h"

namespace golite {

enum Tag : uint64_t {
  kNone = 0,
  kTensor = 1,       // handle; as a result: handle, bytes of its storage
  kInt = 2,          // value
  kFloat = 3,        // bits
  kBool = 4,         // 0 or 1
  kInts = 5,         // n, values
  kFloats = 6,       // n, bits
  kBools = 7,        // n, values
  kTensors = 8,      // n, handles; as a result: n, then (handle, bytes) each; handle 0 is undefined
  kOptTensors = 9,   // n, handles; 0 is None
  kString = 10,      // bytes, packed words
  kDevice = 11,      // type << 8 | index & 0xff
  kGenerator = 12,   // pointer to a GeneratorImpl
  kComplex = 13,     // bits of the real, of the imaginary part
  kStrings = 14,     // n, then (bytes, packed words) each
  kScalars = 15,     // n, then (tag, payload) each
  kUndefined = 16,   // an undefined tensor
  kOther = 17,       // a result of a kind that has no form here
  kUInt = 18,        // a result from 2^63
  kInvalid = 19,     // bytes, packed words: what is wrong with the argument, which the call is refused with
};

// Reader walks the words that Go wrote.
struct Reader {
  const uint64_t* p;
  const uint64_t* end;

  bool done() const { return p >= end; }
  uint64_t word() {
    if (p >= end) throw std::runtime_error("cgotorch: argument buffer too short");
    return *p++;
  }
  double real() {
    uint64_t w = word();
    double d;
    std::memcpy(&d, &w, sizeof d);
    return d;
  }
  std::string text() {
    size_t n = word();
    size_t words = (n + 7) / 8;
    if (words > static_cast<size_t>(end - p)) throw std::runtime_error("cgotorch: argument buffer too short");
    std::string s(reinterpret_cast<const char*>(p), n);
    p += words;
    return s;
  }
  at::Tensor tensor() { return table.get(word()); }
  std::vector<at::Tensor> tensors() {
    size_t n = word();
    std::vector<at::Tensor> v;
    v.reserve(n);
    for (size_t i = 0; i < n; i++) {
      uint64_t h = word();
      v.push_back(h ? table.get(h) : at::Tensor());
    }
    return v;
  }

  c10::IValue value();
};

// Writer collects the words that Go will read. It starts in Go's own buffer and moves to the heap
// when that is too small.
struct Writer {
  uint64_t* buf;
  size_t room;
  size_t n = 0;
  std::vector<uint64_t>* spill = nullptr;

  [[gnu::always_inline]] void word(uint64_t w) {
    if (n < room) {
      buf[n++] = w;
    } else {
      spilled(w);
    }
  }
  [[gnu::noinline]] void spilled(uint64_t w) {
    if (!spill) spill = new std::vector<uint64_t>(buf, buf + n);
    spill->push_back(w);
    n++;
  }
  void real(double d) {
    uint64_t w;
    std::memcpy(&w, &d, sizeof w);
    word(w);
  }
  void text(const char* s, size_t len) {
    word(len);
    for (size_t i = 0; i < len; i += 8) {
      uint64_t w = 0;
      std::memcpy(&w, s + i, std::min<size_t>(8, len - i));
      word(w);
    }
  }
  void tensor(at::Tensor&& t);
  void value(c10::IValue&& v);
};

}  // namespace golite
