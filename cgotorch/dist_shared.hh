// dist_shared.hh: sums of ranks that are processes on one host, through memory that they share.
//
// Over the loopback Gloo's ring takes a tensor of 400 KB as many sends as it takes ranks and segments, with a thread to be woken at each. Here a rank
// puts a copy where the others see it, and each forms the sum for itself as soon as all are there: the thread that waits, or else one
// that does nothing but look after sums under way.

#include <condition_variable>
#include <thread>

#include "dist_memory.h"

namespace golite {
namespace {

class SharedWork : public TrackedWork {
 public:
  SharedWork(std::shared_ptr<Watch> watch, Signature sig, at::Tensor t, std::shared_ptr<Memory> memory, int spin)
      : TrackedWork(watch, std::move(sig), {t}), watch_(std::move(watch)), memory_(std::move(memory)), tensor_(std::move(t)), spin_(spin) {}

  bool helpable() override { return posted_.load(std::memory_order_acquire) && !taken_.load(std::memory_order_relaxed) && memory_->missing(number_) < 0; }
  void help() override {
    if (taken_.exchange(true)) return;
    try {
      memory_->sum(number_, tensor_);
      complete();
    } catch (const std::exception& e) {
      watch_->abort(e.what());  // first: who is freed looks whether the group was aborted
      fail(e.what());
    }
  }
  int spins() override { return spin_; }
  void posted(uint64_t number) {
    number_ = number;
    posted_.store(true, std::memory_order_release);
  }
  uint64_t number() const { return number_; }

 private:
  std::shared_ptr<Watch> watch_;
  std::shared_ptr<Memory> memory_;
  at::Tensor tensor_;
  const int spin_;
  uint64_t number_ = 0;
  std::atomic<bool> posted_{false}, taken_{false};
};

// Attendant does the sums for which nobody waits, and sees when a peer is lost.
class Attendant {
 public:
  using Lost = std::function<void(const std::string& why)>;

  Attendant(std::shared_ptr<Memory> memory, Lost lost) : memory_(std::move(memory)), lost_(std::move(lost)), thread_([this] { run(); }) {}
  ~Attendant() {
    {
      std::lock_guard<std::mutex> l(m_);
      over_ = true;
    }
    cv_.notify_all();
    thread_.join();
  }
  void attend(c10::intrusive_ptr<SharedWork> w) {
    {
      std::lock_guard<std::mutex> l(m_);
      under_way_.push_back(std::move(w));
    }
    cv_.notify_all();
  }

 private:
  static constexpr Millis kLook{50};  // between two looks whether a peer is alive

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
      see_to(*w);
    }
  }

  void see_to(SharedWork& w) {
    while (!w.isCompleted()) {
      int r = memory_->missing(w.number());
      if (r < 0) return w.help();
      {
        std::lock_guard<std::mutex> l(m_);
        if (over_) return;
      }
      memory_->await(r, w.number(), kLook);
      if (memory_->missing(w.number()) != r) continue;
      if (std::string why = memory_->gone(r); !why.empty() && memory_->missing(w.number()) == r) lost_(w.signature().text() + ": " + why);
    }
  }

  std::shared_ptr<Memory> memory_;
  Lost lost_;
  std::mutex m_;
  std::condition_variable cv_;
  std::deque<c10::intrusive_ptr<SharedWork>> under_way_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace
}  // namespace golite
