#include "core/allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "core/error.h"

namespace lexiseg {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = 2 << 20;
// Of what was in use at once, one part in so many may be mapped beyond it: blocks of the wrong size
// that the next step wants again. Without it a training step faults in a tenth of its memory anew.
constexpr size_t kSpareShare = 6;
// Smaller blocks come from malloc, which keeps them itself. A sanitizer must see every block.
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kLarge = SIZE_MAX;
#else
constexpr size_t kLarge = 256 << 10;
#endif

thread_local const std::atomic<bool>* abort_flag = nullptr;

[[noreturn]] void out_of_memory(size_t size) {
  throw Error(code::kOutOfMemory, "Cannot allocate " + std::to_string(size) + " " + kNoHostMemory);
}

size_t rounded(size_t size) {
  const size_t step = size >= 8 * kHugePage   ? kHugePage
                      : size >= kHugePage / 2 ? kHugePage / 8
                                              : kLarge / 4;
  return (size + step - 1) / step * step;
}

void* map_pages(size_t size) {
  const size_t slack = size >= kHugePage ? kHugePage : 0;
  void* raw =
      ::mmap(nullptr, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  if (slack == 0) return raw;
  // Alignment lets the kernel back the block with huge pages, one fault in place of 512.
  auto* begin = static_cast<char*>(raw);
  const size_t head = (kHugePage - reinterpret_cast<uintptr_t>(begin) % kHugePage) % kHugePage;
  if (head > 0) ::munmap(begin, head);
  if (slack > head) ::munmap(begin + head + size, slack - head);
  ::madvise(begin + head, size, MADV_HUGEPAGE);
  return begin + head;
}

class BlockPool {
 public:
  void* take(size_t wanted) {
    if (wanted > PTRDIFF_MAX / 2) return nullptr;
    const size_t size = rounded(wanted);
    const std::lock_guard lock(mutex_);
    Block block = reuse(size);
    if (block.memory == nullptr) block = fresh(size);
    if (block.memory == nullptr) return nullptr;
    live_.emplace(block.memory, block.size);
    live_bytes_ += block.size;
    peak_live_bytes_ = std::max(peak_live_bytes_, live_bytes_);
    return block.memory;
  }

  // False when the memory is none of this pool's.
  bool give(void* memory) {
    const std::lock_guard lock(mutex_);
    const auto found = live_.find(memory);
    if (found == live_.end()) return false;
    kept_.push_back({memory, found->second});
    kept_bytes_ += found->second;
    live_bytes_ -= found->second;
    live_.erase(found);
    return true;
  }

  // 0 when the memory is none of this pool's.
  size_t size_of(const void* memory) {
    const std::lock_guard lock(mutex_);
    const auto found = live_.find(const_cast<void*>(memory));
    return found == live_.end() ? 0 : found->second;
  }

  bool keeps_blocks() {
    const std::lock_guard lock(mutex_);
    return kept_bytes_ > 0;
  }

  void trim() {
    const std::lock_guard lock(mutex_);
    shrink_kept(0);
    peak_live_bytes_ = live_bytes_;
  }

  int64_t mapped_bytes() {
    const std::lock_guard lock(mutex_);
    return static_cast<int64_t>(live_bytes_ + kept_bytes_);
  }

 private:
  struct Block {
    void* memory = nullptr;
    size_t size = 0;
  };

  // The smallest kept block that wastes little, or none.
  Block reuse(size_t size) {
    const size_t waste = std::max(size / 8, std::min(size / 2, kHugePage / 4));
    auto best = kept_.end();
    for (auto block = kept_.begin(); block != kept_.end(); ++block) {
      const bool fits = block->size >= size && block->size - size <= waste;
      if (fits && (best == kept_.end() || block->size < best->size)) best = block;
    }
    if (best == kept_.end()) return {};
    const Block block = *best;
    kept_.erase(best);
    kept_bytes_ -= block.size;
    return block;
  }

  Block fresh(size_t size) {
    const size_t most = std::max(peak_live_bytes_, live_bytes_ + size);
    shrink_kept(most + most / kSpareShare - live_bytes_ - size);
    void* memory = map_pages(size);
    if (memory == nullptr) {
      shrink_kept(0);
      memory = map_pages(size);
    }
    return {memory, size};
  }

  // Unmaps the blocks kept longest until at most `limit` bytes are kept.
  void shrink_kept(size_t limit) {
    auto block = kept_.begin();
    for (; block != kept_.end() && kept_bytes_ > limit; ++block) {
      ::munmap(block->memory, block->size);
      kept_bytes_ -= block->size;
    }
    kept_.erase(kept_.begin(), block);
  }

  std::mutex mutex_;
  std::unordered_map<void*, size_t> live_;
  std::vector<Block> kept_;  // oldest first
  size_t live_bytes_ = 0;
  size_t peak_live_bytes_ = 0;
  size_t kept_bytes_ = 0;
};

BlockPool& pool() {
  // Never destroyed: tensors held by statics of other libraries are freed after ours would be.
  static auto* const instance = new BlockPool();
  return *instance;
}

void release(void* memory) {
  if (memory == nullptr) return;
  const bool may_be_block = reinterpret_cast<uintptr_t>(memory) % kPage == 0;
  if (!may_be_block || !pool().give(memory)) std::free(memory);
}

class HostAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t size) override {
    if (abort_flag != nullptr && abort_flag->load(std::memory_order_relaxed)) {
      throw Error(code::kAborted, "The call was cancelled");
    }
    void* memory = nullptr;
    if (size >= kLarge) {
      memory = pool().take(size);
      if (memory == nullptr) out_of_memory(size);
    } else if (size > 0 && ::posix_memalign(&memory, kAlignment, size) != 0) {
      out_of_memory(size);
    }
    return {memory, memory, &release, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &release; }

  void copy_data(void* to, const void* from, size_t count) const override {
    default_copy_data(to, from, count);
  }
};

}  // namespace

void install_allocator() {
  static std::once_flag once;
  std::call_once(once, [] { c10::SetCPUAllocator(new HostAllocator(), 1); });
}

void trim_allocator() { pool().trim(); }

bool allocator_made(const c10::DataPtr& memory) { return memory.get_deleter() == &release; }

size_t allocator_capacity(const void* memory) {
  const size_t block = pool().size_of(memory);
  return block > 0 ? block : ::malloc_usable_size(const_cast<void*>(memory));
}

bool allocator_keeps_blocks() { return pool().keeps_blocks(); }

int64_t allocator_mapped_bytes() { return pool().mapped_bytes(); }

AbortScope::AbortScope(const std::atomic<bool>* cancelled) { abort_flag = cancelled; }

AbortScope::~AbortScope() { abort_flag = nullptr; }

const std::atomic<bool>* current_abort_flag() { return abort_flag; }

}  // namespace lexiseg
