// dist_group.hh: process groups and their collectives, as Go calls them.

#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include "dist_work.h"
#include "state.h"

namespace golite {

Registry<std::shared_ptr<Group>> groups("process group");
Registry<c10::intrusive_ptr<c10d::Work>> works("work");

namespace {

Registry<std::shared_ptr<Hub>> hubs("hub of ranks");

using Maker = c10d::Backend* (*)(c10d::Store* store, int rank, int size, int64_t timeout_ms);
std::mutex makers_lock;
std::unordered_map<std::string, Maker> makers;

std::string text_of(const std::exception& e) {
  auto* c = dynamic_cast<const c10::Error*>(&e);
  return c && !cpp_traces ? c->what_without_backtrace() : e.what();
}

// tie makes the ProcessGroup that c10d's own parts need.
void tie(Group& g, const c10::intrusive_ptr<c10d::Store>& store) {
  static std::atomic<uint64_t> count{0};
  g.pg = c10::make_intrusive<c10d::ProcessGroup>(store, g.rank, g.size);
  g.pg->setDefaultBackend(c10d::ProcessGroup::BackendType::CUSTOM);
  g.pg->setBackend(at::kCPU, c10d::ProcessGroup::BackendType::CUSTOM, g.backends.at(static_cast<int>(at::kCPU)));
  g.pg->setGroupName("golite." + std::to_string(++count));
}

struct Call {
  int kind, op, root, tag;
  Millis timeout;
  std::vector<at::Tensor> in, out;
  std::vector<int64_t> in_lengths, out_lengths;
};

template <class O>
O options(const Call& c) {
  O o;
  if (c.timeout.count() > 0) o.timeout = c.timeout;
  return o;
}

template <class O>
O rooted(const Call& c) {
  O o = options<O>(c);
  o.rootRank = c.root;
  return o;
}

template <class O>
O reducing(const Call& c) {
  O o = options<O>(c);
  o.reduceOp = static_cast<c10d::ReduceOp::RedOpType>(c.op);
  return o;
}

c10::intrusive_ptr<c10d::Work> start(c10d::Backend& b, Call& c, int rank) {
  std::vector<std::vector<at::Tensor>> out{c.out}, in{c.in};
  bool root = c.root == rank;
  switch (c.kind) {
    case GL_BROADCAST:
      return b.broadcast(c.in, rooted<c10d::BroadcastOptions>(c));
    case GL_ALL_REDUCE:
      return b.allreduce(c.in, reducing<c10d::AllreduceOptions>(c));
    case GL_REDUCE: {
      auto o = reducing<c10d::ReduceOptions>(c);
      o.rootRank = c.root;
      return b.reduce(c.in, o);
    }
    case GL_ALL_GATHER:
      return b.allgather(out, c.in, options<c10d::AllgatherOptions>(c));
    case GL_ALL_GATHER_INTO:
      return b._allgather_base(c.out.at(0), c.in.at(0), options<c10d::AllgatherOptions>(c));
    case GL_REDUCE_SCATTER:
      return b.reduce_scatter(c.out, in, reducing<c10d::ReduceScatterOptions>(c));
    case GL_REDUCE_SCATTER_TENSOR:
      return b._reduce_scatter_base(c.out.at(0), c.in.at(0), reducing<c10d::ReduceScatterOptions>(c));
    case GL_GATHER:
      if (!root) out.clear();
      return b.gather(out, c.in, rooted<c10d::GatherOptions>(c));
    case GL_SCATTER:
      if (!root) in.clear();
      return b.scatter(c.out, in, rooted<c10d::ScatterOptions>(c));
    case GL_ALL_TO_ALL:
      return b.alltoall(c.out, c.in, options<c10d::AllToAllOptions>(c));
    case GL_ALL_TO_ALL_SINGLE:
      return b.alltoall_base(c.out.at(0), c.in.at(0), c.out_lengths, c.in_lengths, options<c10d::AllToAllOptions>(c));
    case GL_SEND:
      return b.send(c.in, c.root, c.tag);
    case GL_RECV:
      return c.root < 0 ? b.recvAnysource(c.in, c.tag) : b.recv(c.in, c.root, c.tag);
    case GL_BARRIER:
      return b.barrier(options<c10d::BarrierOptions>(c));
    case GL_ALL_REDUCE_COALESCED: {
      c10d::AllreduceCoalescedOptions o;
      static_cast<c10d::AllreduceOptions&>(o) = reducing<c10d::AllreduceOptions>(c);
      return b.allreduce_coalesced(c.in, o);
    }
    case GL_ALL_GATHER_INTO_COALESCED:
      return b.allgather_into_tensor_coalesced(c.out, c.in, options<c10d::AllgatherOptions>(c));
    case GL_REDUCE_SCATTER_TENSOR_COALESCED:
      return b.reduce_scatter_tensor_coalesced(c.out, c.in, reducing<c10d::ReduceScatterOptions>(c));
    default:
      throw std::runtime_error("there is no collective number " + std::to_string(c.kind));
  }
}

// count_writes raises the versions of the tensors that a collective writes on this rank, so that autograd detects,
// whatever the backend, that a backward pass needs the overwritten values. Rank root's tensor of a broadcast stays as
// it is.
void count_writes(const Call& c, int rank) {
  auto count = [](const std::vector<at::Tensor>& written) {
    for (auto& t : written) {
      if (!t.is_inference()) t.unsafeGetTensorImpl()->bump_version();
    }
  };
  switch (c.kind) {
    case GL_ALL_REDUCE:
    case GL_ALL_REDUCE_COALESCED:
    case GL_RECV:
      return count(c.in);
    case GL_BROADCAST:
      if (c.root != rank) count(c.in);
      return;
    case GL_REDUCE:
      if (c.root == rank) count(c.in);
      return;
    default:
      count(c.out);
  }
}

void failed(Writer& w, const Failure& f) {
  w.word(2);
  f.write(w);
}

void list(Writer& w, const std::vector<Watch::Entry>& entries) {
  auto nanos = [](Clock::duration d) {
    return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(d).count());
  };
  w.word(entries.size());
  for (auto& e : entries) {
    w.word(e.sig.number);
    w.word(static_cast<uint64_t>(e.sig.kind));
    w.word(static_cast<uint64_t>(static_cast<int64_t>(e.sig.root)));
    w.word(e.sig.digest());
    w.word(nanos(e.start.time_since_epoch()));
    w.word(nanos(e.end.time_since_epoch()));
    w.word(e.failed);
    std::string call = e.sig.call();
    w.text(call.data(), call.size());
    w.text(e.sig.site.data(), e.sig.site.size());
  }
}

}  // namespace

c10d::Backend& Group::backend(int device) {
  auto at = backends.find(device);
  TORCH_CHECK(at != backends.end(), "the process group has no backend for tensors on ",
              c10::DeviceTypeName(static_cast<at::DeviceType>(device), true));
  return *at->second;
}

void Group::abort(const Failure& why) {
  // The hub first: a rank that is released here may be reached by others, for which it must be closed. A rank whose
  // backend fails because another rank's was aborted may be here before the hub has ended its watch: the hub's reason
  // is the cause.
  watch->abort(hub ? abort_hub(*hub, why) : why);
  if (cut) cut();
  for (auto& b : attached) b->abort();
}

void Group::attach(int device, c10d::ProcessGroup::BackendType kind, const c10::intrusive_ptr<c10d::Backend>& b) {
  backends[device] = b;
  attached.push_back(b);
  pg->setBackend(static_cast<at::DeviceType>(device), kind, b);
}

std::function<void(const Failure&)> Group::lost() const {
  return [watch = watch, hub = hub, cut = cut](const Failure& why) {
    watch->abort(hub ? abort_hub(*hub, why) : why);
    if (cut) cut();
  };
}

void Group::settle() {
  for (auto& b : attached) {
    if (!watch->aborted()) settled(*b, timeout);
  }
}

void Group::shutdown() {
  if (watch->aborted()) return;
  for (auto& b : attached) {
    try {
      b->shutdown();
    } catch (const std::exception&) {  // a broken group: nothing is left to save
    }
  }
}

}  // namespace golite

using namespace golite;

extern "C" {

uint64_t gl_hub_new(int32_t size) { return hubs.put(new_hub(size)); }
void gl_hub_free(uint64_t hub) { hubs.take(hub); }

// in: hub (0: of the parent), parent group (0: none), name of the sub-group, rank, size.
int64_t gl_group_inprocess(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    Reader r{in, in + n};
    uint64_t hub = r.word(), parent = r.word();
    std::string name = r.text();
    auto g = std::make_shared<Group>();
    g->rank = static_cast<int>(r.word());
    g->size = static_cast<int>(r.word());
    g->hub = parent ? sub_hub(groups.get(parent)->hub, name, g->size) : hubs.get(hub);
    g->watch = std::make_shared<Watch>(g->rank);
    g->backends[static_cast<int>(at::kCPU)] = inprocess_backend(g->hub, g->watch, g->rank, g->size);
    tie(*g, c10::make_intrusive<c10d::HashStore>());
    w.word(groups.put(g));
  });
}

// in: store, rank, size, timeout in milliseconds, debug, host, prefix, n, interfaces.
int64_t gl_group_gloo(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    Reader r{in, in + n};
    GlooSettings s;
    s.store = stores.get(r.word());
    s.rank = static_cast<int>(r.word());
    s.size = static_cast<int>(r.word());
    s.timeout = Millis(r.word());
    s.debug = r.word() != 0;
    s.host = r.text();
    s.prefix = r.text();
    s.interfaces.resize(r.word());
    for (auto& i : s.interfaces) i = r.text();
    auto g = std::make_shared<Group>();
    g->rank = s.rank;
    g->size = s.size;
    g->watch = std::make_shared<Watch>(g->rank);
    Cuttable c = gloo_backend(s, g->watch);
    g->backends[static_cast<int>(at::kCPU)] = c.backend;
    g->cut = c.cut;
    tie(*g, s.store);
    w.word(groups.put(g));
  });
}

// gl_group_maker registers a kind of backend of another library: its function returns a new reference.
int32_t gl_group_maker(const char* name, void* make) {
  std::lock_guard<std::mutex> l(makers_lock);
  makers[name] = reinterpret_cast<Maker>(make);
  return 0;
}

// gl_group_attach gives a group a backend for another type of device.
int64_t gl_group_attach(uint64_t group, const char* maker, int32_t device, uint64_t store, int64_t timeout_ms,
                        uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer&) {
    auto g = groups.get(group);
    auto s = stores.get(store);
    Maker make = nullptr;
    {
      std::lock_guard<std::mutex> l(makers_lock);
      make = makers[maker];
    }
    TORCH_CHECK(make, "there is no backend ", maker, " in this process");
    auto inner = c10::intrusive_ptr<c10d::Backend>::reclaim(make(s.get(), g->rank, g->size, timeout_ms));
    auto b = watched_backend(inner, g->watch, [] { return cuda_library && cuda_library->recording() != 0; }, g->lost());
    g->timeout = Millis(timeout_ms);
    g->attach(device, c10d::ProcessGroup::strToBackendType(maker), b);
  });
}

// gl_group_attach_go gives a group a backend written in Go, identified by closure, for a type of device.
int64_t gl_group_attach_go(uint64_t group, const char* name, int32_t device, uint64_t closure, uint64_t* out,
                           uint32_t room) {
  return guarded(out, room, [&](Writer&) {
    auto g = groups.get(group);
    // c10d keeps one backend of each of its kinds; those of Go take kinds that are not linked.
    constexpr c10d::ProcessGroup::BackendType kFree[] = {c10d::ProcessGroup::BackendType::UCC,
                                                         c10d::ProcessGroup::BackendType::MPI,
                                                         c10d::ProcessGroup::BackendType::XCCL};
    TORCH_CHECK(g->attached.size() < std::size(kFree), "a group takes ", std::size(kFree), " backends");
    g->attach(device, kFree[g->attached.size()],
              go_backend(name, closure, device, g->watch, g->rank, g->size, g->lost()));
  });
}

// in: group, kind, asynchronous, reduction, root or peer, tag, timeout in milliseconds (0: none), call site, tensors,
// results, lengths of the tensors' parts, of the results'.
// The result is one of: 0 and a work's number (asynchronous), 1 and the rank that sent (done), 2 and the failure,
// 3 and a work's number (time is up).
int64_t gl_collective(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    thread_state.enter();
    Reader r{in, in + n};
    auto g = groups.get(r.word());
    Call c;
    c.kind = static_cast<int>(r.word());
    bool async = r.word() != 0;
    c.op = static_cast<int>(r.word());
    c.root = static_cast<int>(static_cast<int64_t>(r.word()));
    c.tag = static_cast<int>(r.word());
    c.timeout = Millis(r.word());
    Site site(r.text());
    c.in = r.tensors();
    c.out = r.tensors();
    c.in_lengths = ints(r);
    c.out_lengths = ints(r);
    auto about = c.in.empty() ? c.out : c.in;
    int device = static_cast<int>(about.empty() ? at::kCPU : about[0].device().type());
    try {
      auto work = start(g->backend(device), c, g->rank);
      count_writes(c, g->rank);
      if (async) {
        w.word(0);
        w.word(works.put(work));
        return;
      }
      if (!work->wait(c.timeout)) {
        w.word(3);
        w.word(works.put(work));
        return;
      }
      w.word(1);
      w.word(static_cast<uint64_t>(c.kind == GL_RECV ? work->sourceRank() : 0));
    } catch (const Failed& e) {
      failed(w, e.failure);
    } catch (const c10::Error&) {
      if (!g->watch->aborted()) throw;
      failed(w, g->watch->failure());
    } catch (const std::exception& e) {
      failed(w, g->watch->aborted() ? g->watch->failure() : Failure(e.what()));
    }
  });
}

// The results of gl_work_wait are those of gl_collective.
int64_t gl_work_wait(uint64_t work, int64_t timeout_ms, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    auto k = works.get(work);
    try {
      if (!k->wait(Millis(timeout_ms))) {
        w.word(3);
        w.word(work);
        return;
      }
      auto* t = dynamic_cast<TrackedWork*>(k.get());
      w.word(1);
      w.word(static_cast<uint64_t>(t && t->signature().kind == GL_RECV ? k->sourceRank() : 0));
    } catch (const Failed& e) {
      failed(w, e.failure);
    } catch (const std::exception& e) {
      failed(w, text_of(e));
    }
  });
}

int64_t gl_work_done(uint64_t work, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) { w.word(works.get(work)->isCompleted()); });
}

void gl_work_free(uint64_t work) { works.take(work); }

// in: group, failure.
int64_t gl_group_abort(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer&) {
    Reader r{in, in + n};
    auto g = groups.get(r.word());
    g->abort(Failure::read(r));
  });
}

// gl_group_pending gives whether the group was aborted and why, how many collectives this rank has begun, and what it
// waits for: number, kind, root or peer, digest, start, now, 0, call, site.
int64_t gl_group_pending(uint64_t group, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    auto g = groups.get(group);
    w.word(g->watch->aborted());
    g->watch->failure().write(w);
    w.word(g->watch->count());
    list(w, g->watch->pending());
  });
}

// gl_group_trace lists the last works that ended, and sets how many are kept from now on (below 0: as it is).
int64_t gl_group_trace(uint64_t group, int32_t keep, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) { list(w, groups.get(group)->watch->trace(keep)); });
}

// in: group, text. It names the caller for collectives that c10d starts on its own: the Reducer's.
int64_t gl_group_site(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer&) {
    Reader r{in, in + n};
    auto g = groups.get(r.word());
    g->watch->set_site(r.text());
  });
}

int64_t gl_now(void) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count();
}

void gl_group_free(uint64_t group) {
  auto g = groups.take(group);
  if (!g) return;
  // What runs on a device ends later than its call, mostly without failure.
  g->settle();
  // A call that hangs would hold up the destructor for as long: such a group is cut loose first.
  if (!g->watch->pending().empty()) g->abort("the group was closed");
  g->shutdown();
}

}  // extern "C"
