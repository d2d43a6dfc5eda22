// dist_reduce_kernels.h: the reductions of ranks that share a process or a host: their order, and their types.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>
#include <torch/csrc/distributed/c10d/Types.hpp>

#include <algorithm>
#include <type_traits>

namespace golite {

constexpr size_t kSegment = 1 << 20;  // Gloo's largest segment, in bytes

// Blocks maps a byte of a tensor to the rank whose segment of Gloo's ring has it. Gloo's reduce to one rank has
// segments of the largest size where there are many, the other sums equal ones.
struct Blocks {
  Blocks(size_t total, size_t element, size_t ranks, bool to_one = false) : ranks(ranks) {
    size_t most = element * std::max<size_t>(1, kSegment / element);
    size_t count = std::max((total + most - 1) / most, ranks * 2);
    count = (count + ranks - 1) / ranks * ranks;
    size_t segment = to_one ? std::min((total + 2 * ranks - 1) / (2 * ranks), most) : (total + count - 1) / count;
    segment = (segment + element - 1) / element * element;
    if (to_one)
      count = (std::max((total + segment - 1) / std::max<size_t>(segment, 1), ranks * 2) + ranks - 1) / ranks * ranks;
    block = std::max(segment * (count / ranks), element);
  }
  size_t ranks, block;  // bytes of one rank's segments
};

// gcc's -O2 vectorizes no loop of unknown length: sums would take five times as long.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("O3")
#endif

template <class T, class F>
void fold(T* acc, const T* x, size_t n, F f) {
  for (size_t i = 0; i < n; i++) acc[i] = f(acc[i], x[i]);
}

// Wide is the type in which numbers of a type are added and multiplied: integers without a sign, whose overflow wraps
// around as that of tensors does.
template <class T>
struct Wide {
  using Type = T;
};
template <class T>
  requires std::is_integral_v<T>
struct Wide<T> {
  using Type = std::common_type_t<std::make_unsigned_t<T>, unsigned>;
};

template <class T>
void combine(T* acc, const T* x, size_t n, int op) {
  using Op = c10d::ReduceOp;
  using W = typename Wide<T>::Type;
  switch (op) {
    case Op::SUM:
    case Op::AVG:
      return fold(acc, x, n, [](T a, T b) { return static_cast<T>(static_cast<W>(a) + static_cast<W>(b)); });
    case Op::PRODUCT:
      return fold(acc, x, n, [](T a, T b) { return static_cast<T>(static_cast<W>(a) * static_cast<W>(b)); });
    case Op::MIN:
      return fold(acc, x, n, [](T a, T b) { return b < a ? b : a; });
    case Op::MAX:
      return fold(acc, x, n, [](T a, T b) { return b > a ? b : a; });
    default:
      if constexpr (std::is_integral_v<T>) {
        if (op == Op::BAND) return fold(acc, x, n, [](T a, T b) { return static_cast<T>(a & b); });
        if (op == Op::BOR) return fold(acc, x, n, [](T a, T b) { return static_cast<T>(a | b); });
        if (op == Op::BXOR) return fold(acc, x, n, [](T a, T b) { return static_cast<T>(a ^ b); });
      }
  }
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif

// combine_bytes does acc = acc op x for n elements.
inline void combine_bytes(char* acc, const char* x, size_t n, at::ScalarType dtype, int op) {
  switch (dtype) {
#define GOLITE_CASE(name, T) \
  case at::ScalarType::name: return combine(reinterpret_cast<T*>(acc), reinterpret_cast<const T*>(x), n, op)
    GOLITE_CASE(Float, float);
    GOLITE_CASE(Double, double);
    GOLITE_CASE(Half, c10::Half);
    GOLITE_CASE(BFloat16, c10::BFloat16);
    GOLITE_CASE(Byte, uint8_t);
    GOLITE_CASE(Char, int8_t);
    GOLITE_CASE(Short, int16_t);
    GOLITE_CASE(Int, int32_t);
    GOLITE_CASE(Long, int64_t);
#undef GOLITE_CASE
    case at::ScalarType::Bool: {
      // Truth has no sums: more is "or", less is "and".
      using Op = c10d::ReduceOp;
      bool all = op == Op::PRODUCT || op == Op::MIN || op == Op::BAND;
      auto *a = reinterpret_cast<uint8_t*>(acc);
      auto *b = reinterpret_cast<const uint8_t*>(x);
      if (op == Op::BXOR) return fold(a, b, n, [](uint8_t p, uint8_t q) -> uint8_t { return !p != !q; });
      if (all) return fold(a, b, n, [](uint8_t p, uint8_t q) -> uint8_t { return p && q; });
      return fold(a, b, n, [](uint8_t p, uint8_t q) -> uint8_t { return p || q; });
    }
    case at::ScalarType::ComplexFloat:
      return combine_bytes(acc, x, 2 * n, at::ScalarType::Float, op);
    case at::ScalarType::ComplexDouble:
      return combine_bytes(acc, x, 2 * n, at::ScalarType::Double, op);
    default:
      TORCH_CHECK(false, "ranks of one host can't reduce tensors of ", dtype);
  }
}

// combinable reports whether ranks can combine numbers of a type.
inline bool combinable(at::ScalarType t) {
  switch (t) {
    case at::ScalarType::Float: case at::ScalarType::Double: case at::ScalarType::Half: case at::ScalarType::BFloat16:
    case at::ScalarType::Byte: case at::ScalarType::Char: case at::ScalarType::Short: case at::ScalarType::Int:
    case at::ScalarType::Long:
    case at::ScalarType::Bool:
    case at::ScalarType::ComplexFloat:
    case at::ScalarType::ComplexDouble:
      return true;
    default:
      return false;
  }
}

inline bool reducible(at::ScalarType t, int op) {
  using Op = c10d::ReduceOp;
  bool bits = op == Op::BAND || op == Op::BOR || op == Op::BXOR;
  return op <= Op::BXOR && combinable(t) && (!bits || at::isIntegralType(t, true)) &&
         (!at::isComplexType(t) || op == Op::SUM || op == Op::AVG);
}

inline void check_reducible(at::ScalarType t, int op) {
  using Op = c10d::ReduceOp;
  bool bits = op == Op::BAND || op == Op::BOR || op == Op::BXOR;
  TORCH_CHECK(op <= Op::BXOR, "reduction number ", op, " is not offered on the CPU");
  TORCH_CHECK(!bits || at::isIntegralType(t, true), "bitwise reductions take integers, not ", t);
  TORCH_CHECK(!at::isComplexType(t) || op == Op::SUM || op == Op::AVG, "complex tensors can only be summed");
  TORCH_CHECK(combinable(t), "ranks of one host can't reduce tensors of ", t);
}

}  // namespace golite
