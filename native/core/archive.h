// A strict reader of the archive that a bundle is: a ZIP of records under one top folder, all of
// them stored, but that those of tensors may be deflated. It knows nothing of LibTorch, which is
// handed a file only after this reader accepted its layout.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lexiseg {

struct Record {
  std::string name;  // inside the top folder, e.g. "data.pkl", "extra/manifest.json"
  uint64_t header;   // where its local header starts, bytes from the start of the file
  uint64_t size;     // bytes
  uint64_t packed;   // bytes in the file: fewer where deflated
  bool deflated;
  uint32_t crc;
};

class Archive {
 public:
  // Reads and checks the directory; throws Error(ERR_BUNDLE_READ) with the reason.
  static std::shared_ptr<const Archive> open(const std::string& path);

  ~Archive();
  Archive(const Archive&) = delete;
  Archive& operator=(const Archive&) = delete;

  const std::string& path() const { return path_; }
  uint64_t file_size() const { return file_size_; }

  // In byte order of their names.
  const std::vector<Record>& records() const { return records_; }
  const Record* find(std::string_view name) const;

  // The bytes of a stored record of at most `limit` bytes, its CRC-32 checked.
  std::string read(const Record& record, uint64_t limit) const;

  // Reads up to n bytes of the file at a position; returns how many there were.
  size_t read_at(uint64_t position, void* buffer, size_t n) const;

  // Throws unless this is a TorchScript module whose program records are whole.
  void check_program() const;

  // SHA-256 over the weights and code: every record but those under extra/ and the save's own id,
  // in name order, each as utf8(name), 0x00, its length as 64-bit little endian, its bytes; all as
  // they lie in the file, so that nothing is inflated before it is known to be what was promised.
  std::string hash_weights() const;

 private:
  Archive(std::string path, int file, uint64_t file_size);

  struct Directory {
    uint64_t offset;
    uint64_t size;
    uint64_t entries;
  };

  [[noreturn]] void refuse(const std::string& reason) const;
  std::string bytes_at(uint64_t position, uint64_t n) const;
  Directory locate_directory() const;
  std::optional<Directory> zip64_directory(uint64_t end_position) const;
  void read_directory();
  void check_layout(uint64_t directory_offset) const;
  uint64_t data_offset(const Record& record) const;

  std::string path_;
  std::string top_folder_;
  int file_;
  uint64_t file_size_;
  std::vector<Record> records_;
};

}  // namespace lexiseg
