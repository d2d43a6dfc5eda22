// dist_gloo_connections.hh: the connections of a Gloo group to its peers.
#pragma once

#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <gloo/context.h>
#include <cstdlib>
#include "dist_shm_memory.h"
#include "dist_work.h"

namespace golite {
namespace {

// DetachableStore can drop its store. Why: a leaked group would otherwise keep the server, and its port, for ever.
class DetachableStore : public c10d::PrefixStore {
 public:
  using PrefixStore::PrefixStore;
  void let_go() { store_ = c10::make_intrusive<c10d::HashStore>(); }
};

class ClosableGloo : public c10d::ProcessGroupGloo {
 public:
  using ProcessGroupGloo::ProcessGroupGloo;
  c10::intrusive_ptr<DetachableStore> store;  // none where PyTorch's ranks use it as it is
  void cut() {
    for (auto& c : contexts_) c->closeConnections();
  }
  // tag sets the tag of the next collective. The sizes of what ranks bring are part of it. Why: Gloo checks the size of
  // a message on a thread of its own, where a wrong one ends the process. Messages with different tags never meet:
  // ranks that disagree wait, and package dist compares their calls. item counts the tensors of a list, which are
  // collectives of Gloo's each.
  void tag(const Signature& s, size_t item) {
    uint32_t digest = item == 0 ? s.digest() : static_cast<uint32_t>(mixed(s.digest(), static_cast<int64_t>(item)));
    collectiveCounter_ = digest << 12 | (static_cast<uint32_t>(s.number) & 0x3ff) << 2;
  }
};

// GlooConnections is the connection to the peers; it outlives the backend where a call still hangs.
struct GlooConnections {
  c10::intrusive_ptr<ClosableGloo> gloo, shadow;  // shadow carries the calls' descriptions in debug mode
  std::shared_ptr<SharedMemory> memory;           // of ranks that share one host
  std::atomic<bool> cut_{false};
  void cut() {
    if (cut_.exchange(true)) return;
    try {
      gloo->cut();
    } catch (const std::exception&) {  // what is closed already
    }
    try {
      if (shadow) shadow->cut();
    } catch (const std::exception&) {
    }
    if (memory) memory->leave();
  }
  ~GlooConnections() {
    if (!cut_) return;
    for (auto* g : {&gloo, &shadow}) {
      if (*g && (*g)->store) (*g)->store->let_go();
      g->release();
    }
  }
};

c10::intrusive_ptr<ClosableGloo> connect(const GlooSettings& g, const std::string& prefix) {
  BlockedSigpipe threads;
  // golite's works time out first, with a better message: Gloo's own limit ends the calls that remain.
  auto o = c10d::ProcessGroupGloo::Options::create(g.timeout + Millis(60000));
  for (auto& i : g.interfaces) o->devices.push_back(c10d::ProcessGroupGloo::createDeviceForInterface(i, false));
  if (o->devices.empty()) {
    o->devices.push_back(g.host.empty() ? c10d::ProcessGroupGloo::createDefaultDevice(false)
                                        : c10d::ProcessGroupGloo::createDeviceForHostname(g.host, false));
  }
  o->threads = static_cast<int>(2 * o->devices.size());
  if (prefix.empty()) return c10::make_intrusive<ClosableGloo>(g.store, g.rank, g.size, o);
  auto store = c10::make_intrusive<DetachableStore>(prefix, g.store);
  auto gloo = c10::make_intrusive<ClosableGloo>(store, g.rank, g.size, o);
  gloo->store = store;
  return gloo;
}

// unrecorded turns off the recorder in which libtorch records every collective of Gloo, unless the user enabled it. The
// recorder is the process's one, and writes its map of groups without a lock: the first collectives of two groups, on
// two threads, can crash the process.
void unrecorded() {
  static const int once = overridden("recorder") ? setenv("TORCH_FR_BUFFER_SIZE", "0", 0) : 0;
  (void)once;
}

}  // namespace
}  // namespace golite
