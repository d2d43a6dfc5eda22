// dist_memory.h: memory that ranks on one host share, and the sums that they form in it.
//
// Each rank has a share that it writes and all read: a header, and slots for the tensors that it brings, a large one in several pieces. A slot is
// used again when all have read it.
#pragma once

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "dist_fold.h"
#include "dist_work.h"

#if defined(__linux__)
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <random>
#endif

namespace golite {

class SharedMemory {
 public:
  static constexpr size_t kSlots = 8;        // pieces that may be under way at once
  static constexpr size_t kPiece = 4 << 20;  // bytes of one
  static constexpr size_t kMost = 64 << 20;  // bytes that all ranks bring together, and each reads

  // meet makes the share of one rank and finds those of the others; null where they can't all reach each other's, about which they agree.
  static std::shared_ptr<SharedMemory> meet(c10d::Store& store, int rank, int size);
  ~SharedMemory();

  // takes tells whether a sum goes this way.
  bool takes(const at::Tensor& t, int op) const {
    auto d = t.scalar_type();
    return (op == c10d::ReduceOp::SUM || op == c10d::ReduceOp::AVG) && t.device().is_cpu() && t.layout() == at::kStrided && t.is_contiguous() &&
           t.nbytes() > 0 && t.nbytes() * shares_.size() <= kMost && (d == at::kFloat || d == at::kDouble || d == at::kHalf || d == at::kBFloat16);
  }

  // reserve gives a tensor's pieces their numbers, of which it returns the first: they count the pieces of the group.
  uint64_t reserve(size_t pieces) { return next_.fetch_add(pieces); }
  static size_t pieces(const at::Tensor& t) { return (t.nbytes() + kPiece - 1) / kPiece; }

  // post puts a tensor where the others look for it. It may have to wait for a slot; check is called meanwhile with a peer, and now and then with
  // why that will not read any more, and ends the waiting by throwing. site is where the program called.
  template <class F>
  void post(uint64_t first, const at::Tensor& t, int op, const std::string& site, F check) {
    const auto* from = static_cast<const char*>(t.const_data_ptr());
    TORCH_CHECK(from, "a tensor without memory can't be summed");  // takes has seen that it has bytes
    auto& mine = shares_[static_cast<size_t>(rank_)];
    for (size_t i = 0; i < pieces(t); i++) {
      uint64_t number = first + i;
      await_slot(number, check);
      auto& s = mine.header().slots[number % kSlots];
      s.call = {static_cast<int64_t>(t.nbytes()), static_cast<int64_t>(t.scalar_type()), op};
      s.site[site.copy(s.site, sizeof s.site - 1)] = 0;
      std::memcpy(mine.slot(number % kSlots), from + i * kPiece, std::min(kPiece, t.nbytes() - i * kPiece));
      s.posted.store(number + 1, std::memory_order_release);
      ring(mine);
    }
  }

  // missing is a rank that has not posted a piece, -1 if there is none.
  int missing(uint64_t number) const {
    return first([&](const Header& h) { return h.slots[number % kSlots].posted.load(std::memory_order_acquire) <= number; });
  }
  // await sleeps until a rank posts a piece, or time is up.
  void await(int rank, uint64_t number, Millis time) const;
  // gone says why a rank will not post, if it won't.
  std::string gone(int rank) const;
  // leave tells the others that this rank won't.
  void leave();

  // sum replaces a tensor's piece i by the sum of what all ranks have posted. An element's order of adding is that of Gloo's ring.
  void sum(uint64_t first, size_t i, const at::Tensor& t);

 private:
  struct Call {
    int64_t bytes, dtype, op;
    bool operator==(const Call&) const = default;
  };
  struct alignas(64) Slot {
    std::atomic<uint64_t> posted;  // the number of the last piece in it, plus 1
    std::atomic<uint64_t> read;    // how many pieces in this slot the rank has read from all
    Call call;                     // that the piece is of
    char site[128];                // where that was called, cut off
  };
  struct Header {
    uint64_t nonce;
    std::atomic<uint32_t> bell;  // counts posts; who waits for one sleeps on it
    std::atomic<uint32_t> left;
    Slot slots[kSlots];
  };
  static constexpr size_t kPage = 4096, kBytes = kPage + kSlots * kPiece;  // pages that nobody touches are not there
  static_assert(sizeof(Header) <= kPage);

  struct Share {
    char* at = nullptr;
    int fd = -1;
    Header& header() const { return *reinterpret_cast<Header*>(at); }
    char* slot(size_t i) const { return at + kPage + i * kPiece; }
  };

  SharedMemory(int rank, int size) : rank_(rank), shares_(static_cast<size_t>(size)) {}
  static bool map(Share& p);
  static unsigned long long network();
  static Share look(const std::string& where);
  static void ring(const Share& p);
  void same_call(size_t slot) const;
  // await_slot waits until all ranks have read what was in a piece's slot. Whoever is behind reads on a thread that does nothing else: this
  // waits for no call of a peer's.
  template <class F>
  void await_slot(uint64_t number, F check) const {
    size_t slot = number % kSlots;
    for (int looks = 0;; looks++) {
      int r = first([&](const Header& h) { return h.slots[slot].read.load(std::memory_order_acquire) < number / kSlots; });
      if (r < 0) return;
      check(r, looks % 1000 == 999 ? gone(r) : "");
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  }
  template <class F>
  int first(F lacks) const {
    for (size_t r = 0; r < shares_.size(); r++) {
      if (lacks(shares_[r].header())) return static_cast<int>(r);
    }
    return -1;
  }

  const int rank_;
  std::vector<Share> shares_;
  std::atomic<uint64_t> next_{0};
};

// same_call throws where ranks have posted pieces of different calls.
inline void SharedMemory::same_call(size_t slot) const {
  const Slot& mine = shares_[static_cast<size_t>(rank_)].header().slots[slot];
  const Call& a = mine.call;
  int r = first([&](const Header& h) { return !(h.slots[slot].call == a); });
  if (r < 0) return;
  const Slot& other = shares_[static_cast<size_t>(r)].header().slots[slot];
  auto text = [](const Slot& s) {
    return std::to_string(s.call.bytes) + " bytes of " + c10::toString(static_cast<at::ScalarType>(s.call.dtype)) + " at " + s.site;
  };
  Failure f(GL_FAILURE_DIFFERS, rank_,
            "rank " + std::to_string(rank_) + " an all_reduce of " + text(mine) + ", rank " + std::to_string(r) + " one of " + text(other) +
                (a.op == other.call.op ? "" : ", and the one is a mean, the other a sum"));
  throw Failed(f);
}

inline void SharedMemory::sum(uint64_t first, size_t i, const at::Tensor& t) {
  size_t slot = (first + i) % kSlots, n = shares_.size(), begin = i * kPiece, end = std::min(begin + kPiece, t.nbytes());
  same_call(slot);
  auto* to = static_cast<char*>(t.data_ptr());
  Blocks blocks(t.nbytes(), t.element_size(), n);
  constexpr size_t kStep = 16384;  // stays in the cache while the ranks are added
  for (size_t at = begin; at < end;) {
    size_t block = std::min(at / blocks.block, n - 1);
    size_t bytes = std::min({(block == n - 1 ? end : (block + 1) * blocks.block) - at, end - at, kStep});
    auto from = [&](size_t k) { return shares_[(block + 2 * n - k) % n].slot(slot) + (at - begin); };
    std::memcpy(to + at, from(1), bytes);
    for (size_t k = 2; k <= n; k++) combine_bytes(to + at, from(k), bytes / t.element_size(), t.scalar_type(), c10d::ReduceOp::SUM);
    at += bytes;
  }
  shares_[static_cast<size_t>(rank_)].header().slots[slot].read.fetch_add(1, std::memory_order_release);
}

#if defined(__linux__)

inline bool SharedMemory::map(Share& p) {
  void* at = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, p.fd, 0);
  if (at != MAP_FAILED) p.at = static_cast<char*>(at);
  return p.at != nullptr;
}

// network names this process's host as its network has it: containers with networks of their own are hosts of their own.
inline unsigned long long SharedMemory::network() {
  struct stat st;
  return stat("/proc/self/ns/net", &st) == 0 ? st.st_ino : 0;
}

// look maps another rank's share, by what it wrote into the store. It is out of reach on another host, and where this process knows that
// one by another number.
inline SharedMemory::Share SharedMemory::look(const std::string& where) {
  long pid = 0;
  int fd = 0;
  unsigned long long nonce = 0, net = 0;
  Share p;
  if (std::sscanf(where.c_str(), "%ld %d %llu %llu", &pid, &fd, &nonce, &net) != 4 || net != network()) return p;
  p.fd = open(("/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd)).c_str(), O_RDWR | O_CLOEXEC);
  struct stat st;
  if (p.fd < 0) return p;
  if (fstat(p.fd, &st) == 0 && st.st_size == static_cast<off_t>(kBytes) && map(p) && p.header().nonce != nonce) {
    munmap(p.at, kBytes);
    p.at = nullptr;
  }
  return p;
}

inline std::shared_ptr<SharedMemory> SharedMemory::meet(c10d::Store& store, int rank, int size) {
  std::shared_ptr<SharedMemory> all(new SharedMemory(rank, size));
  auto& mine = all->shares_[static_cast<size_t>(rank)];
  auto put = [&](const std::string& key, const std::string& v) { store.set(key + std::to_string(rank), v); };
  auto get = [&](const std::string& key, int r) {
    auto v = store.get(key + std::to_string(r));
    return std::string(v.begin(), v.end());
  };
  mine.fd = static_cast<int>(syscall(SYS_memfd_create, "golite-ranks", MFD_CLOEXEC));
  // The lock is for as long as this process lives: it tells the others.
  bool reached = mine.fd >= 0 && ftruncate(mine.fd, static_cast<off_t>(kBytes)) == 0 && flock(mine.fd, LOCK_EX | LOCK_NB) == 0 && map(mine);
  if (reached) {
    std::random_device random;
    mine.header().nonce = static_cast<uint64_t>(random()) << 32 | random();
    put("share", std::to_string(getpid()) + " " + std::to_string(mine.fd) + " " + std::to_string(mine.header().nonce) + " " + std::to_string(network()));
  } else {
    put("share", "none");
  }
  for (int r = 0; r < size; r++) {
    std::string where = get("share", r);
    if (r == rank || !reached) continue;
    auto& p = all->shares_[static_cast<size_t>(r)] = look(where);
    reached = p.at != nullptr;
  }
  put("reached", reached ? "all" : "not all");
  for (int r = 0; r < size; r++) reached = get("reached", r) == "all" && reached;
  return reached ? all : nullptr;
}

inline SharedMemory::~SharedMemory() {
  if (shares_[static_cast<size_t>(rank_)].at) leave();
  for (auto& p : shares_) {
    if (p.at) munmap(p.at, kBytes);
    if (p.fd >= 0) close(p.fd);
  }
}

inline void SharedMemory::ring(const Share& p) {
  auto& bell = p.header().bell;
  bell.fetch_add(1, std::memory_order_release);
  syscall(SYS_futex, &bell, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0);
}

inline void SharedMemory::await(int rank, uint64_t number, Millis time) const {
  auto& h = shares_[static_cast<size_t>(rank)].header();
  uint32_t heard = h.bell.load(std::memory_order_acquire);
  if (h.left.load(std::memory_order_acquire) || h.slots[number % kSlots].posted.load(std::memory_order_acquire) > number) return;
  timespec t{time.count() / 1000, time.count() % 1000 * 1000000};
  syscall(SYS_futex, &h.bell, FUTEX_WAIT, heard, &t, nullptr, 0);
}

inline std::string SharedMemory::gone(int rank) const {
  if (rank == rank_) return "";
  const auto& p = shares_[static_cast<size_t>(rank)];
  if (p.header().left.load(std::memory_order_acquire)) return "rank " + std::to_string(rank) + " has left the group";
  if (flock(p.fd, LOCK_SH | LOCK_NB) != 0) return "";
  flock(p.fd, LOCK_UN);
  return "rank " + std::to_string(rank) + " has ended";
}

inline void SharedMemory::leave() {
  auto& mine = shares_[static_cast<size_t>(rank_)];
  mine.header().left.store(1, std::memory_order_release);
  ring(mine);
}

#else

inline std::shared_ptr<SharedMemory> SharedMemory::meet(c10d::Store&, int, int) { return nullptr; }
inline SharedMemory::~SharedMemory() {}
inline void SharedMemory::ring(const Share&) {}
inline void SharedMemory::await(int, uint64_t, Millis) const {}
inline std::string SharedMemory::gone(int) const { return ""; }
inline void SharedMemory::leave() {}

#endif

}  // namespace golite
