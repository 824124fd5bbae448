// The few checks that the native tests need: a failed CHECK prints where and what, and the test's main
// returns 1. Tests are plain functions named in RUN(...).
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <string>

namespace check {
inline int failures = 0;
inline int checks = 0;

template <typename T>
std::string show(const T& value) {
  if constexpr (requires(std::ostringstream & o) { o << value; }) {
    std::ostringstream out;
    if constexpr (sizeof(T) == 1 && std::is_integral_v<T>) {
      out << +value;
    } else {
      out << value;
    }
    return out.str();
  } else {
    return "(unprintable)";
  }
}

inline void fail(const char* file, int line, const std::string& what) {
  ++failures;
  if (failures <= 20) std::fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
}
}  // namespace check

#define CHECK(condition)                                                        \
  do {                                                                          \
    ++check::checks;                                                            \
    if (!(condition)) check::fail(__FILE__, __LINE__, "not true: " #condition); \
  } while (0)

#define CHECK_EQ(actual, expected)                                                                      \
  do {                                                                                                  \
    ++check::checks;                                                                                    \
    const auto actual_ = (actual);                                                                      \
    const auto expected_ = (expected);                                                                  \
    if (!(actual_ == expected_)) {                                                                      \
      check::fail(                                                                                      \
          __FILE__, __LINE__,                                                                           \
          std::string(#actual " is ") + check::show(actual_) + ", expected " + check::show(expected_)); \
    }                                                                                                   \
  } while (0)

#define RUN(test)                                                                \
  do {                                                                           \
    const int before_ = check::failures;                                         \
    test();                                                                      \
    std::printf("%s %s\n", check::failures == before_ ? "ok  " : "FAIL", #test); \
  } while (0)

#define FINISH()                                                           \
  do {                                                                     \
    std::printf("%d checks, %d failed\n", check::checks, check::failures); \
    return check::failures == 0 ? 0 : 1;                                   \
  } while (0)
