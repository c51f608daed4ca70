#include "core/archive.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <set>
#include <utility>

#include "core/error.h"
#include "core/program_check.h"
#include "core/sha256.h"

namespace lexiseg {
namespace {

constexpr uint32_t kEndSignature = 0x06054b50;
constexpr uint32_t kEnd64Signature = 0x06064b50;
constexpr uint32_t kLocator64Signature = 0x07064b50;
constexpr uint32_t kDirectorySignature = 0x02014b50;
constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr uint64_t kEndSize = 22;
constexpr uint64_t kLocator64Size = 20;
constexpr uint64_t kEnd64Size = 56;
constexpr uint64_t kEntrySize = 46;
constexpr uint64_t kLocalSize = 30;
constexpr uint64_t kMaxComment = 65535;

// Far above any bundle; they bound the memory that a forged directory can ask for.
constexpr uint64_t kMaxEntries = 200'000;
constexpr uint64_t kMaxDirectory = 64ull << 20;
constexpr uint64_t kMaxName = 1024;
// What LibTorch reads by recursion: the code of a large network is well under a megabyte.
constexpr uint64_t kMaxProgram = 4ull << 20;
// Weights deflate by a fifth or so; more than this is a small file that asks for much memory.
constexpr uint64_t kMaxInflation = 4;
constexpr uint64_t kStored = 0;
constexpr uint64_t kDeflated = 8;

uint64_t little(const std::string& bytes, uint64_t at, int width) {
  uint64_t value = 0;
  for (int i = width - 1; i >= 0; --i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

uint32_t crc32(const std::string& bytes) {
  static const auto table = [] {
    std::array<std::array<uint32_t, 256>, 8> t{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t c = i;
      for (int k = 0; k < 8; ++k) c = (c & 1 ? 0xedb88320u : 0u) ^ c >> 1;
      t[0][i] = c;
    }
    for (int s = 1; s < 8; ++s) {
      for (int i = 0; i < 256; ++i) t[s][i] = t[0][t[s - 1][i] & 255] ^ t[s - 1][i] >> 8;
    }
    return t;
  }();
  uint32_t crc = ~0u;
  const auto* p = reinterpret_cast<const uint8_t*>(bytes.data());
  size_t n = bytes.size();
  for (; n >= 8; n -= 8, p += 8) {
    const uint32_t low = crc ^ (p[0] | p[1] << 8 | p[2] << 16 | uint32_t{p[3]} << 24);
    crc = table[7][low & 255] ^ table[6][low >> 8 & 255] ^ table[5][low >> 16 & 255] ^
          table[4][low >> 24] ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
  }
  for (; n > 0; --n, ++p) crc = table[0][(crc ^ *p) & 255] ^ crc >> 8;
  return ~crc;
}

bool is_program(std::string_view name) {
  return name == "data.pkl" || name == "constants.pkl" || name == "version" ||
         name == ".data/version" || name.starts_with("code/");
}

std::string lower_case(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

bool is_tensor(std::string_view name) {
  return name.starts_with("data/") || name.starts_with("constants/");
}

}  // namespace

std::shared_ptr<const Archive> Archive::open(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) {
    throw Error(code::kBundleRead, "Cannot open " + path + ": " + std::strerror(errno));
  }
  struct stat status{};
  const bool known = ::fstat(file, &status) == 0;
  const std::shared_ptr<Archive> archive(
      new Archive(path, file, known ? static_cast<uint64_t>(status.st_size) : 0));
  if (!known || !S_ISREG(status.st_mode)) archive->refuse("it is not a regular file");
  archive->read_directory();
  return archive;
}

Archive::Archive(std::string path, int file, uint64_t file_size)
    : path_(std::move(path)), file_(file), file_size_(file_size) {}

Archive::~Archive() { ::close(file_); }

void Archive::refuse(const std::string& reason) const {
  throw Error(code::kBundleRead, path_ + " is not a readable bundle: " + reason);
}

size_t Archive::read_at(uint64_t position, void* buffer, size_t n) const {
  size_t done = 0;
  while (done < n) {
    const ssize_t got = ::pread(file_, static_cast<char*>(buffer) + done, n - done,
                                static_cast<off_t>(position + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) refuse(std::strerror(errno));
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

std::string Archive::bytes_at(uint64_t position, uint64_t n) const {
  if (position > file_size_ || n > file_size_ - position) refuse("it is truncated");
  std::string bytes(n, '\0');
  if (read_at(position, bytes.data(), n) != n) refuse("it became shorter while it was read");
  return bytes;
}

Archive::Directory Archive::locate_directory() const {
  const uint64_t tail_size = std::min(file_size_, kEndSize + kMaxComment);
  const std::string tail = bytes_at(file_size_ - tail_size, tail_size);
  for (uint64_t back = kEndSize; back <= tail_size; ++back) {
    const uint64_t at = tail_size - back;
    if (little(tail, at, 4) != kEndSignature) continue;
    // LibTorch takes the last signature whatever its comment says; another one is not for it.
    if (little(tail, at + 20, 2) != back - kEndSize) refuse("its end is damaged");
    const uint64_t end_position = file_size_ - back;
    if (const auto large = zip64_directory(end_position)) return *large;
    if (little(tail, at + 4, 2) != 0 || little(tail, at + 6, 2) != 0) refuse("it spans disks");
    return {little(tail, at + 16, 4), little(tail, at + 12, 4), little(tail, at + 10, 2)};
  }
  refuse("it has no archive directory (truncated, or no .pt file)");
}

std::optional<Archive::Directory> Archive::zip64_directory(uint64_t end_position) const {
  if (end_position < kLocator64Size) return std::nullopt;
  const std::string locator = bytes_at(end_position - kLocator64Size, kLocator64Size);
  if (little(locator, 0, 4) != kLocator64Signature) return std::nullopt;
  const std::string end = bytes_at(little(locator, 8, 8), kEnd64Size);
  if (little(end, 0, 4) != kEnd64Signature) refuse("its 64-bit directory is damaged");
  return Directory{little(end, 48, 8), little(end, 40, 8), little(end, 32, 8)};
}

void Archive::read_directory() {
  const Directory directory = locate_directory();
  if (directory.entries == 0) refuse("it holds no records");
  if (directory.entries > kMaxEntries || directory.size > kMaxDirectory) {
    refuse("its directory is too large");
  }
  const std::string bytes = bytes_at(directory.offset, directory.size);
  uint64_t at = 0;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    if (bytes.size() - at < kEntrySize || little(bytes, at, 4) != kDirectorySignature) {
      refuse("its directory is damaged");
    }
    const uint64_t flags = little(bytes, at + 8, 2);
    const uint64_t method = little(bytes, at + 10, 2);
    uint64_t packed = little(bytes, at + 20, 4);
    uint64_t size = little(bytes, at + 24, 4);
    const uint64_t name_size = little(bytes, at + 28, 2);
    const uint64_t extra_size = little(bytes, at + 30, 2);
    const uint64_t comment_size = little(bytes, at + 32, 2);
    uint64_t header = little(bytes, at + 42, 4);
    if (bytes.size() - at - kEntrySize < name_size + extra_size + comment_size) {
      refuse("its directory is damaged");
    }
    // The 64-bit extra field holds, in this order, just the values that did not fit in 32 bits.
    const uint64_t extra_end = at + kEntrySize + name_size + extra_size;
    for (uint64_t e = at + kEntrySize + name_size; extra_end - e >= 4;) {
      const uint64_t tag = little(bytes, e, 2);
      const uint64_t length = little(bytes, e + 2, 2);
      if (length > extra_end - e - 4) refuse("its directory is damaged");
      uint64_t value = e + 4;
      for (uint64_t* wide : {&size, &packed, &header}) {
        if (tag != 1 || *wide != 0xffffffff || e + 4 + length - value < 8) continue;
        *wide = little(bytes, value, 8);
        value += 8;
      }
      e += 4 + length;
    }
    if (name_size == 0 || name_size > kMaxName) refuse("a record has no usable name");
    std::string name = bytes.substr(at + kEntrySize, name_size);
    const size_t slash = name.find('/');
    if (name.find('\0') != std::string::npos || slash == std::string::npos || slash == 0) {
      refuse("a record has no usable name");
    }
    if (i == 0) top_folder_ = name.substr(0, slash);
    if (name.compare(0, slash, top_folder_) != 0) refuse("it has more than one top folder");
    if ((flags & 1) != 0) refuse("record " + name + " is encrypted");
    Record record{name.substr(slash + 1),
                  header,
                  size,
                  packed,
                  method == kDeflated,
                  static_cast<uint32_t>(little(bytes, at + 16, 4))};
    if (record.deflated ? !is_tensor(record.name) : method != kStored || packed != size) {
      refuse("record " + name + " is compressed; bundles deflate tensors alone");
    }
    if (size / kMaxInflation > packed) refuse("record " + name + " inflates far too much");
    records_.push_back(std::move(record));
    at += kEntrySize + name_size + extra_size + comment_size;
  }
  check_layout(directory.offset);
  // LibTorch finds records whatever their case.
  std::set<std::string> names;
  for (const Record& record : records_) {
    const std::string lower = lower_case(record.name);
    if (!names.insert(lower).second) refuse("record " + record.name + " is there twice");
    if (lower != record.name && is_program(lower)) {
      refuse("record " + record.name + " is not written as programs are");
    }
  }
  std::sort(records_.begin(), records_.end(),
            [](const Record& a, const Record& b) { return a.name < b.name; });
}

void Archive::check_layout(uint64_t directory_offset) const {
  // Records that overlap are how a small archive claims to hold a huge one.
  std::vector<const Record*> by_position;
  for (const Record& record : records_) by_position.push_back(&record);
  std::sort(by_position.begin(), by_position.end(),
            [](const Record* a, const Record* b) { return a->header < b->header; });
  uint64_t free_from = 0;
  for (const Record* record : by_position) {
    if (record->header < free_from) refuse("record " + record->name + " overlaps another");
    const uint64_t data = data_offset(*record);
    if (data > directory_offset || record->packed > directory_offset - data) {
      refuse("record " + record->name + " reaches beyond the file");
    }
    free_from = data + record->packed;
  }
}

uint64_t Archive::data_offset(const Record& record) const {
  const std::string local = bytes_at(record.header, kLocalSize);
  const uint64_t name_size = little(local, 26, 2);
  if (little(local, 0, 4) != kLocalSignature ||
      little(local, 8, 2) != (record.deflated ? kDeflated : kStored) ||
      name_size != top_folder_.size() + 1 + record.name.size()) {
    refuse("the header of record " + record.name + " is damaged");
  }
  if (bytes_at(record.header + kLocalSize, name_size) != top_folder_ + "/" + record.name) {
    refuse("the header of record " + record.name + " names another");
  }
  return record.header + kLocalSize + name_size + little(local, 28, 2);
}

const Record* Archive::find(std::string_view name) const {
  const auto found = std::lower_bound(
      records_.begin(), records_.end(), name,
      [](const Record& record, std::string_view wanted) { return record.name < wanted; });
  return found != records_.end() && found->name == name ? &*found : nullptr;
}

std::string Archive::read(const Record& record, uint64_t limit) const {
  if (record.deflated) refuse("record " + record.name + " is compressed");
  if (record.size > limit) {
    refuse("record " + record.name + " is larger than " + std::to_string(limit) + " bytes");
  }
  std::string bytes = bytes_at(data_offset(record), record.size);
  if (crc32(bytes) != record.crc) refuse("record " + record.name + " is damaged (CRC-32)");
  return bytes;
}

void Archive::check_program() const {
  if (find("data.pkl") != nullptr && find("constants.pkl") == nullptr) {
    refuse("it is a checkpoint of tensors, not an exported bundle; convert it first");
  }
  const bool versioned = find("version") != nullptr || find(".data/version") != nullptr;
  if (find("data.pkl") == nullptr || !versioned) {
    refuse("it is no TorchScript archive");
  }
  for (const Record& record : records_) {
    if (!is_program(record.name)) continue;
    const std::string bytes = read(record, kMaxProgram);
    if (record.name.ends_with(".py") && !nests_moderately(bytes)) {
      refuse("the code in " + record.name + " is nested too deeply");
    }
    // Built from their parts, which are read before anything else can be checked.
    for (const char* kind : {"_rebuild_qtensor", "_rebuild_sparse"}) {
      if (record.name.ends_with(".pkl") && bytes.find(kind) != std::string::npos) {
        refuse(record.name + " holds a tensor that is not plain");
      }
    }
    // It would run while LibTorch reads the archive, before anything else can be checked.
    if (record.name.ends_with(".py") && bytes.find("__setstate__") != std::string::npos) {
      refuse("the code in " + record.name + " runs when it is loaded");
    }
  }
}

std::string Archive::hash_weights() const {
  Sha256 hash;
  std::vector<char> buffer(4 << 20);
  for (const Record& record : records_) {
    if (record.name.starts_with("extra/") || record.name == ".data/serialization_id") continue;
    hash.update(record.name.data(), record.name.size());
    uint8_t length[9] = {};
    for (int i = 0; i < 8; ++i) length[1 + i] = static_cast<uint8_t>(record.packed >> 8 * i);
    hash.update(length, sizeof length);
    const uint64_t begin = data_offset(record);
    for (uint64_t done = 0; done < record.packed;) {
      const auto n = static_cast<size_t>(std::min<uint64_t>(buffer.size(), record.packed - done));
      if (read_at(begin + done, buffer.data(), n) != n) refuse("it became shorter while read");
      hash.update(buffer.data(), n);
      done += n;
    }
  }
  return hash.finish();
}

}  // namespace lexiseg
