// dist_inprocess_plan.h: one collective of ranks that share a process: its pieces, and who does them.
//
// Sums are formed in an order of their own for each element, never in the order of arrival: the order of Gloo's
// ring. A tensor of n bytes is cut into at least twice as many segments of at most a mebibyte as there are
// ranks, equally many for each rank; an element of rank j's segments is x[j-1], plus x[j-2], ..., plus x[j]
// (ranks modulo their number). So three ranks and more get the bits that Gloo gives.
#pragma once

#include "dist_reduce_kernels.h"
#include "dist_work.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstring>

namespace golite {

constexpr int64_t kPiece = 1 << 18;  // bytes that one thread does at a time

// Job is a piece of a collective that one thread does: a copy, or the reduction of a range.
struct Job {
  std::vector<const char*> from;  // one: a copy; else one for each rank, in the order to combine
  std::vector<char*> to;
  size_t bytes;
  int op = 0;
  at::ScalarType dtype = at::ScalarType::Byte;

  void run() const {
    if (from.size() == 1) {
      for (char* t : to) {
        if (t != from[0]) std::memmove(t, from[0], bytes);
      }
      return;
    }
    alignas(64) char acc[16384];
    size_t size = c10::elementSize(dtype);
    for (size_t at = 0; at < bytes; at += sizeof acc) {
      size_t n = std::min(bytes - at, sizeof acc);
      std::memcpy(acc, from[0] + at, n);
      for (size_t r = 1; r < from.size(); r++) combine_bytes(acc, from[r] + at, n / size, dtype, op);
      for (char* t : to) std::memcpy(t + at, acc, n);
    }
  }
};

struct Step;

struct StepWork : TrackedWork {
  using TrackedWork::TrackedWork;
  bool helpable() override;
  void help() override;
  int spins() override { return spin; }
  void call() {
    std::lock_guard<std::mutex> l(lock());
    wake();
  }
  std::shared_ptr<Step> step;
  int spin = 0;
};

// Part is what a rank brings to a collective.
struct Part {
  std::vector<at::Tensor> in, out;
  c10::intrusive_ptr<StepWork> work;
};

// Step is one collective in progress.
struct Step {
  Signature sig;
  int first = 0;  // the rank whose signature it is
  std::vector<Part> parts;
  int arrived = 0;
  std::vector<Job> jobs;
  std::atomic<size_t> next{0}, left{0};
  std::atomic<bool> ready{false};

  void run() {
    size_t i;
    while ((i = next.fetch_add(1, std::memory_order_relaxed)) < jobs.size()) {
      jobs[i].run();
      if (left.fetch_sub(1, std::memory_order_acq_rel) == 1) finish();
    }
  }
  void finish() {
    for (auto& p : parts) p.work->complete();
    part();
  }
  void fail(const Failure& why) {
    for (auto& p : parts) {
      if (p.work) p.work->fail(why);
    }
    part();
  }
  // part unties works and step, which hold each other.
  void part() {
    for (auto& p : parts) {
      if (p.work) std::atomic_store(&p.work->step, std::shared_ptr<Step>());
    }
  }
  void plan();
  void copy(const at::Tensor& from, const at::Tensor& to);
  void reduce(const std::vector<const char*>& from, const std::vector<std::vector<char*>>& to, size_t begin,
              size_t bytes, const Blocks& blocks);
};

inline bool StepWork::helpable() {
  auto s = std::atomic_load(&step);
  return s && s->ready.load(std::memory_order_acquire) && s->next.load(std::memory_order_relaxed) < s->jobs.size();
}

inline void StepWork::help() {
  auto s = std::atomic_load(&step);
  if (s) s->run();
}

inline char* data(const at::Tensor& t) {
  auto* p = static_cast<char*>(t.data_ptr());
  TORCH_CHECK(p || t.nbytes() == 0, "a tensor without memory can't be sent or received");
  return p;
}

inline void Step::copy(const at::Tensor& from, const at::Tensor& to) {
  TORCH_CHECK(from.nbytes() == to.nbytes() && from.scalar_type() == to.scalar_type(), kind_name(sig.kind),
              ": a rank gives ", from.scalar_type(), from.sizes(), " where another expects ", to.scalar_type(),
              to.sizes());
  size_t n = from.nbytes();
  for (size_t at = 0; at < n; at += kPiece) {
    jobs.push_back({{data(from) + at}, {data(to) + at}, std::min<size_t>(kPiece, n - at)});
  }
}

// reduce plans the bytes [begin, begin+bytes) of a whole tensor whose blocks are given; from points at begin on each
// rank.
inline void Step::reduce(const std::vector<const char*>& from, const std::vector<std::vector<char*>>& to, size_t begin,
                         size_t bytes, const Blocks& blocks) {
  auto dtype = static_cast<at::ScalarType>(sig.dtype);
  size_t n = from.size(), at = 0;
  while (at < bytes) {
    size_t block = std::min((begin + at) / blocks.block, n - 1);
    size_t end = block == n - 1 ? begin + bytes : (block + 1) * blocks.block;
    size_t count = std::min({bytes - at, end - begin - at, static_cast<size_t>(kPiece)});
    Job j{{}, {}, count, sig.op, dtype};
    for (size_t k = 1; k <= n; k++) j.from.push_back(from[(block + 2 * n - k) % n] + at);
    for (auto& t : to) j.to.push_back(t[0] + at);
    jobs.push_back(std::move(j));
    at += count;
  }
}

// plan cuts the collective into jobs once all ranks are there.
inline void Step::plan() {
  size_t n = parts.size();
  switch (sig.kind) {
    case GL_BARRIER:
      return;
    case GL_BROADCAST:
      for (size_t r = 0; r < n; r++) {
        if (static_cast<int>(r) != sig.root) copy(parts[sig.root].in[0], parts[r].in[0]);
      }
      return;
    case GL_ALL_REDUCE:
    case GL_ALL_REDUCE_COALESCED:
    case GL_REDUCE: {
      for (size_t i = 0; i < parts[0].in.size(); i++) {
        std::vector<const char*> from;
        std::vector<std::vector<char*>> to;
        size_t bytes = parts[0].in[i].nbytes();
        for (size_t r = 0; r < n; r++) {
          TORCH_CHECK(parts[r].in.size() == parts[0].in.size() && parts[r].in[i].nbytes() == bytes, kind_name(sig.kind),
                      ": tensors of different sizes");
          from.push_back(data(parts[r].in[i]));
          if (sig.kind != GL_REDUCE || static_cast<int>(r) == sig.root) to.push_back({data(parts[r].in[i])});
        }
        reduce(from, to, 0, bytes, Blocks(bytes, parts[0].in[i].element_size(), n, sig.kind == GL_REDUCE));
      }
      return;
    }
    case GL_REDUCE_SCATTER:
    case GL_REDUCE_SCATTER_TENSOR:
    case GL_REDUCE_SCATTER_TENSOR_COALESCED:
      for (size_t i = 0; i < parts[0].out.size(); i++) {
        size_t bytes = parts[0].out[i].nbytes();
        Blocks blocks(bytes * n, parts[0].out[i].element_size(), n);
        for (size_t to = 0; to < n; to++) {
          std::vector<const char*> from;
          for (size_t r = 0; r < n; r++) {
            auto& part = parts[r].in.at(i * n + to);
            TORCH_CHECK(part.nbytes() == bytes && parts[r].out.at(i).nbytes() == bytes, kind_name(sig.kind),
                        ": tensors of different sizes");
            from.push_back(data(part));
          }
          reduce(from, {{data(parts[to].out[i])}}, to * bytes, bytes, blocks);
        }
      }
      return;
    case GL_GATHER:
      for (size_t r = 0; r < n; r++) copy(parts[r].in[0], parts[sig.root].out[r]);
      return;
    case GL_SCATTER:
      for (size_t r = 0; r < n; r++) copy(parts[sig.root].in[r], parts[r].out[0]);
      return;
    case GL_ALL_GATHER:
    case GL_ALL_GATHER_INTO:
    case GL_ALL_GATHER_INTO_COALESCED:
      for (size_t i = 0; i < parts[0].in.size(); i++) {
        for (size_t r = 0; r < n; r++) {
          for (size_t to = 0; to < n; to++) copy(parts[r].in.at(i), parts[to].out.at(i * n + r));
        }
      }
      return;
    case GL_ALL_TO_ALL:
    case GL_ALL_TO_ALL_SINGLE:
      for (size_t r = 0; r < n; r++) {
        for (size_t to = 0; to < n; to++) copy(parts[r].in[to], parts[to].out[r]);
      }
      return;
    default:
      TORCH_CHECK(false, kind_name(sig.kind), " is no collective");
  }
}

}  // namespace golite
