// hooks.hh: hooks on gradients, several on one tensor and removable, and callbacks at the end of a backward pass.

#include <torch/csrc/autograd/engine.h>

#include <unordered_map>

namespace golite {
namespace {

// HookList holds the hooks of one place in the graph in the order in which they were registered. A pass over it uses a
// copy: a hook may remove itself or others, and other threads may.
struct HookList {
  std::vector<std::shared_ptr<Closure>> snapshot() {
    std::lock_guard<std::mutex> l(lock);
    return hooks;
  }
  void add(std::shared_ptr<Closure> c) {
    std::lock_guard<std::mutex> l(lock);
    hooks.push_back(std::move(c));
  }
  void remove(uint64_t id) {
    std::shared_ptr<Closure> removed;  // freed outside of the lock
    std::lock_guard<std::mutex> l(lock);
    for (auto it = hooks.begin(); it != hooks.end(); ++it) {
      if ((*it)->id != id) continue;
      removed = std::move(*it);
      hooks.erase(it);
      return;
    }
  }

  std::mutex lock;
  std::vector<std::shared_ptr<Closure>> hooks;
};

// hook_lists maps a hook's closure to its list, during the list's lifetime. Why: a tensor that is written in place
// moves to another node, and its earlier hooks stay at the old one, which no handle refers to.
std::mutex hook_lists_lock;
std::unordered_map<uint64_t, std::weak_ptr<HookList>> hook_lists;

struct HookClosure : Closure {
  using Closure::Closure;
  ~HookClosure() {
    std::lock_guard<std::mutex> l(hook_lists_lock);
    hook_lists.erase(id);
  }
};

void add_to(const std::shared_ptr<HookList>& list, uint64_t id) {
  auto c = std::make_shared<HookClosure>(id);
  {
    std::lock_guard<std::mutex> l(hook_lists_lock);
    hook_lists[id] = list;
  }
  list->add(std::move(c));
}

// GradHooks runs the hooks of a leaf, or of one output of a node.
struct GradHooks : torch::autograd::FunctionPreHook {
  explicit GradHooks(size_t output) : output(output) {}
  variable_list operator()(const variable_list& grads) override {
    variable_list result(grads);
    at::Tensor& value = result[output];
    for (auto& c : list->snapshot()) {
      at::Tensor replacement = run_hook(*c, value);
      if (!replacement.defined()) continue;
      TORCH_CHECK(value.defined(), "a hook can't replace an undefined gradient");
      torch::autograd::check_variable_result(value, replacement, "hook");
      value = std::move(replacement);
    }
    return result;
  }

  size_t output;
  std::shared_ptr<HookList> list = std::make_shared<HookList>();
};

// AfterAccumulate runs a leaf's hooks once a gradient was added to it.
struct AfterAccumulate : torch::autograd::PostAccumulateGradHook {
  void operator()(const Variable& t) override {
    if (previous) (*previous)(t);
    for (auto& c : list->snapshot()) run_hook(*c, t);
  }

  std::unique_ptr<torch::autograd::PostAccumulateGradHook> previous;  // one that is not golite's
  std::shared_ptr<HookList> list = std::make_shared<HookList>();
};

// grad_hooks gives the list of a tensor's hooks, and makes it.
std::shared_ptr<HookList> grad_hooks(const at::Tensor& t) {
  auto fn = t.grad_fn();
  size_t output = fn ? t.output_nr() : 0;
  auto& hooks = fn ? fn->tensor_pre_hooks() : torch::autograd::impl::hooks(t);
  for (auto& h : hooks) {
    auto* g = dynamic_cast<GradHooks*>(h.get());
    if (g && g->output == output) return g->list;
  }
  auto fresh = std::make_unique<GradHooks>(output);
  auto list = fresh->list;
  if (fn) {
    fn->add_tensor_pre_hook(std::move(fresh));
  } else {
    torch::autograd::impl::add_hook(t, std::move(fresh));
  }
  return list;
}

std::shared_ptr<HookList> accumulate_hooks(const at::Tensor& t) {
  auto& current = torch::autograd::impl::post_acc_grad_hooks(t);
  if (auto* a = dynamic_cast<AfterAccumulate*>(current.get())) return a->list;
  auto fresh = std::make_unique<AfterAccumulate>();
  auto list = fresh->list;
  fresh->previous = std::move(current);
  torch::autograd::impl::set_post_acc_grad_hooks(t, std::move(fresh));
  return list;
}

}  // namespace
}  // namespace golite

extern "C" {

int64_t gl_hook(gl_handle h, uint64_t closure, int32_t after_accumulate, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer&) {
    at::Tensor t = table.get(h);
    if (after_accumulate) {
      TORCH_CHECK(t.requires_grad() && t.is_leaf(), "a hook after accumulation needs a leaf that requires a gradient");
      add_to(accumulate_hooks(t), closure);
      return;
    }
    TORCH_CHECK(t.requires_grad(), "cannot register a hook on a tensor that doesn't require gradient");
    add_to(grad_hooks(t), closure);
  });
}

// gl_remove_hook removes a hook by its closure; one that is removed already is passed over.
void gl_remove_hook(uint64_t closure) {
  std::shared_ptr<HookList> list;
  {
    std::lock_guard<std::mutex> l(hook_lists_lock);
    auto it = hook_lists.find(closure);
    if (it != hook_lists.end()) list = it->second.lock();
  }
  if (list) list->remove(closure);
}

// gl_queue_callback runs a closure once when the backward pass that runs on this thread has ended, as
// Engine::queue_callback does.
int64_t gl_queue_callback(uint64_t closure, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer&) {
    TORCH_CHECK(
        torch::autograd::get_current_graph_task_id() != -1,
        "a callback at the end of a backward pass can be queued during one only, from a hook or a Function's Backward");
    auto c = std::make_shared<Closure>(closure);
    torch::autograd::Engine::get_default_engine().queue_callback([c] { run_hook(*c, at::Tensor()); });
  });
}

}  // extern "C"
