// Which devices there are, and the choice among them with its reason in words.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string>
#include <vector>

namespace lexiseg {

struct DeviceDescription {
  std::string name;  // "cpu", "cuda:0"
  std::string description;
};

struct ChosenDevice {
  c10::Device device;
  std::string reason;
};

struct DeviceMemory {
  int index;
  int64_t allocated;  // bytes
  int64_t reserved;   // bytes
};

// Devices that can be used now; the CPU is always the first.
std::vector<DeviceDescription> list_devices();

// Empty when CUDA can be used, else the reason why it cannot.
std::string cuda_unavailable_reason();

// name: "cpu", "cuda", "cuda:n" or "auto"; "auto:n" is auto for the n-th of several processes on a
// machine, which share the GPUs out. Throws Error(ERR_DEVICE) when that device is not there.
ChosenDevice choose_device(const std::string& name);

// The caching allocator of each CUDA device in use.
std::vector<DeviceMemory> cuda_memory();

// Waits for the device, so that a clock read afterwards is true. Nothing for the CPU.
void synchronize(c10::Device device);

}  // namespace lexiseg
