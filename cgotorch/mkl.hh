// mkl.hh: MKL's kernels for AVX-512, on AMD's processors as well.
//
// Before MKL looks at what a processor can do it asks who made it, and serves others than Intel's with kernels for AVX2. Where those have
// AVX-512 (Zen 4 and later) that halves the speed of matrix products: on Zen 5 a step of an MLP takes 0.60 of the time with the right kernels, that of a
// transformer 0.57. MKL asks by this function, which defined here comes before libtorch's own. MKL_CBWR, which fixes the kernels for
// reproducible results, goes before it; GOLITE_MKL_AVX512=0 leaves MKL to itself, and gives PyTorch's bits on such processors.

#if defined(__x86_64__) && defined(__linux__)

#include <cstdlib>
#include <cstring>

extern "C" int mkl_serv_intel_cpu_true(void) {
  static const bool yes = [] {
    __builtin_cpu_init();
    if (__builtin_cpu_is("intel")) return true;
    const char* set = std::getenv("GOLITE_MKL_AVX512");
    return __builtin_cpu_supports("avx512f") && !(set && std::strcmp(set, "0") == 0);
  }();
  return yes;
}

#endif
