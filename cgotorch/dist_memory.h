// dist_memory.h: memory that ranks on one host share, and the sums that they form in it.
//
// Each rank has a piece that it writes and all read: a header, and slots for the tensors that it brings. A slot is used again when all have read it.
#pragma once

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
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

class Memory {
 public:
  static constexpr size_t kSlots = 4;       // collectives that may be under way at once
  static constexpr size_t kMost = 8 << 20;  // bytes of a tensor

  // meet makes the piece of one rank and finds those of the others; null where they can't all reach each other's, about which they agree.
  static std::shared_ptr<Memory> meet(c10d::Store& store, int rank, int size);
  ~Memory();

  // takes tells whether a sum goes this way.
  static bool takes(const at::Tensor& t, int op) {
    auto d = t.scalar_type();
    return (op == c10d::ReduceOp::SUM || op == c10d::ReduceOp::AVG) && t.device().is_cpu() && t.layout() == at::kStrided && t.is_contiguous() &&
           t.nbytes() > 0 && t.nbytes() <= kMost && (d == at::kFloat || d == at::kDouble || d == at::kHalf || d == at::kBFloat16);
  }

  // post puts a tensor where the others look for it and returns the collective's number. It may have to wait for its slot; check is called
  // meanwhile, now and then with why a peer won't be heard of any more, and ends the waiting by throwing.
  template <class F>
  uint64_t post(const at::Tensor& t, int op, F check) {
    std::lock_guard<std::mutex> l(m_);
    uint64_t number = next_++;
    size_t slot = number % kSlots;
    // Whoever is behind reads on a thread that does nothing else: this waits for no call of a peer's.
    for (int looks = 0;; looks++) {
      int r = first([&](const Header& h) { return h.slots[slot].read.load(std::memory_order_acquire) < number / kSlots; });
      if (r < 0) break;
      check(looks % 1000 == 999 ? gone(r) : "");
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
    auto& mine = pieces_[static_cast<size_t>(rank_)];
    auto& s = mine.header().slots[slot];
    s.call = {static_cast<int64_t>(t.nbytes()), static_cast<int64_t>(t.scalar_type()), op};
    std::memcpy(mine.slot(slot), t.const_data_ptr(), t.nbytes());
    s.posted.store(number + 1, std::memory_order_release);
    ring(mine);
    return number;
  }

  // missing is a rank that has not posted, -1 if there is none.
  int missing(uint64_t number) const {
    return first([&](const Header& h) { return h.slots[number % kSlots].posted.load(std::memory_order_acquire) <= number; });
  }
  // await sleeps until a rank posts, or time is up.
  void await(int rank, uint64_t number, Millis time) const;
  // gone says why a rank will not post, if it won't.
  std::string gone(int rank) const;
  // leave tells the others that this rank won't.
  void leave();

  // sum replaces a tensor by the sum of what all ranks have posted. An element's order of adding is that of Gloo's ring.
  void sum(uint64_t number, const at::Tensor& t);

 private:
  struct Call {
    int64_t bytes, dtype, op;
    bool operator==(const Call&) const = default;
  };
  struct alignas(64) Slot {
    std::atomic<uint64_t> posted;  // the number of the last collective in it, plus 1
    std::atomic<uint64_t> read;    // how many collectives in this slot the rank has read from all
    Call call;
  };
  struct Header {
    uint64_t nonce;
    std::atomic<uint32_t> bell;  // counts posts; who waits for one sleeps on it
    std::atomic<uint32_t> left;
    Slot slots[kSlots];
  };
  static constexpr size_t kPage = 4096, kBytes = kPage + kSlots * kMost;  // pages that nobody touches are not there
  static_assert(sizeof(Header) <= kPage);

  struct Piece {
    char* at = nullptr;
    int fd = -1;
    Header& header() const { return *reinterpret_cast<Header*>(at); }
    char* slot(size_t i) const { return at + kPage + i * kMost; }
  };

  Memory(int rank, int size) : rank_(rank), pieces_(static_cast<size_t>(size)) {}
  static bool map(Piece& p);
  static unsigned long long network();
  static Piece look(const std::string& where);
  static void ring(const Piece& p);
  template <class F>
  int first(F lacks) const {
    for (size_t r = 0; r < pieces_.size(); r++) {
      if (lacks(pieces_[r].header())) return static_cast<int>(r);
    }
    return -1;
  }

  const int rank_;
  std::vector<Piece> pieces_;
  std::mutex m_;
  uint64_t next_ = 0;
};

inline void Memory::sum(uint64_t number, const at::Tensor& t) {
  size_t slot = number % kSlots, n = pieces_.size(), total = t.nbytes();
  const auto& mine = pieces_[static_cast<size_t>(rank_)];
  for (size_t r = 0; r < n; r++) {
    const Call &a = mine.header().slots[slot].call, &b = pieces_[r].header().slots[slot].call;
    if (a == b) continue;
    auto text = [](const Call& c) { return std::to_string(c.bytes) + " bytes of " + c10::toString(static_cast<at::ScalarType>(c.dtype)); };
    throw std::runtime_error("ranks made different calls: rank " + std::to_string(rank_) + " an all_reduce of " + text(a) + ", rank " + std::to_string(r) +
                             " one of " + text(b) + (a.op == b.op ? "" : ", and the one is a mean, the other a sum"));
  }
  auto* to = static_cast<char*>(t.data_ptr());
  Blocks blocks(total, t.element_size(), n);
  constexpr size_t kPiece = 16384;  // stays in the cache while the ranks are added
  for (size_t at = 0; at < total;) {
    size_t block = std::min(at / blocks.block, n - 1);
    size_t end = block == n - 1 ? total : (block + 1) * blocks.block;
    size_t bytes = std::min(end - at, kPiece);
    std::memcpy(to + at, pieces_[(block + n - 1) % n].slot(slot) + at, bytes);
    for (size_t k = 2; k <= n; k++) {
      combine_bytes(to + at, pieces_[(block + 2 * n - k) % n].slot(slot) + at, bytes / t.element_size(), t.scalar_type(), c10d::ReduceOp::SUM);
    }
    at += bytes;
  }
  mine.header().slots[slot].read.fetch_add(1, std::memory_order_release);
}

#if defined(__linux__)

inline bool Memory::map(Piece& p) {
  void* at = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, p.fd, 0);
  if (at != MAP_FAILED) p.at = static_cast<char*>(at);
  return p.at != nullptr;
}

// network names this process's host as its network has it: containers with networks of their own are hosts of their own.
inline unsigned long long Memory::network() {
  struct stat st;
  return stat("/proc/self/ns/net", &st) == 0 ? st.st_ino : 0;
}

// look maps another rank's piece, by what it wrote into the store. It is out of reach on another host, and where this process knows that
// one by another number.
inline Memory::Piece Memory::look(const std::string& where) {
  long pid = 0;
  int fd = 0;
  unsigned long long nonce = 0, net = 0;
  Piece p;
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

inline std::shared_ptr<Memory> Memory::meet(c10d::Store& store, int rank, int size) {
  std::shared_ptr<Memory> all(new Memory(rank, size));
  auto& mine = all->pieces_[static_cast<size_t>(rank)];
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
    put("piece", std::to_string(getpid()) + " " + std::to_string(mine.fd) + " " + std::to_string(mine.header().nonce) + " " + std::to_string(network()));
  } else {
    put("piece", "none");
  }
  for (int r = 0; r < size; r++) {
    std::string where = get("piece", r);
    if (r == rank || !reached) continue;
    auto& p = all->pieces_[static_cast<size_t>(r)] = look(where);
    reached = p.at != nullptr;
  }
  put("reached", reached ? "all" : "not all");
  for (int r = 0; r < size; r++) reached = get("reached", r) == "all" && reached;
  return reached ? all : nullptr;
}

inline Memory::~Memory() {
  if (pieces_[static_cast<size_t>(rank_)].at) leave();
  for (auto& p : pieces_) {
    if (p.at) munmap(p.at, kBytes);
    if (p.fd >= 0) close(p.fd);
  }
}

inline void Memory::ring(const Piece& p) {
  auto& bell = p.header().bell;
  bell.fetch_add(1, std::memory_order_release);
  syscall(SYS_futex, &bell, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0);
}

inline void Memory::await(int rank, uint64_t number, Millis time) const {
  auto& h = pieces_[static_cast<size_t>(rank)].header();
  uint32_t heard = h.bell.load(std::memory_order_acquire);
  if (h.left.load(std::memory_order_acquire) || h.slots[number % kSlots].posted.load(std::memory_order_acquire) > number) return;
  timespec t{time.count() / 1000, time.count() % 1000 * 1000000};
  syscall(SYS_futex, &h.bell, FUTEX_WAIT, heard, &t, nullptr, 0);
}

inline std::string Memory::gone(int rank) const {
  if (rank == rank_) return "";
  const auto& p = pieces_[static_cast<size_t>(rank)];
  if (p.header().left.load(std::memory_order_acquire)) return "rank " + std::to_string(rank) + " has left the group";
  if (flock(p.fd, LOCK_SH | LOCK_NB) != 0) return "";
  flock(p.fd, LOCK_UN);
  return "rank " + std::to_string(rank) + " has ended";
}

inline void Memory::leave() {
  auto& mine = pieces_[static_cast<size_t>(rank_)];
  mine.header().left.store(1, std::memory_order_release);
  ring(mine);
}

#else

inline std::shared_ptr<Memory> Memory::meet(c10d::Store&, int, int) { return nullptr; }
inline Memory::~Memory() {}
inline void Memory::ring(const Piece&) {}
inline void Memory::await(int, uint64_t, Millis) const {}
inline std::string Memory::gone(int) const { return ""; }
inline void Memory::leave() {}

#endif

}  // namespace golite
