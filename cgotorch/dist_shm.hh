// dist_shm.hh: collectives of ranks that are processes on one host, through memory that they share.
//
// Over the loopback Gloo sends each tensor in as many messages as there are ranks and segments, and each wakes a
// thread. Here a rank copies its input into memory that all ranks map, and reads the others' once all are there: on the
// thread that waits, or else on the progress thread.

#include <condition_variable>
#include <thread>

#include "dist_exchange.h"

namespace golite {
namespace {

class SharedWork : public TrackedWork {
 public:
  SharedWork(std::shared_ptr<Watch> watch, Signature sig, std::vector<at::Tensor> results,
             std::shared_ptr<SharedMemory> memory, std::vector<Exchange> exchanges, int spin)
      : TrackedWork(watch, std::move(sig), std::move(results)), watch_(std::move(watch)), memory_(std::move(memory)),
        exchanges_(std::move(exchanges)), call_(signature()), spin_(spin), ends_(ends(exchanges_)),
        pieces_(ends_.back()), first_(memory_->reserve(pieces_)) {}

  bool helpable() override { return !busy_.load(std::memory_order_acquire) && blocker() < 0; }
  // help posts and reads the pieces that can be, unless another thread does so. It does not wait.
  void help() override {
    if (busy_.exchange(true)) return;
    try {
      while (!isCompleted() && advance()) {
      }
    } catch (const Failed& e) {
      watch_->abort(e.failure);  // first: a released caller checks whether the group was aborted
      fail(e.failure);
      return;
    } catch (const std::exception& e) {
      watch_->abort(e.what());
      fail(e.what());
      return;
    }
    if (done_.load() == pieces_) return complete();
    busy_.store(false, std::memory_order_release);
  }
  int spins() override { return spin_; }

  // blocker is a rank for which the work waits, -1 if there is something to do.
  int blocker() const {
    size_t done = done_.load(std::memory_order_acquire), posted = posted_.load(std::memory_order_acquire);
    if (done == pieces_) return -1;
    int read = may_post(posted, done) ? memory_->unread(first_ + posted) : memory_->rank();
    if (may_post(posted, done) && read < 0) return -1;
    return done < posted ? memory_->missing(first_ + done) : read;
  }

 private:
  static std::vector<size_t> ends(const std::vector<Exchange>& list) {
    std::vector<size_t> v;
    for (auto& x : list) v.push_back((v.empty() ? 0 : v.back()) + x.pieces());
    return v;
  }
  // step is the exchange that a piece belongs to.
  size_t step(size_t piece) const {
    return static_cast<size_t>(std::upper_bound(ends_.begin(), ends_.end(), piece) - ends_.begin());
  }
  // at is a piece's number in its exchange.
  size_t at(size_t piece, size_t step) const { return step == 0 ? piece : piece - ends_[step - 1]; }
  // may_post reports whether a piece can be posted once there is a slot: a rank gives what it got in the exchange
  // before.
  bool may_post(size_t posted, size_t done) const {
    if (posted == pieces_) return false;
    size_t s = step(posted);
    return s == 0 || done >= ends_[s - 1];
  }

  bool advance() {
    size_t done = done_.load(std::memory_order_relaxed), posted = posted_.load(std::memory_order_relaxed);
    uint64_t number = first_ + posted;
    if (may_post(posted, done) && memory_->unread(number) < 0) {
      size_t s = step(posted);
      exchanges_[s].write(at(posted, s), memory_->slot(memory_->rank(), number));
      memory_->post(number, call_);
      posted_.store(++posted, std::memory_order_release);
    }
    number = first_ + done;
    if (done == posted || memory_->missing(number) >= 0)
      return may_post(posted, done) && memory_->unread(first_ + posted) < 0;
    if (std::string why = memory_->different(number); !why.empty())
      throw Failed(Failure(GL_FAILURE_DIFFERS, memory_->rank(), why));
    size_t s = step(done);
    exchanges_[s].read(at(done, s), [&](int rank) { return memory_->slot(rank, number); });
    memory_->read(number);
    done_.store(++done, std::memory_order_release);
    return done < pieces_;
  }

  std::shared_ptr<Watch> watch_;
  std::shared_ptr<SharedMemory> memory_;
  const std::vector<Exchange> exchanges_;  // one after the other
  const SharedMemory::Call call_;
  const int spin_;
  const std::vector<size_t> ends_;  // of the exchanges, in pieces
  const size_t pieces_;
  const uint64_t first_;
  std::atomic<size_t> posted_{0}, done_{0};  // pieces
  std::atomic<bool> busy_{false};            // stays true at the end
};

// ProgressThread advances the collectives that no thread waits for, and detects lost peers.
class ProgressThread {
 public:
  using Lost = std::function<void(const Signature& call, int peer, const std::string& why)>;

  ProgressThread(std::shared_ptr<SharedMemory> memory, Lost lost)
      : memory_(std::move(memory)), lost_(std::move(lost)), thread_([this] { run(); }) {}
  ~ProgressThread() {
    {
      std::lock_guard<std::mutex> l(m_);
      over_ = true;
    }
    cv_.notify_all();
    thread_.join();
  }
  void add(c10::intrusive_ptr<SharedWork> w) {
    {
      std::lock_guard<std::mutex> l(m_);
      under_way_.push_back(std::move(w));
    }
    cv_.notify_all();
  }

 private:
  static constexpr Millis kLook{50};  // between two checks that a peer is alive

  void run() {
    for (;;) {
      c10::intrusive_ptr<SharedWork> w;
      {
        std::unique_lock<std::mutex> l(m_);
        cv_.wait(l, [this] { return over_ || !under_way_.empty(); });
        if (over_) return;
        w = std::move(under_way_.front());
        under_way_.pop_front();
      }
      finish(*w);
    }
  }

  void finish(SharedWork& w) {
    while (!w.isCompleted()) {
      int r = w.blocker();
      if (r < 0) {
        w.help();
        // another thread is at it
        if (!w.isCompleted() && w.blocker() < 0) std::this_thread::sleep_for(std::chrono::microseconds(20));
        continue;
      }
      {
        std::lock_guard<std::mutex> l(m_);
        if (over_) return;
      }
      memory_->await(r, kLook, [&] { return w.blocker() == r; });
      if (w.blocker() != r) continue;
      if (std::string why = memory_->gone(r); !why.empty() && w.blocker() == r) lost_(w.signature(), r, why);
    }
  }

  std::shared_ptr<SharedMemory> memory_;
  Lost lost_;
  std::mutex m_;
  std::condition_variable cv_;
  std::deque<c10::intrusive_ptr<SharedWork>> under_way_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace
}  // namespace golite
