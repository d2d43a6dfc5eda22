// dist_store.hh: the key-value stores through which ranks exchange addresses.

#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <c10/util/Flags.h>

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "dist_work.h"

C10_DECLARE_int(caffe2_log_level);

namespace golite {

Registry<c10::intrusive_ptr<c10d::Store>> stores("store");

namespace {

std::vector<uint8_t> bytes(Reader& r) {
  std::string s = r.text();
  return {s.begin(), s.end()};
}

// quiet keeps c10d from printing traces of connections that end: the errors reach Go.
void quiet() {
  static const bool once = [] {
    if (overridden("log") && !std::getenv("TORCH_CPP_LOG_LEVEL")) FLAGS_caffe2_log_level = 2;  // errors only
    return true;
  }();
  (void)once;
}

// FileStore is c10d's, for a file that may be removed at any time, as with a temporary folder. Each operation of c10d's
// opens the file anew, and waits for the store's whole timeout where its folder is gone; its destructor does so too,
// and then throws. Here an operation waits for the file for about a second (c10d counts whole ones), the timeout is
// that of waits for keys, and the destructor neither waits longer nor throws.
class FileStore : public c10d::FileStore {
 public:
  FileStore(const std::string& path, int workers) : c10d::FileStore(path, workers), limit_(timeout_) {
    timeout_ = Millis(1);
  }
  ~FileStore() override {
    try {
      // What c10d's destructor does: it counts itself out, and the last one removes the file.
      if (access(path_.c_str(), F_OK) == 0) {
        bool all = addHelper(cleanupKey_, 1) >= numWorkers_;
        if (addHelper(refCountKey_, -1) == 0 && numWorkers_ >= 0 && all) std::remove(path_.c_str());
      }
    } catch (const std::exception&) {  // the file was removed meanwhile
    }
    path_.clear();  // leaves nothing to do for c10d's destructor
  }

  c10::intrusive_ptr<c10d::Store> clone() override { return c10::make_intrusive<FileStore>(path_, numWorkers_); }
  void setTimeout(const Millis& t) override { limit_ = t; }
  const Millis& getTimeout() const noexcept override { return limit_; }
  std::vector<uint8_t> get(const std::string& key) override {
    wait({key});
    return c10d::FileStore::get(key);
  }
  void wait(const std::vector<std::string>& keys) override { wait(keys, limit_); }
  using c10d::FileStore::wait;

 private:
  Millis limit_;
};

void put(Writer& w, const std::vector<uint8_t>& v) { w.text(reinterpret_cast<const char*>(v.data()), v.size()); }

}  // namespace
}  // namespace golite

using namespace golite;

extern "C" {

// in: host, port (0: any free one, of a server), server, milliseconds to connect, descriptor of a listening socket or
// -1. The store itself does not wait: Go does, with a context.
int64_t gl_store_tcp(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    quiet();
    Reader r{in, in + n};
    std::string host = r.text();
    c10d::TCPStoreOptions o;
    o.port = static_cast<uint16_t>(r.word());
    o.isServer = r.word() != 0;
    o.timeout = Millis(r.word());
    auto fd = static_cast<int64_t>(r.word());
    if (fd >= 0) o.masterListenFd = static_cast<int>(fd);
    // A client counts itself in, which PyTorch's server waits for; golite's server doesn't wait.
    auto workers = static_cast<int64_t>(r.word());
    if (workers > 0) o.numWorkers = static_cast<size_t>(workers);
    o.waitWorkers = !o.isServer;
    BlockedSigpipe threads;
    auto s = c10::make_intrusive<c10d::TCPStore>(host, o);
    w.word(stores.put(s));
    w.word(s->getPort());
  });
}

// in: path, number of ranks.
int64_t gl_store_file(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    Reader r{in, in + n};
    std::string path = r.text();
    w.word(stores.put(c10::make_intrusive<FileStore>(path, static_cast<int>(r.word()))));
  });
}

int64_t gl_store_hash(uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) { w.word(stores.put(c10::make_intrusive<c10d::HashStore>())); });
}

// in: store, prefix.
int64_t gl_store_prefix(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    Reader r{in, in + n};
    auto s = stores.get(r.word());
    w.word(stores.put(c10::make_intrusive<c10d::PrefixStore>(r.text(), s)));
  });
}

// in: store, key, value.
int64_t gl_store_set(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer&) {
    Reader r{in, in + n};
    auto s = stores.get(r.word());
    std::string key = r.text();
    s->set(key, bytes(r));
  });
}

// in: store, key, expected, desired. The result is the value that the key has then.
int64_t gl_store_swap(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    Reader r{in, in + n};
    auto s = stores.get(r.word());
    std::string key = r.text();
    auto expected = bytes(r), desired = bytes(r);
    put(w, s->compareSet(key, expected, desired));
  });
}

// in: store, key. It blocks for a key that isn't there: Go checks first.
int64_t gl_store_get(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    Reader r{in, in + n};
    auto s = stores.get(r.word());
    put(w, s->get(r.text()));
  });
}

// in: store, key, amount.
int64_t gl_store_add(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    Reader r{in, in + n};
    auto s = stores.get(r.word());
    std::string key = r.text();
    w.word(static_cast<uint64_t>(s->add(key, static_cast<int64_t>(r.word()))));
  });
}

// in: store, count, keys.
int64_t gl_store_check(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    Reader r{in, in + n};
    auto s = stores.get(r.word());
    std::vector<std::string> keys(r.word());
    for (auto& k : keys) k = r.text();
    w.word(s->check(keys));
  });
}

// in: store, key.
int64_t gl_store_delete(const uint64_t* in, uint32_t n, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    Reader r{in, in + n};
    auto s = stores.get(r.word());
    w.word(s->deleteKey(r.text()));
  });
}

int64_t gl_store_keys(uint64_t store, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) { w.word(static_cast<uint64_t>(stores.get(store)->getNumKeys())); });
}

void gl_store_free(uint64_t store) { stores.take(store); }

}  // extern "C"
