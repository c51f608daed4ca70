#include "core/program_check.h"

#include <pthread.h>

#include <exception>
#include <system_error>
#include <vector>

#include "core/allocator.h"

namespace lexiseg {
namespace {

// Far above what the exporter writes, far below what overflows.
constexpr size_t kMaxBrackets = 128;
constexpr size_t kMaxChain = 4096;
constexpr size_t kMaxIndent = 256;

// Only pages that are touched cost memory. AddressSanitizer marks all of a stack when it starts.
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kStackSizes[] = {size_t{256} << 20};
#else
constexpr size_t kStackSizes[] = {size_t{2} << 30, size_t{256} << 20};
#endif

struct DeepWork {
  const std::function<void()>& work;
  const std::atomic<bool>* cancelled;
  std::exception_ptr failure;
};

void* run_deep_work(void* argument) {
  auto& deep = *static_cast<DeepWork*>(argument);
  try {
    const AbortScope scope(deep.cancelled);
    deep.work();
  } catch (...) {
    deep.failure = std::current_exception();
  }
  return nullptr;
}

}  // namespace

bool nests_moderately(const std::string& source) {
  // Characters since the last comma or statement, summed over the brackets that are open: a bound
  // on the operators that lie inside each other.
  std::vector<size_t> outer;
  size_t outer_total = 0, chain = 0, indent = 0;
  bool at_line_start = true;
  for (size_t i = 0; i < source.size(); ++i) {
    const char c = source[i];
    // The exporter writes no comments and no strings over many lines, and what LibTorch's parser
    // makes of their ends need not be what is made of them here.
    if (c == '#') return false;
    if (c == '"' || c == '\'') {
      if (i + 2 < source.size() && source[i + 1] == c && source[i + 2] == c) return false;
      for (++i; i < source.size() && source[i] != c && source[i] != '\n'; ++i) {
        if (source[i] == '\\' && ++i < source.size() && source[i] == '\n') return false;
      }
    } else if (c == '(' || c == '[' || c == '{') {
      outer.push_back(chain);
      outer_total += chain;
      chain = 0;
    } else if ((c == ')' || c == ']' || c == '}') && !outer.empty()) {
      chain = outer.back();
      outer_total -= outer.back();
      outer.pop_back();
    } else if (c == ',' || (c == '\n' && outer.empty())) {
      chain = 0;
    }
    if (c == '\n') {
      at_line_start = true;
      indent = 0;
    } else if (at_line_start && (c == ' ' || c == '\t')) {
      ++indent;
    } else {
      at_line_start = false;
      ++chain;
    }
    if (outer.size() > kMaxBrackets || outer_total + chain > kMaxChain || indent > kMaxIndent) {
      return false;
    }
  }
  return true;
}

void run_with_deep_stack(const std::function<void()>& work) {
  DeepWork deep{work, current_abort_flag(), nullptr};
  pthread_t thread{};
  int status = 0;
  for (const size_t size : kStackSizes) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, size);
    status = pthread_create(&thread, &attributes, run_deep_work, &deep);
    pthread_attr_destroy(&attributes);
    if (status == 0) break;
  }
  if (status != 0)
    throw std::system_error(status, std::generic_category(), "Cannot start a thread");
  pthread_join(thread, nullptr);
  if (deep.failure) std::rethrow_exception(deep.failure);
}

}  // namespace lexiseg
