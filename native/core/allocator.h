// Host memory for tensors: keeps freed blocks, because faulting in fresh pages costs as much as the
// arithmetic of a large elementwise layer. Maps little more than was in use at once, so the process
// stays nearly as small as without it.
#pragma once

#include <c10/core/Allocator.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace lexiseg {

// In the message of every Error(ERR_OUT_OF_MEMORY) of the allocator.
inline constexpr const char* kNoHostMemory = "bytes of host memory";

// Makes this the CPU allocator of LibTorch, once per process. Tensors made before stay valid.
void install_allocator();

// Gives kept blocks back to the system.
void trim_allocator();

// Whether this allocator made the memory of a storage: of two copies of this library in a process
// one serves both.
bool allocator_made(const c10::DataPtr& memory);

// Bytes that may be read from where an allocation of this allocator begins.
size_t allocator_capacity(const void* memory);

// Whether the allocator keeps freed blocks that could be given back.
bool allocator_keeps_blocks();

// Bytes mapped by the allocator (in use and kept), for memory statistics and tests.
int64_t allocator_mapped_bytes();

// While it lives, an allocation on this thread throws Error(ERR_ABORTED) once `cancelled` is set:
// that is how a running network stops between two of its layers.
class AbortScope {
 public:
  // cancelled: null for work that nothing cancels.
  explicit AbortScope(const std::atomic<bool>* cancelled);
  ~AbortScope();
  AbortScope(const AbortScope&) = delete;
  AbortScope& operator=(const AbortScope&) = delete;
};

// The flag of this thread's AbortScope, or null.
const std::atomic<bool>* current_abort_flag();

}  // namespace lexiseg
