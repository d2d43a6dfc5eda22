// driver.cc: cgotorch's C++ without Go, for tools that watch memory and threads.
//
//   driver handles            threads make, read and release tensors by handles
//   driver blocks             threads allocate tensors that others free (GOLITE_DRIVER_KEEPS=1: with the free lists)
//   driver inprocess          collectives of ranks that share a process
//   driver shared             collectives of ranks in memory that they share
//   driver step               two training steps of an MLP, by the functions that Go calls
//   driver kept               prints which free lists keep blocks
//   driver freed-tensor       reads the memory of a tensor after its release: a fault that a tool must report
//   driver freed-object       reads a C++ object after its deletion
//   driver race               two threads write one word: a fault that ThreadSanitizer must report
//
// It is one compilation unit with cgotorch.cc, so that it reaches what has no C function.

#include <sys/mman.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "overrides.h"

// The free lists are off under a sanitizer. GOLITE_DRIVER_KEEPS turns those of tensors on, to be checked themselves.
static bool driver_keeps() {
  const char* s = std::getenv("GOLITE_DRIVER_KEEPS");
  return s && *s == '1';
}
#define keeps_blocks(name) (::driver_keeps() || keeps_blocks(name))

// Ranks of one process map each other's memory at one address here: ThreadSanitizer looks at addresses, and would miss a
// race between two mappings of one page.
static void* map_once(size_t n, int fd) {
  static std::mutex lock;
  static std::map<ino_t, void*> mapped;
  struct stat st;
  if (fstat(fd, &st) != 0) return MAP_FAILED;
  std::lock_guard<std::mutex> l(lock);
  void*& at = mapped[st.st_ino];
  if (!at) at = (mmap)(nullptr, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  return at;
}
#define mmap(at, n, prot, flags, fd, offset) ::map_once(n, fd)
#define munmap(at, n) static_cast<void>(n)

#include "cgotorch.cc"

#undef mmap
#undef munmap

#include <torch/csrc/distributed/c10d/HashStore.hpp>

// What Go exports to C++: hooks and functions, of which the driver has none.
extern "C" char* goliteCollective(uint64_t, int64_t, int64_t, int64_t, uint64_t*, int64_t, uint64_t*, int64_t) { return nullptr; }
extern "C" void goliteAbortBackend(uint64_t, char*) {}
extern "C" uint64_t goliteHook(uint64_t, uint64_t, uint64_t*) { return 0; }
extern "C" int32_t goliteCollect(void) { return 0; }
extern "C" uint64_t goliteBackward(uint64_t, uint64_t, uint64_t*, int64_t, uint64_t*, int64_t) { return 0; }
extern "C" uint64_t golitePack(uint64_t, uint64_t, uint64_t*) { return 0; }
extern "C" uint64_t goliteUnpack(uint64_t, uint64_t*) { return 0; }
extern "C" uint64_t goliteRecompute(uint64_t, uint64_t, uint64_t*, int64_t) { return 0; }
extern "C" uint64_t goliteBucket(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t*, uint64_t*, int64_t, uint64_t*) { return 0; }

namespace {

#define EXPECT(condition)                                                                \
  do {                                                                                  \
    if (!(condition)) {                                                                 \
      std::fprintf(stderr, "driver.cc:%d: %s does not hold\n", __LINE__, #condition);   \
      std::exit(3);                                                                     \
    }                                                                                   \
  } while (0)

// threads runs f(0) to f(n-1) at the same time.
template <class F>
void threads(int n, F f) {
  std::vector<std::thread> all;
  for (int i = 0; i < n; i++) all.emplace_back([&f, i] { f(i); });
  for (auto& t : all) t.join();
}

// Random is a small generator of each thread's own.
struct Random {
  uint64_t state;
  uint64_t operator()(uint64_t n) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (state >> 33) % n;
  }
};

at::Tensor filled(size_t n, float v) {
  at::Tensor t = at::detail::empty_cpu({static_cast<int64_t>(n)}, at::kFloat);
  auto* p = static_cast<float*>(t.data_ptr());
  std::fill(p, p + n, v);
  return t;
}

const float* floats(const at::Tensor& t) { return static_cast<const float*>(t.const_data_ptr()); }

bool all_are(const at::Tensor& t, float v) {
  const float* p = floats(t);
  return std::all_of(p, p + t.numel(), [v](float x) { return x == v; });
}

void handles() {
  constexpr int kShared = 32, kRounds = 4000;
  std::atomic<Handle> shared[kShared]{};
  std::atomic<uint64_t> read{0}, stale{0};
  int64_t before = table.live();
  threads(4, [&](int thread) {
    Random random{static_cast<uint64_t>(thread) + 1};
    Handle seen[8]{};  // of a while ago: most are released by now
    for (int i = 0; i < kRounds; i++) {
      auto& place = shared[random(kShared)];
      std::swap(seen[random(8)], seen[0]);
      Handle h = random(2) ? seen[0] : place.load();
      seen[0] = place.load();
      switch (random(4)) {
        case 0: {  // release what is there, put a new one
          Handle old = place.exchange(table.put(filled(4, 7)));
          if (old) EXPECT(table.drop(&old, 1) == 1);
          EXPECT(table.drop(&old, 1) == 0);
          break;
        }
        case 1:  // hold it while others may release it
          if (h) {
            try {
              golite::Pinned pinned(h);
              EXPECT(floats(pinned.get())[3] == 7);
              read++;
            } catch (const StaleHandle& e) {
              EXPECT(e.handle == h);
              stale++;
            }
          }
          break;
        case 2:
          if (h) {
            try {
              EXPECT(all_are(table.get(h), 7));
              read++;
            } catch (const StaleHandle&) {
              EXPECT(!table.alive(h));
              stale++;
            }
          }
          break;
        default:
          if (i % 64 == 0) EXPECT(table.live() >= 0);
          table.alive(place.load());
          table.alive(random(1 << 20) << 32 | random(100));
      }
    }
  });
  for (auto& place : shared) {
    Handle h = place.load();
    table.drop(&h, 1);
  }
  EXPECT(table.live() == before);
  EXPECT(read.load() > 0 && stale.load() > 0);
  std::printf("%llu reads, %llu of released handles\n", static_cast<unsigned long long>(read), static_cast<unsigned long long>(stale));
}

void blocks() {
  constexpr int kRounds = 1500;
  std::mutex lock;
  std::vector<at::Tensor> passed;
  threads(4, [&](int thread) {
    Random random{static_cast<uint64_t>(thread) + 1};
    for (int i = 0; i < kRounds; i++) {
      size_t n = random(3) ? 1 + random(4000) : 4096 + random(60000);  // floats: small blocks, and big ones
      at::Tensor t = filled(n, static_cast<float>(n)), other;
      {
        std::lock_guard<std::mutex> l(lock);
        if (passed.size() > 16) {
          auto& at = passed[random(passed.size())];
          other = std::move(at);
          at = std::move(t);
        } else {
          passed.push_back(std::move(t));
        }
      }
      if (other.defined()) EXPECT(all_are(other, static_cast<float>(other.numel())));
      if (i % 100 == 0) {
        int64_t figures[3];
        gl_memory(figures, 0);
      }
    }
  });
}

void inprocess() {
  constexpr int kRanks = 4, kRounds = 40;
  auto hub = new_hub(kRanks);
  threads(kRanks, [&](int rank) {
    auto watch = std::make_shared<Watch>(rank);
    auto group = inprocess_backend(hub, watch, rank, kRanks);
    float mine = static_cast<float>(rank + 1);
    for (int i = 0; i < kRounds; i++) {
      size_t n = i % 4 == 0 ? 400000 : 1 + static_cast<size_t>(i);  // several pieces, and one
      // Three at once, awaited in another order.
      std::vector<at::Tensor> a{filled(n, mine)}, b{filled(n, mine)}, c{filled(n, rank == 2 ? 5.f : 0.f)};
      c10d::AllreduceOptions mean;
      mean.reduceOp = c10d::ReduceOp::AVG;
      c10d::BroadcastOptions from;
      from.rootRank = 2;
      auto sum = group->allreduce(a), average = group->allreduce(b, mean), cast = group->broadcast(c, from);
      cast->wait();
      average->wait();
      sum->wait();
      EXPECT(all_are(a[0], 10) && all_are(b[0], 2.5f) && all_are(c[0], 5));

      at::Tensor in = filled(n, mine), out = filled(n * kRanks, 0);
      group->_allgather_base(out, in)->wait();
      for (int r = 0; r < kRanks; r++) EXPECT(floats(out)[static_cast<size_t>(r) * n] == static_cast<float>(r + 1));
      at::Tensor part = filled(n, 0);
      group->_reduce_scatter_base(part, out)->wait();
      EXPECT(all_are(part, static_cast<float>(kRanks * (rank + 1))));

      std::vector<at::Tensor> given{filled(n, mine)}, got{filled(n, 0)};
      auto sent = group->send(given, (rank + 1) % kRanks, i);
      group->recv(got, (rank + kRanks - 1) % kRanks, i)->wait();
      sent->wait();
      EXPECT(all_are(got[0], static_cast<float>((rank + kRanks - 1) % kRanks + 1)));
      group->barrier()->wait();
      EXPECT(watch->pending().empty());
    }
      // Sums of integers wrap around, as those of tensors do.
    at::Tensor large = at::detail::empty_cpu({1}, at::kLong), product = at::detail::empty_cpu({1}, at::kInt);
    *static_cast<int64_t*>(large.data_ptr()) = INT64_MAX;
    *static_cast<int32_t*>(product.data_ptr()) = 65537;
    std::vector<at::Tensor> wraps{large}, wraps_product{product};
    group->allreduce(wraps)->wait();
    EXPECT(*static_cast<const int64_t*>(large.const_data_ptr()) == -4);
    c10d::AllreduceOptions times;
    times.reduceOp = c10d::ReduceOp::PRODUCT;
    group->allreduce(wraps_product, times)->wait();
    EXPECT(*static_cast<const int32_t*>(product.const_data_ptr()) == 262145);
    // All but one wait; that one aborts.
    if (rank == 3) return abort_hub(*hub, "the end");
    std::vector<at::Tensor> t{filled(100, 1)};
    try {
      group->allreduce(t)->wait();
      EXPECT(!"the group was aborted");
    } catch (const std::runtime_error& e) {
      EXPECT(std::string(e.what()) == "the end");
    }
  });
}

void shared() {
  constexpr int kRanks = 3, kRounds = 40;
  auto store = c10::make_intrusive<c10d::HashStore>();
  std::atomic<int> ended{0};
  threads(kRanks, [&](int rank) {
    auto watch = std::make_shared<Watch>(rank);
    auto memory = SharedMemory::meet(*store, rank, kRanks);
    EXPECT(memory);
    std::atomic<bool> lost{false};
    {
      ProgressThread progress(memory, [&](const Signature&, int, const std::string& why) {
        lost = true;
        watch->abort(why);
      });
      auto begin = [&](int kind, int root, auto add) {
        Signature s;
        s.kind = kind;
        s.root = root;
        watch->enter(s);
        std::vector<Exchange> x{Exchange(kind, c10d::ReduceOp::SUM, root, rank, kRanks)};
        add(x);
        auto w = c10::make_intrusive<SharedWork>(watch, s, std::vector<at::Tensor>{}, memory, std::move(x), rank == 0 ? 200 : 0);
        watch->add(w.get());
        w->help();
        if (!w->isCompleted()) progress.add(w);
        return w;
      };
      auto sum = [&](const at::Tensor& t) {
        return begin(GL_ALL_REDUCE, -1, [&](std::vector<Exchange>& x) { x = Exchange::sums(GL_ALL_REDUCE, c10d::ReduceOp::SUM, rank, kRanks, {t}); });
      };
      float mine = static_cast<float>(rank + 1);
      for (int i = 0; i < kRounds; i++) {
        size_t n = i % 10 == 0 ? 3000000 : 1 + static_cast<size_t>(i) * 500;  // more pieces than there are slots, and one
        at::Tensor a = filled(n, mine), b = filled(10, 2);
        auto first = sum(a), second = sum(b);
        second->wait();
        first->wait();
        EXPECT(all_are(a, 6) && all_are(b, 6));

        // One of each kind, under way at once, awaited from the last to the first.
        at::Tensor part = filled(n, mine), whole = filled(n * kRanks, 0), parts = filled(n * kRanks, mine), got = filled(n, 0), cast = filled(n, mine);
        at::Tensor small = filled(7, mine), smalls = filled(7 * kRanks, 0), to = filled(n, 0);
        std::vector<at::Tensor> list;
        for (int r = 0; r < kRanks; r++) list.push_back(filled(n, static_cast<float>(r)));
        int root = i % kRanks;
        std::vector<c10::intrusive_ptr<SharedWork>> works{
            begin(GL_ALL_GATHER_INTO_COALESCED, -1, [&](std::vector<Exchange>& x) { x[0].add_joined(small, smalls); x[0].add_joined(part, whole); }),
            begin(GL_REDUCE_SCATTER_TENSOR, -1, [&](std::vector<Exchange>& x) { x[0].add_joined(parts, got); }),
            begin(GL_BROADCAST, root, [&](std::vector<Exchange>& x) { rank == root ? x[0].add({cast}, {}) : x[0].add({}, {cast}); }),
            begin(GL_SCATTER, root, [&](std::vector<Exchange>& x) { x[0].add(rank == root ? list : std::vector<at::Tensor>{}, {to}); }),
        };
        for (size_t k = works.size(); k-- > 0;) works[k]->wait();
        for (int r = 0; r < kRanks; r++) {
          EXPECT(floats(whole)[static_cast<size_t>(r + 1) * n - 1] == static_cast<float>(r + 1));
          EXPECT(floats(smalls)[7 * r] == static_cast<float>(r + 1));
        }
        EXPECT(all_are(got, 6) && all_are(cast, static_cast<float>(root + 1)) && all_are(to, static_cast<float>(rank)));
        EXPECT(watch->pending().empty());
      }
      ended++;
      if (rank > 0) {  // rank 0 leaves; the others wait for it, and are freed
        while (ended < kRanks) std::this_thread::sleep_for(Millis(1));
        at::Tensor t = filled(3000000, 1);
        auto w = sum(t);
        try {
          w->wait();
          EXPECT(!"rank 0 has left");
        } catch (const std::runtime_error& e) {
          EXPECT(std::strstr(e.what(), "has left the group"));
        }
        EXPECT(lost);
      }
    }
    while (ended < kRanks) std::this_thread::sleep_for(Millis(1));
  });
}

// Words are the arguments of a call, as Go writes them.
struct Words : std::vector<uint64_t> {
  Words& add(std::initializer_list<uint64_t> w) {
    insert(end(), w);
    return *this;
  }
  Words& tensor(Handle h) { return add({kTensor, h}); }
  Words& real(double d) {
    uint64_t w;
    std::memcpy(&w, &d, sizeof w);
    return add({kFloat, w});
  }
};

void succeeded(int64_t status, const uint64_t* out) {
  if (status == GL_ERROR) std::fprintf(stderr, "%s\n", reinterpret_cast<const char*>(out[0]));
  EXPECT(status >= 0);
}

// call runs an operator with one result; 0 where it writes in place.
Handle call(const char* name, const char* overload, const Words& in) {
  int64_t op = gl_find(name, overload);
  EXPECT(op >= 0);
  uint64_t out[16];
  int64_t n = gl_call(static_cast<uint32_t>(op), in.data(), static_cast<uint32_t>(in.size()), out, 16);
  succeeded(n, out);
  return n > 1 && out[1] == kTensor ? out[2] : 0;
}

void drop(std::initializer_list<Handle> h) { EXPECT(gl_drop(h.begin(), h.size()) == static_cast<int64_t>(h.size())); }

// layer returns a weight or a bias.
Handle parameter(std::initializer_list<uint64_t> sizes) {
  Words in;
  in.add({kInts, sizes.size()}).add(sizes).add({kInt, static_cast<uint64_t>(at::kFloat), kNone, kNone, kNone});
  Handle h = call("aten::randn", "", in);
  uint64_t out[16];
  succeeded(gl_requires_grad(h, 1, out, 16), out);
  return h;
}

void step() {
  int64_t before = gl_live();
  uint64_t out[16];
  succeeded(gl_gen_new(0, -1, 1, out, 16), out);
  uint64_t own = out[0];
  EXPECT(gl_gen_use(own) == 0);
  std::vector<Handle> parameters{parameter({32, 20}), parameter({32}), parameter({5, 32}), parameter({5})};
  Words sizes;
  Handle x = call("aten::randn", "", sizes.add({kInts, 2, 8, 20, kInt, static_cast<uint64_t>(at::kFloat), kNone, kNone, kNone}));
  Words high;
  Handle target = call("aten::randint", "", high.add({kInt, 5, kInts, 1, 8, kInt, static_cast<uint64_t>(at::kLong), kNone, kNone, kNone}));
  double losses[3];
  for (double& result : losses) {
    Handle hidden = call("aten::linear", "", Words().tensor(x).tensor(parameters[0]).tensor(parameters[1]));
    Handle positive = call("aten::relu", "", Words().tensor(hidden));
    Handle logits = call("aten::linear", "", Words().tensor(positive).tensor(parameters[2]).tensor(parameters[3]));
    Handle loss = call("aten::cross_entropy_loss", "",
                       Words().tensor(logits).tensor(target).add({kNone, kInt, 1, kInt, static_cast<uint64_t>(-100)}).real(0));
    succeeded(gl_item(loss, out, 16), out);
    std::memcpy(&result, &out[1], sizeof result);
    uint64_t backward[] = {2, 0, 1, loss, 0, 0};  // as usual: one root, no gradient of it, all leaves
    succeeded(gl_backward(backward, 6, out, 16), out);
    Words list;
    list.add({parameters.size()});
    list.insert(list.end(), parameters.begin(), parameters.end());
    uint64_t grads[32];
    int64_t n = gl_grads(list.data(), static_cast<uint32_t>(list.size()), grads, 32);
    succeeded(n, grads);
    EXPECT(n == 11 && grads[1] == kTensors && grads[2] == 4);
    gl_grad_mode(0);
    for (size_t i = 0; i < parameters.size(); i++) {
      call("aten::add_", "Tensor", Words().tensor(parameters[i]).tensor(grads[3 + 2 * i]).real(-0.05));
      drop({grads[3 + 2 * i]});
    }
    gl_grad_mode(1);
    succeeded(gl_clear_grads(parameters.data(), static_cast<uint32_t>(parameters.size()), out, 16), out);
    drop({hidden, positive, logits, loss});
  }
  EXPECT(losses[2] < losses[0]);
  drop({parameters[0], parameters[1], parameters[2], parameters[3], x, target});
  gl_gen_free(gl_gen_use(0));
  gl_gen_free(own);
  EXPECT(gl_live() == before);
  std::printf("losses %.4f %.4f %.4f\n", losses[0], losses[1], losses[2]);
}

void kept() {
  {
    std::vector<at::Tensor> some;
    for (int i = 0; i < 500; i++) some.push_back(filled(1000, 1));  // beyond the portion after which a thread settles
  }
  bool tensors = false, objects = false;
  for (uint32_t n : golite::small_blocks.lists.count) tensors |= n > 0;
#if defined(__GLIBC__) && !defined(GOLITE_SANITIZED)
  for (uint32_t n : golite::objects.lists.count) objects |= n > 0;
#endif
  std::printf("tensors %s, objects %s\n", tensors ? "kept" : "freed", objects ? "kept" : "freed");
}

// copy is memcpy, which a tool watches even where this file was not compiled for it.
void* (*volatile copy)(void*, const void*, size_t) = std::memcpy;

void freed(const void* p, size_t n) {
  static char to[64];  // no block of the heap: it might be the freed one
  copy(to, p, std::min(n, sizeof to));
  std::printf("byte 40 of freed memory: %d\n", to[40]);
}

void freed_tensor() {
  for (size_t n : {100, 100000}) {
    at::Tensor t = filled(n, 1);
    const void* p = t.const_data_ptr();
    t.reset();
    freed(p, 64);
  }
}

void freed_object() {
  void* volatile p = ::operator new(64);  // volatile: the compiler knows of the fault as well
  std::memset(p, 1, 64);
  ::operator delete(p);
  freed(p, 64);
}

void race() {
  static int64_t word = 0;
  threads(2, [](int) {
    for (int i = 0; i < 1000; i++) {
      volatile int64_t* at = &word;
      *at = *at + 1;
    }
  });
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, void (*)()> parts = {
      {"handles", handles}, {"blocks", blocks}, {"inprocess", inprocess}, {"shared", shared}, {"step", step},
      {"kept", kept}, {"freed-tensor", freed_tensor}, {"freed-object", freed_object}, {"race", race},
  };
  auto part = argc == 2 ? parts.find(argv[1]) : parts.end();
  if (part == parts.end()) {
    std::fprintf(stderr, "driver: want one of");
    for (auto& p : parts) std::fprintf(stderr, " %s", p.first.c_str());
    std::fprintf(stderr, "\n");
    return 2;
  }
  at::set_num_threads(1);  // libgomp is not instrumented, and its barriers are unknown to ThreadSanitizer
  part->second();
  return 0;
}
