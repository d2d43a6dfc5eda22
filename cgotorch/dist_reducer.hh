// dist_reducer.hh: c10d's Reducer, which sums gradients over ranks while backward still runs.

#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/graph_task.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/distributed/c10d/comm.hpp>
#include <torch/csrc/distributed/c10d/logger.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>

#include "dist_work.h"
#include "state.h"

// Written in Go (dist_reducer.go): it gives 0, or the id of the panic.
extern "C" uint64_t goliteBucket(uint64_t closure, uint64_t index, uint64_t last, uint64_t buffer, uint64_t* gradients,
                                 uint64_t* parameters, int64_t n, uint64_t* result);

namespace golite {
namespace {

using FuturePtr = c10::intrusive_ptr<c10::ivalue::Future>;

struct Sink;

// Reducer is c10d's, of which it reports whether a reduction is to come.
struct Reducer : c10d::Reducer {
  using c10d::Reducer::Reducer;
  bool expects() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return expect_autograd_hooks_;
  }
};

struct GoReducer {
  std::shared_ptr<Group> group;
  std::shared_ptr<Reducer> reducer;
  std::shared_ptr<c10d::Logger> logger;  // without one the Reducer crashes when it searches unused parameters
  bool find_unused = false, static_graph = false;
  std::atomic<bool> delayed{false};      // a static graph's first backward has put its reductions off to its end
  bool sink() const { return static_graph && !delayed; }

  // prepare makes the next backward pass, which may have begun, reduce.
  void prepare(const std::vector<at::Tensor>& roots) {
    std::lock_guard<std::mutex> lock(m);
    TORCH_CHECK(!joined || !since_forward++,
                "inside of Join a forward pass has one backward pass that averages gradients, which "
                "ranks without batches take part in: this is the second; add the losses up, or train without Join");
    if (prepared && !reducer->expects()) finished++;
    reducer->prepare_for_backward(roots);
    prepared = true;
  }

  // reductions counts the backward passes that have reduced.
  uint64_t reductions() {
    std::lock_guard<std::mutex> lock(m);
    return finished + (prepared && !reducer->expects());
  }

  std::mutex m;
  std::atomic<bool> joined{false};
  uint64_t since_forward = 0;     // preparations since the last forward pass, inside of Join
  bool prepared = false;          // ever
  uint64_t finished = 0;          // reductions ahead of the last preparation
  int task = -1;                  // the backward pass that has prepared the Reducer
  std::unordered_set<Sink*> sinks;  // that prepare it
};

Registry<std::shared_ptr<GoReducer>> reducers("reducer");

// Trainable is a model's parameters, and which of them required gradients when it was made.
struct Trainable {
  std::vector<at::Tensor> params;
  std::vector<char> required;
};

Registry<std::shared_ptr<Trainable>> trainables("list of parameters");

// CompressHook sends gradients in half the bits: divided first, so that the sum doesn't overflow.
struct CompressHook : c10d::CommHookInterface {
  CompressHook(std::shared_ptr<Group> g, at::ScalarType t) : group(std::move(g)), dtype(t) {}
  FuturePtr runHook(c10d::GradBucket& bucket) override {
    at::Tensor buffer = bucket.getBuffer();
    std::vector<at::Tensor> small{buffer.to(dtype).div_(group->size)};
    auto work = group->pg->allreduce(small);
    return work->getFuture()->then(
        [buffer](c10::ivalue::Future& f) -> c10::IValue {
          at::NoGradGuard none;
          at::Tensor whole = buffer;
          whole.copy_(f.value().toTensorVector()[0]);
          return whole;
        },
        c10::TensorType::get());
  }
  at::Tensor parseHookResult(const c10::IValue& result) override {
    return c10d::detail::parseCppCommHookResult(result);
  }
  std::shared_ptr<Group> group;
  at::ScalarType dtype;
};

// GoHook leaves a bucket to a Go function, on the thread of backward.
struct GoHook : c10d::CommHookInterface {
  explicit GoHook(uint64_t id) : closure(id) {}

  FuturePtr runHook(c10d::GradBucket& bucket) override {
    at::NoGradGuard none;
    auto handles = [](const std::vector<at::Tensor>& list) {
      std::vector<uint64_t> v;
      for (auto& t : list) v.push_back(table.put(at::Tensor(t)));
      return v;
    };
    auto gradients = handles(bucket.getGradients()), parameters = handles(bucket.getParameters());
    uint64_t result = 0;
    uint64_t panicked =
        goliteBucket(closure, bucket.getIndex(), bucket.isLast(), table.put(at::Tensor(bucket.getBuffer())),
                     gradients.data(), parameters.data(), static_cast<int64_t>(gradients.size()), &result);
    if (panicked) throw GoPanic(panicked);
    at::Tensor t = bucket.getBuffer();
    if (result) {
      t = table.get(result);
      table.drop(&result, 1);
    }
    auto f = c10::make_intrusive<c10::ivalue::Future>(c10::TensorType::get());
    f->markCompleted(c10::IValue(t));
    return f;
  }
  at::Tensor parseHookResult(const c10::IValue& result) override {
    return c10d::detail::parseCppCommHookResult(result);
  }
  uint64_t closure;
};

// Sink passes a model's outputs on. Where only some of them are used, the others' gradients arrive as undefined, so
// that the Reducer sees every parameter; and it starts what a static graph defers to the end. With a site it also
// prepares the Reducer, for a backward pass that may or may not follow: until one begins, the Reducer does not count
// another pass's gradients. A backward pass through several forward passes prepares once, for all.
struct Sink : torch::autograd::Node {
  Sink(std::weak_ptr<GoReducer> to, std::string at) : reducer(std::move(to)), site(std::move(at)) {
    auto r = reducer.lock();
    if (!r || site.empty()) return;
    std::lock_guard<std::mutex> lock(r->m);
    r->sinks.insert(this);
  }
  ~Sink() override {
    auto r = reducer.lock();
    if (!r || site.empty()) return;
    std::lock_guard<std::mutex> lock(r->m);
    r->sinks.erase(this);
  }
  torch::autograd::variable_list apply(torch::autograd::variable_list&& grads) override {
    auto r = reducer.lock();
    if (r && !site.empty()) prepare(*r);
    if (r && r->static_graph && !r->delayed.exchange(true)) {
      torch::autograd::Engine::get_default_engine().queue_callback([r] { r->reducer->delay_all_reduce(); });
    }
    grads.resize(num_outputs());  // of the parameters besides: undefined, which adds nothing and is noticed
    return std::move(grads);
  }
  void prepare(GoReducer& r) {
    int task = torch::autograd::get_current_graph_task_id();
    std::vector<at::Tensor> roots;  // only the nodes that they lead to are looked at
    {
      std::lock_guard<std::mutex> lock(r.m);
      if (r.task == task) return;
      r.task = task;
      auto nodes = torch::autograd::get_current_graph_task_nodes_in_graph();
      for (Sink* sink : r.sinks) {
        if (!r.find_unused || (sink != this && !nodes->count(sink))) continue;
        at::Tensor root = at::empty({0});
        torch::autograd::impl::set_gradient_edge(root, {sink->getptr(), 0});
        roots.push_back(root);
      }
    }
    r.group->watch->set_site(site);
    r.prepare(roots);
  }
  std::string name() const override { return "DistributedDataParallelSink"; }
  std::weak_ptr<GoReducer> reducer;
  std::string site;
};

// Again prepares the Reducer when another backward pass comes through a model's outputs after one that has reduced.
struct Again : torch::autograd::FunctionPreHook {
  Again(std::weak_ptr<GoReducer> r, std::string s) : reducer(std::move(r)), site(std::move(s)) {}
  torch::autograd::variable_list operator()(const torch::autograd::variable_list& grads) override {
    auto r = reducer.lock();
    if (r && !r->reducer->expects()) {
      r->group->watch->set_site(site);
      r->reducer->rebuild_buckets();  // after the preparation it is too late
      r->prepare({});
    }
    return grads;
  }
  std::weak_ptr<GoReducer> reducer;
  std::string site;
};

// Reach gives access to a private member: explicit instantiations may name it. Why: the parameters that the Reducer
// still waits for are otherwise only in the text of an error.
template <auto finalize, auto unmarked>
struct Reach {
  friend std::vector<size_t> unfinished(c10d::Reducer& r) {
    return r.*finalize ? (r.*unmarked)() : std::vector<size_t>();
  }
};
// unfinished lists the parameters whose gradients the last backward pass should have given, and did not; none where it
// has ended.
std::vector<size_t> unfinished(c10d::Reducer& r);
template struct Reach<&c10d::Reducer::require_finalize_, &c10d::Reducer::getUnmarkedParamIndicesForIteration>;

// rebuild lays the buckets out anew where that is due. It writes whether it did (1) or not (0), or 2, and the
// parameters that the Reducer waits for.
void rebuild(Writer& w, GoReducer& g) {
  try {
    w.word(g.reducer->rebuild_buckets());
  } catch (const c10::Error&) {
    auto missing = g.group->watch->aborted() ? std::vector<size_t>() : unfinished(*g.reducer);
    if (missing.empty()) throw;
    w.word(2);
    w.word(missing.size());
    for (auto i : missing) w.word(i);
  }
}

enum { kFindUnused = 1, kBucketView = 2, kStaticGraph = 4, kOwnCap = 8 };

}  // namespace
}  // namespace golite

using namespace golite;

extern "C" {

// in: parameters.
int64_t gl_trainable_new(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    auto t = std::make_shared<Trainable>();
    t->params = Reader{in, in + n}.tensors();
    for (auto& p : t->params) t->required.push_back(p.requires_grad());
    w.word(trainables.put(t));
  });
}

// gl_trainable_differs reports whether other parameters require gradients now. It is called in each forward pass.
int32_t gl_trainable_differs(uint64_t trainable) {
  try {
    auto t = trainables.get(trainable);
    for (size_t i = 0; i < t->params.size(); i++) {
      if (t->params[i].requires_grad() != (t->required[i] != 0)) return 1;
    }
    return 0;
  } catch (const std::exception&) {  // it was freed
    return 1;
  }
}

void gl_trainable_free(uint64_t trainable) { trainables.take(trainable); }

// in: group, flags, bytes of a bucket, name of the model, parameters, names of the parameters.
int64_t gl_reducer_new(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    thread_state.enter();
    Reader r{in, in + n};
    auto g = std::make_shared<GoReducer>();
    g->group = groups.get(r.word());
    uint64_t flags = r.word();
    auto cap = static_cast<int64_t>(r.word());
    std::string model = r.text();
    std::vector<at::Tensor> params = r.tensors();
    std::unordered_map<size_t, std::string> names;
    for (size_t i = 0; i < params.size(); i++) names[i] = r.text();
    g->find_unused = flags & kFindUnused;
    g->static_graph = flags & kStaticGraph;
    bool own = flags & kOwnCap;
    int64_t first = own ? cap : c10d::kDefaultFirstBucketBytes;
    // The first backward shows in which order gradients come. Until then there is one bucket, unless unused
    // parameters are looked for: buckets stay as they are then.
    std::vector<size_t> limits{std::numeric_limits<int64_t>::max()};
    if (g->find_unused && !g->static_graph) {
      limits = {static_cast<size_t>(cap)};
      if (!own) limits.insert(limits.begin(), static_cast<size_t>(first));
    }
    std::vector<bool> sparse(params.size(), false);
    auto buckets = std::get<0>(c10d::compute_bucket_assignment_by_size(params, limits, sparse));
    std::reverse(buckets.begin(), buckets.end());
    g->reducer =
        std::make_shared<Reducer>(params, buckets, g->group->pg, sparse, cap, g->find_unused,
                                  (flags & kBucketView) != 0, names, first, false, false, std::vector<int64_t>{});
    g->logger = std::make_shared<c10d::Logger>(g->reducer);
    g->reducer->set_logger(g->logger);
    g->logger->set_construction_data_and_log(model, {}, -1, true, false, g->static_graph);
    if (g->static_graph) {
      g->reducer->set_static_graph();
      g->logger->set_static_graph();
    }
    w.word(reducers.put(g));
  });
}

// kind: 1 float16, 2 bfloat16, 3 the Go function closure.
int64_t gl_reducer_hook(uint64_t reducer, int32_t kind, uint64_t closure, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer&) {
    auto g = reducers.get(reducer);
    std::unique_ptr<c10d::CommHookInterface> hook;
    if (kind == 3) {
      hook = std::make_unique<GoHook>(closure);
    } else {
      hook = std::make_unique<CompressHook>(g->group, kind == 1 ? at::kHalf : at::kBFloat16);
    }
    g->logger->set_comm_hook(kind == 1 ? "fp16" : kind == 2 ? "bf16" : "go");
    g->reducer->register_comm_hook(std::move(hook));
  });
}

// gl_reducer_forward is what comes before a forward whose backward will be reduced. The result tells whether the
// buckets were laid out anew, in the order in which gradients came; it is rebuild's.
int64_t gl_reducer_forward(uint64_t reducer, int32_t joined, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    auto g = reducers.get(reducer);
    g->joined = joined != 0;
    g->since_forward = 0;
    g->logger->set_runtime_stats_and_log();
    g->reducer->prepare_for_forward();
    rebuild(w, *g);
  });
}

// in: reducer, call site, whether the Reducer is prepared now, outputs. A backward pass through the outputs prepares it
// where it has reduced before. The result reports whether the outputs must go through gl_reducer_sink.
int64_t gl_reducer_backward(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    Reader r{in, in + n};
    auto g = reducers.get(r.word());
    std::string site = r.text();
    g->group->watch->set_site(site);
    if (r.word()) g->prepare({});
    for (auto& t : r.tensors()) {
      if (auto node = t.grad_fn()) node->add_pre_hook(std::make_unique<Again>(g, site));
    }
    w.word(g->sink());
  });
}

// gl_reducer_reductions gives the number of backward passes that have averaged gradients.
int64_t gl_reducer_reductions(uint64_t reducer, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) { w.word(reducers.get(reducer)->reductions()); });
}

// in: reducer, call site (empty: the Reducer is prepared), tensors, parameters that backward reaches besides. The
// result has the form of gl_call's.
int64_t gl_reducer_sink(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    thread_state.enter();
    Reader r{in, in + n};
    auto reducer = reducers.get(r.word());
    auto node = make_node<Sink>(reducer, r.text());
    torch::autograd::variable_list outputs = r.tensors(), passed;
    auto edges = torch::autograd::collect_next_edges(outputs);
    for (auto& p : r.tensors()) edges.push_back(torch::autograd::impl::gradient_edge(p));
    node->set_next_edges(std::move(edges));
    for (auto& t : outputs) {
      at::Tensor copy;
      {
        at::NoGradGuard none;
        copy = t.detach().clone();
      }
      torch::autograd::set_history(copy, node);
      passed.push_back(copy);
    }
    w.word(thread_state.scope);
    w.value(c10::IValue(std::move(passed)));
  });
}

// gl_reducer_join makes the collectives that a rank without batches has to match. action: 1 a bucket of zeros for each
// of theirs, 2 their search for unused parameters, 3 the order of gradients, 4 the new layout of buckets, 5 divide by
// the ranks that still have batches, which work counts.
int64_t gl_reducer_join(uint64_t reducer, int32_t action, uint64_t work, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    thread_state.enter();
    auto g = reducers.get(reducer);
    switch (action) {
      case 1: {
        std::vector<FuturePtr> all;
        for (auto& b : g->reducer->get_grad_buckets(true)) all.push_back(g->reducer->run_comm_hook(b));
        for (auto& f : all) f->waitAndThrow();
        return;
      }
      case 2: {
        std::vector<at::Tensor> used{g->reducer->get_local_used_map_on_device()};
        g->group->pg->allreduce(used)->wait();
        return;
      }
      case 3:
        g->reducer->push_rebuilt_params_for_all_indices();
        return;
      case 4:
        rebuild(w, *g);
        return;
      case 5:
        g->reducer->set_forward_pass_work_handle(works.get(work), false);
        return;
      default:
        TORCH_CHECK(false, "there is no join action ", action);
    }
  });
}

// gl_reducer_stats gives the Logger's figures: n, (name, value), then n texts (name, text).
int64_t gl_reducer_stats(uint64_t reducer, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    auto g = reducers.get(reducer);
    auto data = g->logger->get_ddp_logging_data();
    w.word(data.ints_map.size());
    for (auto& e : data.ints_map) {
      w.text(e.first.data(), e.first.size());
      w.word(static_cast<uint64_t>(e.second));
    }
    w.word(data.strs_map.size());
    for (auto& e : data.strs_map) {
      w.text(e.first.data(), e.first.size());
      w.text(e.second.data(), e.second.size());
    }
  });
}

void gl_reducer_free(uint64_t reducer) {
  auto g = reducers.take(reducer);
  if (!g) return;
  try {
    g->logger.reset();
    g->reducer->remove_autograd_hooks();
    g->reducer.reset();
  } catch (const std::exception&) {  // a broken group: nothing is left to save
  }
}

// in: group, root, bytes at a time, tensors. They get the root's values.
int64_t gl_broadcast_coalesced(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer&) {
    thread_state.enter();
    Reader r{in, in + n};
    auto g = groups.get(r.word());
    auto root = static_cast<int>(r.word());
    size_t bytes = r.word();
    Site site(r.text());
    at::NoGradGuard none;
    auto tensors = r.tensors();
    c10d::broadcast_coalesced(g->pg, tensors, bytes, root);
  });
}

}  // extern "C"
