// tensor.hh: what a tensor is and holds, without running an op.

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/_local_scalar_dense.h>

#include "guard.h"
#include "state.h"

using namespace golite;

extern "C" {

// gl_info writes: dtype, device type, device index, layout, flags, storage offset, elements, bytes of the
// storage, dims, then the sizes and the strides.
int64_t gl_info(gl_handle h, int64_t* out, uint32_t room) {
  return guarded(reinterpret_cast<uint64_t*>(out), room, [&](Writer& w) {
    at::Tensor t = table.get(h);
    auto put = [&](int64_t v) { w.word(static_cast<uint64_t>(v)); };
    bool strided = t.layout() == at::kStrided;
    int64_t flags = (t.requires_grad() ? 1 : 0) | (t.is_leaf() ? 2 : 0) | (strided && t.is_contiguous() ? 4 : 0) |
                    (t.is_inference() ? 8 : 0) | (t.is_neg() ? 16 : 0) | (t.is_conj() ? 32 : 0) | (t.is_view() ? 64 : 0) |
                    (t.is_complex() ? 128 : 0) | (at::isFloatingType(t.scalar_type()) ? 256 : 0);
    put(static_cast<int64_t>(t.scalar_type()));
    put(static_cast<int64_t>(t.device().type()));
    put(t.device().index());
    put(static_cast<int64_t>(t.layout()));
    put(flags);
    put(strided ? t.storage_offset() : 0);
    put(t.numel());
    put(t.has_storage() ? static_cast<int64_t>(t.storage().nbytes()) : 0);
    put(t.dim());
    for (int64_t s : t.sizes()) put(s);
    if (strided) {
      for (int64_t s : t.strides()) put(s);
    }
  });
}

// gl_data writes the address of the first element, of the storage's memory, the version, and what tells the storage from all others: its
// memory does not where there is none.
int64_t gl_data(gl_handle h, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    at::Tensor t = table.get(h);
    w.word(reinterpret_cast<uint64_t>(t.data_ptr()));
    w.word(reinterpret_cast<uint64_t>(t.storage().data_ptr().get()));
    w.word(static_cast<uint64_t>(t._version()));
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

// gl_from_blob wraps memory that C owns (malloc'd or mapped by the caller, freed by the tensor with free).
int64_t gl_from_blob(void* data, uint64_t nbytes, int32_t dtype, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer& w) {
    auto type = static_cast<at::ScalarType>(dtype);
    auto n = static_cast<int64_t>(nbytes / c10::elementSize(type));
    at::Tensor t = at::from_blob(data, {n}, [](void* p) { std::free(p); }, at::TensorOptions(type));
    w.word(thread_state.scope);
    w.value(std::move(t));
  });
}

int64_t gl_set_data(gl_handle h, gl_handle data, uint64_t* out, uint32_t room) {
  return guarded(out, room, [&](Writer&) { table.get(h).set_data(table.get(data)); });
}

}  // extern "C"
