// Which of LibTorch's own operators a bundle may use.
#pragma once

#include <string>

namespace lexiseg {

// Whether a network may use the ATen operator of this name, without its namespace. Many of the
// others trust their arguments: they take sizes and places without looking at the memory behind
// them.
bool is_known_operator(const std::string& name);

}  // namespace lexiseg
