// dist_shm_memory.h: memory that ranks on one host share, in which they exchange the pieces of their collectives.
//
// Each rank has a share that it writes and all read: a header, and slots. A collective is cut into pieces, which are
// numbered through the life of the group, alike on all ranks. Every rank posts its part of each piece in a slot of its
// share, and then reads what it needs of the others' parts. A slot is used again when all ranks have read the piece
// that was in it. No function waits but await.
#pragma once

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

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
  static constexpr size_t kPiece = 1 << 20;  // bytes of one, see docs/internals.md

  // Call is what a piece belongs to: all ranks must agree on it.
  struct Call {
    explicit Call(const Signature& s);
    bool agrees(const Call& c) const;
    std::string text() const;

   private:
    static constexpr size_t kDims = 8;  // more are known by the digest
    int32_t kind, op, root, dtype;
    uint64_t digest, number;
    uint32_t dims, count;
    int64_t shape[kDims];
    char site[104];
  };

  // meet makes the share of one rank and maps those of the others; null on all ranks where one can't map another's.
  static std::shared_ptr<SharedMemory> meet(c10d::Store& store, int rank, int size);
  ~SharedMemory();

  int rank() const { return rank_; }
  int size() const { return static_cast<int>(shares_.size()); }

  // reserve gives a collective's pieces their numbers, of which it returns the first: they count the pieces of the
  // group.
  uint64_t reserve(size_t pieces) { return next_.fetch_add(pieces); }

  // unread is a rank that has not read the piece whose slot a piece is to take, -1 if there is none.
  int unread(uint64_t number) const {
    return first([&](const Header& h) {
      return h.slots[number % kSlots].read.load(std::memory_order_acquire) < number / kSlots;
    });
  }
  // missing is a rank that has not posted a piece, -1 if there is none.
  int missing(uint64_t number) const {
    return first(
        [&](const Header& h) { return h.slots[number % kSlots].posted.load(std::memory_order_acquire) <= number; });
  }

  // slot is where a rank's part of a piece lies: its own may be written while unread is -1 and until it is posted, the
  // others' may be read while missing is -1 and until this rank has read the piece.
  char* slot(int rank, uint64_t number) const { return shares_[static_cast<size_t>(rank)].slot(number % kSlots); }
  void post(uint64_t number, const Call& c);
  void read(uint64_t number);
  // different describes the calls that the ranks' parts of a piece belong to, if they don't agree.
  std::string different(uint64_t number) const;

  // await sleeps until a rank posts or reads something while pending holds, or time is up.
  template <class F>
  void await(int rank, Millis time, F pending) const;
  // gone returns why a rank will neither post nor read any more, if that is so.
  std::string gone(int rank) const;
  // leave publishes that this rank won't.
  void leave();

 private:
  struct alignas(64) Slot {
    std::atomic<uint64_t> posted;  // the number of the last piece in it, plus 1
    std::atomic<uint64_t> read;    // how many pieces in this slot the rank has read from all
    alignas(8) char call[sizeof(Call)];
  };
  struct Header {
    uint64_t nonce;
    std::atomic<uint32_t> bell;      // counts posts and reads
    std::atomic<uint32_t> sleepers;  // how many threads wait for them
    std::atomic<uint32_t> left;
    Slot slots[kSlots];
  };
  static constexpr size_t kPage = 4096, kBytes = kPage + kSlots * kPiece;  // pages that are not touched are not there
  static_assert(sizeof(Header) <= kPage);

  struct Share {
    char* at = nullptr;
    int fd = -1;
    Header& header() const { return *reinterpret_cast<Header*>(at); }
    char* slot(size_t i) const { return at + kPage + i * kPiece; }
    const Call& call(size_t i) const { return *reinterpret_cast<const Call*>(header().slots[i].call); }
  };

  SharedMemory(int rank, int size) : rank_(rank), shares_(static_cast<size_t>(size)) {}
  static bool map(Share& p);
  static unsigned long long network();
  static Share look(const std::string& where);
  static void ring(const Share& p);
  static void sleep(const Share& p, uint32_t heard, Millis time);
  const Share& mine() const { return shares_[static_cast<size_t>(rank_)]; }
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

inline SharedMemory::Call::Call(const Signature& s)
    : kind(s.kind), op(s.op), root(s.root), dtype(s.dtype), digest(s.shapes), number(s.number),
      dims(static_cast<uint32_t>(s.shape.size())), count(static_cast<uint32_t>(s.count)) {
  std::fill(std::begin(shape), std::end(shape), 0);
  std::copy_n(s.shape.begin(), std::min(s.shape.size(), kDims), shape);
  for (size_t i = kDims; i < s.shape.size(); i++) digest = mixed(digest, s.shape[i]);
  size_t n = std::min(s.site.size(), sizeof site - 1);
  std::memcpy(site, s.site.data(), n);
  site[n] = 0;
}

inline bool SharedMemory::Call::agrees(const Call& c) const {
  return kind == c.kind && op == c.op && root == c.root && dtype == c.dtype && digest == c.digest && dims == c.dims &&
         count == c.count && std::equal(std::begin(shape), std::end(shape), c.shape);
}

inline std::string SharedMemory::Call::text() const {
  Signature s;
  s.kind = kind;
  s.op = op;
  s.root = root;
  s.dtype = dtype;
  s.count = static_cast<int>(count);
  s.number = number;
  s.shape.assign(shape, shape + std::min<size_t>(dims, kDims));
  s.site = site;
  return s.text();
}

inline void SharedMemory::post(uint64_t number, const Call& c) {
  auto& s = mine().header().slots[number % kSlots];
  std::memcpy(s.call, &c, sizeof c);
  s.posted.store(number + 1, std::memory_order_release);
  ring(mine());
}

inline void SharedMemory::read(uint64_t number) {
  mine().header().slots[number % kSlots].read.fetch_add(1, std::memory_order_release);
  ring(mine());
}

inline std::string SharedMemory::different(uint64_t number) const {
  size_t slot = number % kSlots;
  const Call& own = mine().call(slot);
  if (std::all_of(shares_.begin(), shares_.end(), [&](const Share& p) { return p.call(slot).agrees(own); })) return "";
  std::string text;
  for (size_t r = 0; r < shares_.size(); r++)
    text += (r ? "; rank " : "rank ") + std::to_string(r) + " " + shares_[r].call(slot).text();
  return text;
}

template <class F>
void SharedMemory::await(int rank, Millis time, F pending) const {
  const Share& p = shares_[static_cast<size_t>(rank)];
  auto& h = p.header();
  // Sequentially consistent with ring: either ring sees the sleeper, or pending sees what was posted.
  h.sleepers.fetch_add(1, std::memory_order_seq_cst);
  uint32_t heard = h.bell.load(std::memory_order_seq_cst);
  if (!h.left.load(std::memory_order_acquire) && pending()) sleep(p, heard, time);
  h.sleepers.fetch_sub(1, std::memory_order_relaxed);
}

#if defined(__linux__)

inline bool SharedMemory::map(Share& p) {
  void* at = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, p.fd, 0);
  if (at != MAP_FAILED) p.at = static_cast<char*>(at);
  return p.at != nullptr;
}

// network identifies this process's host by its network: a container with a network of its own is a host of its own.
inline unsigned long long SharedMemory::network() {
  struct stat st;
  return stat("/proc/self/ns/net", &st) == 0 ? st.st_ino : 0;
}

// look maps another rank's share, as published in the store. It is out of reach on another host, and where that process
// has another number in this one's namespace.
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
  // The lock is held until this process ends, which others detect by it.
  bool reached = mine.fd >= 0 && ftruncate(mine.fd, static_cast<off_t>(kBytes)) == 0 &&
                 flock(mine.fd, LOCK_EX | LOCK_NB) == 0 && map(mine);
  if (reached) {
    std::random_device random;
    mine.header().nonce = static_cast<uint64_t>(random()) << 32 | random();
    put("share", std::to_string(getpid()) + " " + std::to_string(mine.fd) + " " + std::to_string(mine.header().nonce) +
                     " " + std::to_string(network()));
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
  if (mine().at) leave();
  for (auto& p : shares_) {
    if (p.at) munmap(p.at, kBytes);
    if (p.fd >= 0) close(p.fd);
  }
}

inline void SharedMemory::ring(const Share& p) {
  auto& h = p.header();
  h.bell.fetch_add(1, std::memory_order_seq_cst);
  if (h.sleepers.load(std::memory_order_seq_cst))
    syscall(SYS_futex, &h.bell, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0);
}

inline void SharedMemory::sleep(const Share& p, uint32_t heard, Millis time) {
  timespec t{time.count() / 1000, time.count() % 1000 * 1000000};
  syscall(SYS_futex, &p.header().bell, FUTEX_WAIT, heard, &t, nullptr, 0);
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
  mine().header().left.store(1, std::memory_order_release);
  ring(mine());
}

#else

inline std::shared_ptr<SharedMemory> SharedMemory::meet(c10d::Store&, int, int) { return nullptr; }
inline SharedMemory::~SharedMemory() {}
inline void SharedMemory::ring(const Share&) {}
inline void SharedMemory::sleep(const Share&, uint32_t, Millis) {}
inline std::string SharedMemory::gone(int) const { return ""; }
inline void SharedMemory::leave() {}

#endif

}  // namespace golite
