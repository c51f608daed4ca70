// Damaged copies of the tiny bundle for the tests of core.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

inline std::string tiny_bundle() { return LEXISEG_TINY_BUNDLE; }

inline std::string file_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A file that is deleted at the end of the scope.
class ScratchFile {
 public:
  explicit ScratchFile(const std::string& bytes) {
    char name[] = "/tmp/lexiseg-test-XXXXXX";
    const int file = ::mkstemp(name);
    path_ = name;
    ::close(file);
    std::ofstream(path_, std::ios::binary) << bytes;
  }
  ~ScratchFile() { std::remove(path_.c_str()); }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A reproducible stream of numbers.
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    state_ = state_ * 6364136223846793005ull + 1442695040888963407ull;
    return state_ >> 33;
  }

 private:
  uint64_t state_;
};
