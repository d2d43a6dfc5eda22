// dist_inprocess.hh: c10d's backend for ranks that share a process: without sockets and intermediate copies. A rank
// posts its tensors and may go on; the last to arrive does the work, and ranks that are waiting help.

#include <ATen/core/Tensor.h>

#include <thread>

namespace golite {

namespace {

using Tensors = std::vector<at::Tensor>;
using WorkPtr = c10::intrusive_ptr<c10d::Work>;

void usable(const at::Tensor& t) {
  TORCH_CHECK(t.device().is_cpu() && t.layout() == at::kStrided,
              "ranks of one process exchange dense tensors on the CPU");
  TORCH_CHECK(t.is_contiguous(), "tensors of collectives must be contiguous");
}

// pieces cuts a flat tensor along its first dimension: into equal parts, or by the given lengths.
Tensors pieces(const at::Tensor& t, int n, const std::vector<int64_t>& lengths = {}) {
  Tensors v;
  usable(t);
  if (lengths.empty()) {
    at::Tensor flat = t.view({-1});
    TORCH_CHECK(flat.numel() % n == 0, "a tensor of ", flat.numel(), " elements can't be shared equally among ", n,
                " ranks");
    int64_t each = flat.numel() / n;
    for (int i = 0; i < n; i++) v.push_back(flat.narrow(0, i * each, each));
    return v;
  }
  TORCH_CHECK(lengths.size() == static_cast<size_t>(n), "want ", n, " lengths, one for each rank, got ",
              lengths.size());
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
    return reduction(GL_ALL_REDUCE_COALESCED, t, {}, t, o.reduceOp, -1);
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
  WorkPtr allgather_into_tensor_coalesced(Tensors& out, Tensors& in, const c10d::AllgatherOptions& = {}) override {
    return collective(GL_ALL_GATHER_INTO_COALESCED, in, all_pieces(out), out, -1);
  }
  WorkPtr reduce_scatter_tensor_coalesced(Tensors& out, Tensors& in,
                                          const c10d::ReduceScatterOptions& o = {}) override {
    return reduction(GL_REDUCE_SCATTER_TENSOR_COALESCED, all_pieces(in), out, out, o.reduceOp, -1);
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
  // all_pieces are the equal parts of each tensor of a list, one tensor's after the other's.
  Tensors all_pieces(const Tensors& list) const {
    Tensors all;
    for (auto& t : list) {
      for (auto& p : pieces(t, size_)) all.push_back(p);
    }
    return all;
  }

  template <class About>
  Signature signature(int kind, const About* about, int root, int op = 0) {
    Signature s;
    s.kind = kind;
    s.op = op;
    s.root = root;
    if (about) s.about(*about);
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
    bool whole = kind == GL_ALL_GATHER || kind == GL_ALL_GATHER_INTO || kind == GL_ALL_TO_ALL ||
                 kind == GL_ALL_TO_ALL_SINGLE || (kind == GL_GATHER && root == rank_);
    TORCH_CHECK(!whole || out.size() == n, kind_name(kind), ": want ", n,
                " tensors for the results, one for each rank, got ", out.size());
    bool each = kind == GL_ALL_TO_ALL || kind == GL_ALL_TO_ALL_SINGLE || kind == GL_REDUCE_SCATTER ||
                kind == GL_REDUCE_SCATTER_TENSOR || (kind == GL_SCATTER && root == rank_);
    TORCH_CHECK(!each || in.size() == n, kind_name(kind), ": want ", n, " tensors, one for each rank, got ", in.size());
    bool gathers = kind == GL_ALL_GATHER_INTO_COALESCED, scatters = kind == GL_REDUCE_SCATTER_TENSOR_COALESCED;
    TORCH_CHECK(!gathers || out.size() == in.size() * n, kind_name(kind),
                ": want as many tensors to fill as there are given");
    TORCH_CHECK(!scatters || in.size() == out.size() * n, kind_name(kind),
                ": want as many tensors to fill as there are given");
    const at::Tensor* about = kind == GL_SCATTER || kind == GL_REDUCE_SCATTER || kind == GL_REDUCE_SCATTER_TENSOR
                                  ? &out[0]
                              : in.empty() ? nullptr
                                           : &in[0];
    bool listed = gathers || scatters || kind == GL_ALL_REDUCE_COALESCED;
    Signature sig = listed ? signature(kind, scatters ? &out : &in, root, op) : signature(kind, about, root, op);
    auto w = c10::make_intrusive<StepWork>(watch_, std::move(sig), std::move(results));
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
  // Where ranks outnumber cores, a polling rank takes a core from a working one.
  const int spin_ = static_cast<unsigned>(size_) <= std::thread::hardware_concurrency() ? 2000 : 0;
};

}  // namespace

c10::intrusive_ptr<c10d::Backend> inprocess_backend(std::shared_ptr<Hub> hub, std::shared_ptr<Watch> watch, int rank,
                                                    int size) {
  hub->watch(watch);
  return c10::make_intrusive<InProcess>(std::move(hub), std::move(watch), rank, size);
}

}  // namespace golite
