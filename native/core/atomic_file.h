// A file that appears whole under its name, or not at all.
#pragma once

#include <cstddef>
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

// Takes the bytes of a writer of LibTorch, which ends the process when a write fails: a full disk
// is remembered here and told when all is written.
class FileSink {
 public:
  // Empties the file. Throws Error(ERR_OUTPUT).
  explicit FileSink(std::string path);
  ~FileSink();
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;

  // Always gives n.
  size_t write(const void* data, size_t n) noexcept;

  // Throws Error(ERR_OUTPUT) when any of it was not written.
  void close();

 private:
  std::string path_;
  int file_;
  int failure_ = 0;  // errno of the first that failed
};

}  // namespace lexiseg
