// state.hh: generators, thread counts, autocast: what libtorch keeps per thread or per process.

#include <cstring>

#include "state.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <c10/core/DefaultDtype.h>
#include <torch/version.h>

#include "guard.h"

namespace golite {

__thread ThreadState thread_state;
std::atomic<uint64_t> threads_wanted{0};

void ThreadState::catch_up() {
  threads_seen = threads_wanted.load();
  int n = static_cast<int>(threads_seen & 0xffffffffu);
  if (n > 0) at::set_num_threads(n);
}

namespace {

// LazySeedGenerator is a generator of the CPU that is seeded at its first draw. A loader's worker seeds its own for
// each sample, most samples draw nothing, and seeding computes 624 words. Every draw goes through materialize().
struct LazySeedGenerator final : at::CPUGeneratorImpl {
  using at::CPUGeneratorImpl::CPUGeneratorImpl;

  void set_current_seed(uint64_t seed) override {
    wanted_ = seed;
    waiting_.store(true, std::memory_order_release);
  }
  uint64_t current_seed() const override {
    return waiting_.load(std::memory_order_acquire) ? wanted_ : at::CPUGeneratorImpl::current_seed();
  }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override {
    const_cast<LazySeedGenerator*>(this)->apply_seed();
    return at::CPUGeneratorImpl::get_state();
  }
  void set_state(const c10::TensorImpl& state) override {
    apply_seed();
    at::CPUGeneratorImpl::set_state(state);
  }
  bool waiting() const { return waiting_.load(std::memory_order_acquire); }
  // apply_seed is called with the generator's mutex held.
  void apply_seed() {
    if (waiting_.exchange(false)) at::CPUGeneratorImpl::set_current_seed(wanted_);
  }

 private:
  LazySeedGenerator* clone_impl() const override {
    auto* c = new LazySeedGenerator(current_seed());
    c->set_state(*get_state());
    return c;
  }

  uint64_t wanted_ = 0;
  std::atomic<bool> waiting_{false};
};

at::Generator generator(uint64_t gen) {
  return at::Generator(
      c10::intrusive_ptr<c10::GeneratorImpl>::reclaim_copy(reinterpret_cast<c10::GeneratorImpl*>(gen)));
}

uint64_t hand_over(at::Generator g) {
  c10::GeneratorImpl* p = g.unsafeGetGeneratorImpl();
  c10::raw::intrusive_ptr::incref(p);
  return reinterpret_cast<uint64_t>(p);
}

}  // namespace

c10::GeneratorImpl* materialize(c10::GeneratorImpl* g) {
  if (auto* u = dynamic_cast<LazySeedGenerator*>(g); u && u->waiting()) {
    std::lock_guard<std::mutex> l(u->mutex_);
    u->apply_seed();
  }
  return g;
}

}  // namespace golite

#ifndef GOLITE_NO_OVERRIDES

// libtorch calls this function for the default generator at every random op. Defined here, it comes before libtorch's
// own, and ranks that share a process each have their own random stream.
namespace at::detail {
const Generator& getDefaultCPUGenerator() {
  static Generator process = createCPUGenerator(c10::detail::getNonDeterministicRandom());
  if (!golite::thread_state.generator) return process;
  golite::materialize(golite::thread_state.generator->unsafeGetGeneratorImpl());
  return *golite::thread_state.generator;
}
}  // namespace at::detail

// Likewise for the default dtype: a forward pass in another precision sets its own thread's, which affects neither a
// loader's workers nor ranks in the same process. Backward on a GPU runs on threads of libtorch's, with the process's.
namespace golite {
namespace {
std::atomic<int32_t> process_dtype{static_cast<int32_t>(c10::ScalarType::Float)};
}  // namespace
}  // namespace golite

namespace c10 {
ScalarType get_default_dtype_as_scalartype() {
  int32_t own = golite::thread_state.dtype;
  return static_cast<ScalarType>(own ? own - 1 : golite::process_dtype.load(std::memory_order_relaxed));
}
const caffe2::TypeMeta get_default_dtype() { return scalarTypeToTypeMeta(get_default_dtype_as_scalartype()); }
const caffe2::TypeMeta get_default_complex_dtype() {
  switch (get_default_dtype_as_scalartype()) {
    case ScalarType::Half:
      return scalarTypeToTypeMeta(ScalarType::ComplexHalf);
    case ScalarType::Double:
      return scalarTypeToTypeMeta(ScalarType::ComplexDouble);
    default:
      return scalarTypeToTypeMeta(ScalarType::ComplexFloat);
  }
}
void set_default_dtype(caffe2::TypeMeta type) { golite::process_dtype = static_cast<int32_t>(type.toScalarType()); }
}  // namespace c10

#endif  // GOLITE_NO_OVERRIDES

using namespace golite;

extern "C" {

int64_t gl_gen_new(int32_t device, int32_t index, uint64_t seed, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    c10::DeviceType type = static_cast<c10::DeviceType>(device);
    at::Generator g = type == c10::kCPU ? at::make_generator<LazySeedGenerator>(seed)
                                        : at::globalContext().getAcceleratorHooksInterface(type).getNewGenerator(
                                              static_cast<c10::DeviceIndex>(index));
    if (type != c10::kCPU) {
      std::lock_guard<std::mutex> l(g.mutex());
      g.set_current_seed(seed);
    }
    w.word(hand_over(g));
  });
}

int64_t gl_gen_default(int32_t device, int32_t index, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    at::Device d(static_cast<c10::DeviceType>(device), static_cast<c10::DeviceIndex>(index));
    w.word(hand_over(at::globalContext().defaultGenerator(d)));
  });
}

void gl_gen_free(uint64_t gen) {
  try {
    c10::intrusive_ptr<c10::GeneratorImpl>::reclaim(reinterpret_cast<c10::GeneratorImpl*>(gen));
  } catch (...) {
  }
}

int64_t gl_gen_seed(uint64_t gen, uint64_t seed, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer&) {
    at::Generator g = generator(gen);
    std::lock_guard<std::mutex> l(g.mutex());
    g.set_current_seed(seed);
  });
}

int64_t gl_gen_initial_seed(uint64_t gen, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    at::Generator g = generator(gen);
    std::lock_guard<std::mutex> l(g.mutex());
    w.word(g.current_seed());
  });
}

int64_t gl_gen_state(uint64_t gen, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    at::Generator g = generator(gen);
    std::lock_guard<std::mutex> l(g.mutex());
    at::Tensor t = g.get_state();
    w.word(thread_state.scope);
    w.value(std::move(t));
  });
}

int64_t gl_gen_set_state(uint64_t gen, gl_handle state, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer&) {
    at::Generator g = generator(gen);
    std::lock_guard<std::mutex> l(g.mutex());
    g.set_state(table.get(state));
  });
}

uint64_t gl_gen_use(uint64_t gen) {
  at::Generator* before = thread_state.generator;
  thread_state.generator = gen ? new at::Generator(generator(gen)) : nullptr;
  if (!before) return 0;
  uint64_t old = hand_over(*before);
  delete before;
  return old;
}

int32_t gl_autocast(int32_t device, int32_t enabled, int32_t dtype, int32_t cache, int32_t* before) {
  try {
    auto d = static_cast<at::DeviceType>(device);
    before[0] = at::autocast::is_autocast_enabled(d);
    before[1] = static_cast<int32_t>(at::autocast::get_autocast_dtype(d));
    before[2] = at::autocast::is_autocast_cache_enabled();
    if (enabled >= 0) {
      at::autocast::set_autocast_enabled(d, enabled != 0);
      at::autocast::set_autocast_dtype(d, static_cast<at::ScalarType>(dtype));
      at::autocast::set_autocast_cache_enabled(cache != 0);
    }
    return 0;
  } catch (...) {
    return -1;
  }
}

void gl_autocast_nesting(int32_t enter) {
  try {
    if (enter) {
      at::autocast::increment_nesting();
    } else if (at::autocast::decrement_nesting() == 0) {
      at::autocast::clear_cache();
    }
  } catch (...) {
  }
}

// gl_set_threads sets the process's number of intra-op threads: each thread takes it over at its next op.
int32_t gl_set_threads(int32_t n) {
  try {
    uint64_t old = threads_wanted.load();
    while (!threads_wanted.compare_exchange_weak(old, ((old >> 32) + 1) << 32 | static_cast<uint32_t>(n))) {
    }
    thread_state.enter();
    return 0;
  } catch (...) {
    return -1;
  }
}

// gl_set_thread_threads sets the number for the calling thread alone; n = 0 goes back to the process's number.
int32_t gl_set_thread_threads(int32_t n) {
  try {
    int before = at::get_num_threads();
    if (n > 0) {
      at::set_num_threads(n);
      // set_num_threads also becomes the default of threads started later, which catch_up mends.
      if ((threads_wanted.load() & 0xffffffffu) == 0) {
        uint64_t none = 0;
        threads_wanted.compare_exchange_strong(none, 1ull << 32 | static_cast<uint32_t>(before));
      }
      thread_state.threads_seen = threads_wanted.load();
    } else {
      thread_state.threads_seen = 0;
      thread_state.enter();
    }
    return before;
  } catch (...) {
    return -1;
  }
}

int32_t gl_get_threads(void) {
  thread_state.enter();
  return at::get_num_threads();
}

// gl_default_dtype sets the process's default dtype and returns what it was; dtype < 0 asks for the calling thread's.
int32_t gl_default_dtype(int32_t dtype) {
  if (dtype < 0) return static_cast<int32_t>(c10::get_default_dtype_as_scalartype());
#ifdef GOLITE_NO_OVERRIDES
  int32_t before = static_cast<int32_t>(c10::get_default_dtype_as_scalartype());
  c10::set_default_dtype(c10::scalarTypeToTypeMeta(static_cast<c10::ScalarType>(dtype)));
  return before;
#else
  return process_dtype.exchange(dtype);
#endif
}

// gl_thread_dtype sets the calling thread's default dtype, plus 1, and returns what it was; 0: the process's.
int32_t gl_thread_dtype(int32_t dtype) {
  int32_t before = thread_state.dtype;
  thread_state.dtype = dtype;
  return before;
}

int32_t gl_overridden(const char* name) { return overridden(name); }

// gl_interposed sets the calling thread's default generator and default type, and lets libtorch use them: bit 0 and bit
// 1 of the result are set where it took its own. 4: they were left out of the build.
int32_t gl_interposed(void) {
#ifdef GOLITE_NO_OVERRIDES
  return 4;
#else
  constexpr uint64_t seed = 0x676f6c697465;
  at::Generator* generator_before = thread_state.generator;
  int32_t dtype_before = thread_state.dtype;
  int32_t missed = 3;
  try {
    at::Generator own = at::detail::createCPUGenerator(seed), twin = at::detail::createCPUGenerator(seed);
    thread_state.generator = &own;
    at::Tensor drawn = at::empty({2}, at::kLong).random_(), want = at::empty({2}, at::kLong).random_(twin);
    if (std::memcmp(drawn.const_data_ptr(), want.const_data_ptr(), 2 * sizeof(int64_t)) == 0) missed &= ~1;
    thread_state.dtype = static_cast<int32_t>(at::kDouble) + 1;
    if (at::empty({1}).scalar_type() == at::kDouble) missed &= ~2;
  } catch (...) {
  }
  thread_state.generator = generator_before;
  thread_state.dtype = dtype_before;
  return missed;
#endif
}

void gl_deterministic(int32_t on, int32_t warn_only) {
  try {
    at::globalContext().setDeterministicAlgorithms(on != 0, warn_only != 0);
  } catch (...) {
  }
}

void gl_cpp_traces(int32_t on) { cpp_traces = on != 0; }

void gl_version(uint64_t* out) {
  out[0] = TORCH_VERSION_MAJOR;
  out[1] = TORCH_VERSION_MINOR;
  out[2] = TORCH_VERSION_PATCH;
}

}  // extern "C"
