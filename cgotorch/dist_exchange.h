// dist_exchange.h: a collective of ranks that share memory, cut into pieces: what a rank writes into its slot, and what
// it reads from the others'.
//
// The parts that each rank brings, or gets, of a list of tensors lie one after the other in a stream, each at a
// multiple of kAlign. A piece is a range of that stream. Where the ranks get different parts (reduce_scatter, scatter)
// a piece has the same range of each rank's stream, so that all ranks have something to do with every piece.
//
// Sums are formed in the order of Gloo's ring, see dist_inprocess_plan.h: an element's order depends on its place in
// the tensor of which it is a part, and neither on the pieces nor on the tensors beside it in a list.
#pragma once

#include "dist_reduce_kernels.h"
#include "dist_shm_memory.h"

namespace golite {

class Exchange {
 public:
  Exchange(int kind, int op, int root, int rank, int ranks)
      : kind_(kind), op_(op), root_(root), rank_(static_cast<size_t>(rank)), ranks_(static_cast<size_t>(ranks)),
        unit_(parted() ? SharedMemory::kPiece / ranks_ / kAlign * kAlign : SharedMemory::kPiece) {}

  // takes reports whether tensors of a type can be exchanged, and combined where op is not below 0.
  static bool takes(const at::Tensor& t, int op) {
    return t.device().is_cpu() && t.layout() == at::kStrided && t.is_contiguous() &&
           (op < 0 || reducible(t.scalar_type(), op));
  }

  // add adds the tensors of one item of the list: what the rank gives, one or one for each rank, and what it gets.
  void add(const std::vector<at::Tensor>& in, const std::vector<at::Tensor>& out) {
    const at::Tensor& part = in.empty() ? out.at(0) : in[0];
    size_t whole = part.nbytes() * (parted() ? ranks_ : 1);
    add(part, part.nbytes(), addresses(in, part), addresses(out, part), whole, 0);
  }
  // add_joined does so for wholes, which hold the parts of all ranks one after the other.
  void add_joined(const at::Tensor& in, const at::Tensor& out) {
    const at::Tensor& part = in.nbytes() < out.nbytes() ? in : out;
    TORCH_CHECK(in.scalar_type() == out.scalar_type() && std::max(in.nbytes(), out.nbytes()) == part.nbytes() * ranks_,
                kind_name(kind_), ": ", in.scalar_type(), in.sizes(), " into ", out.scalar_type(), out.sizes(),
                ": want ", ranks_, " times as many elements");
    auto split = [&](const at::Tensor& t) {
      std::vector<char*> v;
      size_t n = parted() == (&t == &in) ? ranks_ : 1;
      for (size_t r = 0; r < n; r++) v.push_back(address(t) + r * part.nbytes());
      return v;
    };
    add(part, part.nbytes(), split(in), split(out), part.nbytes() * ranks_, 0);
    kept_.push_back(in);
    kept_.push_back(out);
  }

  // sums are the exchanges, one after the other, that sum each tensor of a list over all ranks. What is large is summed
  // in parts, each by one rank, which then gives it to the others: else every rank would read all that the others
  // bring.
  static std::vector<Exchange> sums(int kind, int op, int rank, int ranks, const std::vector<at::Tensor>& list) {
    size_t n = static_cast<size_t>(ranks), bytes = 0;
    for (auto& t : list) bytes += t.nbytes();
    std::vector<Exchange> all;
    if (bytes * (n - 2) <= kWhole) {
      all.emplace_back(kind, op, -1, rank, ranks);
      for (auto& t : list) all[0].add({t}, {t});
      return all;
    }
    all.emplace_back(GL_REDUCE_SCATTER_TENSOR, op, -1, rank, ranks);
    all.emplace_back(GL_ALL_GATHER_INTO, op, -1, rank, ranks);
    all.emplace_back(kind, op, -1, rank, ranks);
    for (auto& t : list) {
      size_t element = static_cast<size_t>(t.element_size()), part = t.nbytes() / element / n * element,
             rest = t.nbytes() - part * n;
      char* p = address(t);
      std::vector<char*> parts;
      for (size_t r = 0; r < n; r++) parts.push_back(p + r * part);
      char* own = parts[static_cast<size_t>(rank)];
      all[0].add(t, part, parts, {own}, t.nbytes(), 0);
      all[1].add(t, part, {own}, parts, t.nbytes(), 0);
      all[2].add(t, rest, {p + part * n}, {p + part * n}, t.nbytes(), part * n);
      all[0].kept_.push_back(t);
    }
    if (all[2].end_ == 0) all.pop_back();
    return all;
  }

  // pieces is at least one: ranks meet, and compare their calls, over nothing as well.
  size_t pieces() const { return std::max<size_t>(1, (end_ + unit_ - 1) / unit_); }

  // write copies this rank's part of a piece into its slot.
  void write(size_t piece, char* slot) const {
    switch (kind_) {
      case GL_BROADCAST:
        if (root())
          each(piece, [&](const Item& i, size_t at, size_t bytes, size_t place) {
            std::memcpy(slot + place, i.in[0] + at, bytes);
          });
        return;
      case GL_REDUCE:
      case GL_GATHER:
        if (root()) return;  // only it reads
        break;
      case GL_SCATTER:
        if (!root()) return;
        break;
    }
    each(piece, [&](const Item& i, size_t at, size_t bytes, size_t place) {
      for (size_t r = 0; r < i.in.size(); r++) {
        if (!parted() || r != rank_) std::memcpy(slot + r * unit_ * parted() + place, i.in[r] + at, bytes);
      }
    });
  }

  // read takes what this rank gets of a piece: slots has each rank's. What the rank gave itself is where it was.
  template <class F>
  void read(size_t piece, F slots) const {
    each(piece, [&](const Item& i, size_t at, size_t bytes, size_t place) {
      if (i.out.empty()) return;
      size_t own = parted() ? rank_ : 0;
      auto from = [&](size_t r) {
        return r == rank_ ? i.in[own] + at : slots(static_cast<int>(r)) + own * unit_ + place;
      };
      switch (kind_) {
        case GL_ALL_REDUCE:
        case GL_ALL_REDUCE_COALESCED:
        case GL_REDUCE:
          return reduce(i, i.out[0] + at, from, i.base + at, bytes);
        case GL_REDUCE_SCATTER:
        case GL_REDUCE_SCATTER_TENSOR:
        case GL_REDUCE_SCATTER_TENSOR_COALESCED:
          return reduce(i, i.out[0] + at, from, i.base + rank_ * i.bytes + at, bytes);
        case GL_BROADCAST:
        case GL_SCATTER:
          return move(i.out[0] + at, from(static_cast<size_t>(root_)), bytes);
        default:
          for (size_t r = 0; r < ranks_; r++) move(i.out[r] + at, from(r), bytes);
      }
    });
  }

 private:
  static constexpr size_t kAlign = 64;
  // bytes that a rank may read beyond those of two ranks, for a sum without parts
  static constexpr size_t kWhole = 1 << 20;

  struct Item {
    std::vector<const char*> in;  // one, or one for each rank
    std::vector<char*> out;
    size_t bytes;  // of one rank's part
    size_t begin;  // in the stream
    size_t whole;  // bytes of the tensor that the ranks' parts are of
    size_t base;   // where in it the first part begins
    size_t element;
    at::ScalarType dtype;
  };

  // parted reports whether each rank gets a part of its own from each.
  bool parted() const {
    return kind_ == GL_REDUCE_SCATTER || kind_ == GL_REDUCE_SCATTER_TENSOR ||
           kind_ == GL_REDUCE_SCATTER_TENSOR_COALESCED || kind_ == GL_SCATTER;
  }
  bool root() const { return root_ == static_cast<int>(rank_); }

  static char* address(const at::Tensor& t) {
    auto* p = static_cast<char*>(t.data_ptr());
    TORCH_CHECK(p || t.nbytes() == 0, "a tensor without memory can't be sent or received");
    return p;
  }
  std::vector<char*> addresses(const std::vector<at::Tensor>& list, const at::Tensor& part) {
    std::vector<char*> v;
    for (auto& t : list) {
      TORCH_CHECK(t.nbytes() == part.nbytes() && t.scalar_type() == part.scalar_type(), kind_name(kind_), ": ",
                  t.scalar_type(), t.sizes(), " beside ", part.scalar_type(), part.sizes());
      v.push_back(address(t));
      kept_.push_back(t);
    }
    return v;
  }
  void add(const at::Tensor& t, size_t bytes, const std::vector<char*>& in, std::vector<char*> out, size_t whole,
           size_t base) {
    items_.push_back({{in.begin(), in.end()},
                      std::move(out),
                      bytes,
                      (end_ + kAlign - 1) / kAlign * kAlign,
                      whole,
                      base,
                      static_cast<size_t>(t.element_size()),
                      t.scalar_type()});
    end_ = items_.back().begin + bytes;
  }

  // each gives f the ranges of items that are in a piece: where they begin in the item, their bytes, and their place in
  // the piece.
  template <class F>
  void each(size_t piece, F f) const {
    size_t begin = piece * unit_, end = std::min(begin + unit_, end_);
    auto first =
        std::partition_point(items_.begin(), items_.end(), [&](const Item& i) { return i.begin + i.bytes <= begin; });
    for (; first != items_.end() && first->begin < end; ++first) {
      size_t at = std::max(begin, first->begin), to = std::min(end, first->begin + first->bytes);
      if (at < to) f(*first, at - first->begin, to - at, at - begin);
    }
  }

  static void move(char* to, const char* from, size_t bytes) {
    if (to != from) std::memcpy(to, from, bytes);
  }

  // reduce combines bytes of an item that begin at an offset of the whole tensor.
  template <class F>
  void reduce(const Item& i, char* to, F from, size_t offset, size_t bytes) const {
    Blocks blocks(i.whole, i.element, ranks_, kind_ == GL_REDUCE);
    alignas(64) char sum[16384];  // apart from the result, which may be where this rank's own numbers are
    for (size_t at = 0; at < bytes;) {
      size_t block = std::min((offset + at) / blocks.block, ranks_ - 1);
      size_t n = std::min(bytes - at, sizeof sum);
      if (block < ranks_ - 1) n = std::min(n, (block + 1) * blocks.block - offset - at);
      auto source = [&](size_t k) { return from((block + 2 * ranks_ - k) % ranks_) + at; };
      std::memcpy(sum, source(1), n);
      for (size_t k = 2; k <= ranks_; k++) combine_bytes(sum, source(k), n / i.element, i.dtype, op_);
      std::memcpy(to + at, sum, n);
      at += n;
    }
  }

  const int kind_, op_, root_;
  const size_t rank_, ranks_;
  const size_t unit_;  // bytes of a stream in a piece
  size_t end_ = 0;     // of the stream
  std::vector<Item> items_;
  std::vector<at::Tensor> kept_;  // their memory
};

}  // namespace golite
