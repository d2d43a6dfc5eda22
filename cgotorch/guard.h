// guard.h: no exception leaves the shim.
#pragma once

#include <c10/util/Exception.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>

#include "cgotorch.h"
#include "handles.h"
#include "wire.h"

namespace golite {

// GoPanic carries a panic of a Go callback through C++ frames; the value itself is kept in Go under id.
struct GoPanic : std::exception {
  explicit GoPanic(uint64_t id) : id(id) {}
  const char* what() const noexcept override { return "a Go callback panicked"; }
  uint64_t id;
};

// StopRecompute leaves the second run of a checkpointed function, once everything that backward needs of it is there.
struct StopRecompute : std::exception {
  explicit StopRecompute(uint64_t frame) : frame(frame) {}
  const char* what() const noexcept override { return "the recomputation of a checkpoint has all that it needs"; }
  uint64_t frame;
};

extern std::atomic<bool> cpp_traces;

inline int64_t fail(uint64_t* out, const char* text, bool out_of_memory = false) {
  size_t n = std::strlen(text);
  char* copy = static_cast<char*>(std::malloc(n + 1));
  if (copy) std::memcpy(copy, text, n + 1);
  out[0] = reinterpret_cast<uint64_t>(copy);
  out[1] = copy ? n : 0;
  out[2] = out_of_memory;
  return GL_ERROR;
}

// guarded runs f, which writes its results to a Writer, and turns whatever it throws into a status.
// out has room for at least 3 words.
template <class F>
int64_t guarded(uint64_t* out, uint32_t room, F&& f) noexcept {
  Writer w{out, room};
  int64_t status;
  try {
    f(w);
    if (!w.spill) return static_cast<int64_t>(w.n);
    out[0] = reinterpret_cast<uint64_t>(w.spill);
    out[1] = w.n;
    return GL_SPILLED;
  } catch (const StaleHandle& e) {
    out[0] = e.handle;
    status = GL_STALE;
  } catch (const GoPanic& e) {
    out[0] = e.id;
    status = GL_CALLBACK;
  } catch (const StopRecompute& e) {
    out[0] = e.frame;
    status = GL_STOPPED;
  } catch (const c10::OutOfMemoryError& e) {
    status = fail(out, e.what_without_backtrace(), true);
  } catch (const c10::Error& e) {
    status = fail(out, cpp_traces ? e.what() : e.what_without_backtrace());
  } catch (const std::bad_alloc& e) {
    status = fail(out, e.what(), true);
  } catch (const std::exception& e) {
    status = fail(out, e.what());
  } catch (...) {
    status = fail(out, "C++ threw something that is no std::exception");
  }
  delete w.spill;
  return status;
}

}  // namespace golite
