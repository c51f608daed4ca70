// SHA-256 of a stream of bytes, on the processor's SHA instructions where it has them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace lexiseg {

class Sha256 {
 public:
  Sha256();

  void update(const void* data, size_t size);

  // Lower-case hexadecimal, 64 characters. The object must not be used afterwards.
  std::string finish();

 private:
  std::array<uint32_t, 8> state_;
  std::array<uint8_t, 64> block_;
  size_t filled_ = 0;
  uint64_t total_ = 0;
};

}  // namespace lexiseg
