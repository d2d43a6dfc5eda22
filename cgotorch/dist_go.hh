// dist_go.hh: a backend that is written in Go, as works of golite's watch. Its four collectives run on the calling
// thread; the others are composed of them.

#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>

#include <cstdlib>

#include "dist_work.h"

// Written in Go (dist_backend.go). goliteCollective gives null, or what went wrong, which the caller frees.
extern "C" char* goliteCollective(uint64_t closure, int64_t kind, int64_t op, int64_t root, uint64_t* in, int64_t n,
                                  uint64_t* out, int64_t m);
extern "C" void goliteAbortBackend(uint64_t closure, char* reason);

namespace golite {
namespace {

class GoBackend : public c10d::Backend {
 public:
  using Tensors = std::vector<at::Tensor>;
  using WorkPtr = c10::intrusive_ptr<c10d::Work>;

  GoBackend(std::string name, uint64_t closure, at::DeviceType device, std::shared_ptr<Watch> watch, int rank, int size,
            std::function<void(const Failure&)> lost)
      : Backend(rank, size), name_(std::move(name)), closure_(closure), device_(device), watch_(std::move(watch)),
        lost_(std::move(lost)) {
    // By number: Go checks that the backend still exists. The call blocks in Go, where a failed work does not release
    // it.
    watch_->on_abort([closure](const Failure& why) {
      std::string reason = why.text();
      goliteAbortBackend(closure, reason.data());
    });
  }

  const std::string getBackendName() const override { return name_; }
  void setTimeout(Millis) override {}
  void abort() override {}  // the watch has called it

  WorkPtr broadcast(Tensors& t, const c10d::BroadcastOptions& o = {}) override {
    int root = static_cast<int>(o.rootRank);
    return run(GL_BROADCAST, &t[0], t, root, 0,
               [&](const Signature& s) { call(s, GL_BROADCAST, 0, root, {t[0]}, {}); });
  }
  WorkPtr allreduce(Tensors& t, const c10d::AllreduceOptions& o = {}) override { return sum(t, o.reduceOp); }
  WorkPtr allreduce_coalesced(Tensors& t, const c10d::AllreduceCoalescedOptions& o = {}) override {
    return sum(t, o.reduceOp, &t);
  }
  WorkPtr allgather_into_tensor_coalesced(Tensors& out, Tensors& in, const c10d::AllgatherOptions& = {}) override {
    return run(GL_ALL_GATHER_INTO_COALESCED, &in, out, -1, 0, [&](const Signature& s) {
      for (size_t i = 0; i < in.size(); i++) call(s, GL_ALL_GATHER, 0, -1, {in[i].view({-1})}, parts(out.at(i)));
    });
  }
  WorkPtr reduce_scatter_tensor_coalesced(Tensors& out, Tensors& in,
                                          const c10d::ReduceScatterOptions& o = {}) override {
    int op = o.reduceOp.op_;
    return run(GL_REDUCE_SCATTER_TENSOR_COALESCED, &out, out, -1, op, [&](const Signature& s) {
      for (size_t i = 0; i < out.size(); i++) call(s, GL_REDUCE_SCATTER, op, -1, parts(in.at(i)), {out[i].view({-1})});
    });
  }
  WorkPtr reduce(Tensors& t, const c10d::ReduceOptions& o = {}) override {
    int root = static_cast<int>(o.rootRank), op = o.reduceOp.op_;
    bool mine = root == rank_;
    return run(GL_REDUCE, &t[0], mine ? t : Tensors{}, root, op,
               [&](const Signature& s) { call(s, GL_ALL_REDUCE, op, -1, {mine ? t[0] : t[0].clone()}, {}); });
  }
  WorkPtr allgather(std::vector<Tensors>& out, Tensors& in, const c10d::AllgatherOptions& = {}) override {
    return run(GL_ALL_GATHER, &in[0], out[0], -1, 0,
               [&](const Signature& s) { call(s, GL_ALL_GATHER, 0, -1, {in[0]}, out[0]); });
  }
  WorkPtr _allgather_base(at::Tensor& out, at::Tensor& in, const c10d::AllgatherOptions& = {}) override {
    return run(GL_ALL_GATHER_INTO, &in, {out}, -1, 0,
               [&](const Signature& s) { call(s, GL_ALL_GATHER, 0, -1, {in.view({-1})}, parts(out)); });
  }
  WorkPtr reduce_scatter(Tensors& out, std::vector<Tensors>& in, const c10d::ReduceScatterOptions& o = {}) override {
    int op = o.reduceOp.op_;
    return run(GL_REDUCE_SCATTER, &out[0], out, -1, op,
               [&](const Signature& s) { call(s, GL_REDUCE_SCATTER, op, -1, in[0], {out[0]}); });
  }
  WorkPtr _reduce_scatter_base(at::Tensor& out, at::Tensor& in, const c10d::ReduceScatterOptions& o = {}) override {
    int op = o.reduceOp.op_;
    return run(GL_REDUCE_SCATTER_TENSOR, &out, {out}, -1, op,
               [&](const Signature& s) { call(s, GL_REDUCE_SCATTER, op, -1, parts(in), {out.view({-1})}); });
  }
  WorkPtr gather(std::vector<Tensors>& out, Tensors& in, const c10d::GatherOptions& o = {}) override {
    int root = static_cast<int>(o.rootRank);
    Tensors to = root == rank_ ? out[0] : Tensors{};
    return run(GL_GATHER, &in[0], to, root, 0, [&](const Signature& s) {
      while (to.size() < static_cast<size_t>(size_)) to.push_back(at::empty_like(in[0]));
      call(s, GL_ALL_GATHER, 0, -1, {in[0]}, to);
    });
  }
  WorkPtr scatter(Tensors& out, std::vector<Tensors>& in, const c10d::ScatterOptions& o = {}) override {
    int root = static_cast<int>(o.rootRank);
    return run(GL_SCATTER, &out[0], out, root, 0, [&](const Signature& s) {
      for (int r = 0; r < size_; r++) {
        at::Tensor t = root == rank_ ? in[0][r] : r == rank_ ? out[0] : at::empty_like(out[0]);
        call(s, GL_BROADCAST, 0, root, {t}, {});
        if (root == rank_ && r == rank_) out[0].copy_(t);
      }
    });
  }
  WorkPtr barrier(const c10d::BarrierOptions& = {}) override {
    return run<at::Tensor>(GL_BARRIER, nullptr, {}, -1, 0, [&](const Signature& s) {
      call(s, GL_ALL_REDUCE, c10d::ReduceOp::SUM, -1, {at::zeros({1}, device_)}, {});
    });
  }

 private:
  // sum is for one tensor, or for a list.
  WorkPtr sum(Tensors& t, const c10d::ReduceOp& op, const Tensors* list = nullptr) {
    auto each = [&](const Signature& s) {
      for (auto& one : t) call(s, GL_ALL_REDUCE, op.op_, -1, {one}, {});
    };
    return list ? run(GL_ALL_REDUCE_COALESCED, list, t, -1, op.op_, each)
                : run(GL_ALL_REDUCE, &t[0], t, -1, op.op_, each);
  }

  Tensors parts(const at::Tensor& t) const {
    TORCH_CHECK(t.is_contiguous() && t.numel() % size_ == 0, "a tensor of ", t.numel(),
                " elements can't be shared equally among ", size_, " ranks");
    return t.view({size_, -1}).unbind();
  }

  template <class About, class F>
  WorkPtr run(int kind, const About* about, Tensors results, int root, int op, F f) {
    Signature s;
    s.kind = kind;
    s.op = op;
    s.root = root;
    if (about) s.about(*about);
    watch_->enter(s);
    auto w = c10::make_intrusive<TrackedWork>(watch_, s, std::move(results));
    Started started(watch_, w);
    at::NoGradGuard none;
    f(s);
    w->complete();
    started.well();
    return w;
  }

  void call(const Signature& s, int kind, int op, int root, const Tensors& in, const Tensors& out) {
    watch_->check();
    std::vector<uint64_t> from, to;
    for (auto& t : in) from.push_back(table.put(at::Tensor(t)));
    for (auto& t : out) to.push_back(table.put(at::Tensor(t)));
    char* wrong = goliteCollective(closure_, kind, op, root, from.data(), static_cast<int64_t>(from.size()), to.data(),
                                   static_cast<int64_t>(to.size()));
    if (!wrong) return;
    std::string why = wrong;
    std::free(wrong);
    lost_(Failure(GL_FAILURE_LOST, rank_, s, "backend " + name_ + ": " + why));
    throw Failed(watch_->failure());
  }

  const std::string name_;
  const uint64_t closure_;
  const at::DeviceType device_;
  std::shared_ptr<Watch> watch_;
  std::function<void(const Failure&)> lost_;
};

}  // namespace

c10::intrusive_ptr<c10d::Backend> go_backend(std::string name, uint64_t closure, int device,
                                             std::shared_ptr<Watch> watch, int rank, int size,
                                             std::function<void(const Failure&)> lost) {
  return c10::make_intrusive<GoBackend>(std::move(name), closure, static_cast<at::DeviceType>(device), std::move(watch),
                                        rank, size, std::move(lost));
}

}  // namespace golite
