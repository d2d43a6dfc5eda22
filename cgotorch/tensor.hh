// tensor.hh: what a tensor is and holds, without running an op.

#include <ATen/EmptyTensor.h>
#include <ATen/NestedTensorImpl.h>
#include <ATen/ops/empty.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_local_scalar_dense.h>

#include "guard.h"
#include "state.h"

using namespace golite;

extern "C" {

// gl_info writes the words GL_INFO_..., then the sizes and the strides. A nested tensor has no strides, and -1 where
// sizes differ.
int64_t gl_info(gl_handle h, int64_t* out, uint32_t room) {
  return guarded(reinterpret_cast<uint64_t*>(out), room, [&](Writer& w) {
    at::Tensor t = table.get(h);
    auto put = [&](int64_t v) { w.word(static_cast<uint64_t>(v)); };
    bool nested = t.is_nested();
    bool strided = t.layout() == at::kStrided && !nested;
    auto set = [](bool on, int64_t flag) { return on ? flag : 0; };
    int64_t flags = set(t.requires_grad(), GL_FLAG_REQUIRES_GRAD) | set(t.is_leaf(), GL_FLAG_LEAF) |
                    set(strided && t.is_contiguous(), GL_FLAG_CONTIGUOUS) | set(t.is_inference(), GL_FLAG_INFERENCE) |
                    set(t.is_neg(), GL_FLAG_NEG) | set(t.is_conj(), GL_FLAG_CONJ) | set(t.is_view(), GL_FLAG_VIEW) |
                    set(t.is_complex(), GL_FLAG_COMPLEX) |
                    set(at::isFloatingType(t.scalar_type()), GL_FLAG_FLOATING) | set(nested, GL_FLAG_NESTED) |
                    set(t._is_zerotensor(), GL_FLAG_ZERO);
    put(static_cast<int64_t>(t.scalar_type()));
    put(static_cast<int64_t>(t.device().type()));
    put(t.device().index());
    put(static_cast<int64_t>(t.layout()));
    put(flags);
    put(strided ? t.storage_offset() : 0);
    put(t.numel());
    put(t.has_storage() ? static_cast<int64_t>(t.storage().nbytes()) : 0);
    put(t.dim());
    if (nested) {
      auto* impl = at::native::get_nested_tensor_impl_or_null(t);
      for (int64_t d = 0; d < t.dim(); d++) put(impl->opt_size(d).value_or(-1));
      return;
    }
    for (int64_t s : t.sizes()) put(s);
    if (strided) {
      for (int64_t s : t.strides()) put(s);
    }
  });
}

// check_memory throws where an element of a tensor does not lie in memory.
static void check_memory(const at::Tensor& t) {
  TORCH_CHECK(!t.is_nested(), "a nested tensor has no memory of one shape: take its parts, or pad it");
  TORCH_CHECK(t.has_storage(), "a tensor of layout ", t.layout(), " has no memory of its own: ToDense gives it some");
  if (t.numel() == 0) return;
  TORCH_CHECK(!t._is_zerotensor(),
              "the tensor stands for zeros and has no memory of its own (the gradient of Sgn is such a tensor): Clone "
              "gives it some");
  TORCH_CHECK(!t.is_meta(), "a tensor on the meta device has no memory");
  auto offset = static_cast<size_t>(t.storage_offset());
  size_t need = at::detail::computeStorageNbytes(t.sizes(), t.strides(), t.element_size(), offset);
  size_t has = t.storage().data_ptr().get() ? t.storage().nbytes() : 0;
  TORCH_CHECK(need <= has, "its elements need ", need, " bytes, its storage has ", has);
}

// gl_data writes the address of the first element and of the storage's memory. Without elements both may be null.
int64_t gl_data(gl_handle h, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    at::Tensor t = table.get(h);
    check_memory(t);
    w.word(reinterpret_cast<uint64_t>(t.data_ptr()));
    w.word(reinterpret_cast<uint64_t>(t.storage().data_ptr().get()));
  });
}

// gl_tensor_version writes how often the tensor, or what shares its memory, was written to.
int64_t gl_tensor_version(gl_handle h, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) { w.word(static_cast<uint64_t>(table.get(h)._version())); });
}

// gl_storage writes a number that identifies the storage while it exists; its address does not where it has no memory.
int64_t gl_storage(gl_handle h, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    at::Tensor t = table.get(h);
    TORCH_CHECK(t.has_storage(), "a tensor of layout ", t.layout(), " has no storage: its parts have");
    w.word(reinterpret_cast<uint64_t>(t.unsafeGetTensorImpl()->unsafe_storage().unsafeGetStorageImpl()));
  });
}

int64_t gl_item(gl_handle h, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    thread_state.enter();
    at::Tensor t = table.get(h);
    TORCH_CHECK(t.numel() == 1, "a tensor of ", t.numel(), " elements cannot be converted to a scalar");
    w.value(c10::IValue(at::_local_scalar_dense(t)));
  });
}

// gl_alias gives a second handle to the same tensor.
int64_t gl_alias(gl_handle h, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    w.tensor(table.get(h));
  });
}

// gl_storage_resize gives a storage another size, for all tensors that share it: with 0 its memory is freed. What fits
// of its contents stays. Neither shapes nor version counters change.
int64_t gl_storage_resize(gl_handle h, int64_t bytes, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer&) {
    at::Tensor t = table.get(h);
    TORCH_CHECK(t.has_storage(), "a tensor of layout ", t.layout(), " has no storage to resize");
    TORCH_CHECK(bytes >= 0, "a storage can't have ", bytes, " bytes");
    c10::StorageImpl* s = t.storage().unsafeGetStorageImpl();
    TORCH_CHECK(s->resizable(), "the storage is not resizable: its memory is not of libtorch's allocator");
    auto want = static_cast<size_t>(bytes), has = s->nbytes();
    if (want == has) return;
    c10::Storage fresh(c10::Storage::use_byte_size_t(), want, s->allocator()->allocate(want), s->allocator(), true);
    if (size_t both = std::min(want, has); both > 0 && !t.is_meta()) {
      at::NoGradGuard no_grad;
      auto bytes_of = [&](const c10::Storage& from) {
        return at::empty({0}, at::TensorOptions().dtype(at::kByte).device(t.device()))
            .set_(from, 0, {static_cast<int64_t>(both)}, {1});
      };
      bytes_of(fresh).copy_(bytes_of(t.storage()));
    }
    s->set_data_ptr(std::move(fresh.mutable_data_ptr()));
    s->set_nbytes(want);
  });
}

int64_t gl_set_data(gl_handle h, gl_handle data, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer&) { table.get(h).set_data(table.get(data)); });
}

}  // extern "C"
