// shortcuts.hh: which operators have an unboxed call: those of common signatures, arithmetic with a number, and empty.

#include <ATen/EmptyTensor.h>

#include <memory>
#include <string>
#include <unordered_map>

#include "unboxed.hh"

namespace golite {

// Arithmetic with a number. libtorch makes a double of the number, a tensor of the double, and a tensor of the
// operand's type of that. Where no graph is recorded, here the last one is made at once: the same value goes into the
// same kernel.
template <class... Alpha>
struct ByNumber final : Unboxed {
  using Self = const at::Tensor&;
  ByNumber(const c10::OperatorHandle& h, const c10::OperatorHandle& by_tensor)
      : boxed(h), by_tensor(by_tensor.typed<at::Tensor(Self, Self, Alpha...)>()) {}

  bool run(Reader r, Writer& w) override {
    if (!boxed.fits(r)) return false;
    Params<Self, const at::Scalar&, Alpha...> params(r);
    w.word(kTensor);
    w.tensor(params.spread(*this));
    return true;
  }

  at::Tensor call(Self self, const at::Scalar& number, Alpha... alpha) {
    if (self.scalar_type() != at::kFloat || !self.device().is_cpu() || self.dim() == 0 ||
        self.layout() != at::kStrided || self.requires_grad())
      return boxed.handle.call(self, number, alpha...);
    at::Tensor x = at::detail::empty_cpu({}, self.options());
    *static_cast<float*>(x.data_ptr()) =
        number.isFloatingPoint() ? static_cast<float>(number.toDouble()) : static_cast<float>(number.to<int64_t>());
    x.unsafeGetTensorImpl()->set_wrapped_number(true);
    return by_tensor.call(self, x, alpha...);
  }

  Typed<at::Tensor(Self, const at::Scalar&, Alpha...)> boxed;
  c10::TypedOperatorHandle<at::Tensor(Self, Self, Alpha...)> by_tensor;
};

// Empty makes tensors for data that comes from Go.
struct Empty final : Unboxed {
  explicit Empty(const c10::OperatorHandle& h) : handle(h.typed<Call>()) {}

  bool run(Reader r, Writer& w) override {
    constexpr size_t most = 8;
    uint64_t n = 0;
    if (r.word() != kInts || (n = r.word()) > most) return false;
    c10::SymInt size[most];
    for (uint64_t i = 0; i < n; i++) size[i] = static_cast<int64_t>(r.word());
    std::optional<c10::ScalarType> dtype;
    std::optional<c10::Device> device;
    std::optional<bool> pinned;
    if (uint64_t tag = r.word(); tag == kInt) {
      dtype = static_cast<c10::ScalarType>(r.word());
    } else if (tag != kNone) {
      return false;
    }
    if (r.word() != kNone) return false;  // a layout
    if (uint64_t tag = r.word(); tag == kDevice) {
      uint64_t d = r.word();
      device = c10::Device(static_cast<c10::DeviceType>(d >> 8), static_cast<c10::DeviceIndex>(d & 0xff));
    } else if (tag != kNone) {
      return false;
    }
    if (uint64_t tag = r.word(); tag == kBool) {
      pinned = r.word() != 0;
    } else if (tag != kNone) {
      return false;
    }
    if (r.word() != kNone || !r.done()) return false;  // a memory format
    w.word(kTensor);
    w.tensor(handle.call(c10::SymIntArrayRef(size, n), dtype, std::nullopt, device, pinned, std::nullopt));
    return true;
  }

  using Call = at::Tensor(c10::SymIntArrayRef, std::optional<c10::ScalarType>, std::optional<c10::Layout>,
                          std::optional<c10::Device>, std::optional<bool>, std::optional<c10::MemoryFormat>);
  c10::TypedOperatorHandle<Call> handle;
};

using In = const at::Tensor&;
using Out = at::Tensor&;
using Number = const at::Scalar&;

template <class F>
std::unique_ptr<Unboxed> typed(const c10::OperatorHandle& h) {
  return std::make_unique<Typed<F>>(h);
}

// unboxed gives an operator of libtorch's own its short way; null where it has none.
inline std::unique_ptr<Unboxed> unboxed(const c10::OperatorHandle& h) {
  static const std::unordered_map<std::string, std::unique_ptr<Unboxed> (*)(const c10::OperatorHandle&)> known = {
      {"Tensor -> Tensor", typed<at::Tensor(In)>},
      {"Tensor Tensor -> Tensor", typed<at::Tensor(In, In)>},
      {"Tensor Tensor Scalar -> Tensor", typed<at::Tensor(In, In, Number)>},
      {"Tensor Tensor Tensor -> Tensor", typed<at::Tensor(In, In, In)>},
      {"Tensor Tensor Tensor Scalar Scalar -> Tensor", typed<at::Tensor(In, In, In, Number, Number)>},
      {"Tensor Scalar -> Tensor", typed<at::Tensor(In, Number)>},
      {"Tensor Scalar Scalar -> Tensor", typed<at::Tensor(In, Number, Number)>},
      {"Tensor int int -> Tensor", typed<at::Tensor(In, int64_t, int64_t)>},
      {"Tensor! -> Tensor!", typed<Out(Out)>},
      {"Tensor! Tensor -> Tensor!", typed<Out(Out, In)>},
      {"Tensor! Tensor Scalar -> Tensor!", typed<Out(Out, In, Number)>},
      {"Tensor! Tensor Tensor Scalar -> Tensor!", typed<Out(Out, In, In, Number)>},
      {"Tensor! Scalar -> Tensor!", typed<Out(Out, Number)>},
      {"Tensor! Scalar Scalar -> Tensor!", typed<Out(Out, Number, Number)>},
      {"Tensor! Tensor bool -> Tensor!", typed<Out(Out, In, bool)>},
  };
  const c10::FunctionSchema& s = h.schema();
  if (s.name() == "aten::empty" && s.overload_name() == "memory_format") return std::make_unique<Empty>(h);
  if (s.overload_name() == "Scalar") {
    auto by_tensor = [&] { return c10::Dispatcher::singleton().findSchemaOrThrow(s.name().c_str(), "Tensor"); };
    if (s.name() == "aten::add" || s.name() == "aten::sub") return std::make_unique<ByNumber<Number>>(h, by_tensor());
    if (s.name() == "aten::mul" || s.name() == "aten::div") return std::make_unique<ByNumber<>>(h, by_tensor());
  }
  if (s.name().rfind("aten::", 0) != 0 || s.is_vararg() || s.returns().size() != 1) return nullptr;
  std::string key;
  auto add = [&](const c10::Argument& a) {
    key += a.real_type()->str();
    if (a.alias_info() && a.alias_info()->isWrite()) key += "!";
  };
  for (const auto& a : s.arguments()) add(a), key += " ";
  key += "-> ";
  add(s.returns()[0]);
  auto i = known.find(key);
  if (i == known.end()) return nullptr;
  try {
    return i->second(h);
  } catch (const c10::Error&) {  // the C++ function differs from what the schema says, as few do
    return nullptr;
  }
}

}  // namespace golite
