// Bounds on the exported program of a bundle, which LibTorch reads by recursion: a text of nothing
// but brackets would overflow the stack and take the process with it.
#pragma once

#include <functional>
#include <string>

namespace lexiseg {

// Whether the nesting of a record code/*.py stays within what a compiler's stack can hold.
bool nests_moderately(const std::string& source);

// Runs work() to its end on a thread with a stack of its own, far larger than usual; rethrows.
// Long chains of calls and of nested data need it, which no look at the text can tell.
void run_with_deep_stack(const std::function<void()>& work);

}  // namespace lexiseg
