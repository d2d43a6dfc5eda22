// dist_hub.hh: the rendezvous of ranks that share a process: collectives in the order in which each posts them, and
// point-to-point messages.

#include "dist_inprocess_plan.h"

#include <map>
#include <optional>

namespace golite {

// Letter is a send or a recv whose other half has not been posted.
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
  Failure abort(const Failure& why);
  std::shared_ptr<Hub> sub(const std::string& name, int n);
  void watch(std::shared_ptr<Watch> w) {
    std::lock_guard<std::mutex> l(m_);
    watches_.push_back(std::move(w));
  }

 private:
  // refuse aborts a rank's own group and then throws, so that the group is aborted when the caller gets the error.
  [[noreturn]] void refuse(Watch& watch) {
    watch.abort(why_);
    throw Failed(why_);
  }

  std::mutex m_;
  std::vector<uint64_t> next_;  // of each rank: how many collectives it has posted
  std::map<uint64_t, std::shared_ptr<Step>> open_;
  std::list<Letter> sent_, wanted_;
  std::vector<std::shared_ptr<Watch>> watches_;
  std::map<std::string, std::weak_ptr<Hub>> subs_;
  bool aborted_ = false;
  Failure why_;
};

c10::intrusive_ptr<c10d::Work> Hub::post(int rank, c10::intrusive_ptr<StepWork> work, Part part) {
  std::shared_ptr<Step> step;
  std::optional<Failure> differs;
  bool last = false;
  {
    std::lock_guard<std::mutex> l(m_);
    if (aborted_) refuse(work->watch());
    auto& slot = open_[next_[rank]++];
    if (!slot) {
      slot = std::make_shared<Step>();
      slot->sig = work->signature();
      slot->first = rank;
      slot->parts.resize(size);
    }
    step = slot;
    if (!step->sig.agrees(work->signature())) {
      differs = Failure(GL_FAILURE_DIFFERS, rank, work->signature(),
                        "rank " + std::to_string(step->first) + " " + step->sig.text() + "; rank " +
                            std::to_string(rank) + " " + work->signature().text());
    } else {
      std::atomic_store(&work->step, step);
      part.work = work;
      step->parts[rank] = std::move(part);
      last = ++step->arrived == size;
      if (last) open_.erase(next_[rank] - 1);
    }
  }
  if (differs) {
    abort(*differs);
    throw Failed(*differs);
  }
  if (!last) return work;
  try {
    step->plan();
  } catch (const c10::Error& e) {
    step->fail(Failure(e.what_without_backtrace()));
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
  bool fits =
      sent.tensor.nbytes() == wanted.tensor.nbytes() && sent.tensor.scalar_type() == wanted.tensor.scalar_type();
  if (fits) {
    std::memcpy(data(wanted.tensor), data(sent.tensor), sent.tensor.nbytes());
    wanted.work->source(sent.from);
    wanted.work->complete();
    sent.work->complete();
    return;
  }
  Failure why(GL_FAILURE_OTHER, sent.from,
              "rank " + std::to_string(sent.from) + " " + sent.work->signature().text() + "; rank " +
                  std::to_string(sent.to) + " " + wanted.work->signature().text() + ": their sizes differ");
  wanted.work->fail(why);
  sent.work->fail(why);
}

void Hub::send(Letter l) {
  Letter wanted;
  {
    std::lock_guard<std::mutex> g(m_);
    if (aborted_) refuse(l.work->watch());
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
    if (aborted_) refuse(l.work->watch());
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

Failure Hub::abort(const Failure& why) {
  std::vector<std::shared_ptr<Watch>> watches;
  std::vector<std::shared_ptr<Hub>> subs;
  {
    std::lock_guard<std::mutex> l(m_);
    if (aborted_) return why_;
    aborted_ = true;
    why_ = why;
    watches.swap(watches_);
    for (auto& s : subs_) {
      if (auto h = s.second.lock()) subs.push_back(h);
    }
  }
  for (auto& w : watches) w->abort(why);
  for (auto& s : subs) s->abort(why);
  std::map<uint64_t, std::shared_ptr<Step>> open;
  std::list<Letter> sent, wanted;  // destroyed after the lock is released
  std::lock_guard<std::mutex> l(m_);
  open.swap(open_);
  sent.swap(sent_);
  wanted.swap(wanted_);
  for (auto& s : open) {
    if (s.second) s.second->part();
  }
  return why;
}

std::shared_ptr<Hub> Hub::sub(const std::string& name, int n) {
  std::lock_guard<std::mutex> l(m_);
  if (aborted_) throw Failed(why_);
  auto& slot = subs_[name];
  auto h = slot.lock();
  if (!h) slot = h = std::make_shared<Hub>(n);
  return h;
}

std::shared_ptr<Hub> new_hub(int size) { return std::make_shared<Hub>(size); }
std::shared_ptr<Hub> sub_hub(const std::shared_ptr<Hub>& parent, const std::string& name, int size) {
  return parent->sub(name, size);
}
Failure abort_hub(Hub& hub, const Failure& why) { return hub.abort(why); }

}  // namespace golite
