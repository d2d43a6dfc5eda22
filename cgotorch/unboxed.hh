// unboxed.hh: the short way to run operators of the commonest signatures: straight into libtorch's typed call, with
// tensors that are pinned in their slots instead of being referred to once more, and nothing put on a stack. What an
// operator does is the same as by the boxed way, which every operator has and which serves whatever arguments do not
// fit here.

#include <ATen/core/dispatch/Dispatcher.h>

#include <memory>
#include <utility>

#include "wire.h"

namespace golite {

// Pinned lends a call the tensor of a handle.
class Pinned {
 public:
  explicit Pinned(Handle h)
      : index_(static_cast<uint32_t>(h)), slot_(table.pin(h)),
        tensor_(c10::intrusive_ptr<at::TensorImpl>::reclaim(slot_->impl)) {}
  Pinned(const Pinned&) = delete;
  ~Pinned() {
    tensor_.unsafeReleaseTensorImpl();
    table.unpin(slot_, index_);
  }
  at::Tensor& get() { return tensor_; }

 private:
  uint32_t index_;
  Slot* slot_;
  at::Tensor tensor_;
};

// Param reads one argument. fits reports, by the tag, whether it can.
template <class T>
struct Param;

template <>
struct Param<const at::Tensor&> {
  static bool fits(uint64_t tag) { return tag == kTensor; }
  explicit Param(Reader& r) : pinned((r.word(), r.word())) {}
  const at::Tensor& get() { return pinned.get(); }
  Pinned pinned;
};

template <>
struct Param<at::Tensor&> {
  static bool fits(uint64_t tag) { return tag == kTensor; }
  explicit Param(Reader& r) : pinned((r.word(), r.word())) {}
  at::Tensor& get() { return pinned.get(); }
  Pinned pinned;
};

template <>
struct Param<const at::Scalar&> {
  static bool fits(uint64_t tag) { return tag == kInt || tag == kFloat || tag == kBool; }
  explicit Param(Reader& r) : scalar(read(r)) {}
  static at::Scalar read(Reader& r) {
    switch (r.word()) {
      case kFloat:
        return r.real();
      case kBool:
        return r.word() != 0;
      default:
        return static_cast<int64_t>(r.word());
    }
  }
  const at::Scalar& get() { return scalar; }
  at::Scalar scalar;
};

template <>
struct Param<int64_t> {
  static bool fits(uint64_t tag) { return tag == kInt; }
  explicit Param(Reader& r) : value(static_cast<int64_t>((r.word(), r.word()))) {}
  int64_t get() { return value; }
  int64_t value;
};

template <>
struct Param<bool> {
  static bool fits(uint64_t tag) { return tag == kBool; }
  explicit Param(Reader& r) : value((r.word(), r.word()) != 0) {}
  bool get() { return value; }
  bool value;
};

// Params reads arguments, the first one first, and hands all of them to a function.
template <class... A>
struct Params {
  explicit Params(Reader&) {}
  template <class F, class... Got>
  decltype(auto) spread(F& f, Got&&... got) {
    return f.call(std::forward<Got>(got)...);
  }
};

template <class A, class... Rest>
struct Params<A, Rest...> {
  explicit Params(Reader& r) : first(r), rest(r) {}
  template <class F, class... Got>
  decltype(auto) spread(F& f, Got&&... got) {
    return rest.spread(f, std::forward<Got>(got)..., first.get());
  }
  Param<A> first;
  Params<Rest...> rest;
};

// Unboxed is an operator with a signature of this file's.
struct Unboxed {
  virtual ~Unboxed() = default;
  // run calls it and writes its results, or reports that the arguments need the boxed way.
  virtual bool run(Reader r, Writer& w) = 0;
};

template <class F>
struct Typed;

template <class R, class... A>
struct Typed<R(A...)> final : Unboxed {
  explicit Typed(const c10::OperatorHandle& h) : handle(h.typed<R(A...)>()) {}

  static bool fits(const Reader& r) {
    if (r.end - r.p != 2 * sizeof...(A)) return false;
    const uint64_t* p = r.p;
    return (Param<A>::fits(*std::exchange(p, p + 2)) && ...);
  }

  bool run(Reader r, Writer& w) override {
    if (!fits(r)) return false;
    Params<A...> params(r);
    if constexpr (std::is_reference_v<R>) {
      params.spread(handle);  // Go returns its own handle for what is written in place
    } else {
      w.word(kTensor);
      w.tensor(params.spread(handle));
    }
    return true;
  }

  c10::TypedOperatorHandle<R(A...)> handle;
};

}  // namespace golite
