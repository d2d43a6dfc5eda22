// dist_inprocess.hh: collectives of ranks that share a process: no sockets, no copies on the way.
//
// A rank posts its tensors and may go on; the last to arrive does the work, and ranks that are waiting help.
// Sums are formed in an order of their own for each element, never in the order of arrival: the order of Gloo's
// ring. A tensor of n bytes is cut into at least twice as many segments of at most a mebibyte as there are
// ranks, equally many for each rank; an element of rank j's segments is x[j-1], plus x[j-2], ..., plus x[j]
// (ranks modulo their number). So three ranks and more get the bits that Gloo gives.

#include "dist_fold.h"
#include "dist_work.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <deque>
#include <map>
#include <thread>

namespace golite {

constexpr int64_t kPiece = 1 << 18;  // bytes that one thread does at a time

// Job is a piece of a collective that one thread does: a copy, or the reduction of a range.
struct Job {
  std::vector<const char*> from;  // one: a copy; else one for each rank, in the order to combine
  std::vector<char*> to;
  size_t bytes;
  int op = 0;
  at::ScalarType dtype = at::ScalarType::Byte;

  void run() const {
    if (from.size() == 1) {
      for (char* t : to) {
        if (t != from[0]) std::memmove(t, from[0], bytes);
      }
      return;
    }
    alignas(64) char acc[16384];
    size_t size = c10::elementSize(dtype);
    for (size_t at = 0; at < bytes; at += sizeof acc) {
      size_t n = std::min(bytes - at, sizeof acc);
      std::memcpy(acc, from[0] + at, n);
      for (size_t r = 1; r < from.size(); r++) combine_bytes(acc, from[r] + at, n / size, dtype, op);
      for (char* t : to) std::memcpy(t + at, acc, n);
    }
  }
};

struct Step;

struct StepWork : TrackedWork {
  using TrackedWork::TrackedWork;
  bool helpable() override;
  void help() override;
  int spins() override { return spin; }
  void call() {
    std::lock_guard<std::mutex> l(lock());
    wake();
  }
  std::shared_ptr<Step> step;
  int spin = 0;
};

// Part is what a rank brings to a collective.
struct Part {
  std::vector<at::Tensor> in, out;
  c10::intrusive_ptr<StepWork> work;
};

// Step is one collective in progress.
struct Step {
  Signature sig;
  int first = 0;  // the rank whose signature it is
  std::vector<Part> parts;
  int arrived = 0;
  std::vector<Job> jobs;
  std::atomic<size_t> next{0}, left{0};
  std::atomic<bool> ready{false};

  void run() {
    size_t i;
    while ((i = next.fetch_add(1, std::memory_order_relaxed)) < jobs.size()) {
      jobs[i].run();
      if (left.fetch_sub(1, std::memory_order_acq_rel) == 1) finish();
    }
  }
  void finish() {
    for (auto& p : parts) p.work->complete();
    part();
  }
  void fail(const std::string& why) {
    for (auto& p : parts) {
      if (p.work) p.work->fail(why);
    }
    part();
  }
  // part unties works and step, which hold each other.
  void part() {
    for (auto& p : parts) {
      if (p.work) std::atomic_store(&p.work->step, std::shared_ptr<Step>());
    }
  }
  void plan();
  void copy(const at::Tensor& from, const at::Tensor& to);
  void reduce(const std::vector<const char*>& from, const std::vector<std::vector<char*>>& to, size_t begin, size_t bytes, const Blocks& blocks);
};

bool StepWork::helpable() {
  auto s = std::atomic_load(&step);
  return s && s->ready.load(std::memory_order_acquire) && s->next.load(std::memory_order_relaxed) < s->jobs.size();
}

void StepWork::help() {
  auto s = std::atomic_load(&step);
  if (s) s->run();
}

char* data(const at::Tensor& t) { return static_cast<char*>(t.data_ptr()); }

void Step::copy(const at::Tensor& from, const at::Tensor& to) {
  TORCH_CHECK(from.nbytes() == to.nbytes() && from.scalar_type() == to.scalar_type(), kind_name(sig.kind), ": a rank gives ",
              from.scalar_type(), from.sizes(), " where another expects ", to.scalar_type(), to.sizes());
  size_t n = from.nbytes();
  for (size_t at = 0; at < n; at += kPiece) {
    jobs.push_back({{data(from) + at}, {data(to) + at}, std::min<size_t>(kPiece, n - at)});
  }
}

// reduce plans the bytes [begin, begin+bytes) of a whole tensor whose blocks are given; from points at begin on each rank.
void Step::reduce(const std::vector<const char*>& from, const std::vector<std::vector<char*>>& to, size_t begin, size_t bytes, const Blocks& blocks) {
  auto dtype = static_cast<at::ScalarType>(sig.dtype);
  size_t n = from.size(), at = 0;
  while (at < bytes) {
    size_t block = std::min((begin + at) / blocks.block, n - 1);
    size_t end = block == n - 1 ? begin + bytes : (block + 1) * blocks.block;
    size_t count = std::min({bytes - at, end - begin - at, static_cast<size_t>(kPiece)});
    Job j{{}, {}, count, sig.op, dtype};
    for (size_t k = 1; k <= n; k++) j.from.push_back(from[(block + 2 * n - k) % n] + at);
    for (auto& t : to) j.to.push_back(t[0] + at);
    jobs.push_back(std::move(j));
    at += count;
  }
}

// plan cuts the collective into jobs once all ranks are there.
void Step::plan() {
  size_t n = parts.size();
  switch (sig.kind) {
    case GL_BARRIER:
      return;
    case GL_BROADCAST:
      for (size_t r = 0; r < n; r++) {
        if (static_cast<int>(r) != sig.root) copy(parts[sig.root].in[0], parts[r].in[0]);
      }
      return;
    case GL_ALL_REDUCE:
    case GL_REDUCE: {
      for (size_t i = 0; i < parts[0].in.size(); i++) {
        std::vector<const char*> from;
        std::vector<std::vector<char*>> to;
        size_t bytes = parts[0].in[i].nbytes();
        for (size_t r = 0; r < n; r++) {
          TORCH_CHECK(parts[r].in.size() == parts[0].in.size() && parts[r].in[i].nbytes() == bytes, kind_name(sig.kind), ": tensors of different sizes");
          from.push_back(data(parts[r].in[i]));
          if (sig.kind == GL_ALL_REDUCE || static_cast<int>(r) == sig.root) to.push_back({data(parts[r].in[i])});
        }
        reduce(from, to, 0, bytes, Blocks(bytes, parts[0].in[i].element_size(), n));
      }
      return;
    }
    case GL_REDUCE_SCATTER:
    case GL_REDUCE_SCATTER_TENSOR: {
      size_t bytes = parts[0].out[0].nbytes();
      Blocks blocks(bytes * n, parts[0].out[0].element_size(), n);
      for (size_t to = 0; to < n; to++) {
        std::vector<const char*> from;
        for (size_t r = 0; r < n; r++) {
          TORCH_CHECK(parts[r].in[to].nbytes() == bytes && parts[r].out[0].nbytes() == bytes, kind_name(sig.kind), ": tensors of different sizes");
          from.push_back(data(parts[r].in[to]));
        }
        reduce(from, {{data(parts[to].out[0])}}, to * bytes, bytes, blocks);
      }
      return;
    }
    case GL_GATHER:
      for (size_t r = 0; r < n; r++) copy(parts[r].in[0], parts[sig.root].out[r]);
      return;
    case GL_SCATTER:
      for (size_t r = 0; r < n; r++) copy(parts[sig.root].in[r], parts[r].out[0]);
      return;
    case GL_ALL_GATHER:
    case GL_ALL_GATHER_INTO:
      for (size_t r = 0; r < n; r++) {
        for (size_t to = 0; to < n; to++) copy(parts[r].in[0], parts[to].out[r]);
      }
      return;
    case GL_ALL_TO_ALL:
    case GL_ALL_TO_ALL_SINGLE:
      for (size_t r = 0; r < n; r++) {
        for (size_t to = 0; to < n; to++) copy(parts[r].in[to], parts[to].out[r]);
      }
      return;
    default:
      TORCH_CHECK(false, kind_name(sig.kind), " is no collective");
  }
}

// Letter is a send or a recv that waits for its other half.
struct Letter {
  at::Tensor tensor;
  c10::intrusive_ptr<TrackedWork> work;
  int from = 0, to = 0, tag = 0;  // from -1: any
};

class Hub {
 public:
  explicit Hub(int size) : size(size), next_(size, 0) {}
  const int size;

  c10::intrusive_ptr<c10d::Work> post(int rank, c10::intrusive_ptr<StepWork> work, Part part);
  void send(Letter l);
  void receive(Letter l);
  void abort(const std::string& reason);
  std::shared_ptr<Hub> sub(const std::string& name, int n);
  void watch(std::shared_ptr<Watch> w) {
    std::lock_guard<std::mutex> l(m_);
    watches_.push_back(std::move(w));
  }

 private:
  void fail_all(const std::string& reason);

  std::mutex m_;
  std::vector<uint64_t> next_;  // of each rank: how many collectives it has posted
  std::map<uint64_t, std::shared_ptr<Step>> open_;
  std::list<Letter> sent_, wanted_;
  std::vector<std::shared_ptr<Watch>> watches_;
  std::map<std::string, std::weak_ptr<Hub>> subs_;
  bool aborted_ = false;
  std::string reason_;
};

c10::intrusive_ptr<c10d::Work> Hub::post(int rank, c10::intrusive_ptr<StepWork> work, Part part) {
  std::shared_ptr<Step> step;
  std::string differs;
  bool last = false;
  {
    std::lock_guard<std::mutex> l(m_);
    if (aborted_) throw std::runtime_error(reason_);
    auto& slot = open_[next_[rank]++];
    if (!slot) {
      slot = std::make_shared<Step>();
      slot->sig = work->signature();
      slot->first = rank;
      slot->parts.resize(size);
    }
    step = slot;
    if (!step->sig.agrees(work->signature())) {
      differs = "ranks made different calls: rank " + std::to_string(step->first) + " " + step->sig.text() + "; rank " +
                std::to_string(rank) + " " + work->signature().text();
    } else {
      std::atomic_store(&work->step, step);
      part.work = work;
      step->parts[rank] = std::move(part);
      last = ++step->arrived == size;
      if (last) open_.erase(next_[rank] - 1);
    }
  }
  if (!differs.empty()) {
    abort(differs);
    throw std::runtime_error(differs);
  }
  if (!last) return work;
  try {
    step->plan();
  } catch (const c10::Error& e) {
    step->fail(e.what_without_backtrace());
    return work;
  }
  if (step->jobs.empty()) {
    step->finish();
    return work;
  }
  step->left = step->jobs.size();
  step->ready.store(true, std::memory_order_release);
  if (step->jobs.size() > 1) {
    for (auto& p : step->parts) p.work->call();
  }
  step->run();
  return work;
}

// deliver copies a message and completes both halves, or fails both.
void deliver(const Letter& sent, const Letter& wanted) {
  bool fits = sent.tensor.nbytes() == wanted.tensor.nbytes() && sent.tensor.scalar_type() == wanted.tensor.scalar_type();
  if (fits) {
    std::memcpy(data(wanted.tensor), data(sent.tensor), sent.tensor.nbytes());
    wanted.work->source(sent.from);
    wanted.work->complete();
    sent.work->complete();
    return;
  }
  std::string why = "rank " + std::to_string(sent.from) + " " + sent.work->signature().text() + "; rank " +
                    std::to_string(sent.to) + " " + wanted.work->signature().text() + ": their sizes differ";
  wanted.work->fail(why);
  sent.work->fail(why);
}

void Hub::send(Letter l) {
  Letter wanted;
  {
    std::lock_guard<std::mutex> g(m_);
    if (aborted_) throw std::runtime_error(reason_);
    auto fits = [&](const Letter& w) { return w.to == l.to && w.tag == l.tag && (w.from == l.from || w.from < 0); };
    auto at = std::find_if(wanted_.begin(), wanted_.end(), fits);
    if (at == wanted_.end()) {
      sent_.push_back(std::move(l));
      return;
    }
    wanted = std::move(*at);
    wanted_.erase(at);
  }
  deliver(l, wanted);
}

void Hub::receive(Letter l) {
  Letter sent;
  {
    std::lock_guard<std::mutex> g(m_);
    if (aborted_) throw std::runtime_error(reason_);
    auto fits = [&](const Letter& s) { return s.to == l.to && s.tag == l.tag && (l.from < 0 || s.from == l.from); };
    auto at = std::find_if(sent_.begin(), sent_.end(), fits);
    if (at == sent_.end()) {
      wanted_.push_back(std::move(l));
      return;
    }
    sent = std::move(*at);
    sent_.erase(at);
  }
  deliver(sent, l);
}

void Hub::abort(const std::string& reason) {
  std::vector<std::shared_ptr<Watch>> watches;
  std::vector<std::shared_ptr<Hub>> subs;
  {
    std::lock_guard<std::mutex> l(m_);
    if (aborted_) return;
    aborted_ = true;
    reason_ = reason;
    watches.swap(watches_);
    for (auto& s : subs_) {
      if (auto h = s.second.lock()) subs.push_back(h);
    }
  }
  for (auto& w : watches) w->abort(reason);
  for (auto& s : subs) s->abort(reason);
  std::map<uint64_t, std::shared_ptr<Step>> open;
  std::list<Letter> sent, wanted;  // they die after the lock is gone
  std::lock_guard<std::mutex> l(m_);
  open.swap(open_);
  sent.swap(sent_);
  wanted.swap(wanted_);
  for (auto& s : open) {
    if (s.second) s.second->part();
  }
}

std::shared_ptr<Hub> Hub::sub(const std::string& name, int n) {
  std::lock_guard<std::mutex> l(m_);
  if (aborted_) throw std::runtime_error(reason_);
  auto& slot = subs_[name];
  auto h = slot.lock();
  if (!h) slot = h = std::make_shared<Hub>(n);
  return h;
}

std::shared_ptr<Hub> new_hub(int size) { return std::make_shared<Hub>(size); }
std::shared_ptr<Hub> sub_hub(const std::shared_ptr<Hub>& parent, const std::string& name, int size) { return parent->sub(name, size); }
void abort_hub(Hub& hub, const std::string& reason) { hub.abort(reason); }

namespace {

using Tensors = std::vector<at::Tensor>;
using WorkPtr = c10::intrusive_ptr<c10d::Work>;

void usable(const at::Tensor& t) {
  TORCH_CHECK(t.device().is_cpu() && t.layout() == at::kStrided, "ranks of one process exchange dense tensors on the CPU");
  TORCH_CHECK(t.is_contiguous(), "tensors of collectives must be contiguous");
}

// pieces cuts a flat tensor along its first dimension: into equal parts, or by the given lengths.
Tensors pieces(const at::Tensor& t, int n, const std::vector<int64_t>& lengths = {}) {
  Tensors v;
  usable(t);
  if (lengths.empty()) {
    at::Tensor flat = t.view({-1});
    TORCH_CHECK(flat.numel() % n == 0, "a tensor of ", flat.numel(), " elements can't be shared equally among ", n, " ranks");
    int64_t each = flat.numel() / n;
    for (int i = 0; i < n; i++) v.push_back(flat.narrow(0, i * each, each));
    return v;
  }
  TORCH_CHECK(lengths.size() == static_cast<size_t>(n), "want ", n, " lengths, one for each rank, got ", lengths.size());
  int64_t at = 0;
  for (int64_t l : lengths) {
    v.push_back(t.narrow(0, at, l));
    at += l;
  }
  TORCH_CHECK(at == t.size(0), "the lengths add up to ", at, ", the tensor has ", t.size(0), " rows");
  return v;
}

class InProcess : public c10d::Backend {
 public:
  InProcess(std::shared_ptr<Hub> hub, std::shared_ptr<Watch> watch, int rank, int size)
      : Backend(rank, size), hub_(std::move(hub)), watch_(std::move(watch)) {}

  const std::string getBackendName() const override { return "inprocess"; }
  void abort() override { hub_->abort("the group was aborted"); }
  void setTimeout(Millis) override {}

  WorkPtr broadcast(Tensors& t, const c10d::BroadcastOptions& o = {}) override {
    return collective(GL_BROADCAST, {t[0]}, {}, {t[0]}, static_cast<int>(o.rootRank));
  }
  WorkPtr allreduce(Tensors& t, const c10d::AllreduceOptions& o = {}) override {
    return reduction(GL_ALL_REDUCE, t, {}, t, o.reduceOp, -1);
  }
  WorkPtr allreduce_coalesced(Tensors& t, const c10d::AllreduceCoalescedOptions& o = {}) override {
    return reduction(GL_ALL_REDUCE, t, {}, t, o.reduceOp, -1);
  }
  WorkPtr reduce(Tensors& t, const c10d::ReduceOptions& o = {}) override {
    bool root = o.rootRank == rank_;
    return reduction(GL_REDUCE, t, {}, root ? t : Tensors{}, o.reduceOp, static_cast<int>(o.rootRank));
  }
  WorkPtr allgather(std::vector<Tensors>& out, Tensors& in, const c10d::AllgatherOptions& = {}) override {
    return collective(GL_ALL_GATHER, {in[0]}, out[0], out[0], -1);
  }
  WorkPtr _allgather_base(at::Tensor& out, at::Tensor& in, const c10d::AllgatherOptions& = {}) override {
    return collective(GL_ALL_GATHER_INTO, {in}, pieces(out, size_), {out}, -1);
  }
  WorkPtr reduce_scatter(Tensors& out, std::vector<Tensors>& in, const c10d::ReduceScatterOptions& o = {}) override {
    return reduction(GL_REDUCE_SCATTER, in[0], {out[0]}, {out[0]}, o.reduceOp, -1);
  }
  WorkPtr _reduce_scatter_base(at::Tensor& out, at::Tensor& in, const c10d::ReduceScatterOptions& o = {}) override {
    return reduction(GL_REDUCE_SCATTER_TENSOR, pieces(in, size_), {out}, {out}, o.reduceOp, -1);
  }
  WorkPtr gather(std::vector<Tensors>& out, Tensors& in, const c10d::GatherOptions& o = {}) override {
    Tensors to = o.rootRank == rank_ ? out[0] : Tensors{};
    return collective(GL_GATHER, {in[0]}, to, to, static_cast<int>(o.rootRank));
  }
  WorkPtr scatter(Tensors& out, std::vector<Tensors>& in, const c10d::ScatterOptions& o = {}) override {
    Tensors from = o.rootRank == rank_ ? in[0] : Tensors{};
    return collective(GL_SCATTER, from, {out[0]}, {out[0]}, static_cast<int>(o.rootRank));
  }
  WorkPtr alltoall(Tensors& out, Tensors& in, const c10d::AllToAllOptions& = {}) override {
    return collective(GL_ALL_TO_ALL, in, out, out, -1);
  }
  WorkPtr alltoall_base(at::Tensor& out, at::Tensor& in, std::vector<int64_t>& to, std::vector<int64_t>& from,
                        const c10d::AllToAllOptions& = {}) override {
    return collective(GL_ALL_TO_ALL_SINGLE, pieces(in, size_, from), pieces(out, size_, to), {out}, -1);
  }
  WorkPtr barrier(const c10d::BarrierOptions& = {}) override { return collective(GL_BARRIER, {}, {}, {}, -1); }

  WorkPtr send(Tensors& t, int to, int tag) override {
    auto w = letter(GL_SEND, t[0], to, {});
    hub_->send({t[0], w, rank_, to, tag});
    return w;
  }
  WorkPtr recv(Tensors& t, int from, int tag) override {
    auto w = letter(GL_RECV, t[0], from, {t[0]});
    hub_->receive({t[0], w, from, rank_, tag});
    return w;
  }
  WorkPtr recvAnysource(Tensors& t, int tag) override { return recv(t, -1, tag); }

 private:
  Signature signature(int kind, const at::Tensor* t, int root, int op = 0) {
    Signature s;
    s.kind = kind;
    s.op = op;
    s.root = root;
    if (t) {
      s.dtype = static_cast<int>(t->scalar_type());
      s.shape = t->sizes().vec();
    }
    watch_->enter(s);
    return s;
  }

  c10::intrusive_ptr<TrackedWork> letter(int kind, const at::Tensor& t, int peer, Tensors results) {
    usable(t);
    auto w = c10::make_intrusive<TrackedWork>(watch_, signature(kind, &t, peer), std::move(results));
    watch_->add(w.get());
    return w;
  }

  WorkPtr collective(int kind, Tensors in, Tensors out, Tensors results, int root, int op = 0) {
    for (auto& t : in) usable(t);
    for (auto& t : out) usable(t);
    size_t n = static_cast<size_t>(size_);
    bool whole = kind == GL_ALL_GATHER || kind == GL_ALL_GATHER_INTO || kind == GL_ALL_TO_ALL || kind == GL_ALL_TO_ALL_SINGLE ||
                 (kind == GL_GATHER && root == rank_);
    TORCH_CHECK(!whole || out.size() == n, kind_name(kind), ": want ", n, " tensors for the results, one for each rank, got ", out.size());
    bool each = kind == GL_ALL_TO_ALL || kind == GL_ALL_TO_ALL_SINGLE || kind == GL_REDUCE_SCATTER || kind == GL_REDUCE_SCATTER_TENSOR ||
                (kind == GL_SCATTER && root == rank_);
    TORCH_CHECK(!each || in.size() == n, kind_name(kind), ": want ", n, " tensors, one for each rank, got ", in.size());
    const at::Tensor* about = kind == GL_SCATTER || kind == GL_REDUCE_SCATTER || kind == GL_REDUCE_SCATTER_TENSOR ? &out[0]
                              : in.empty()                                                                      ? nullptr
                                                                                                                : &in[0];
    auto w = c10::make_intrusive<StepWork>(watch_, signature(kind, about, root, op), std::move(results));
    if (op == c10d::ReduceOp::AVG) w->divide(size_);
    w->spin = spin_;
    Started started(watch_, w);
    auto posted = hub_->post(rank_, w, Part{std::move(in), std::move(out), {}});
    started.well();
    return posted;
  }

  WorkPtr reduction(int kind, Tensors in, Tensors out, Tensors results, const c10d::ReduceOp& op, int root) {
    check_reducible(in.at(0).scalar_type(), op.op_);
    return collective(kind, std::move(in), std::move(out), std::move(results), root, op.op_);
  }

  std::shared_ptr<Hub> hub_;
  std::shared_ptr<Watch> watch_;
  // Where ranks outnumber cores, one that looks keeps another from working.
  const int spin_ = static_cast<unsigned>(size_) <= std::thread::hardware_concurrency() ? 2000 : 0;
};

}  // namespace

c10::intrusive_ptr<c10d::Backend> inprocess_backend(std::shared_ptr<Hub> hub, std::shared_ptr<Watch> watch, int rank, int size) {
  hub->watch(watch);
  return c10::make_intrusive<InProcess>(std::move(hub), std::move(watch), rank, size);
}

}  // namespace golite
