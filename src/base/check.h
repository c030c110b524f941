// BREAKEVEN_CHECK: our own bugs (a wrong shape, an index out of range). Always on; prints the
// expression, the values and the place, then aborts. Never for bad input: that is Result's
// (base/result.h).
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace breakeven {

[[noreturn]] inline void check_failed(const char* file, int line, const char* expression,
                                      const std::string& values) {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s %s\n", file, line, expression, values.c_str());
  std::abort();
}

inline std::string check_values() {
  return {};
}
template <class... Args>
std::string check_values(fmt::format_string<Args...> format, Args&&... args) {
  return "(" + fmt::format(format, std::forward<Args>(args)...) + ")";
}

}  // namespace breakeven

// BREAKEVEN_CHECK(a == b, "a={} b={}", a, b)
#define BREAKEVEN_CHECK(condition, ...)                                  \
  do {                                                                   \
    if (!(condition)) [[unlikely]]                                       \
      ::breakeven::check_failed(__FILE__, __LINE__, #condition,          \
                                ::breakeven::check_values(__VA_ARGS__)); \
  } while (false)
