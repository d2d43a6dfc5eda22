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
  SharedWork(std::shared_ptr<Watch> watch, Signature sig, at::Tensor t, std::shared_ptr<SharedMemory> memory, int spin)
      : TrackedWork(watch, std::move(sig), {t}), watch_(std::move(watch)), memory_(std::move(memory)), tensor_(std::move(t)), spin_(spin),
        pieces_(SharedMemory::pieces(tensor_)), first_(memory_->reserve(pieces_)) {}

  uint64_t first() const { return first_; }
  // next is the number of the first piece that is not summed yet, the last one's once all are.
  uint64_t next() const { return first_ + std::min(done_.load(std::memory_order_acquire), pieces_ - 1); }

  bool helpable() override { return !busy_.load(std::memory_order_acquire) && memory_->missing(next()) < 0; }
  // help sums the pieces that all have posted, unless somebody is at it.
  void help() override {
    if (busy_.exchange(true)) return;
    try {
      for (size_t i; (i = done_.load(std::memory_order_relaxed)) < pieces_ && memory_->missing(first_ + i) < 0;) {
        memory_->sum(first_, i, tensor_);
        done_.store(i + 1, std::memory_order_release);
      }
    } catch (const Failed& e) {
      watch_->abort(e.failure);  // first: who is freed looks whether the group was aborted
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

 private:
  std::shared_ptr<Watch> watch_;
  std::shared_ptr<SharedMemory> memory_;
  at::Tensor tensor_;
  const int spin_;
  const size_t pieces_;
  const uint64_t first_;
  std::atomic<size_t> done_{0};      // pieces
  std::atomic<bool> busy_{false};    // stays true at the end
};

// Attendant does the sums for which nobody waits, and sees when a peer is lost.
class Attendant {
 public:
  using Lost = std::function<void(const Signature& call, int peer, const std::string& why)>;

  Attendant(std::shared_ptr<SharedMemory> memory, Lost lost) : memory_(std::move(memory)), lost_(std::move(lost)), thread_([this] { run(); }) {}
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
  // lend does what is ready, for a collective that is begun on the attendant's own thread, where a work has ended: nobody else would.
  void lend() {
    if (std::this_thread::get_id() != thread_.get_id()) return;
    std::deque<c10::intrusive_ptr<SharedWork>> works;
    {
      std::lock_guard<std::mutex> l(m_);
      works = under_way_;
    }
    for (auto& w : works) {
      if (!w->isCompleted() && w->helpable()) w->help();
    }
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
      uint64_t number = w.next();
      int r = memory_->missing(number);
      if (r < 0) {
        w.help();
        if (!w.isCompleted() && memory_->missing(w.next()) < 0) std::this_thread::sleep_for(std::chrono::microseconds(20));  // who waits is at it
        continue;
      }
      {
        std::lock_guard<std::mutex> l(m_);
        if (over_) return;
      }
      memory_->await(r, number, kLook);
      if (memory_->missing(number) != r) continue;
      if (std::string why = memory_->gone(r); !why.empty() && memory_->missing(number) == r) lost_(w.signature(), r, why);
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
