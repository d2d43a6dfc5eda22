// dist_gloo.hh: Gloo behind works that can be failed.
//
// Gloo itself can't be aborted: a waiting rank returns when its peer's socket closes, or at the timeout. So each call
// gets a work of golite's, which an abort fails at once; the sockets are closed, which frees the peers; and a group
// that was aborted is leaked: destroying it would wait for calls that hang.

#include "dist_gloo_connections.hh"
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <optional>
#include <thread>
#include "dist_exchange.h"

namespace golite {
namespace {

using Tensors = std::vector<at::Tensor>;
using WorkPtr = c10::intrusive_ptr<c10d::Work>;
constexpr size_t kCall = 512;  // bytes of a call's description in debug mode

class Gloo : public c10d::Backend {
 public:
  Gloo(std::shared_ptr<GlooConnections> lines, std::shared_ptr<Watch> watch, int rank, int size)
      : Backend(rank, size), connections_(std::move(lines)), watch_(std::move(watch)) {
    if (!connections_->memory) return;
    BlockedSigpipe threads;
    progress_.emplace(connections_->memory, [watch = watch_, lines = std::weak_ptr<GlooConnections>(connections_)](
                                                const Signature& s, int peer, const std::string& why) {
      lose(*watch, lines, shared_peer(*watch, s, peer, why));
    });
  }

  const std::string getBackendName() const override { return "gloo"; }
  void abort() override {
    watch_->abort("the group was aborted");
    connections_->cut();
  }
  void setTimeout(Millis) override {}

  WorkPtr broadcast(Tensors& t, const c10d::BroadcastOptions& o = {}) override {
    int root = static_cast<int>(o.rootRank);
    if (shares(t)) {
      Exchange x = exchange(GL_BROADCAST, root);
      x.add(root == rank_ ? t : Tensors{}, root == rank_ ? Tensors{} : t);
      return shared(GL_BROADCAST, t[0], t, std::move(x), root);
    }
    return run(
        GL_BROADCAST, &t[0], t, [&] { return connections_->gloo->broadcast(t, o); }, static_cast<int>(o.rootRank));
  }
  WorkPtr allreduce(Tensors& t, const c10d::AllreduceOptions& o = {}) override {
    if (t.size() == 1 && shares(t, {}, o.reduceOp.op_)) {
      return shared(GL_ALL_REDUCE, t[0], t, Exchange::sums(GL_ALL_REDUCE, o.reduceOp.op_, rank_, size_, t), -1,
                    o.reduceOp.op_);
    }
    c10d::AllreduceOptions p = o;
    p.reduceOp = summed(o.reduceOp);
    return run(GL_ALL_REDUCE, &t[0], t, [&] { return connections_->gloo->allreduce(t, p); }, -1, o.reduceOp.op_);
  }
  WorkPtr allreduce_sparse(Tensors& t, const c10d::AllreduceOptions& o = {}) override {
    return run(GL_ALL_REDUCE, &t[0], t, [&] { return connections_->gloo->allreduce_sparse(t, o); }, -1, o.reduceOp.op_);
  }
  WorkPtr allreduce_coalesced(Tensors& t, const c10d::AllreduceCoalescedOptions& o = {}) override {
    if (shares(t, {}, o.reduceOp.op_)) {
      return shared(GL_ALL_REDUCE_COALESCED, t, t,
                    Exchange::sums(GL_ALL_REDUCE_COALESCED, o.reduceOp.op_, rank_, size_, t), -1, o.reduceOp.op_);
    }
    c10d::AllreduceOptions p;
    p.reduceOp = summed(o.reduceOp);
    return run_all(GL_ALL_REDUCE_COALESCED, t, t, [&](size_t i) {
      Tensors one{t[i]};
      return connections_->gloo->allreduce(one, p);
    }, o.reduceOp.op_);
  }
  WorkPtr reduce(Tensors& t, const c10d::ReduceOptions& o = {}) override {
    c10d::ReduceOptions p = o;
    p.reduceOp = summed(o.reduceOp);
    bool root = o.rootRank == rank_;
    if (shares(t, {}, o.reduceOp.op_)) {
      Exchange x = exchange(GL_REDUCE, static_cast<int>(o.rootRank), o.reduceOp.op_);
      x.add(t, root ? t : Tensors{});
      return shared(GL_REDUCE, t[0], root ? t : Tensors{}, std::move(x), static_cast<int>(o.rootRank), o.reduceOp.op_);
    }
    // Gloo uses the tensors of the other ranks as scratch space: they keep theirs.
    Tensors mine{root ? t[0] : t[0].clone()};
    return run(
        GL_REDUCE, &t[0], root ? t : Tensors{}, [&] { return connections_->gloo->reduce(mine, p); },
        static_cast<int>(o.rootRank), o.reduceOp.op_);
  }
  WorkPtr allgather(std::vector<Tensors>& out, Tensors& in, const c10d::AllgatherOptions& o = {}) override {
    if (shares(in, out[0])) {
      TORCH_CHECK(out[0].size() == static_cast<size_t>(size_), "all_gather: want ", size_,
                  " tensors, one for each rank, got ", out[0].size());
      Exchange x = exchange(GL_ALL_GATHER);
      x.add(in, out[0]);
      return shared(GL_ALL_GATHER, in[0], out[0], std::move(x));
    }
    return run(GL_ALL_GATHER, &in[0], out[0], [&] { return connections_->gloo->allgather(out, in, o); });
  }
  WorkPtr _allgather_base(at::Tensor& out, at::Tensor& in, const c10d::AllgatherOptions& o = {}) override {
    TORCH_CHECK(out.is_contiguous() && out.numel() == in.numel() * size_, "all_gather_into_tensor: the result needs ",
                in.numel() * size_, " elements, it has ", out.numel());
    if (shares({in}, {out})) {
      Exchange x = exchange(GL_ALL_GATHER_INTO);
      x.add_joined(in, out);
      return shared(GL_ALL_GATHER_INTO, in, {out}, std::move(x));
    }
    // Gloo takes the result flat, rank after rank.
    at::Tensor flat = out.view({-1}), mine = in.view({-1});
    return run(GL_ALL_GATHER_INTO, &in, {out}, [&] { return connections_->gloo->_allgather_base(flat, mine, o); });
  }
  WorkPtr allgather_into_tensor_coalesced(Tensors& out, Tensors& in, const c10d::AllgatherOptions& o = {}) override {
    check_pairs(in, out);
    if (shares(in, out)) {
      Exchange x = exchange(GL_ALL_GATHER_INTO_COALESCED);
      for (size_t i = 0; i < in.size(); i++) x.add_joined(in[i], out[i]);
      return shared(GL_ALL_GATHER_INTO_COALESCED, in, out, std::move(x));
    }
    return run_all(GL_ALL_GATHER_INTO_COALESCED, in, out, [&](size_t i) {
      at::Tensor flat = out[i].view({-1}), mine = in[i].view({-1});
      return connections_->gloo->_allgather_base(flat, mine, o);
    });
  }
  WorkPtr reduce_scatter(Tensors& out, std::vector<Tensors>& in, const c10d::ReduceScatterOptions& o = {}) override {
    if (shares(out, in.at(0), o.reduceOp.op_)) {
      TORCH_CHECK(in[0].size() == static_cast<size_t>(size_), "reduce_scatter: want ", size_,
                  " tensors, one for each rank, got ", in[0].size());
      Exchange x = exchange(GL_REDUCE_SCATTER, -1, o.reduceOp.op_);
      x.add(in[0], out);
      return shared(GL_REDUCE_SCATTER, out[0], out, std::move(x), -1, o.reduceOp.op_);
    }
    Tensors flat;
    for (auto& t : in.at(0)) flat.push_back(t.reshape({-1}));
    TORCH_CHECK(flat.size() == static_cast<size_t>(size_), "reduce_scatter: want ", size_,
                " tensors, one for each rank, got ", flat.size());
    at::Tensor all = at::cat(flat);
    return scattered(GL_REDUCE_SCATTER, out[0], all, o);
  }
  WorkPtr _reduce_scatter_base(at::Tensor& out, at::Tensor& in, const c10d::ReduceScatterOptions& o = {}) override {
    if (shares({out}, {in}, o.reduceOp.op_)) {
      Exchange x = exchange(GL_REDUCE_SCATTER_TENSOR, -1, o.reduceOp.op_);
      x.add_joined(in, out);
      return shared(GL_REDUCE_SCATTER_TENSOR, out, {out}, std::move(x), -1, o.reduceOp.op_);
    }
    return scattered(GL_REDUCE_SCATTER_TENSOR, out, in, o);
  }
  WorkPtr reduce_scatter_tensor_coalesced(Tensors& out, Tensors& in,
                                          const c10d::ReduceScatterOptions& o = {}) override {
    check_pairs(in, out);
    if (shares(in, out, o.reduceOp.op_)) {
      Exchange x = exchange(GL_REDUCE_SCATTER_TENSOR_COALESCED, -1, o.reduceOp.op_);
      for (size_t i = 0; i < in.size(); i++) x.add_joined(in[i], out[i]);
      return shared(GL_REDUCE_SCATTER_TENSOR_COALESCED, out, out, std::move(x), -1, o.reduceOp.op_);
    }
    c10d::ReduceScatterOptions p = o;
    p.reduceOp = summed(o.reduceOp);
    return run_all(
        GL_REDUCE_SCATTER_TENSOR_COALESCED, out, out,
        [&](size_t i) { return connections_->gloo->_reduce_scatter_base(out[i], in[i], p); }, o.reduceOp.op_);
  }
  WorkPtr gather(std::vector<Tensors>& out, Tensors& in, const c10d::GatherOptions& o = {}) override {
    Tensors to = out.empty() ? Tensors{} : out[0];
    if (shares(in, to)) {
      TORCH_CHECK(o.rootRank != rank_ || to.size() == static_cast<size_t>(size_), "gather: want ", size_,
                  " tensors, one for each rank, got ", to.size());
      Exchange x = exchange(GL_GATHER, static_cast<int>(o.rootRank));
      x.add(in, to);
      return shared(GL_GATHER, in[0], to, std::move(x), static_cast<int>(o.rootRank));
    }
    return run(
        GL_GATHER, &in[0], out.empty() ? Tensors{} : out[0], [&] { return connections_->gloo->gather(out, in, o); },
        static_cast<int>(o.rootRank));
  }
  WorkPtr scatter(Tensors& out, std::vector<Tensors>& in, const c10d::ScatterOptions& o = {}) override {
    Tensors from = in.empty() ? Tensors{} : in[0];
    if (shares(out, from)) {
      TORCH_CHECK(o.rootRank != rank_ || from.size() == static_cast<size_t>(size_), "scatter: want ", size_,
                  " tensors, one for each rank, got ", from.size());
      Exchange x = exchange(GL_SCATTER, static_cast<int>(o.rootRank));
      x.add(from, out);
      return shared(GL_SCATTER, out[0], out, std::move(x), static_cast<int>(o.rootRank));
    }
    return run(
        GL_SCATTER, &out[0], out, [&] { return connections_->gloo->scatter(out, in, o); },
        static_cast<int>(o.rootRank));
  }
  WorkPtr alltoall_base(at::Tensor& out, at::Tensor& in, std::vector<int64_t>& to, std::vector<int64_t>& from,
                        const c10d::AllToAllOptions& o = {}) override {
    return run(GL_ALL_TO_ALL_SINGLE, &in, {out},
               [&] { return connections_->gloo->alltoall_base(out, in, to, from, o); });
  }
  // Gloo has no exchange of lists: they are sent as one flat tensor, split by length.
  WorkPtr alltoall(Tensors& out, Tensors& in, const c10d::AllToAllOptions& o = {}) override {
    size_t n = static_cast<size_t>(size_);
    TORCH_CHECK(in.size() == n && out.size() == n, "all_to_all: want ", n, " tensors, one for each rank");
    std::vector<int64_t> from, to;
    Tensors flat;
    int64_t total = 0;
    for (auto& t : in) {
      flat.push_back(t.reshape({-1}));
      from.push_back(t.numel());
    }
    for (auto& t : out) {
      to.push_back(t.numel());
      total += t.numel();
    }
    at::Tensor given = at::cat(flat), got = at::empty({total}, out[0].options());
    auto w = run(
        GL_ALL_TO_ALL, &in[0], out, [&] { return connections_->gloo->alltoall_base(got, given, to, from, o); }, -1, 0,
        [out, got, to] {
          int64_t at = 0;
          for (size_t i = 0; i < out.size(); i++) {
            out[i].view({-1}).copy_(got.narrow(0, at, to[i]));
            at += to[i];
          }
        });
    return w;
  }
  WorkPtr barrier(const c10d::BarrierOptions& o = {}) override {
    return run(GL_BARRIER, nullptr, {}, [&] { return connections_->gloo->barrier(o); });
  }
  WorkPtr send(Tensors& t, int to, int tag) override {
    return run(GL_SEND, &t[0], {}, [&] { return connections_->gloo->send(t, to, tag); }, to);
  }
  WorkPtr recv(Tensors& t, int from, int tag) override {
    return run(GL_RECV, &t[0], t, [&] { return connections_->gloo->recv(t, from, tag); }, from);
  }
  WorkPtr recvAnysource(Tensors& t, int tag) override {
    return run(GL_RECV, &t[0], t, [&] { return connections_->gloo->recvAnysource(t, tag); }, -1);
  }

 private:
  // Gloo has no mean: it is the sum, divided afterwards.
  static c10d::ReduceOp summed(const c10d::ReduceOp& op) {
    return op.op_ == c10d::ReduceOp::AVG ? c10d::ReduceOp(c10d::ReduceOp::SUM) : op;
  }

  WorkPtr scattered(int kind, at::Tensor& out, at::Tensor& in, const c10d::ReduceScatterOptions& o) {
    c10d::ReduceScatterOptions p = o;
    p.reduceOp = summed(o.reduceOp);
    return run(
        kind, &out, {out}, [&] { return connections_->gloo->_reduce_scatter_base(out, in, p); }, -1, o.reduceOp.op_);
  }

  // shares reports whether a collective of some tensors goes through the memory that the ranks share; op is below 0
  // where they are not combined. Ranks that make the same call agree about it.
  bool shares(const Tensors& a, const Tensors& b = {}, int op = -1) const {
    auto takes = [op](const at::Tensor& t) { return Exchange::takes(t, op); };
    return progress_ && std::all_of(a.begin(), a.end(), takes) && std::all_of(b.begin(), b.end(), takes);
  }
  Exchange exchange(int kind, int root = -1, int op = 0) const { return Exchange(kind, op, root, rank_, size_); }

  static void check_pairs(const Tensors& in, const Tensors& out) {
    TORCH_CHECK(in.size() == out.size() && !in.empty(),
                "want as many tensors to fill as there are given, and one at least, got ", out.size(), " and ",
                in.size());
  }

  // entered numbers a call and returns its signature. What it is about is a tensor or a list.
  template <class About> Signature entered(int kind, const About* about, int root, int op) {
    Signature s;
    s.kind = kind;
    s.op = op;
    s.root = root;
    if (about) s.about(*about);
    watch_->enter(s);
    if (connections_->shadow && kind != GL_SEND && kind != GL_RECV) compare(s);
    return s;
  }

  template <class F>
  WorkPtr run(int kind, const at::Tensor* about, Tensors results, F start, int root = -1, int op = 0,
              std::function<void()> after = {}) {
    auto w = c10::make_intrusive<TrackedWork>(watch_, entered(kind, about, root, op), std::move(results));
    if (op == c10d::ReduceOp::AVG) w->divide(size_);
    Started started(watch_, w);
    follow(w, tagged(w->signature(), std::ref(start)), std::move(after));
    started.well();
    return w;
  }

  // tagged starts a collective under a tag of its own. PyTorch's ranks number theirs.
  template <class F> WorkPtr tagged(const Signature& s, F start, size_t item = 0) {
    if (!connections_->gloo->store || s.kind == GL_SEND || s.kind == GL_RECV) return start();
    std::lock_guard<std::mutex> l(tagging_);
    connections_->gloo->tag(s, item);
    return start();
  }

  // run_all is run for a list, of which each tensor takes a collective of Gloo's: as each has its own place and its own
  // order of adding.
  template <class F> WorkPtr run_all(int kind, const Tensors& about, Tensors results, F start, int op = 0) {
    auto w = c10::make_intrusive<TrackedWork>(watch_, entered(kind, &about, -1, op), std::move(results));
    if (op == c10d::ReduceOp::AVG) w->divide(size_);
    Started started(watch_, w);
    auto left = std::make_shared<std::atomic<size_t>>(about.size());
    std::vector<WorkPtr> all;
    for (size_t i = 0; i < about.size(); i++) all.push_back(tagged(w->signature(), [&] { return start(i); }, i));
    for (auto& inner : all) follow(w, inner, {}, left);
    started.well();
    return w;
  }

  template <class About>
  WorkPtr shared(int kind, const About& about, Tensors results, Exchange x, int root = -1, int op = 0) {
    return shared(kind, about, std::move(results), std::vector<Exchange>{std::move(x)}, root, op);
  }
  // shared runs a collective through the memory that the ranks share.
  template <class About>
  WorkPtr shared(int kind, const About& about, Tensors results, std::vector<Exchange> x, int root = -1, int op = 0) {
    auto w = c10::make_intrusive<SharedWork>(watch_, entered(kind, &about, root, op), std::move(results),
                                             connections_->memory, std::move(x), spin_);
    if (op == c10d::ReduceOp::AVG) w->divide(size_);
    Started started(watch_, w);
    w->help();
    if (!w->isCompleted()) progress_->add(w);
    started.well();
    return w;
  }

  // lose ends the group because a peer is lost: calls that wait for other ranks fail as well.
  static Failure lose(Watch& watch, const std::weak_ptr<GlooConnections>& lines, const Failure& why) {
    watch.abort(why);
    if (auto l = lines.lock()) l->cut();
    return watch.failure();
  }

  static Failure shared_peer(Watch& watch, const Signature& s, int peer, const std::string& why) {
    Failure f(GL_FAILURE_LOST, watch.rank, s, why);
    f.lost = {peer};
    return f;
  }

  // socket_peer is the failure of a connection. Gloo's error is a sentence that contains the other end as
  // "[address]:port". Only this function parses it.
  static Failure socket_peer(Watch& watch, const Signature& s, const std::string& error) {
    // C++ adds its stack
    Failure f(GL_FAILURE_LOST, watch.rank, s, error.substr(0, error.find("\nException raised from ")));
    size_t end = f.detail.rfind("]:"), begin = end == std::string::npos ? end : f.detail.rfind('[', end);
    if (begin == std::string::npos) return f;
    f.host = f.detail.substr(begin + 1, end - begin - 1);
    f.port = std::atoi(f.detail.c_str() + end + 2);
    return f;
  }

  // follow ends w as inner ends, or with the last of left.
  void follow(const c10::intrusive_ptr<TrackedWork>& w, WorkPtr inner, std::function<void()> after,
              std::shared_ptr<std::atomic<size_t>> left = {}) {
    if (!left) w->inner = inner;
    auto watch = watch_;
    // Not a reference: the group must not be destroyed on one of Gloo's own threads, which its destructor waits for.
    std::weak_ptr<GlooConnections> connection = connections_;
    auto ended = [w, watch, connection, after, left](const std::string& error) {
      if (error.empty()) {
        if (left && left->fetch_sub(1) > 1) return;
        try {
          at::AutoDispatchBelowADInplaceOrView guard;
          if (after) after();
          w->complete();
        } catch (const std::exception& e) {
          w->fail(e.what());
        }
        return;
      }
      // The group first: a released caller checks whether it was aborted.
      w->fail(lose(*watch, connection, socket_peer(*watch, w->signature(), error)));
    };
    c10::intrusive_ptr<c10::ivalue::Future> future;
    try {
      future = inner->getFuture();
    } catch (const std::exception&) {  // sends, receives and what Gloo composes have none
    }
    if (future) {
      future->addCallback([ended](c10::ivalue::Future& f) { ended(f.hasError() ? f.tryRetrieveErrorMessage() : ""); });
      return;
    }
    std::thread([inner, ended, w] {
      std::string error;
      try {
        inner->wait();
        int from = w->signature().kind == GL_RECV ? inner->sourceRank() : -1;
        w->source(from);
      } catch (const std::exception& e) {
        error = e.what();
        if (error.empty()) error = "it failed";
      }
      ended(error);
    }).detach();
  }

  // compare gives every rank the others' description of this call, before the call is made.
  void compare(const Signature& s) {
    auto bytes = at::TensorOptions(at::kByte);
    at::Tensor mine = at::zeros({static_cast<int64_t>(kCall)}, bytes);
    std::string text = key(s) + '\n' + s.text();
    text.resize(std::min(text.size(), kCall - 1));
    std::memcpy(mine.data_ptr(), text.data(), text.size());
    std::vector<Tensors> all(1);
    for (int i = 0; i < size_; i++) all[0].push_back(at::zeros_like(mine));
    Tensors in{mine};
    auto w = c10::make_intrusive<TrackedWork>(watch_, s, Tensors{});
    Started started(watch_, w);
    follow(w, connections_->shadow->allgather(all, in), {});
    started.well();
    w->wait(kNoTimeout);
    std::string calls;
    bool same = true;
    std::string first = key(s);
    for (int i = 0; i < size_; i++) {
      std::string t(static_cast<const char*>(all[0][i].data_ptr()));
      size_t line = t.find('\n');
      same = same && t.substr(0, line) == first;
      calls += (i ? "; rank " : "rank ") + std::to_string(i) + " " + t.substr(line + 1);
    }
    if (same) return;
    Failure why(GL_FAILURE_DIFFERS, rank_, s, calls);
    watch_->abort(why);
    throw Failed(why);
  }

  // key is what must be equal on all ranks, as in Signature::agrees.
  static std::string key(const Signature& s) {
    std::string k = std::to_string(s.kind) + "," + std::to_string(s.dtype) + "," + std::to_string(s.op) + "," +
                    std::to_string(s.root) + "," + std::to_string(s.count) + "," + std::to_string(s.shapes);
    if (s.kind != GL_ALL_TO_ALL && s.kind != GL_ALL_TO_ALL_SINGLE) {
      for (auto n : s.shape) k += "," + std::to_string(n);
    }
    return k.substr(0, kCall / 2);
  }

  std::shared_ptr<GlooConnections> connections_;
  std::shared_ptr<Watch> watch_;
  std::mutex tagging_;  // from the tag to the start
  // Where ranks outnumber cores, a polling rank takes a core from a working one.
  const int spin_ = static_cast<unsigned>(size_) <= std::thread::hardware_concurrency() ? 2000 : 0;
  std::optional<ProgressThread> progress_;  // last: it ends first
};

}  // namespace

Cuttable gloo_backend(const GlooSettings& g, std::shared_ptr<Watch> watch) {
  unrecorded();
  auto lines = std::make_shared<GlooConnections>();
  lines->gloo = connect(g, g.prefix);
  if (g.debug) lines->shadow = connect(g, "calls");
  if (!g.prefix.empty() && g.size > 1) {  // PyTorch's ranks have no shared memory
    c10d::PrefixStore store("memory", g.store);
    lines->memory = SharedMemory::meet(store, g.rank, g.size);
  }
  return {c10::make_intrusive<Gloo>(lines, std::move(watch), g.rank, g.size), [lines] { lines->cut(); }};
}

}  // namespace golite
