#include "core/archive_writer.h"

#include <c10/util/Exception.h>
#include <caffe2/serialize/inline_container.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "core/atomic_file.h"
#include "core/error.h"

namespace lexiseg {
namespace {

// Records that LibTorch's writer makes itself when it closes a file.
constexpr std::array<std::string_view, 4> kWrittenAtEnd{".format_version", "byteorder",
                                                        ".data/serialization_id", "version"};

bool is_copied(const std::string& name) {
  return std::find(kWrittenAtEnd.begin(), kWrittenAtEnd.end(), name) == kWrittenAtEnd.end() &&
         !name.starts_with("extra/") && !name.ends_with(".debug_pkl");
}

}  // namespace

void write_archive(const std::string& source, const std::string& target,
                   const std::map<std::string, std::string>& extra_files) {
  using caffe2::serialize::PyTorchStreamReader;
  using caffe2::serialize::PyTorchStreamWriter;
  FileSink sink(target);
  try {
    PyTorchStreamReader reader(source);
    PyTorchStreamWriter writer([&](const void* data, size_t n) { return sink.write(data, n); });
    writer.setMinVersion(reader.version());
    auto names = reader.getAllRecords();
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      if (!is_copied(name)) continue;
      const auto [bytes, size] = reader.getRecord(name);
      writer.writeRecord(name, bytes.get(), size);
    }
    for (const auto& [name, text] : extra_files) {
      writer.writeRecord("extra/" + name, text.data(), text.size());
    }
    writer.writeEndOfFile();
  } catch (const c10::Error& error) {
    throw Error(code::kOutput, "Cannot write " + target + ": " + error.what_without_backtrace());
  }
  sink.close();
}

}  // namespace lexiseg
