// dist_work.h: works that can be failed from outside, and the watch that lists those under way.
#pragma once

#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Work.hpp>

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include <pthread.h>
#include <signal.h>
#include <vector>

#include "dist.h"
#include "guard.h"

namespace golite {

using Clock = std::chrono::steady_clock;
using Millis = std::chrono::milliseconds;

// Registry gives objects numbers, so that Go holds no pointer.
template <class P>
class Registry {
 public:
  explicit Registry(const char* kind) : kind_(kind) {}
  uint64_t put(P p) {
    std::lock_guard<std::mutex> l(m_);
    all_.emplace(++last_, std::move(p));
    return last_;
  }
  P get(uint64_t id) {
    std::lock_guard<std::mutex> l(m_);
    auto at = all_.find(id);
    if (at == all_.end()) throw std::runtime_error(std::string("the ") + kind_ + " was closed");
    return at->second;
  }
  // take removes it; an empty P if there is none. The caller destroys it, outside the lock.
  P take(uint64_t id) {
    std::lock_guard<std::mutex> l(m_);
    auto at = all_.find(id);
    if (at == all_.end()) return P();
    P p = std::move(at->second);
    all_.erase(at);
    return p;
  }

 private:
  const char* kind_;
  std::mutex m_;
  uint64_t last_ = 0;
  std::unordered_map<uint64_t, P> all_;
};

// BlockedSigpipe keeps SIGPIPE from the threads that are started while it lives. Why: a write to a peer that is gone
// must fail with an error; on a thread that is not Go's the signal would end the process.
class BlockedSigpipe {
 public:
  BlockedSigpipe() {
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before_);
  }
  ~BlockedSigpipe() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSigpipe(const BlockedSigpipe&) = delete;
  BlockedSigpipe& operator=(const BlockedSigpipe&) = delete;

 private:
  sigset_t before_;
};

// Signature is what ranks must agree about, and where a rank made the call.
struct Signature {
  int kind = 0;           // GL_BROADCAST...
  int op = 0;             // c10d::ReduceOp
  int root = -1;          // root, or the peer of send and recv
  int dtype = -1;         // at::ScalarType; -1: no tensor
  std::vector<int64_t> shape;  // of a list: how many elements there are in all
  int count = 0;          // tensors of a list; 0: no list
  uint64_t shapes = 0;    // of a list: their digest
  uint64_t number = 0;    // the index of the collective in the group
  std::string site;       // file:line of the caller

  void about(const at::Tensor& t);
  void about(const std::vector<at::Tensor>& list);
  bool agrees(const Signature& s) const;
  // digest is equal on all ranks whose calls Gloo can carry out together: shapes may differ where sizes don't.
  uint32_t digest() const;
  std::string call() const;  // "all_reduce(sum) of Float[3] (number 5)"
  std::string text() const;  // the call, and " at a.go:10"
};

const char* kind_name(int kind);

// mixed adds a number to a digest.
inline uint64_t mixed(uint64_t digest, int64_t n) { return (digest ^ static_cast<uint64_t>(n)) * 0x100000001b3 + 1; }

// Failure is why a group ended, or why a collective failed. Programs read its fields; text is for messages.
struct Failure {
  int kind = GL_FAILURE_OTHER;
  int rank = -1;             // the one that failed, or that saw it
  std::vector<int64_t> lost; // the ranks that did not take part in the call, where they are known
  std::string host;          // of a connection that has ended: its other end
  int port = 0;              // as Gloo prints it
  std::string call, site;    // the collective that it was in, and where that was called
  std::string detail;        // what was found, in words

  Failure() = default;
  Failure(std::string detail) : detail(std::move(detail)) {}
  Failure(const char* detail) : detail(detail) {}
  Failure(int kind, int rank, std::string detail) : kind(kind), rank(rank), detail(std::move(detail)) {}
  Failure(int kind, int rank, const Signature& s, std::string detail)
      : kind(kind), rank(rank), call(s.call()), site(s.site), detail(std::move(detail)) {}

  std::string text() const;
  void write(Writer& w) const;
  static Failure read(Reader& r);
};

// Failed carries a Failure through c10d, whose own errors are texts.
struct Failed : std::runtime_error {
  explicit Failed(Failure f) : std::runtime_error(f.text()), failure(std::move(f)) {}
  Failure failure;
};

class TrackedWork;

// Watch lists the works of one group on one rank.
class Watch {
 public:
  struct Entry {
    Signature sig;
    Clock::time_point start, end;
    bool failed = false;
  };

  explicit Watch(int rank) : rank(rank) {}
  const int rank;

  // enter numbers a call and refuses it if the group was aborted.
  void enter(Signature& s);
  // add keeps the work alive until remove, so that abort can fail it.
  void add(TrackedWork* w);
  void remove(TrackedWork* w, bool failed);
  // abort fails all works and whatever comes later; the first reason stays. It reports whether this call was the first.
  bool abort(const Failure& why);
  bool aborted() const { return aborted_.load(std::memory_order_acquire); }
  Failure failure();
  void check();
  std::vector<Entry> pending();
  // count is how many collectives this rank has begun; sends and receives don't count.
  uint64_t count();
  std::vector<Entry> trace(int keep);
  // on_abort has f called, once, when the group is aborted, on the thread that does.
  void on_abort(std::function<void(const Failure&)> f);
  void set_site(std::string s);

 private:
  std::mutex m_;
  std::unordered_map<TrackedWork*, Clock::time_point> under_way_;
  std::deque<Entry> past_;
  size_t keep_ = 0;
  uint64_t number_ = 0;
  std::atomic<bool> aborted_{false};
  Failure why_;
  std::string site_;
  std::vector<std::function<void(const Failure&)>> on_abort_;
};

// TrackedWork is completed or failed exactly once, by the first caller.
class TrackedWork : public c10d::Work {
 public:
  TrackedWork(std::shared_ptr<Watch> watch, Signature sig, std::vector<at::Tensor> outputs);

  bool isCompleted() override { return done_.load(std::memory_order_acquire); }
  bool isSuccess() const override;
  std::exception_ptr exception() const override;
  std::vector<at::Tensor> result() override { return outputs_; }
  void synchronize() override {}
  void abort() override { fail("the work was aborted"); }
  int sourceRank() const override { return source_; }
  bool wait(Millis timeout = kNoTimeout) override;
  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override;

  void complete();
  void fail(const Failure& why);
  // divide makes a sum the mean of n when the work completes.
  void divide(int n) { divide_ = n; }
  void source(int rank) { source_ = rank; }
  const Signature& signature() const { return sig_; }
  Watch& watch() { return *watch_; }
  c10::intrusive_ptr<c10d::Work> inner;  // what Gloo is doing for it

 protected:
  // helpable reports whether a waiting thread can do some of the work; help does it.
  virtual bool helpable() { return false; }
  virtual void help() {}
  // spins is how often a waiting thread polls before it sleeps.
  virtual int spins() { return 0; }
  void wake() { cv_.notify_all(); }
  std::mutex& lock() { return mutex_; }

 private:
  void settle(std::exception_ptr e);

  std::shared_ptr<Watch> watch_;
  Signature sig_;
  std::vector<at::Tensor> outputs_;
  c10::intrusive_ptr<c10::ivalue::Future> future_;
  std::atomic<bool> done_{false};
  std::atomic<bool> claimed_{false};
  int divide_ = 0, source_ = -1;
};

// Started takes a work that could not be started out of the watch again.
class Started {
 public:
  Started(std::shared_ptr<Watch> watch, c10::intrusive_ptr<TrackedWork> w)
      : watch_(std::move(watch)), w_(std::move(w)) {
    watch_->add(w_.get());
  }
  ~Started() {
    if (w_) watch_->remove(w_.get(), true);
  }
  Started(const Started&) = delete;
  Started& operator=(const Started&) = delete;
  void well() { w_.reset(); }

 private:
  std::shared_ptr<Watch> watch_;
  c10::intrusive_ptr<TrackedWork> w_;
};

// Site names the Go caller for the collectives that the calling thread starts while it lives.
struct Site {
  explicit Site(std::string s);
  ~Site();
  static const std::string* now();
  std::string text;
  const Site* before;
};

// Hub is the rendezvous of ranks in one process.
class Hub;
std::shared_ptr<Hub> new_hub(int size);
// sub_hub gives all callers of one name the same hub, as long as one of them holds it.
std::shared_ptr<Hub> sub_hub(const std::shared_ptr<Hub>& parent, const std::string& name, int size);
c10::intrusive_ptr<c10d::Backend> inprocess_backend(std::shared_ptr<Hub> hub, std::shared_ptr<Watch> watch, int rank,
                                                    int size);
// abort_hub returns the failure that ended the hub: the first one stays.
Failure abort_hub(Hub& hub, const Failure& why);

// GlooSettings say how a Gloo group reaches its peers.
struct GlooSettings {
  c10::intrusive_ptr<c10d::Store> store;
  int rank = 0, size = 1;
  Millis timeout{0};
  bool debug = false;                   // ranks compare their calls before they make them
  std::vector<std::string> interfaces;  // empty: by host
  std::string host;                     // the address to listen on; empty: the address of the host's name
  std::string prefix;                   // before its keys in the store; empty: the keys of PyTorch's ranks
};

// Cuttable is a backend, and the function that releases peers in other processes which wait for it.
struct Cuttable {
  c10::intrusive_ptr<c10d::Backend> backend;
  std::function<void()> cut;
};
Cuttable gloo_backend(const GlooSettings& settings, std::shared_ptr<Watch> watch);

// watched_backend puts another library's backend under the watch. recording reports whether a CUDA graph is being
// recorded; lost is called, on any thread, when the backend can't go on.
c10::intrusive_ptr<c10d::Backend> watched_backend(c10::intrusive_ptr<c10d::Backend> b, std::shared_ptr<Watch> watch,
                                                  bool (*recording)(), std::function<void(const Failure&)> lost);
// go_backend makes a backend that is written in Go, known by closure. lost is called when it can't go on.
c10::intrusive_ptr<c10d::Backend> go_backend(std::string name, uint64_t closure, int device,
                                             std::shared_ptr<Watch> watch, int rank, int size,
                                             std::function<void(const Failure&)> lost);
// settled waits until what a watched backend was given has ended, in time; it may have failed.
bool settled(c10d::Backend& watched, Millis time);

// Group is a process group; Go refers to it by number.
struct Group {
  std::shared_ptr<Watch> watch;
  c10::intrusive_ptr<c10d::ProcessGroup> pg;
  std::unordered_map<int, c10::intrusive_ptr<c10d::Backend>> backends;  // by device type
  std::vector<c10::intrusive_ptr<c10d::Backend>> attached;              // those that were not there from the start
  std::shared_ptr<Hub> hub;  // of ranks in one process
  std::function<void()> cut;  // frees peers in other processes
  int rank = 0, size = 1;
  Millis timeout{0};  // of collectives on devices

  c10d::Backend& backend(int device);
  // attach lets a backend carry the tensors of a type of device.
  void attach(int device, c10d::ProcessGroup::BackendType kind, const c10::intrusive_ptr<c10d::Backend>& b);
  // lost ends the group on behalf of a backend. It does not hold the group, which must not be destroyed on a thread of
  // the backend's.
  std::function<void(const Failure&)> lost() const;
  void abort(const Failure& why);
  // settle waits, up to the timeout, for what devices were given.
  void settle();
  // shutdown ends backends of other libraries in good order.
  void shutdown();
};

extern Registry<std::shared_ptr<Group>> groups;
extern Registry<c10::intrusive_ptr<c10d::Store>> stores;
extern Registry<c10::intrusive_ptr<c10d::Work>> works;

inline std::vector<int64_t> ints(Reader& r) {
  std::vector<int64_t> v(r.word());
  for (auto& i : v) i = static_cast<int64_t>(r.word());
  return v;
}

}  // namespace golite
