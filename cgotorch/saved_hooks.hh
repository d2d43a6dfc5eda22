// saved_hooks.hh: hooks on the tensors that autograd saves for backward: functions of Go's, and offloading to the CPU.

#include <c10/util/ThreadLocalDebugInfo.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/saved_variable_hooks.h>

// Written in Go (callback.go). Both give 0, or the id of the panic. golitePack gives a closure that unpacks.
extern "C" uint64_t golitePack(uint64_t closure, uint64_t tensor, uint64_t* packed);
extern "C" uint64_t goliteUnpack(uint64_t packed, uint64_t* tensor);

namespace golite {
namespace {

using torch::autograd::Engine;
using torch::autograd::SavedVariableHooks;

// SavedHooks are the hooks on tensors that the calling thread saves. Uses nest; the innermost counts.
struct SavedHooks {
  virtual ~SavedHooks() = default;
  virtual std::unique_ptr<SavedVariableHooks> make() = 0;
  std::shared_ptr<SavedHooks> outer;
};

thread_local std::shared_ptr<SavedHooks> saved_hooks;

// HooksOfCaller carries the hooks of the thread that called backward to those on which the engine runs it, one for each
// GPU. A backward pass saves tensors where it is recorded itself (CreateGraph).
struct HooksOfCaller : c10::DebugInfoBase {
  std::shared_ptr<SavedHooks> hooks;
};
// nothing else in a program on libtorch uses this place
constexpr auto kHooksOfCaller = c10::DebugInfoKind::MOBILE_RUNTIME_INFO;

// HookedEngine is libtorch's engine, which looks hooks up here where Python's engine looks them up in Python.
struct HookedEngine : Engine {
  std::unique_ptr<SavedVariableHooks> get_default_saved_variable_hooks() override {
    if (saved_hooks) return saved_hooks->make();
    auto* info = c10::ThreadLocalDebugInfo::get(kHooksOfCaller);
    if (!info) return nullptr;
    auto* of_caller = dynamic_cast<HooksOfCaller*>(info);
    return of_caller ? of_caller->hooks->make() : nullptr;
  }
};

Engine& hooked_engine() {
  static auto* engine = new HookedEngine;  // never deleted: its threads run until the process ends
  return *engine;
}

// The engine is replaced before the first backward pass. Another library's, such as Python's, is left where it is: then
// need_engine refuses hooks.
[[maybe_unused]] const bool engine_set = [] {
  if (&Engine::get_default_engine() == &Engine::get_base_engine())
    torch::autograd::set_default_engine_stub(hooked_engine);
  return true;
}();

void need_engine() {
  TORCH_CHECK(&Engine::get_default_engine() == &hooked_engine(),
              "hooks on saved tensors, and checkpoints, need golite's autograd engine, and another library in this "
              "process has set its own "
              "(Python's torch sets one): load golite in a process without it");
}

// GoPacked is a saved tensor that Go has packed. Pack hooks get the tensor itself, which holds the node that holds what
// they return where it is the node's output: it is detached here, so that no cycle arises.
struct GoPacked : SavedVariableHooks {
  explicit GoPacked(std::shared_ptr<Closure> pack) : pack(std::move(pack)) {}
  void call_pack_hook(const at::Tensor& t) override {
    uint64_t id = 0;
    uint64_t panicked = golitePack(pack->id, table.put(t.detach()), &id);
    if (panicked) throw GoPanic(panicked);
    packed = std::make_unique<Closure>(id);
  }
  at::Tensor call_unpack_hook() override {
    uint64_t h = 0;
    uint64_t panicked = goliteUnpack(packed->id, &h);
    if (panicked) throw GoPanic(panicked);
    return received(h);
  }

  std::shared_ptr<Closure> pack;
  std::unique_ptr<Closure> packed;
};

struct GoSavedHooks : SavedHooks {
  explicit GoSavedHooks(uint64_t id) : pack(std::make_shared<Closure>(id)) {}
  std::unique_ptr<SavedVariableHooks> make() override { return std::make_unique<GoPacked>(pack); }
  std::shared_ptr<Closure> pack;
};

// OnCPU is a saved tensor that is kept on the CPU.
struct OnCPU : SavedVariableHooks {
  explicit OnCPU(bool pin) : pin(pin) {}
  void call_pack_hook(const at::Tensor& t) override {
    device = t.device();
    if (!pin || t.is_sparse() || !at::globalContext().hasCUDA()) {
      packed = t.detach().to(at::kCPU);
      return;
    }
    packed = at::empty(t.sizes(), t.options().device(at::kCPU).pinned_memory(true));
    packed.copy_(t);
  }
  at::Tensor call_unpack_hook() override { return packed.to(device, packed.scalar_type(), /*non_blocking=*/pin); }

  bool pin;
  at::Device device = at::kCPU;
  at::Tensor packed;
};

struct SaveOnCPU : SavedHooks {
  explicit SaveOnCPU(bool pin) : pin(pin) {}
  std::unique_ptr<SavedVariableHooks> make() override { return std::make_unique<OnCPU>(pin); }
  bool pin;
};

// PassedHooks passes the thread's hooks to those that run a backward pass for it, for as long as it lives.
struct PassedHooks {
  PassedHooks() {
    if (!saved_hooks) return;
    auto info = std::make_shared<HooksOfCaller>();
    info->hooks = saved_hooks;
    guard.emplace(kHooksOfCaller, std::move(info));
  }
  std::optional<c10::DebugInfoGuard> guard;
};

void push_saved_hooks(std::shared_ptr<SavedHooks> h) {
  h->outer = saved_hooks;
  saved_hooks = std::move(h);
}

}  // namespace

extern "C" {

// gl_saved_hooks enters hooks on saved tensors: those of a closure of Go's, or with 0 the CPU (pin: in page-locked
// memory).
int64_t gl_saved_hooks(uint64_t closure, int32_t pin, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer&) {
    need_engine();
    if (closure) {
      push_saved_hooks(std::make_shared<GoSavedHooks>(closure));
    } else {
      push_saved_hooks(std::make_shared<SaveOnCPU>(pin != 0));
    }
  });
}

// gl_leave_saved_hooks leaves the innermost hooks of this thread.
void gl_leave_saved_hooks(void) {
  if (saved_hooks) saved_hooks = std::shared_ptr<SavedHooks>(saved_hooks->outer);
}

// gl_share_saved_hooks gives the hooks of this thread to others: 0, or what gl_use_saved_hooks takes and
// gl_free_saved_hooks frees.
uint64_t gl_share_saved_hooks(void) {
  return saved_hooks ? reinterpret_cast<uint64_t>(new std::shared_ptr<SavedHooks>(saved_hooks)) : 0;
}

// gl_use_saved_hooks makes shared hooks (0: none) those of this thread, and gives what it had, shared.
uint64_t gl_use_saved_hooks(uint64_t shared) {
  uint64_t before = gl_share_saved_hooks();
  saved_hooks = shared ? *reinterpret_cast<std::shared_ptr<SavedHooks>*>(shared) : nullptr;
  return before;
}

void gl_free_saved_hooks(uint64_t shared) { delete reinterpret_cast<std::shared_ptr<SavedHooks>*>(shared); }

}  // extern "C"
}  // namespace golite
