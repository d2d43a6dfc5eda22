// dist_work.hh: works that can be failed from outside, and the watch that lists those under way.

#include "dist_work.h"

#include <ATen/ops/div.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <ATen/core/LegacyTypeDispatch.h>

namespace golite {

namespace {

thread_local const Site* innermost = nullptr;

const char* op_name(int op) {
  static const char* names[] = {"sum", "mean", "product", "min", "max", "band", "bor", "bxor"};
  return op >= 0 && op < 8 ? names[op] : "?";
}

bool reduces(int kind) {
  return kind == GL_ALL_REDUCE || kind == GL_REDUCE || kind == GL_REDUCE_SCATTER || kind == GL_REDUCE_SCATTER_TENSOR ||
         kind == GL_ALL_REDUCE_COALESCED || kind == GL_REDUCE_SCATTER_TENSOR_COALESCED;
}

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

const char* kind_name(int kind) {
  static const char* names[] = {"broadcast",
                                "all_reduce",
                                "reduce",
                                "all_gather",
                                "all_gather_into_tensor",
                                "reduce_scatter",
                                "reduce_scatter_tensor",
                                "gather",
                                "scatter",
                                "all_to_all",
                                "all_to_all_single",
                                "send",
                                "recv",
                                "barrier",
                                "all_reduce_coalesced",
                                "all_gather_into_tensor_coalesced",
                                "reduce_scatter_tensor_coalesced"};
  return kind >= 0 && kind <= GL_REDUCE_SCATTER_TENSOR_COALESCED ? names[kind] : "?";
}

bool Signature::agrees(const Signature& s) const {
  if (kind != s.kind || dtype != s.dtype) return false;
  if (reduces(kind) && op != s.op) return false;
  if (root != s.root) return false;
  // Parts of an exchange may be of any size; elsewhere every rank brings the same shape.
  if (kind == GL_ALL_TO_ALL || kind == GL_ALL_TO_ALL_SINGLE) return true;
  return shape == s.shape && count == s.count && shapes == s.shapes;
}

void Signature::about(const at::Tensor& t) {
  dtype = static_cast<int>(t.scalar_type());
  shape = t.sizes().vec();
}

void Signature::about(const std::vector<at::Tensor>& list) {
  int64_t total = 0;
  for (auto& t : list) {
    dtype = static_cast<int>(t.scalar_type());
    total += t.numel();
    shapes = mixed(mixed(shapes, dtype), t.dim());
    for (auto n : t.sizes()) shapes = mixed(shapes, n);
  }
  count = static_cast<int>(list.size());
  shape = {total};
}

uint32_t Signature::digest() const {
  uint64_t h = 14695981039346656037u;  // FNV-1a
  auto mix = [&](int64_t v) {
    for (int i = 0; i < 64; i += 8) h = (h ^ (static_cast<uint64_t>(v) >> i & 0xff)) * 1099511628211u;
  };
  mix(kind);
  mix(dtype);
  mix(root);
  mix(count);
  mix(static_cast<int64_t>(shapes));
  if (reduces(kind)) mix(op);
  if (kind != GL_ALL_TO_ALL && kind != GL_ALL_TO_ALL_SINGLE) mix(c10::multiply_integers(shape));
  return static_cast<uint32_t>(h ^ h >> 32);
}

std::string Signature::text() const { return site.empty() ? call() : call() + " at " + site; }

std::string Signature::call() const {
  std::string s = kind_name(kind);
  if (reduces(kind)) s += std::string("(") + op_name(op) + ")";
  if (kind == GL_SEND) s += " to rank " + std::to_string(root);
  if (kind == GL_RECV) s += root < 0 ? std::string(" from any rank") : " from rank " + std::to_string(root);
  if (kind == GL_BROADCAST || kind == GL_SCATTER) s += " from rank " + std::to_string(root);
  if (kind == GL_REDUCE || kind == GL_GATHER) s += " to rank " + std::to_string(root);
  if (count > 0) s += " of " + std::to_string(count) + (count == 1 ? " tensor," : " tensors,");
  if (dtype >= 0) {
    s += std::string(count > 0 ? " in all " : " of ") + c10::toString(static_cast<at::ScalarType>(dtype)) + "[";
    for (size_t i = 0; i < shape.size(); i++) s += (i ? ", " : "") + std::to_string(shape[i]);
    s += "]";
  }
  return s + " (number " + std::to_string(number) + ")";
}

std::string Failure::text() const {
  std::string who = "rank " + std::to_string(rank);
  switch (kind) {
    case GL_FAILURE_LOST:
      return who + " lost a peer in " + call + (site.empty() ? "" : " at " + site) + ": " + detail;
    case GL_FAILURE_DIFFERS:
      return "ranks made different calls: " + detail;
    case GL_FAILURE_ABORTED:
      return who + " aborted the group: " + detail;
    default:
      return detail;
  }
}

void Failure::write(Writer& w) const {
  w.word(static_cast<uint64_t>(kind));
  w.word(static_cast<uint64_t>(static_cast<int64_t>(rank)));
  w.word(lost.size());
  for (auto r : lost) w.word(static_cast<uint64_t>(r));
  w.word(static_cast<uint64_t>(port));
  for (auto* s : {&host, &call, &site, &detail}) w.text(s->data(), s->size());
}

Failure Failure::read(Reader& r) {
  Failure f;
  f.kind = static_cast<int>(r.word());
  f.rank = static_cast<int>(static_cast<int64_t>(r.word()));
  f.lost = ints(r);
  f.port = static_cast<int>(r.word());
  for (auto* s : {&f.host, &f.call, &f.site, &f.detail}) *s = r.text();
  return f;
}

Site::Site(std::string s) : text(std::move(s)) {
  before = innermost;
  innermost = this;
}
Site::~Site() { innermost = before; }
const std::string* Site::now() { return innermost ? &innermost->text : nullptr; }

void Watch::enter(Signature& s) {
  const std::string* site = Site::now();
  std::lock_guard<std::mutex> l(m_);
  if (aborted_) throw Failed(why_);
  s.site = site && !site->empty() ? *site : site_;
  if (s.kind != GL_SEND && s.kind != GL_RECV) s.number = ++number_;
}

void Watch::add(TrackedWork* w) {
  std::lock_guard<std::mutex> l(m_);
  if (aborted_) throw Failed(why_);
  under_way_.emplace(w, Clock::now());
  c10::raw::intrusive_ptr::incref(w);
}

void Watch::remove(TrackedWork* w, bool failed) {
  c10::intrusive_ptr<TrackedWork> mine;  // outlives the lock
  std::lock_guard<std::mutex> l(m_);
  auto at = under_way_.find(w);
  if (at == under_way_.end()) return;
  if (keep_) {
    past_.push_back({w->signature(), at->second, Clock::now(), failed});
    if (past_.size() > keep_) past_.pop_front();
  }
  under_way_.erase(at);
  mine = c10::intrusive_ptr<TrackedWork>::reclaim(w);
}

bool Watch::abort(const Failure& why) {
  std::vector<c10::intrusive_ptr<TrackedWork>> lost;
  std::vector<std::function<void(const Failure&)>> told;
  {
    std::lock_guard<std::mutex> l(m_);
    if (aborted_) return false;
    why_ = why;
    aborted_ = true;
    told.swap(on_abort_);
    for (auto& e : under_way_) lost.push_back(c10::intrusive_ptr<TrackedWork>::reclaim_copy(e.first));
  }
  for (auto& w : lost) w->fail(why);
  for (auto& f : told) f(why);
  return true;
}

void Watch::on_abort(std::function<void(const Failure&)> f) {
  {
    std::lock_guard<std::mutex> l(m_);
    if (!aborted_) {
      on_abort_.push_back(std::move(f));
      return;
    }
  }
  f(failure());
}

Failure Watch::failure() {
  std::lock_guard<std::mutex> l(m_);
  return why_;
}

void Watch::check() {
  if (aborted()) throw Failed(failure());
}

std::vector<Watch::Entry> Watch::pending() {
  std::lock_guard<std::mutex> l(m_);
  std::vector<Entry> v;
  for (auto& e : under_way_) v.push_back({e.first->signature(), e.second, Clock::now(), false});
  return v;
}

uint64_t Watch::count() {
  std::lock_guard<std::mutex> l(m_);
  return number_;
}

std::vector<Watch::Entry> Watch::trace(int keep) {
  std::lock_guard<std::mutex> l(m_);
  std::vector<Entry> v(past_.begin(), past_.end());
  if (keep >= 0) {
    keep_ = static_cast<size_t>(keep);
    past_.clear();
  }
  return v;
}

void Watch::set_site(std::string s) {
  std::lock_guard<std::mutex> l(m_);
  site_ = std::move(s);
}

TrackedWork::TrackedWork(std::shared_ptr<Watch> watch, Signature sig, std::vector<at::Tensor> outputs)
    : c10d::Work(watch->rank, c10d::OpType::UNKNOWN), watch_(std::move(watch)), sig_(std::move(sig)),
      outputs_(std::move(outputs)) {}

bool TrackedWork::isSuccess() const {
  std::lock_guard<std::mutex> l(mutex_);
  return !exception_;
}

std::exception_ptr TrackedWork::exception() const {
  std::lock_guard<std::mutex> l(mutex_);
  return exception_;
}

void TrackedWork::settle(std::exception_ptr e) {
  if (claimed_.exchange(true)) return;
  if (!e && divide_ > 1) {
    try {
      at::AutoDispatchBelowADInplaceOrView guard;
      for (auto& t : outputs_) {
        if (at::isIntegralType(t.scalar_type(), true)) {
          t.div_(divide_, "trunc");
        } else {
          t.div_(divide_);
        }
      }
    } catch (...) {
      e = std::current_exception();
    }
  }
  auto self = c10::intrusive_ptr<TrackedWork>::reclaim_copy(this);  // a callback may drop the last reference
  watch_->remove(this, e != nullptr);
  c10::intrusive_ptr<c10::ivalue::Future> future;
  {
    std::lock_guard<std::mutex> l(mutex_);
    exception_ = e;
    completed_ = true;
    future = future_;
    done_.store(true, std::memory_order_release);
    cv_.notify_all();
  }
  if (!future) return;
  if (e) {
    future->setErrorIfNeeded(e);
  } else {
    future->markCompleted(c10::IValue(outputs_));
  }
}

void TrackedWork::complete() { settle(nullptr); }

void TrackedWork::fail(const Failure& why) { settle(std::make_exception_ptr(Failed(why))); }

c10::intrusive_ptr<c10::ivalue::Future> TrackedWork::getFuture() {
  std::lock_guard<std::mutex> l(mutex_);
  if (!future_) {
    future_ = c10::make_intrusive<c10::ivalue::Future>(c10::ListType::create(c10::TensorType::get()));
    if (completed_ && exception_) future_->setError(exception_);
    if (completed_ && !exception_) future_->markCompleted(c10::IValue(outputs_));
  }
  return future_;
}

// wait returns when the work is done, and throws if it failed. When time is up it returns false and leaves
// the work as it is.
bool TrackedWork::wait(Millis timeout) {
  auto until = Clock::now() + timeout;
  // Ranks in step meet within microseconds, which is less than it takes to sleep and be woken.
  for (int i = spins(); i > 0 && !isCompleted() && !helpable(); i--) pause();
  for (;;) {
    if (!isCompleted() && helpable()) help();
    if (isCompleted()) break;
    std::unique_lock<std::mutex> l(mutex_);
    auto ready = [&] { return completed_ || helpable(); };
    if (timeout == kNoTimeout) {
      cv_.wait(l, ready);
    } else if (!cv_.wait_until(l, until, ready)) {
      return false;
    }
  }
  std::exception_ptr e = exception();
  if (e) std::rethrow_exception(e);
  return true;
}

}  // namespace golite
