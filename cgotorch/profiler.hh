// profiler.hh: libtorch's own profiler, kineto.

#include <ATen/record_function.h>
#ifdef __linux__
#include <kineto/libkineto.h>
#endif
#include <torch/csrc/autograd/profiler_kineto.h>

#include "cuda.h"
#include "guard.h"

using namespace golite;

// Kineto calls its client only on the thread that registered it, which was the one that loaded libtorch, and logs an
// error for any other: the first thread to record registers the client anew.
static void bring_kineto_here() {
#ifdef __linux__
  static const bool once = [] {
    auto& kineto = libkineto::api();
    if (!kineto.isProfilerRegistered() && kineto.client()) kineto.registerClient(kineto.client());
    return true;
  }();
  (void)once;
#endif
}

extern "C" {

// flags: GL_PROFILE_...
int64_t gl_profiler_start(uint32_t flags, uint64_t* out, uint32_t room) {
  namespace impl = torch::profiler::impl;
  return guarded(out, room, [&](Writer&) {
    impl::ExperimentalConfig more;
    more.profile_all_threads = flags & GL_PROFILE_ALL_THREADS;
    impl::ProfilerConfig config(impl::ProfilerState::KINETO, flags & GL_PROFILE_SHAPES, flags & GL_PROFILE_MEMORY,
                                false, flags & GL_PROFILE_FLOPS, false, more);
    std::set<impl::ActivityType> activities{impl::ActivityType::CPU};
    if (flags & GL_PROFILE_CUDA) activities.insert(impl::ActivityType::CUDA);
    bring_kineto_here();
    torch::autograd::profiler::prepareProfiler(config, activities);
    torch::autograd::profiler::enableProfiler(config, activities);
  });
}

// gl_profiler_stop writes the trace and gives the events: n, then for each name, type of device, thread, start and
// duration in nanoseconds.
int64_t gl_profiler_stop(const char* path, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    auto result = torch::autograd::profiler::disableProfiler();
    TORCH_CHECK(result, "the profiler was not running");
    if (*path) result->save(path);
    std::vector<const torch::autograd::profiler::KinetoEvent*> shown;
    for (const auto& e : result->events()) {
      if (!e.isHiddenEvent()) shown.push_back(&e);
    }
    w.word(shown.size());
    for (const auto* e : shown) {
      std::string name = e->name();
      w.text(name.data(), name.size());
      w.word(static_cast<uint64_t>(e->deviceType()));
      w.word(e->startThreadId());
      w.word(e->startNs());
      w.word(e->durationNs());
    }
  });
}

// gl_range_enter begins a named range of the calling thread, which gl_range_exit ends; 0 where no profiler records.
uint64_t gl_range_enter(const char* name) {
  try {
    auto steps = at::getStepCallbacksUnlessEmpty(at::RecordScope::USER_SCOPE);
    if (!steps) return 0;
    auto* f = new at::RecordFunction(std::move(*steps));
    f->before(std::string(name));
    return reinterpret_cast<uint64_t>(f);
  } catch (...) {
    return 0;
  }
}

void gl_range_exit(uint64_t range) {
  try {
    delete reinterpret_cast<at::RecordFunction*>(range);
  } catch (...) {
  }
}

}  // extern "C"
