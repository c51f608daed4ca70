// A test program in one header: TEST cases that register themselves, EXPECT macros, a main
// function.
#pragma once

#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

namespace check {

struct Case {
  const char* name;
  void (*run)();
};

inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

inline int& failures() {
  static int count = 0;
  return count;
}

inline bool add(const char* name, void (*run)()) {
  cases().push_back({name, run});
  return true;
}

inline void fail(const char* file, int line, const std::string& what) {
  ++failures();
  std::printf("  %s:%d: %s\n", file, line, what.c_str());
}

// Runs every case, or those whose name holds the first argument; the exit status counts failures.
inline int run_all(int argc, char** argv) {
  for (const Case& each : cases()) {
    if (argc > 1 && std::strstr(each.name, argv[1]) == nullptr) continue;
    const int before = failures();
    try {
      each.run();
    } catch (const std::exception& error) {
      fail(each.name, 0, std::string("unexpected exception: ") + error.what());
    }
    std::printf("%s %s\n", failures() == before ? "ok  " : "FAIL", each.name);
    std::fflush(stdout);
  }
  return failures() == 0 ? 0 : 1;
}

}  // namespace check

#define CHECK_JOIN_(a, b) a##b
#define CHECK_JOIN(a, b) CHECK_JOIN_(a, b)

// TEST("a sentence about behaviour") { … }
#define TEST_AT(name, id)                                                             \
  static void CHECK_JOIN(case_, id)();                                                \
  static const bool CHECK_JOIN(added_, id) = check::add(name, CHECK_JOIN(case_, id)); \
  static void CHECK_JOIN(case_, id)()
#define TEST(name) TEST_AT(name, __LINE__)

#define EXPECT(condition)                                          \
  do {                                                             \
    if (!(condition)) check::fail(__FILE__, __LINE__, #condition); \
  } while (false)

// The expression must throw an Error of the given code.
#define EXPECT_CODE(expression, wanted)                                                          \
  do {                                                                                           \
    try {                                                                                        \
      static_cast<void>(expression);                                                             \
      check::fail(__FILE__, __LINE__, #expression " threw nothing, not " + std::string(wanted)); \
    } catch (const lexiseg::Error& error) {                                                      \
      if (std::string(error.code()) != (wanted)) {                                               \
        check::fail(__FILE__, __LINE__,                                                          \
                    #expression " threw " + std::string(error.code()) + ": " + error.what());    \
      }                                                                                          \
    }                                                                                            \
  } while (false)
