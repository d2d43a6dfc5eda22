// mkl.hh: MKL's kernels for AVX-512, on AMD's processors as well.
//
// MKL dispatches AVX-512 kernels on Intel's processors only (mkl_serv_intel_cpu_true), and AVX2 kernels on others. On
// Zen 5 a training step of an MLP takes 0.60 of the time with the kernels for AVX-512, that of a transformer 0.57. On
// Zen 4, which splits 512 bits into two operations, the MLP and a CNN gain nothing, the transformer 12 %, and the
// forward pass of a small GPT takes 23 % more: there they are on only where they are asked for. Their sums have another
// order, and so other last bits, than PyTorch's on such processors. MKL_CBWR, which fixes the kernels for reproducible
// results, goes before all.

#include <atomic>

#include "overrides.h"

#if defined(__x86_64__) && defined(__linux__) && !defined(GOLITE_NO_OVERRIDES)

#include <cpuid.h>

#include <cstdlib>
#include <cstring>

namespace golite {
namespace {

std::atomic<int> mkl_chosen{-1};    // by gl_mkl_avx512; -1: not
std::atomic<int> mkl_answered{-1};  // what MKL was answered; -1: it has not called yet

bool intel() {
  __builtin_cpu_init();
  return __builtin_cpu_is("intel");
}

// pays reports whether the kernels are faster all in all: on AMD's family 26, which is Zen 5, and later ones.
bool pays() {
  unsigned eax = 0, ebx, ecx, edx;
  if (!__builtin_cpu_is("amd") || !__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return false;
  unsigned family = (eax >> 8) & 15;
  if (family == 15) family += (eax >> 20) & 255;
  return family >= 26;
}

// avx512 reports whether another maker's processor is to have the kernels.
bool avx512() {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx512f")) return false;
  if (int chosen = mkl_chosen.load(); chosen >= 0) return chosen != 0;
  Wanted w = wanted("mkl");
  if (w != Wanted::kDefault) return w == Wanted::kOn;
  const char* set = std::getenv("GOLITE_MKL_AVX512");
  if (set && *set) return std::strcmp(set, "0") != 0;
  return pays();
}

}  // namespace
}  // namespace golite

// MKL calls this function, which defined here comes before libtorch's own.
extern "C" int mkl_serv_intel_cpu_true(void) {
  int answer = golite::mkl_answered.load(std::memory_order_relaxed);
  if (answer < 0) {
    answer = golite::intel() || golite::avx512();
    golite::mkl_answered.store(answer, std::memory_order_relaxed);
  }
  return answer;
}

// gl_mkl_avx512 chooses the kernels (1 or 0; below 0: asks) and returns whether they are on where PyTorch has others: 1
// or 0. -1: MKL has called already, and got the other answer.
extern "C" int32_t gl_mkl_avx512(int32_t set) {
  if (golite::intel()) return 0;
  int answered = golite::mkl_answered.load();
  if (set >= 0) {
    if (answered >= 0 && answered != set) return -1;
    golite::mkl_chosen.store(set);
  }
  return answered >= 0 ? answered : golite::avx512();
}

#else

extern "C" int32_t gl_mkl_avx512(int32_t set) { return set > 0 ? -1 : 0; }

#endif
