#include "core/archive.h"

#include <algorithm>
#include <initializer_list>

#include "bundle_bytes.h"
#include "check.h"
#include "core/error.h"
#include "core/program_check.h"
#include "core/sha256.h"

namespace {

using lexiseg::Archive;
using lexiseg::nests_moderately;
using lexiseg::Sha256;

void append(std::string& bytes, std::initializer_list<std::pair<uint64_t, int>> fields) {
  for (const auto& [value, width] : fields) {
    for (int i = 0; i < width; ++i) bytes += static_cast<char>(value >> 8 * i);
  }
}

struct ZipEntry {
  std::string name;
  std::string bytes;
  uint64_t method = 0;
  uint64_t claimed_size = 0;  // 0: the true one
};

// A small ZIP, lawful or not; CRCs are zero.
std::string make_zip(const std::vector<ZipEntry>& entries, uint64_t overlap = 0) {
  std::string zip, directory;
  for (const ZipEntry& entry : entries) {
    const uint64_t size = entry.claimed_size > 0 ? entry.claimed_size : entry.bytes.size();
    const uint64_t header = overlap > 0 && !directory.empty() ? 0 : zip.size();
    append(zip, {{0x04034b50, 4},
                 {20, 2},
                 {0, 2},
                 {entry.method, 2},
                 {0, 4},
                 {0, 4},
                 {entry.bytes.size(), 4},
                 {size, 4},
                 {entry.name.size(), 2},
                 {0, 2}});
    zip += entry.name + entry.bytes;
    append(directory, {{0x02014b50, 4},
                       {20, 2},
                       {20, 2},
                       {0, 2},
                       {entry.method, 2},
                       {0, 4},
                       {0, 4},
                       {entry.bytes.size(), 4},
                       {size, 4},
                       {entry.name.size(), 2},
                       {0, 2},
                       {0, 2},
                       {0, 2},
                       {0, 2},
                       {0, 4},
                       {header, 4}});
    directory += entry.name;
  }
  const uint64_t at = zip.size();
  zip += directory;
  append(zip, {{0x06054b50, 4},
               {0, 2},
               {0, 2},
               {entries.size(), 2},
               {entries.size(), 2},
               {directory.size(), 4},
               {at, 4},
               {0, 2}});
  return zip;
}

std::string hash_of(const std::string& text, size_t step) {
  Sha256 hash;
  for (size_t at = 0; at < text.size(); at += step) {
    hash.update(text.data() + at, std::min(step, text.size() - at));
  }
  return hash.finish();
}

}  // namespace

TEST("SHA-256 gives the values of FIPS 180-4, however the bytes are cut") {
  EXPECT(hash_of("", 1) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT(hash_of("abc", 3) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const std::string two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  EXPECT(hash_of(two_blocks, 56) ==
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  const std::string million(1'000'000, 'a');
  const std::string wanted = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
  for (const size_t step : {size_t{1}, size_t{63}, size_t{64}, size_t{65}, million.size()}) {
    EXPECT(hash_of(million, step) == wanted);
  }
}

TEST("a bundle's weights hash to what its manifest says") {
  const auto archive = Archive::open(tiny_bundle());
  const auto* manifest = archive->find("extra/manifest.json");
  EXPECT(manifest != nullptr);
  if (manifest == nullptr) return;
  const std::string text = archive->read(*manifest, 1 << 20);
  EXPECT(text.find(archive->hash_weights()) != std::string::npos);
}

TEST("a record is read whole, and never beyond the limit") {
  const auto archive = Archive::open(tiny_bundle());
  const auto* merges = archive->find("extra/tokenizer/merges.txt");
  EXPECT(merges != nullptr && archive->read(*merges, 64 << 20).size() == merges->size);
  EXPECT_CODE(archive->read(*merges, merges->size - 1), "ERR_BUNDLE_READ");
  EXPECT(archive->find("extra/absent") == nullptr);
}

TEST("a bundle cut at any length is refused") {
  const std::string bytes = file_bytes(tiny_bundle());
  Dice dice(1);
  std::vector<size_t> lengths{0, 1, 3, 21, 22, 100, bytes.size() - 1, bytes.size() - 22};
  for (int i = 0; i < 200; ++i) lengths.push_back(dice.next() % bytes.size());
  for (const size_t length : lengths) {
    const ScratchFile cut(bytes.substr(0, length));
    EXPECT_CODE(Archive::open(cut.path()), "ERR_BUNDLE_READ");
  }
}

TEST("random bytes are refused, with and without an archive's ending") {
  Dice dice(2);
  for (int i = 0; i < 200; ++i) {
    std::string noise(dice.next() % 5000, '\0');
    for (char& byte : noise) byte = static_cast<char>(dice.next());
    if (i % 2 == 0) noise += "PK\5\6" + std::string(18, static_cast<char>(i));
    const ScratchFile file(noise);
    EXPECT_CODE(Archive::open(file.path()), "ERR_BUNDLE_READ");
  }
}

TEST("flipped bytes of the directory are refused or leave every record inside the file") {
  const std::string bytes = file_bytes(tiny_bundle());
  Dice dice(3);
  for (int i = 0; i < 400; ++i) {
    std::string damaged = bytes;
    const size_t at = damaged.size() - 1 - dice.next() % 20000;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << dice.next() % 8));
    const ScratchFile file(damaged);
    try {
      const auto archive = Archive::open(file.path());
      for (const auto& record : archive->records()) EXPECT(record.size < damaged.size());
    } catch (const lexiseg::Error& error) {
      EXPECT(std::string(error.code()) == "ERR_BUNDLE_READ");
    }
  }
}

TEST("a flipped byte of the program is found before LibTorch sees it") {
  const auto whole = Archive::open(tiny_bundle());
  const std::string bytes = file_bytes(tiny_bundle());
  const std::string pickle = whole->read(*whole->find("data.pkl"), 1 << 24);
  const size_t begin = bytes.find(pickle);
  EXPECT(begin != std::string::npos);
  for (const size_t offset : {size_t{0}, size_t{1}, pickle.size() / 2, pickle.size() - 1}) {
    std::string damaged = bytes;
    damaged[begin + offset] = static_cast<char>(damaged[begin + offset] ^ 1);
    const ScratchFile file(damaged);
    EXPECT_CODE(Archive::open(file.path())->check_program(), "ERR_BUNDLE_READ");
  }
}

TEST("archives that lie about their records are refused") {
  const std::string content(100, 'x');
  const auto refused = [](const std::string& zip) {
    const ScratchFile file(zip);
    EXPECT_CODE(Archive::open(file.path()), "ERR_BUNDLE_READ");
  };
  const ScratchFile lawful(make_zip({{"a/data.pkl", content}, {"a/b", content}}));
  EXPECT(Archive::open(lawful.path())->records().size() == 2);
  const ScratchFile deflated(make_zip({{"a/data/0", content, 8, 400}}));
  const auto packed = Archive::open(deflated.path());
  const auto* tensor = packed->find("data/0");
  EXPECT(tensor != nullptr && tensor->deflated && tensor->size == 400 && tensor->packed == 100);
  if (tensor != nullptr) EXPECT_CODE(packed->read(*tensor, 1 << 10), "ERR_BUNDLE_READ");
  refused(make_zip({{"a/data/0", content, 8, 500}}));
  refused(make_zip({{"a/data/0", content, 0, 400}}));
  refused(make_zip({{"a/data/0", content, 12, 400}}));
  refused(make_zip({{"a/data.pkl", content, 8, 400}}));
  refused(make_zip({{"a/bomb", content, 8, 4'000'000'000}}));
  refused(make_zip({{"a/large", content, 0, 4'000'000'000}}));
  refused(make_zip({{"a/twin", content}, {"a/twin", content}}));
  refused(make_zip({{"a/one", content}, {"a/two", content}}, /*overlap=*/1));
  refused(make_zip({{"a/one", content}, {"b/two", content}}));
  refused(make_zip({{"no-folder", content}}));
  refused(make_zip({{std::string("a/nul\0name", 10), content}}));
  refused(make_zip({}));
}

TEST("code that would overflow a reader's stack is refused, and lawful code is not") {
  const auto repeated = [](const std::string& text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += text;
    return all;
  };
  EXPECT(nests_moderately("def f(self, x: Tensor) -> Tensor:\n  return (x, [1, 2, (3, 4)])\n"));
  EXPECT(nests_moderately("sizes = [" + repeated("12345, ", 100'000) + "1]\n"));
  EXPECT(nests_moderately("text = '" + repeated("(", 10'000) + "'\n"));
  EXPECT(nests_moderately(repeated("x = torch.add(x, 1)\n", 10'000)));
  EXPECT(!nests_moderately("return " + repeated("(", 1000) + "x" + repeated(")", 1000)));
  EXPECT(!nests_moderately("return " + repeated("-", 10'000) + "x"));
  EXPECT(!nests_moderately("x = " + repeated("not ", 10'000) + "True"));
  EXPECT(!nests_moderately(repeated("f(a, " + std::string(100, '-'), 100)));
  EXPECT(!nests_moderately(std::string(1000, ' ') + "x"));
  // What hides the brackets behind it from a reader that ends strings elsewhere.
  const std::string hidden = repeated("(", 1000) + "x\n";
  EXPECT(!nests_moderately("return f('''a'b''', " + hidden));
  EXPECT(!nests_moderately("y = 1 # '\\\nreturn f(" + hidden));
  EXPECT(!nests_moderately("text = 'a\\\nreturn f(" + hidden));
  EXPECT(nests_moderately("text = 'it\\'s \\\\' + \"\" + ''\n"));
}

TEST("what is no file is refused") {
  EXPECT_CODE(Archive::open("/nonexistent/bundle.pt"), "ERR_BUNDLE_READ");
  EXPECT_CODE(Archive::open("/tmp"), "ERR_BUNDLE_READ");
  EXPECT_CODE(Archive::open("/dev/zero"), "ERR_BUNDLE_READ");
  EXPECT_CODE(Archive::open(""), "ERR_BUNDLE_READ");
}
