#include "core/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "core/error.h"

namespace lexiseg {
namespace {

[[noreturn]] void fail(const std::string& path) {
  throw Error(code::kOutput, "Cannot write " + path + ": " + std::strerror(errno));
}

void flush_to_disk(const std::string& path, int flags) {
  const int file = ::open(path.c_str(), flags | O_CLOEXEC);
  if (file < 0) fail(path);
  const bool flushed = ::fsync(file) == 0;
  const int reason = errno;
  ::close(file);
  errno = reason;
  if (!flushed) fail(path);
}

}  // namespace

AtomicFile::AtomicFile(std::string path) : target_(std::move(path)) {
  const std::string pattern = target_ + ".XXXXXX";
  std::vector<char> name(pattern.c_str(), pattern.c_str() + pattern.size() + 1);
  const int file = ::mkostemp(name.data(), O_CLOEXEC);
  if (file < 0) fail(target_);
  ::fchmod(file, 0644);
  ::close(file);
  temporary_ = name.data();
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) std::remove(temporary_.c_str());
}

void AtomicFile::commit() {
  flush_to_disk(temporary_, O_RDWR);
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) fail(target_);
  temporary_.clear();
  const auto folder = std::filesystem::path(target_).parent_path();
  flush_to_disk(folder.empty() ? "." : folder.string(), O_RDONLY | O_DIRECTORY);
}

FileSink::FileSink(std::string path)
    : path_(std::move(path)), file_(::open(path_.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC)) {
  if (file_ < 0) fail(path_);
}

FileSink::~FileSink() {
  if (file_ >= 0) ::close(file_);
}

size_t FileSink::write(const void* data, size_t n) noexcept {
  for (size_t done = 0; done < n && failure_ == 0;) {
    const ssize_t put = ::write(file_, static_cast<const char*>(data) + done, n - done);
    if (put > 0) done += static_cast<size_t>(put);
    if (put < 0 && errno != EINTR) failure_ = errno;
  }
  return n;
}

void FileSink::close() {
  const int closed = ::close(std::exchange(file_, -1));
  if (failure_ == 0 && closed != 0) failure_ = errno;
  errno = failure_;
  if (failure_ != 0) fail(path_);
}

}  // namespace lexiseg
