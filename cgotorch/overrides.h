// overrides.h: what golite changes in the process that links it, and the switch for each.
//
// GOLITE_OVERRIDES is a list, read from left to right: all, none, a name, or a name with a minus sign, as in "all,-mkl"
// or "none,allocator". Package torch's documentation lists the names. The build tag golite_no_overrides leaves all of
// them out.
#ifndef GOLITE_OVERRIDES_H
#define GOLITE_OVERRIDES_H

#include <cstdlib>
#include <cstring>

// gcc and clang name the sanitizers that they compile for in different ways.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_HWADDRESS__) || defined(__SANITIZE_THREAD__)
#define GOLITE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(hwaddress_sanitizer) || __has_feature(memory_sanitizer) || \
    __has_feature(thread_sanitizer)
#define GOLITE_SANITIZED 1
#endif
#endif

extern "C" [[gnu::weak]] void __asan_init(void);

namespace golite {

enum class Wanted { kDefault, kOn, kOff };

// wanted is what GOLITE_OVERRIDES says of an override. It allocates nothing: operator new calls it.
inline Wanted wanted(const char* name) {
  Wanted w = Wanted::kDefault;
  size_t length = std::strlen(name);
  for (const char* s = std::getenv("GOLITE_OVERRIDES"); s && *s;) {
    s += std::strspn(s, " ,");
    size_t n = std::strcspn(s, " ,");
    if (n == 3 && std::strncmp(s, "all", n) == 0) w = Wanted::kDefault;
    if (n == 4 && std::strncmp(s, "none", n) == 0) w = Wanted::kOff;
    if (n == length && std::strncmp(s, name, n) == 0) w = Wanted::kOn;
    if (n == length + 1 && *s == '-' && std::strncmp(s + 1, name, length) == 0) w = Wanted::kOff;
    s += n;
  }
  return w;
}

// overridden reports whether an override is on.
inline bool overridden(const char* name) {
#ifdef GOLITE_NO_OVERRIDES
  (void)name;
  return false;
#else
  return wanted(name) != Wanted::kOff;
#endif
}

// keeps_blocks is overridden for stores of freed blocks. A memory checker detects no use of freed memory in those: they
// are off under a sanitizer and valgrind.
inline bool keeps_blocks(const char* name) {
#ifdef GOLITE_SANITIZED
  (void)name;
  return false;
#else
  const char* preload = std::getenv("LD_PRELOAD");
  return overridden(name) && !__asan_init && !(preload && std::strstr(preload, "vgpreload"));
#endif
}

}  // namespace golite

#endif
