// cuda.hh: the door to libcgotorch_cuda.so, and the switches of libtorch that matter on a GPU.
//
// Nothing here needs CUDA: the library is opened at run time, where libtorch_cuda.so is (cuda_library.h).

#include <ATen/Context.h>
#include <torch/version.h>

#include <dlfcn.h>

#include "cuda_library.h"
#include "cuda.h"
#include "guard.h"

namespace golite {

const gl_cuda_library* cuda_library = nullptr;

namespace {

void* retain(uint64_t handle) {
  try {
    return table.get(handle).unsafeReleaseTensorImpl();
  } catch (const StaleHandle&) {
    return nullptr;
  }
}

// opened gives a library's handle, which is never closed: libtorch keeps what it registers for good.
void* opened(const char* path, int flags) {
  void* l = dlopen(path, flags);
  if (!l) {
    const char* why = dlerror();
    throw std::runtime_error(why ? why : "it can't be opened");
  }
  return l;
}

}  // namespace
}  // namespace golite

using namespace golite;

extern "C" {

// gl_torch_path gives the path of the libtorch_cpu in use.
int64_t gl_torch_path(uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    // Not the address that this unit sees, which may be a jump of the program's own.
    void* f = dlsym(RTLD_DEFAULT, "_ZN2at13globalContextEv");
    Dl_info info;
    const char* path = f && dladdr(f, &info) && info.dli_fname ? info.dli_fname : "";
    w.text(path, std::strlen(path));
  });
}

int64_t gl_cuda_open(const char* torch_cuda, const char* path, uint64_t* out, uint32_t room) {
  static const gl_cuda_host host{GL_CUDA_ABI, retain, [] { return static_cast<int32_t>(cpp_traces); }};
  return guarded(out, room, [&](Writer&) {
    opened(torch_cuda, RTLD_LAZY | RTLD_GLOBAL);
    void* l = opened(path, RTLD_NOW | RTLD_LOCAL);
    auto* enter = reinterpret_cast<const gl_cuda_library* (*)(const gl_cuda_host*)>(dlsym(l, "golite_cuda_library"));
    if (!enter) throw std::runtime_error(std::string(path) + " is no libcgotorch_cuda.so");
    const gl_cuda_library* lib = enter(&host);
    if (lib->abi != GL_CUDA_ABI || std::strcmp(lib->torch, TORCH_VERSION) != 0) {
      throw std::runtime_error(
          std::string(path) + " was built for libtorch " + lib->torch + " and interface " + std::to_string(lib->abi) +
          ", the program for libtorch " TORCH_VERSION " and interface " + std::to_string(GL_CUDA_ABI) +
          ": go run github.com/golite/golite/cmd/libtorch cuda-library builds it anew");
    }
    cuda_library = lib;
  });
}

int64_t gl_cuda(uint32_t function, const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  if (!cuda_library) return fail(out, "libcgotorch_cuda.so is not open");
  return cuda_library->call(function, in, n, out, room);
}

int64_t gl_cuda_allocated(int64_t* reserved) {
  *reserved = 0;
  return cuda_library ? cuda_library->allocated(reserved) : 0;
}

// gl_nccl gives what gl_group_maker wants of NCCL, null without it.
void* gl_nccl(void) { return cuda_library ? cuda_library->nccl : nullptr; }

// gl_switch sets one of the process's switches (below 0: changes nothing) and returns what it was.
int32_t gl_switch(int32_t which, int32_t on) {
  try {
    auto& c = at::globalContext();
    using C = at::Context;
    struct Switch {
      bool (*get)(C&);
      void (*set)(C&, bool);
    };
    static const Switch all[] = {
        {[](C& c) { return c.allowTF32CuBLAS(); }, [](C& c, bool b) { c.setAllowTF32CuBLAS(b); }},
        {[](C& c) { return c.allowTF32CuDNN(); }, [](C& c, bool b) { c.setAllowTF32CuDNN(b); }},
        {[](C& c) { return c.userEnabledCuDNN(); }, [](C& c, bool b) { c.setUserEnabledCuDNN(b); }},
        {[](C& c) { return c.benchmarkCuDNN(); }, [](C& c, bool b) { c.setBenchmarkCuDNN(b); }},
        {[](C& c) { return c.deterministicCuDNN(); }, [](C& c, bool b) { c.setDeterministicCuDNN(b); }},
        {[](C& c) { return c.userEnabledFlashSDP(); }, [](C& c, bool b) { c.setSDPUseFlash(b); }},
        {[](C& c) { return c.userEnabledMemEfficientSDP(); }, [](C& c, bool b) { c.setSDPUseMemEfficient(b); }},
        {[](C& c) { return c.userEnabledMathSDP(); }, [](C& c, bool b) { c.setSDPUseMath(b); }},
        {[](C& c) { return c.userEnabledCuDNNSDP(); }, [](C& c, bool b) { c.setSDPUseCuDNN(b); }},
        {[](C& c) { return c.deterministicAlgorithms(); },
         [](C& c, bool b) { c.setDeterministicAlgorithms(b, false); }},
    };
    static_assert(sizeof all / sizeof all[0] == GL_SWITCH_DETERMINISTIC + 1,
                  "one entry for each GL_SWITCH_..., in order");
    if (which < 0 || which >= static_cast<int32_t>(sizeof all / sizeof all[0])) return -1;
    bool before = all[which].get(c);
    if (on >= 0) all[which].set(c, on != 0);
    return before;
  } catch (...) {
    return -1;
  }
}

}  // extern "C"
