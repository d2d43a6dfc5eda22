// call.hh: running an operator: boxed, by its schema, or the short way, where shortcuts.hh has one.

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/op_registration/op_registration.h>

#include <deque>
#include <mutex>

#include "collect.h"
#include "guard.h"
#include "state.h"
#include "shortcuts.hh"

namespace golite {

Table table;
__thread HandleCount handle_count;
std::atomic<Slot*> Table::chunks_[kChunks];
std::atomic<bool> cpp_traces{false};

c10::IValue Reader::value() {
  switch (word()) {
    case kNone:
      return c10::IValue();
    case kTensor:
      return tensor();
    case kUndefined:
      return at::Tensor();
    case kInt:
      return static_cast<int64_t>(word());
    case kUInt:
      return c10::IValue(word());
    case kFloat:
      return real();
    case kBool:
      return word() != 0;
    case kInts: {
      size_t n = word();
      c10::List<int64_t> v;
      v.reserve(n);
      for (size_t i = 0; i < n; i++) v.push_back(static_cast<int64_t>(word()));
      return v;
    }
    case kFloats: {
      size_t n = word();
      c10::List<double> v;
      v.reserve(n);
      for (size_t i = 0; i < n; i++) v.push_back(real());
      return v;
    }
    case kBools: {
      size_t n = word();
      c10::List<bool> v;
      v.reserve(n);
      for (size_t i = 0; i < n; i++) v.push_back(word() != 0);
      return v;
    }
    case kTensors: {
      size_t n = word();
      c10::List<at::Tensor> v;
      v.reserve(n);
      for (size_t i = 0; i < n; i++) {
        uint64_t h = word();
        v.push_back(h ? table.get(h) : at::Tensor());
      }
      return v;
    }
    case kOptTensors: {
      size_t n = word();
      c10::List<std::optional<at::Tensor>> v;
      v.reserve(n);
      for (size_t i = 0; i < n; i++) {
        uint64_t h = word();
        v.push_back(h ? std::optional<at::Tensor>(table.get(h)) : std::nullopt);
      }
      return v;
    }
    case kString:
      return text();
    case kStrings: {
      size_t n = word();
      c10::List<std::string> v;
      for (size_t i = 0; i < n; i++) v.push_back(text());
      return v;
    }
    case kDevice: {
      uint64_t w = word();
      return c10::Device(static_cast<c10::DeviceType>(w >> 8), static_cast<c10::DeviceIndex>(w & 0xff));
    }
    case kGenerator: {
      auto* impl = reinterpret_cast<c10::GeneratorImpl*>(word());
      return at::Generator(c10::intrusive_ptr<c10::GeneratorImpl>::reclaim_copy(materialize(impl)));
    }
    case kComplex: {
      double re = real(), im = real();
      return c10::complex<double>(re, im);
    }
    case kScalars: {
      size_t n = word();
      c10::impl::GenericList v(c10::NumberType::get());
      for (size_t i = 0; i < n; i++) v.push_back(value());
      return v;
    }
    case kInvalid:
      throw std::runtime_error(text());
    default:
      throw std::runtime_error("cgotorch: unknown tag in the argument buffer");
  }
}

void Writer::tensor(at::Tensor&& t) {
  uint64_t bytes = t.has_storage() ? t.unsafeGetTensorImpl()->unsafe_storage().nbytes() : 0;
  Handle h = table.put(std::move(t));
  if (static_cast<int64_t>(bytes) >= Suspects::kLeast) suspects.note(h);
  word(h);
  word(bytes);
}

void Writer::value(c10::IValue&& v) {
  if (v.isTensor()) {
    at::Tensor t = std::move(v).toTensor();
    if (!t.defined()) return word(kUndefined);
    word(kTensor);
    tensor(std::move(t));
  } else if (v.isNone()) {
    word(kNone);
  } else if (v.isInt()) {
    word(kInt);
    word(static_cast<uint64_t>(v.toInt()));
  } else if (v.isUnsigned()) {
    word(kUInt);
    word(v.toUInt());
  } else if (v.isDouble()) {
    word(kFloat);
    real(v.toDouble());
  } else if (v.isBool()) {
    word(kBool);
    word(v.toBool());
  } else if (v.isComplexDouble()) {
    auto c = v.toComplexDouble();
    word(kComplex);
    real(c.real());
    real(c.imag());
  } else if (v.isTensorList()) {
    auto list = v.toTensorVector();
    word(kTensors);
    word(list.size());
    for (auto& t : list) {
      if (t.defined()) {
        tensor(std::move(t));
      } else {
        word(0);
        word(0);
      }
    }
  } else if (v.isIntList()) {
    auto list = v.toIntVector();
    word(kInts);
    word(list.size());
    for (int64_t i : list) word(static_cast<uint64_t>(i));
  } else if (v.isDoubleList()) {
    auto list = v.toDoubleVector();
    word(kFloats);
    word(list.size());
    for (double d : list) real(d);
  } else if (v.isBoolList()) {
    auto list = v.toBoolList();
    word(kBools);
    word(list.size());
    for (bool b : list) word(b);
  } else if (v.isString()) {
    const std::string& s = v.toStringRef();
    word(kString);
    text(s.data(), s.size());
  } else if (v.isDevice()) {
    c10::Device d = v.toDevice();
    word(kDevice);
    word(static_cast<uint64_t>(d.type()) << 8 | (static_cast<uint64_t>(d.index()) & 0xff));
  } else {
    word(kOther);
  }
}

namespace {

struct Op {
  c10::OperatorHandle handle;
  // written[i]: result i is an argument that the op writes to; Go returns its own handle for it.
  std::vector<bool> written;
  size_t args;
  std::unique_ptr<Unboxed> unboxed;
};

// Borrowed is the thread's stack of arguments, kept from call to call; a call within a call (of an autograd function)
// has its own.
struct Borrowed {
  torch::jit::Stack stack;
  Borrowed() { stack.swap(spare()); }
  ~Borrowed() {
    stack.clear();
    stack.swap(spare());
  }
  static torch::jit::Stack& spare() {
    static thread_local torch::jit::Stack s;
    return s;
  }
};

void boxed(const Op& o, Reader r, Writer& w) {
  Borrowed borrowed;
  torch::jit::Stack& stack = borrowed.stack;
  stack.reserve(std::max<size_t>(o.args, o.written.size()));
  while (!r.done()) stack.push_back(r.value());
  o.handle.callBoxed(&stack);
  for (size_t i = 0; i < stack.size(); i++) {
    if (i < o.written.size() && o.written[i]) continue;
    w.value(std::move(stack[i]));
  }
}

std::mutex ops_lock;
std::deque<Op> ops;  // a deque: entries stay where they are
std::atomic<uint32_t> ops_count{0};
const Op* op_at[1 << 13];

}  // namespace
}  // namespace golite

using namespace golite;

extern "C" {

int64_t gl_find(const char* name, const char* overload) {
  try {
    auto h = c10::Dispatcher::singleton().findSchema({name, overload});
    if (!h) return -1;
    std::lock_guard<std::mutex> l(ops_lock);
    uint32_t id = ops_count.load();
    if (id >= sizeof op_at / sizeof op_at[0]) return -2;
    Op op{*h, {}, h->schema().arguments().size(), unboxed(*h)};
    for (const auto& r : h->schema().returns()) op.written.push_back(r.alias_info() && r.alias_info()->isWrite());
    ops.push_back(std::move(op));
    op_at[id] = &ops.back();
    ops_count.store(id + 1, std::memory_order_release);
    return id;
  } catch (...) {
    return -1;
  }
}

int64_t gl_schema(uint32_t op, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    if (op >= ops_count) throw std::runtime_error("cgotorch: no such operator id");
    std::string s = c10::toString(op_at[op]->handle.schema());
    w.text(s.data(), s.size());
  });
}

int64_t gl_schemas(uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    auto& d = c10::Dispatcher::singleton();
    std::string all;
    for (const auto& name : d.getAllOpNames()) {
      if (auto h = d.findSchema(name)) all += c10::toString(h->schema()) + "\n";
    }
    w.text(all.data(), all.size());
  });
}

// gl_call runs an operator. out[0] becomes the scope that the thread is in; results follow.
int64_t gl_call(uint32_t op, const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    thread_state.enter();
    if (op >= ops_count.load(std::memory_order_acquire)) throw std::runtime_error("cgotorch: no such operator id");
    const Op& o = *op_at[op];
    Reader r{in, in + n};
    w.word(thread_state.scope);
    if (!o.unboxed || !o.unboxed->run(r, w)) boxed(o, r, w);
  });
}

// gl_call_with_hooks is gl_call for a thread whose operators may call Go: its buffers lie where no stack moves.
int64_t gl_call_with_hooks(uint32_t op, const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return gl_call(op, in, n, out, room);
}

void gl_take(uint64_t spill, uint64_t* out) {
  auto* v = reinterpret_cast<std::vector<uint64_t>*>(spill);
  std::memcpy(out, v->data(), v->size() * sizeof(uint64_t));
  delete v;
}

void gl_free_text(uint64_t text) { std::free(reinterpret_cast<void*>(text)); }

int64_t gl_drop(const gl_handle* h, uint64_t n) {
  bool outer = std::exchange(thread_state.dropping, true);
  int64_t dropped = -1;
  try {
    dropped = static_cast<int64_t>(table.drop(h, n));
  } catch (...) {
  }
  thread_state.dropping = outer;
  return dropped;
}

uint64_t gl_sift(gl_handle* h, uint64_t n) { return table.sift(h, n); }

int32_t gl_alive(gl_handle h) { return table.alive(h); }
int64_t gl_live(void) { return table.live(); }

uint64_t gl_scope(uint64_t token) {
  uint64_t before = thread_state.scope;
  thread_state.scope = token;
  return before;
}

uint64_t gl_scope_now(void) { return thread_state.scope; }

}  // extern "C"
