// dist_tracked_backend.hh: another library's backend, NCCL's, as works of golite's watch.
//
// What runs on a GPU ends later than its call: a work's wait makes the stream wait, not the thread. A thread of
// golite's polls the works under way for their end or failure. So the watchdog in Go can list what a rank waits for, an
// abort reaches the communicator, and an error of the other library ends the group with a reason.

#include <condition_variable>
#include <thread>

#include "dist_work.h"

namespace golite {
namespace {

using Lost = std::function<void(const Failure&)>;

// PolledWork is a work of the other library's.
class PolledWork : public TrackedWork {
 public:
  PolledWork(std::shared_ptr<Watch> watch, Signature sig)
      : TrackedWork(watch, std::move(sig), {}), group_(std::move(watch)) {}

  bool isCompleted() override { return TrackedWork::isCompleted() || inner->isCompleted(); }
  bool wait(Millis timeout) override {
    group_->check();
    bool in_time = inner->wait(timeout);
    group_->check();
    return in_time;
  }
  void synchronize() override { inner->synchronize(); }
  void blockCurrentStream() override { inner->blockCurrentStream(); }
  std::vector<at::Tensor> result() override { return inner->result(); }
  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override { return inner->getFuture(); }
  int sourceRank() const override { return signature().root; }

  // look settles the work if it has ended, and reports whether it is settled. lost is called with what has failed.
  bool look(const Lost& lost) {
    if (TrackedWork::isCompleted()) return true;
    std::string error;
    try {
      if (!inner->isCompleted()) return false;
      if (auto e = inner->exception()) std::rethrow_exception(e);
    } catch (const c10::Error& e) {
      error = e.what_without_backtrace();
    } catch (const std::exception& e) {
      error = e.what();
    }
    if (error.empty()) {
      complete();
      return true;
    }
    Failure why(GL_FAILURE_LOST, group_->rank, signature(), error);
    lost(why);
    fail(why);
    return true;
  }

 private:
  std::shared_ptr<Watch> group_;
};

// CompletionPoller polls works until they have ended.
class CompletionPoller {
 public:
  explicit CompletionPoller(Lost lost) : lost_(std::move(lost)), thread_([this] { run(); }) {}
  ~CompletionPoller() {
    {
      std::lock_guard<std::mutex> l(m_);
      over_ = true;
    }
    cv_.notify_all();
    thread_.join();
  }
  void follow(c10::intrusive_ptr<PolledWork> w) {
    {
      std::lock_guard<std::mutex> l(m_);
      fresh_.push_back(std::move(w));
      left_++;
    }
    cv_.notify_all();
  }
  // settled waits until all works have ended; false: time was up. From now on works are polled often.
  bool settled(Millis time) {
    std::unique_lock<std::mutex> l(m_);
    pause_ = Millis(1);
    cv_.notify_all();
    return none_.wait_for(l, time, [this] { return left_ == 0; });
  }

 private:

  void run() {
    std::list<c10::intrusive_ptr<PolledWork>> under_way;
    for (;;) {
      {
        std::unique_lock<std::mutex> l(m_);
        if (under_way.empty()) cv_.wait(l, [this] { return over_ || !fresh_.empty(); });
        if (over_) return;
        under_way.splice(under_way.end(), fresh_);
      }
      size_t before = under_way.size();
      under_way.remove_if([this](const c10::intrusive_ptr<PolledWork>& w) { return w->look(lost_); });
      std::unique_lock<std::mutex> l(m_);
      left_ -= before - under_way.size();
      if (left_ == 0) none_.notify_all();
      if (!under_way.empty()) cv_.wait_for(l, pause_, [this, was = pause_] { return over_ || pause_ != was; });
    }
  }

  Lost lost_;
  std::mutex m_;
  std::condition_variable cv_, none_;
  Millis pause_{20};  // between two polls
  size_t left_ = 0;   // works that have not ended
  std::list<c10::intrusive_ptr<PolledWork>> fresh_;
  bool over_ = false;
  std::thread thread_;
};

class TrackedBackend : public c10d::Backend {
 public:
  using Tensors = std::vector<at::Tensor>;
  using WorkPtr = c10::intrusive_ptr<c10d::Work>;

  TrackedBackend(c10::intrusive_ptr<c10d::Backend> inner, std::shared_ptr<Watch> watch, bool (*recording)(), Lost lost)
      : Backend(inner->getRank(), inner->getSize()), inner_(std::move(inner)), watch_(std::move(watch)),
        recording_(recording), lost_(lost), poller_(lost) {}

  const std::string getBackendName() const override { return inner_->getBackendName(); }
  c10::intrusive_ptr<Options> getBackendOptions() override { return inner_->getBackendOptions(); }
  void setTimeout(Millis t) override { inner_->setTimeout(t); }
  bool supportsCoalescing() const override { return inner_->supportsCoalescing(); }
  void startCoalescing() override { inner_->startCoalescing(); }
  WorkPtr endCoalescing() override { return inner_->endCoalescing(); }
  void abort() override {
    watch_->abort("the group was aborted");
    inner_->abort();
  }
  void shutdown() override { inner_->shutdown(); }
  bool settled(Millis time) { return poller_.settled(time); }

  WorkPtr broadcast(Tensors& t, const c10d::BroadcastOptions& o = {}) override {
    return run(GL_BROADCAST, &t[0], [&] { return inner_->broadcast(t, o); }, static_cast<int>(o.rootRank));
  }
  WorkPtr allreduce(Tensors& t, const c10d::AllreduceOptions& o = {}) override {
    return run(GL_ALL_REDUCE, &t[0], [&] { return inner_->allreduce(t, o); }, -1, o.reduceOp.op_);
  }
  WorkPtr allreduce_sparse(Tensors& t, const c10d::AllreduceOptions& o = {}) override {
    return run(GL_ALL_REDUCE, &t[0], [&] { return inner_->allreduce_sparse(t, o); }, -1, o.reduceOp.op_);
  }
  WorkPtr allreduce_coalesced(Tensors& t, const c10d::AllreduceCoalescedOptions& o = {}) override {
    return run(GL_ALL_REDUCE_COALESCED, &t, [&] { return inner_->allreduce_coalesced(t, o); }, -1, o.reduceOp.op_);
  }
  WorkPtr allgather_into_tensor_coalesced(Tensors& out, Tensors& in, const c10d::AllgatherOptions& o = {}) override {
    return run(GL_ALL_GATHER_INTO_COALESCED, &in, [&] { return inner_->allgather_into_tensor_coalesced(out, in, o); });
  }
  WorkPtr reduce_scatter_tensor_coalesced(Tensors& out, Tensors& in,
                                          const c10d::ReduceScatterOptions& o = {}) override {
    return run(
        GL_REDUCE_SCATTER_TENSOR_COALESCED, &out, [&] { return inner_->reduce_scatter_tensor_coalesced(out, in, o); },
        -1, o.reduceOp.op_);
  }
  WorkPtr reduce(Tensors& t, const c10d::ReduceOptions& o = {}) override {
    return run(GL_REDUCE, &t[0], [&] { return inner_->reduce(t, o); }, static_cast<int>(o.rootRank), o.reduceOp.op_);
  }
  WorkPtr allgather(std::vector<Tensors>& out, Tensors& in, const c10d::AllgatherOptions& o = {}) override {
    return run(GL_ALL_GATHER, &in[0], [&] { return inner_->allgather(out, in, o); });
  }
  WorkPtr _allgather_base(at::Tensor& out, at::Tensor& in, const c10d::AllgatherOptions& o = {}) override {
    return run(GL_ALL_GATHER_INTO, &in, [&] { return inner_->_allgather_base(out, in, o); });
  }
  WorkPtr reduce_scatter(Tensors& out, std::vector<Tensors>& in, const c10d::ReduceScatterOptions& o = {}) override {
    return run(GL_REDUCE_SCATTER, &out[0], [&] { return inner_->reduce_scatter(out, in, o); }, -1, o.reduceOp.op_);
  }
  WorkPtr _reduce_scatter_base(at::Tensor& out, at::Tensor& in, const c10d::ReduceScatterOptions& o = {}) override {
    return run(
        GL_REDUCE_SCATTER_TENSOR, &out, [&] { return inner_->_reduce_scatter_base(out, in, o); }, -1, o.reduceOp.op_);
  }
  WorkPtr gather(std::vector<Tensors>& out, Tensors& in, const c10d::GatherOptions& o = {}) override {
    return run(GL_GATHER, &in[0], [&] { return inner_->gather(out, in, o); }, static_cast<int>(o.rootRank));
  }
  WorkPtr scatter(Tensors& out, std::vector<Tensors>& in, const c10d::ScatterOptions& o = {}) override {
    return run(GL_SCATTER, &out[0], [&] { return inner_->scatter(out, in, o); }, static_cast<int>(o.rootRank));
  }
  WorkPtr alltoall_base(at::Tensor& out, at::Tensor& in, std::vector<int64_t>& to, std::vector<int64_t>& from,
                        const c10d::AllToAllOptions& o = {}) override {
    return run(GL_ALL_TO_ALL_SINGLE, &in, [&] { return inner_->alltoall_base(out, in, to, from, o); });
  }
  WorkPtr alltoall(Tensors& out, Tensors& in, const c10d::AllToAllOptions& o = {}) override {
    return run(GL_ALL_TO_ALL, &in[0], [&] { return inner_->alltoall(out, in, o); });
  }
  WorkPtr barrier(const c10d::BarrierOptions& o = {}) override {
    return run<at::Tensor>(GL_BARRIER, nullptr, [&] { return inner_->barrier(o); });
  }
  WorkPtr send(Tensors& t, int to, int tag) override {
    return run(GL_SEND, &t[0], [&] { return inner_->send(t, to, tag); }, to);
  }
  WorkPtr recv(Tensors& t, int from, int tag) override {
    return run(GL_RECV, &t[0], [&] { return inner_->recv(t, from, tag); }, from);
  }

 private:
  template <class About, class F>
  WorkPtr run(int kind, const About* about, F start, int root = -1, int op = 0) {
    Signature s;
    s.kind = kind;
    s.op = op;
    s.root = root;
    if (about) s.about(*about);
    watch_->enter(s);
    // What a CUDA graph records does not run now, and must not be queried for its end.
    if (recording_ && recording_()) return start();
    auto w = c10::make_intrusive<PolledWork>(watch_, s);
    Started started(watch_, w);
    try {
      w->inner = start();
    } catch (const c10::DistError& e) {
      lost_(Failure(GL_FAILURE_LOST, watch_->rank, s,
                    std::string("it could not be made: ") + e.what_without_backtrace()));
      throw Failed(watch_->failure());
    }
    started.well();
    poller_.follow(w);
    return w;
  }

  c10::intrusive_ptr<c10d::Backend> inner_;
  std::shared_ptr<Watch> watch_;
  bool (*recording_)();
  Lost lost_;
  CompletionPoller poller_;  // last: it ends first
};

}  // namespace

c10::intrusive_ptr<c10d::Backend> watched_backend(c10::intrusive_ptr<c10d::Backend> b, std::shared_ptr<Watch> watch,
                                                  bool (*recording)(), std::function<void(const Failure&)> lost) {
  return c10::make_intrusive<TrackedBackend>(std::move(b), std::move(watch), recording, std::move(lost));
}

bool settled(c10d::Backend& watched, Millis time) {
  auto* w = dynamic_cast<TrackedBackend*>(&watched);
  return !w || w->settled(time);
}

}  // namespace golite
