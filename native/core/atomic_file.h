// A file that appears whole under its name, or not at all.
#pragma once

#include <string>

namespace lexiseg {

class AtomicFile {
 public:
  // Reserves a temporary name beside `path`; throws Error(ERR_OUTPUT) when that is not possible.
  explicit AtomicFile(std::string path);
  // Removes what was not committed.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  // Where the bytes go until `commit`.
  const std::string& path() const { return temporary_; }

  // Makes them durable and renames them into place.
  void commit();

 private:
  std::string target_;
  std::string temporary_;
};

}  // namespace lexiseg
