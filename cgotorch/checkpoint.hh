// checkpoint.hh: activation checkpointing. What a function saves for backward is left out, and computed by running it
// once more when backward needs it (torch.utils.checkpoint with use_reentrant=False).
//
// A Frame is one call of the function. While it runs, each tensor that autograd would save becomes a Holder, which
// holds nothing. The first Holder that backward unpacks runs the function again; what that run saves fills the Holders
// in the same order, and each drops its tensor when unpacked. A second backward pass through the same graph runs the
// function anew.

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/autocast_mode.h>

#include <atomic>
#include <map>
#include <set>

// Written in Go (callback.go): runs the function again. It gives 0, or the id of the panic.
extern "C" uint64_t goliteRecompute(uint64_t closure, uint64_t frame, uint64_t* inputs, int64_t n);

namespace golite {
namespace {

// Description is what a tensor of the second run must have in common with that of the first.
struct Description {
  explicit Description(const at::Tensor& t) : dtype(t.scalar_type()), device(t.device()) {
    if (!t.is_nested()) sizes = t.sizes().vec();
  }
  bool operator==(const Description& o) const { return sizes == o.sizes && dtype == o.dtype && device == o.device; }
  std::string text() const {
    return c10::str("{shape: ", at::IntArrayRef(sizes), ", dtype: ", dtype, ", device: ", device, "}");
  }

  std::vector<int64_t> sizes;
  at::ScalarType dtype;
  at::Device device;
};

// ThreadSetup is what the function's operations depend on besides its inputs: random streams, autocast, the default
// type.
struct ThreadSetup {
  struct Stream {
    at::Generator generator;
    at::Tensor state;
  };
  struct Autocast {
    at::DeviceType device;
    bool on;
    at::ScalarType dtype;
  };

  static at::Tensor state_of(at::Generator g) {
    std::lock_guard<std::mutex> l(g.mutex());
    return g.get_state();
  }
  static void set_state(at::Generator g, const at::Tensor& state) {
    std::lock_guard<std::mutex> l(g.mutex());
    g.set_state(state);
  }

  void note_random(const variable_list& inputs, const std::vector<at::Generator>& own) {
    at::NoGradGuard no_grad;
    random = true;
    cpu = state_of(at::detail::getDefaultCPUGenerator());
    std::set<std::pair<at::DeviceType, at::DeviceIndex>> devices;
    for (auto& t : inputs) {
      if (t.defined() && !t.is_cpu() && !t.is_meta()) devices.insert({t.device().type(), t.device().index()});
    }
    if (at::hasCUDA()) {
      auto& hooks = at::detail::getCUDAHooks();
      for (at::DeviceIndex i = 0; i < static_cast<at::DeviceIndex>(hooks.deviceCount()); i++) {
        if (hooks.hasPrimaryContext(i)) devices.insert({at::kCUDA, i});
      }
    }
    for (auto& [type, index] : devices) note(at::globalContext().defaultGenerator(at::Device(type, index)));
    for (auto& g : own) note(g);
  }
  void note(const at::Generator& g) { streams.push_back({g, state_of(g)}); }

  void note_modes() {
    dtype = thread_state.dtype;
    cache = at::autocast::is_autocast_cache_enabled();
    for (auto d : at::autocast::_AUTOCAST_SUPPORTED_DEVICES) {
      autocast.push_back({d, at::autocast::is_autocast_enabled(d), at::autocast::get_autocast_dtype(d)});
    }
  }

  bool random = false;
  at::Tensor cpu;  // of the thread's default generator
  std::vector<Stream> streams;
  std::vector<Autocast> autocast;
  bool cache = true;
  int32_t dtype = 0;
};

// Restored puts the first run's setup in place, and what was there back at its end.
struct Restored {
  explicit Restored(const ThreadSetup& s) : dtype(thread_state.dtype) {
    before.note_modes();
    if (s.random) {
      at::NoGradGuard no_grad;
      use_generator(s.cpu);
      for (auto& stream : s.streams) {
        before.note(stream.generator);
        ThreadSetup::set_state(stream.generator, stream.state);
      }
    }
    thread_state.dtype = s.dtype;
    enter(s);
    at::autocast::increment_nesting();
  }
  ~Restored() {
    try {
      if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
      enter(before);
      thread_state.dtype = dtype;
      at::NoGradGuard no_grad;
      for (auto& stream : before.streams) ThreadSetup::set_state(stream.generator, stream.state);
      if (own) {
        delete thread_state.generator;
        thread_state.generator = generator_before;
      } else if (before.cpu.defined()) {
        ThreadSetup::set_state(at::detail::getDefaultCPUGenerator(), before.cpu);
      }
    } catch (...) {  // what was read can be set again
    }
  }
  Restored(const Restored&) = delete;

  // use_generator gives this thread a generator of its own. Where libtorch does not use golite's function for it, its
  // own is set, and set back.
  void use_generator(const at::Tensor& state) {
#ifndef GOLITE_NO_OVERRIDES
    auto own_generator = std::make_unique<at::Generator>(at::detail::createCPUGenerator());
    own_generator->set_state(state);
    generator_before = thread_state.generator;
    thread_state.generator = own_generator.get();
    if (&at::detail::getDefaultCPUGenerator() == own_generator.get()) {
      own_generator.release();  // the thread's now: WithGenerator may replace it
      own = true;
      return;
    }
    thread_state.generator = generator_before;
#endif
    before.cpu = ThreadSetup::state_of(at::detail::getDefaultCPUGenerator());
    ThreadSetup::set_state(at::detail::getDefaultCPUGenerator(), state);
  }

  static void enter(const ThreadSetup& s) {
    for (auto& a : s.autocast) {
      if (at::autocast::is_autocast_enabled(a.device) != a.on) at::autocast::set_autocast_enabled(a.device, a.on);
      if (at::autocast::get_autocast_dtype(a.device) != a.dtype) at::autocast::set_autocast_dtype(a.device, a.dtype);
    }
    at::autocast::set_autocast_cache_enabled(s.cache);
  }

  ThreadSetup before;
  bool own = false;
  at::Generator* generator_before = nullptr;
  int32_t dtype;
};

struct Holder;

struct Frame : std::enable_shared_from_this<Frame> {
  Frame(uint64_t id, bool early_stop) : function(id), early_stop(early_stop) {}

  void recompute(int64_t pass);
  void check(int64_t pass);

  Closure function;
  bool early_stop;
  ThreadSetup setup;
  std::vector<torch::autograd::SavedVariable> inputs;
  std::vector<uint8_t> given;  // of each input: it is there

  std::recursive_mutex lock;  // threads of one backward pass may unpack at the same time
  bool forward_done = false;
  bool ignore_mismatch = false;
  std::vector<std::weak_ptr<Holder>> holders;
  std::vector<Description> descriptions;
  std::map<int64_t, size_t> counted;  // saved by the second run, by pass
  std::set<int64_t> recomputed;
};

// Holder stands for a tensor that was not saved.
struct Holder {
  explicit Holder(std::shared_ptr<Frame> f) : frame(std::move(f)) {}
  std::shared_ptr<Frame> frame;
  std::map<int64_t, at::Tensor> tensors;  // by pass; undefined once unpacked
};

// Left is the hooks of a saved tensor that was left out.
struct Left : SavedVariableHooks {
  explicit Left(std::shared_ptr<Frame> f) : holder(std::make_shared<Holder>(std::move(f))) {}

  void call_pack_hook(const at::Tensor& t) override {
    std::lock_guard<std::recursive_mutex> l(holder->frame->lock);
    holder->frame->holders.push_back(holder);
    holder->frame->descriptions.emplace_back(t);
  }

  at::Tensor call_unpack_hook() override {
    // Outside of a backward pass each unpacking is a pass of its own.
    static std::atomic<int64_t> outside{-1};
    int64_t pass = torch::autograd::get_current_graph_task_id();
    if (pass == -1) pass = --outside;
    Frame& f = *holder->frame;
    std::lock_guard<std::recursive_mutex> l(f.lock);
    if (!f.recomputed.count(pass)) {
      f.recompute(pass);
      f.recomputed.insert(pass);
      f.check(pass);
    }
    auto it = holder->tensors.find(pass);
    TORCH_CHECK(it != holder->tensors.end(),
                "torch.Checkpoint: a tensor that the forward pass saved was not saved when it was run again");
    TORCH_CHECK(it->second.defined(),
                "torch.Checkpoint: Unpack is being triggered for a tensor that was already unpacked once. "
                "FunctionCtx.Saved can be called "
                "once in a Backward");
    at::Tensor t = std::move(it->second);
    it->second = at::Tensor();
    return t;
  }

  std::shared_ptr<Holder> holder;
};

struct Leaving : SavedHooks {
  explicit Leaving(std::shared_ptr<Frame> f) : frame(std::move(f)) {}
  std::unique_ptr<SavedVariableHooks> make() override { return std::make_unique<Left>(frame); }
  std::shared_ptr<Frame> frame;
};

// Refill is the hooks of a tensor that the second run saves.
struct Refill : SavedVariableHooks {
  Refill(Frame* f, int64_t pass) : frame(f), pass(pass) {}

  void call_pack_hook(const at::Tensor& t) override {
    tensor = t.requires_grad() ? t.detach() : t;
    size_t i = frame->counted[pass]++;
    if (i >= frame->holders.size()) {
      // After the last one nothing is needed: f recovered from the stop, or it takes gradients itself.
      if (frame->early_stop && frame->forward_done) throw StopRecompute(reinterpret_cast<uint64_t>(frame));
      if (!frame->forward_done) {
        frame->ignore_mismatch = true;
        return;
      }
      TORCH_CHECK(
          false,
          "torch.Checkpoint: trying to save more tensors during recomputation than during the original forward pass");
    }
    if (auto h = frame->holders[i].lock()) h->tensors[pass] = tensor;
    if (frame->early_stop && i + 1 == frame->holders.size()) throw StopRecompute(reinterpret_cast<uint64_t>(frame));
  }
  at::Tensor call_unpack_hook() override { return tensor; }

  Frame* frame;
  int64_t pass;
  at::Tensor tensor;
};

struct Refilling : SavedHooks {
  Refilling(Frame* f, int64_t pass) : frame(f), pass(pass) {}
  std::unique_ptr<SavedVariableHooks> make() override { return std::make_unique<Refill>(frame, pass); }
  Frame* frame;
  int64_t pass;
};

// InHooks enters hooks for its lifetime, and leaves all that were entered inside of it.
struct InHooks {
  explicit InHooks(std::shared_ptr<SavedHooks> h) : before(saved_hooks) { push_saved_hooks(std::move(h)); }
  ~InHooks() { saved_hooks = before; }
  std::shared_ptr<SavedHooks> before;
};

void Frame::recompute(int64_t pass) {
  std::vector<uint64_t> handles;
  size_t next = 0;
  for (uint8_t g : given) {
    at::Tensor t = g ? inputs[next++].unpack() : at::Tensor();
    handles.push_back(t.defined() ? table.put(std::move(t)) : 0);
  }
  Restored restored(setup);
  at::AutoGradMode grad(true);
  InHooks hooks(std::make_shared<Refilling>(this, pass));
  uint64_t panicked = goliteRecompute(function.id, reinterpret_cast<uint64_t>(this), handles.data(),
                                      static_cast<int64_t>(handles.size()));
  if (panicked) throw GoPanic(panicked);
}

void Frame::check(int64_t pass) {
  if (ignore_mismatch) return;
  size_t again = counted[pass];
  TORCH_CHECK(
      again == holders.size(),
      "torch.Checkpoint: A different number of tensors was saved during the original forward and recomputation.\n"
      "Number of tensors saved during forward: ",
      holders.size(), "\nNumber of tensors saved during recomputation: ", again, ".");
  std::string wrong;
  for (size_t i = 0; i < holders.size(); i++) {
    auto h = holders[i].lock();
    if (!h) continue;
    Description now(h->tensors.at(pass));
    if (descriptions[i] == now) continue;
    wrong += c10::str("\ntensor at position ", i, ":\nsaved metadata: ", descriptions[i].text(),
                      "\nrecomputed metadata: ", now.text());
  }
  TORCH_CHECK(wrong.empty(),
              "torch.Checkpoint: Recomputed values for the following tensors have different metadata than during the "
              "forward pass.",
              wrong);
}

}  // namespace
}  // namespace golite

extern "C" {

// gl_checkpoint_enter begins the first run of a checkpointed function on this thread. in: early stop, keep random
// streams, inputs, n generators. The result is the frame, for gl_checkpoint_leave.
int64_t gl_checkpoint_enter(uint64_t closure, const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    Reader r{in, in + n};
    bool early_stop = r.word() != 0, random = r.word() != 0;
    auto frame = std::make_shared<Frame>(closure, early_stop);
    need_engine();
    variable_list inputs = r.tensors();
    std::vector<at::Generator> own;
    for (size_t k = r.word(); k > 0; k--) {
      own.emplace_back(
          c10::intrusive_ptr<c10::GeneratorImpl>::reclaim_copy(reinterpret_cast<c10::GeneratorImpl*>(r.word())));
    }
    // Inputs are saved as by a node of the graph: the hooks around get them, so that a checkpoint in a checkpoint holds
    // none.
    for (auto& t : inputs) {
      frame->given.push_back(t.defined());
      if (t.defined()) frame->inputs.emplace_back(t, false);
    }
    frame->setup.note_modes();
    if (random) frame->setup.note_random(inputs, own);
    push_saved_hooks(std::make_shared<Leaving>(frame));
    w.word(reinterpret_cast<uint64_t>(new std::shared_ptr<Frame>(std::move(frame))));
  });
}

// gl_checkpoint_leave ends the first run. The frame stays in the graph, if that saved anything.
void gl_checkpoint_leave(uint64_t handle) {
  auto* frame = reinterpret_cast<std::shared_ptr<Frame>*>(handle);
  (*frame)->forward_done = true;
  gl_leave_saved_hooks();
  delete frame;
}

}  // extern "C"
