// autograd.hh: backward, gradients, and functions whose backward is written in Go.

#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/functions/accumulate_grad.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>

#include "guard.h"
#include "state.h"

// Written in Go (callback.go). It gives 0, or the id of the panic.
extern "C" uint64_t goliteBackward(uint64_t closure, uint64_t node, uint64_t* grads, int64_t n, uint64_t* results,
                                   int64_t m);

namespace golite {
namespace {

using torch::autograd::Node;

// NodePtr holds a node of the graph: 2.11 has shared_ptr here, 2.15 intrusive_ptr.
using NodePtr = decltype(torch::autograd::Edge::function);

template <class T, class... Args>
auto make_node(Args&&... args) {
  if constexpr (std::is_same_v<NodePtr, std::shared_ptr<Node>>) {
    return std::shared_ptr<T>(new T(std::forward<Args>(args)...), [](auto* node) { deleteNode(node); });
  } else {
    return c10::make_intrusive<T>(std::forward<Args>(args)...);
  }
}

// GoNode is the backward of a torch.Function.
struct GoNode : Node {
  GoNode(uint64_t id, std::string name) : closure(id), label(std::move(name)) {}

  variable_list apply(variable_list&& grads) override {
    std::vector<uint64_t> in(grads.size()), out(next_edges().size(), 0);
    for (size_t i = 0; i < grads.size(); i++) {
      at::OptionalDeviceGuard device;
      at::Tensor g = grads[i].defined() || !materialize ? grads[i] : outputs[i].zeros(device);
      in[i] = g.defined() ? table.put(std::move(g)) : 0;
    }
    uint64_t panicked = goliteBackward(closure.id, reinterpret_cast<uint64_t>(this), in.data(),
                                       static_cast<int64_t>(in.size()), out.data(), static_cast<int64_t>(out.size()));
    if (panicked) throw GoPanic(panicked);
    variable_list results;
    for (uint64_t h : out) results.push_back(received(h));
    return results;
  }
  std::string name() const override { return label; }
  void release_variables() override {
    std::lock_guard<std::mutex> l(mutex_);
    for (auto& s : saved) s.reset_data();
    released = true;
  }

  Closure closure;
  std::string label;
  std::vector<torch::autograd::VariableInfo> outputs;
  std::vector<torch::autograd::SavedVariable> saved;
  bool released = false;
  bool materialize = true;  // zeros in the place of undefined gradients
};

// check_grad refuses what an assignment to .grad refuses in Python. A sparse gradient of a dense tensor is an
// embedding's.
void check_grad(const at::Tensor& t, const at::Tensor& g) {
  TORCH_CHECK(!t.is_same(g), "can't assign a tensor as its own gradient");
  TORCH_CHECK(g.scalar_type() == t.scalar_type(), "can't assign a gradient of dtype ", g.scalar_type(),
              " to a tensor of dtype ", t.scalar_type(), ": both must have the same dtype");
  TORCH_CHECK(g.device() == t.device(), "can't assign a gradient on ", g.device(), " to a tensor on ", t.device(),
              ": both must be on the same device");
  TORCH_CHECK(g.layout() == t.layout() || g.layout() == at::kSparse, "can't assign a gradient of layout ", g.layout(),
              " to a tensor of layout ", t.layout(),
              ": both must have the same layout, or the gradient is sparse (COO)");
  TORCH_CHECK(g.is_nested() == t.is_nested(), "can't assign a gradient that is ", g.is_nested() ? "" : "not ",
              "nested to a tensor that is ", t.is_nested() ? "" : "not ", "nested");
  if (t.is_nested()) return;
  TORCH_CHECK(g.sym_sizes() == t.sym_sizes(), "can't assign a gradient of size ", g.sym_sizes(),
              " to a tensor of size ", t.sym_sizes(), ": both must have the same size");
}

thread_local std::vector<std::unique_ptr<c10::InferenceMode>> inference;

}  // namespace
}  // namespace golite

using namespace golite;

extern "C" {

// in: retain (2: as create), create, n outputs, n (handle, or 0) gradients, m inputs.
int64_t gl_backward(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer&) {
    thread_state.enter();
    Reader r{in, in + n};
    uint64_t retain = r.word();
    bool create = r.word() != 0;
    variable_list roots = r.tensors(), grads = r.tensors(), inputs = r.tensors();
    PassedHooks hooks;
    torch::autograd::backward(roots, grads, retain == 2 ? std::nullopt : std::optional<bool>(retain == 1), create,
                              inputs);
  });
}

// in: retain, create, allow unused, outputs, inputs, gradients of the outputs.
int64_t gl_gradients(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    thread_state.enter();
    Reader r{in, in + n};
    uint64_t retain = r.word();
    bool create = r.word() != 0, unused = r.word() != 0;
    variable_list outputs = r.tensors(), inputs = r.tensors(), grads = r.tensors();
    PassedHooks hooks;
    variable_list got = torch::autograd::grad(
        outputs, inputs, grads, retain == 2 ? std::nullopt : std::optional<bool>(retain == 1), create, unused);
    w.word(thread_state.scope);
    w.value(c10::IValue(std::move(got)));
  });
}

// gl_grads gives the .grad of each tensor of a list, undefined where there is none.
int64_t gl_grads(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    Reader r{in, in + n};
    variable_list got;
    for (auto& t : r.tensors()) got.push_back(t.grad());
    w.word(thread_state.scope);
    w.value(c10::IValue(std::move(got)));
  });
}

int64_t gl_set_grad(gl_handle h, gl_handle grad, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer&) {
    at::Tensor t = table.get(h);
    at::Tensor g = grad ? table.get(grad) : at::Tensor();
    if (g.defined()) check_grad(t, g);
    t.mutable_grad() = std::move(g);
  });
}

int64_t gl_clear_grads(const gl_handle* h, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer&) {
    for (uint32_t i = 0; i < n; i++) table.get(h[i]).mutable_grad().reset();
  });
}

int64_t gl_requires_grad(gl_handle h, int32_t on, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer&) { table.get(h).requires_grad_(on != 0); });
}

int64_t gl_retain_grad(gl_handle h, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer&) { table.get(h).retain_grad(); });
}

int64_t gl_grad_fn(gl_handle h, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    auto fn = table.get(h).grad_fn();
    std::string s = fn ? fn->name() : "";
    w.text(s.data(), s.size());
  });
}

// gl_apply ties the outputs of a Go forward to a node whose backward is Go's.
// in: inputs, outputs, saved, written in place, not differentiable, zeros in the place of undefined gradients.
int64_t gl_apply(uint64_t closure, const char* name, const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    Reader r{in, in + n};
    variable_list inputs = r.tensors(), outputs = r.tensors(), saved = r.tensors(), dirty = r.tensors(),
                  fixed = r.tensors();
    auto set = [](const variable_list& v) {
      std::unordered_set<at::TensorImpl*> s;
      for (auto& t : v) s.insert(t.unsafeGetTensorImpl());
      return s;
    };
    auto node = make_node<GoNode>(closure, name);
    node->materialize = r.word() != 0;
    bool graph = at::GradMode::is_enabled() && torch::autograd::any_variable_requires_grad(inputs);
    if (graph) {
      node->set_next_edges(torch::autograd::collect_next_edges(inputs));
      node->clear_input_metadata();
    }
    for (auto& t : dirty) t.unsafeGetTensorImpl()->bump_version();
    std::vector<std::optional<Variable>> raw(outputs.begin(), outputs.end());
    torch::autograd::_jvp_fn_t no_jvp = [](const variable_list&, const variable_list&) -> variable_list {
      TORCH_CHECK(false, "forward-mode differentiation of a torch.Function is not offered");
    };
    auto view_as_self = [](const at::Tensor& t) { return t.view_as(t); };
    auto wrap = [&](auto to) {
      NodePtr attached;  // 2.15 has an out parameter for it
      if constexpr (requires {
                      _wrap_outputs(inputs, set(fixed), set(dirty), raw, to, no_jvp, {}, view_as_self, false, attached);
                    }) {
        return _wrap_outputs(inputs, set(fixed), set(dirty), raw, to, no_jvp, {}, view_as_self, false, attached);
      } else {
        return _wrap_outputs(inputs, set(fixed), set(dirty), raw, to, no_jvp, {}, view_as_self, false);
      }
    };
    auto wrapped = wrap(graph ? NodePtr(node) : nullptr);
    variable_list results;
    for (auto& t : wrapped) {
      node->outputs.emplace_back(*t);
      results.push_back(*t);
    }
    if (graph) {
      for (auto& t : saved) {
        // An output is saved as what it is now, with its place in the graph, else it would hold its own node.
        bool is_output = false;
        at::Tensor v = t;
        for (size_t i = 0; i < outputs.size(); i++) {
          if (outputs[i].is_same(t)) v = results[i], is_output = v.grad_fn().get() == node.get();
        }
        node->saved.emplace_back(v, is_output);
      }
    }
    w.word(thread_state.scope);
    w.value(c10::IValue(std::move(results)));
  });
}

int64_t gl_saved(uint64_t node, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    auto* self = reinterpret_cast<GoNode*>(node);
    TORCH_CHECK(!self->released, "trying to go backward through the graph a second time; keep it with RetainGraph");
    variable_list got;
    for (auto& s : self->saved) got.push_back(s.unpack(self->getptr()));
    w.word(thread_state.scope);
    w.value(c10::IValue(std::move(got)));
  });
}

int32_t gl_grad_mode(int32_t on) {
  bool before = c10::GradMode::is_enabled();
  if (on >= 0) c10::GradMode::set_enabled(on != 0);
  return before;
}

// gl_inference enters inference mode (1) or the normal mode (2), leaves what was entered last (0), or only returns the
// mode (-1). Entering and leaving happen on one thread, in order.
int32_t gl_inference(int32_t enter) {
  bool before = c10::InferenceMode::is_enabled();
  if (enter > 0) {
    inference.push_back(std::make_unique<c10::InferenceMode>(enter == 1));
  } else if (enter == 0 && !inference.empty()) {
    inference.pop_back();
  }
  return before;
}

}  // extern "C"
