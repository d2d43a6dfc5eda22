// closure.hh: functions of Go's that C++ holds by number.

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/variable.h>

#include <mutex>
#include <vector>

#include "guard.h"

// Written in Go (callback.go). It gives 0, or the id of the panic.
extern "C" uint64_t goliteHook(uint64_t closure, uint64_t grad, uint64_t* replacement);

namespace golite {
namespace {

using torch::autograd::Variable;
using torch::autograd::variable_list;

// Closures of Go that were destroyed with their graph. A destructor may run on any thread and must not call Go: Go
// fetches the ids at a later call.
std::mutex dead_lock;
std::vector<uint64_t> dead;

struct Closure {
  explicit Closure(uint64_t id) : id(id) {}
  ~Closure() {
    std::lock_guard<std::mutex> l(dead_lock);
    dead.push_back(id);
  }
  Closure(const Closure&) = delete;
  uint64_t id;
};

// received takes over a tensor whose handle Go made for the shim only.
at::Tensor received(uint64_t h) {
  if (!h) return at::Tensor();
  at::Tensor t = table.get(h);
  table.drop(&h, 1);
  return t;
}

at::Tensor run_hook(const Closure& c, const at::Tensor& grad) {
  uint64_t replacement = 0;
  uint64_t given = grad.defined() ? table.put(at::Tensor(grad)) : 0;
  uint64_t panicked = goliteHook(c.id, given, &replacement);
  if (panicked) throw GoPanic(panicked);
  return received(replacement);
}

}  // namespace

extern "C" {

// gl_dead_closures gives the ids of closures that no graph holds any more.
int64_t gl_dead_closures(uint64_t* out, uint32_t room) {
  std::lock_guard<std::mutex> l(dead_lock);
  size_t n = std::min<size_t>(room, dead.size());
  for (size_t i = 0; i < n; i++) {
    out[i] = dead.back();
    dead.pop_back();
  }
  return static_cast<int64_t>(n);
}

}  // extern "C"
}  // namespace golite
