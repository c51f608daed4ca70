#include <ATen/ATen.h>

#include <cstdint>
#include <thread>
#include <vector>

#include "check.h"
#include "core/allocator.h"
#include "core/device.h"
#include "core/error.h"
#include "core/processor.h"

namespace {

constexpr int64_t kMegabyte = 1 << 20;

[[maybe_unused]] at::Tensor megabytes(int64_t count) {
  return at::empty({count * kMegabyte}, at::kByte);
}

}  // namespace

// Under a sanitizer nothing is kept.
#if !defined(__SANITIZE_ADDRESS__)
TEST("a freed block of about the same size is used again, and kept memory can be given back") {
  lexiseg::install_allocator();
  lexiseg::trim_allocator();
  const int64_t before = lexiseg::allocator_mapped_bytes();
  const void* first = megabytes(40).const_data_ptr();
  EXPECT(lexiseg::allocator_mapped_bytes() - before >= 40 * kMegabyte);
  EXPECT(megabytes(39).const_data_ptr() == first);
  lexiseg::trim_allocator();
  EXPECT(lexiseg::allocator_mapped_bytes() == before);
}

TEST("kept blocks make at most a sixth more than what was in use at once") {
  lexiseg::install_allocator();
  lexiseg::trim_allocator();
  const int64_t before = lexiseg::allocator_mapped_bytes();
  for (int64_t size = 10; size <= 100; size += 10) {
    const at::Tensor tensor = megabytes(size);
    EXPECT(lexiseg::allocator_mapped_bytes() - before <= size * kMegabyte * 7 / 6);
  }
  lexiseg::trim_allocator();
}
#endif

TEST("memory is aligned, and freed from any thread") {
  lexiseg::install_allocator();
  for (const int64_t bytes : {int64_t{1}, int64_t{100}, kMegabyte - 1, kMegabyte, 3 * kMegabyte}) {
    at::Tensor tensor = at::empty({bytes}, at::kByte);
    EXPECT(reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 64 == 0);
    tensor.fill_(1);
    std::thread([moved = std::move(tensor)]() mutable { moved.reset(); }).join();
  }
  EXPECT(at::empty({0}).numel() == 0);
}

TEST("a request beyond all memory is a coded error") {
  lexiseg::install_allocator();
  EXPECT_CODE(at::empty({int64_t{1} << 55}, at::kByte), "ERR_OUT_OF_MEMORY");
}

TEST("resizing a tensor keeps its numbers") {
  lexiseg::install_allocator();
  at::Tensor tensor = at::arange(1'000'000, at::kInt);
  tensor.resize_({4'000'000});
  EXPECT(tensor[999'999].item<int>() == 999'999);
}

TEST("the processors counted are at least one and at most those of the machine") {
  const int threads = lexiseg::available_threads();
  EXPECT(threads >= 1);
  EXPECT(threads <= static_cast<int>(std::thread::hardware_concurrency()));
}

TEST("the resident set is known") {
  const auto memory = lexiseg::resident_memory();
  EXPECT(memory.now > kMegabyte && memory.peak >= memory.now);
}

TEST("devices are chosen by name, and one that is absent is refused with the reason") {
  EXPECT(lexiseg::choose_device("cpu").device.is_cpu());
  for (const char* name : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:0x", "CPU"}) {
    EXPECT_CODE(lexiseg::choose_device(name), "ERR_ARGUMENT");
  }
  EXPECT(lexiseg::list_devices().at(0).name == "cpu");
  EXPECT_CODE(lexiseg::choose_device("cuda:100"), "ERR_DEVICE");
  const std::string reason = lexiseg::cuda_unavailable_reason();
  const auto automatic = lexiseg::choose_device("auto");
  EXPECT(automatic.device.is_cuda() == reason.empty());
  if (reason.empty()) return;
  EXPECT_CODE(lexiseg::choose_device("cuda"), "ERR_DEVICE");
  EXPECT(automatic.reason.find(reason) != std::string::npos);
}
