// Sums over the processes of a run that never leave the GPU. This library only knows who offers
// them: the library of CUDA kernels, where it is loaded.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>

#include "ops/export.h"

namespace lexiseg::ops {

// Every rank starts the same sums in the same order. Used by one thread at a time.
class DeviceSums {
 public:
  virtual ~DeviceSums() = default;
  // Starts to sum into the tensor itself, once the current stream has written it. The tensor must
  // live, and stay unread, until the sums are finished.
  virtual void start(const at::Tensor& tensor) = 0;
  // Whether all sums started so far are done. Asks the device and waits for nothing.
  virtual bool finished() = 0;
  // Gives up sums that another process will not join any more. None may be started afterwards.
  virtual void abort() noexcept = 0;
};

struct DeviceSumsOffer {
  // Names a GPU among all GPUs of all machines.
  std::string (*name_device)(c10::Device device);
  // What one rank makes and all of them join by.
  std::string (*make_meeting)();
  // Returns when all ranks have joined, each with a GPU of its own.
  std::unique_ptr<DeviceSums> (*join)(const std::string& meeting, int64_t rank, int64_t size,
                                      c10::Device device);
};

// Kept for the life of the process.
LEXISEG_OPS_API void offer_device_sums(const DeviceSumsOffer& offer);

// Null where nothing was offered.
LEXISEG_OPS_API const DeviceSumsOffer* device_sums_offer();

}  // namespace lexiseg::ops
