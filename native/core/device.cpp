#include "core/device.h"

#include <ATen/Context.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <dlfcn.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "core/error.h"
#include "core/processor.h"

namespace lexiseg {
namespace {

// A function of the driver library, which LibTorch has loaded wherever CUDA works.
template <typename Function>
Function driver_function(const char* name) {
  void* driver = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  return driver == nullptr ? nullptr : reinterpret_cast<Function>(::dlsym(driver, name));
}

std::string cuda_name(int index) {
  const auto get_name = driver_function<int (*)(char*, int, int)>("cuDeviceGetName");
  char name[128] = {};
  if (get_name == nullptr || get_name(name, sizeof name - 1, index) != 0) return "CUDA device";
  return name;
}

int cuda_count() { return at::hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0; }

// The kernels for CUDA are a library of their own, which a package need not carry.
bool has_cuda_kernels() {
  const auto op = c10::Dispatcher::singleton().findSchema({"lexiseg::ms_deform_attn", ""});
  return op && op->hasKernelForDispatchKey(c10::DispatchKey::CUDA);
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// n of "PREFIX:n", 0 of "PREFIX" alone, and -1 of anything else.
int number_after(const std::string& name, const std::string& prefix) {
  if (name == prefix) return 0;
  if (!name.starts_with(prefix + ":")) return -1;
  int number = 0;
  const char* end = name.data() + name.size();
  const auto parsed = std::from_chars(name.data() + prefix.size() + 1, end, number);
  return parsed.ec == std::errc() && parsed.ptr == end && number >= 0 ? number : -1;
}

std::string cpu_description() {
  std::string text = std::to_string(available_threads()) + " threads";
  for (const std::string& feature : cpu_features()) text += ", " + feature;
  return text;
}

}  // namespace

std::string cuda_unavailable_reason() {
  if (!at::hasCUDA()) return "this LibTorch is built for the CPU only";
  ::dlerror();
  if (::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) == nullptr) {
    return std::string("the NVIDIA driver cannot be loaded: ") + ::dlerror();
  }
  try {
    if (cuda_count() > 0) {
      return has_cuda_kernels() ? ""
                                : "liblexiseg_ops_cuda.so, our kernels for CUDA, is not beside the "
                                  "addon; it is built from source";
    }
  } catch (const c10::Error& error) {
    return first_line(error.what_without_backtrace());
  }
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  return visible == nullptr
             ? "the driver sees no usable GPU"
             : std::string("no GPU is visible (CUDA_VISIBLE_DEVICES=") + visible + ")";
}

std::vector<DeviceDescription> list_devices() {
  std::vector<DeviceDescription> devices{{"cpu", cpu_description()}};
  if (!cuda_unavailable_reason().empty()) return devices;
  for (int i = 0; i < cuda_count(); ++i) {
    devices.push_back({"cuda:" + std::to_string(i), cuda_name(i)});
  }
  return devices;
}

ChosenDevice choose_device(const std::string& name) {
  if (name == "cpu") return {c10::Device(c10::kCPU), "cpu was asked for"};
  const std::string missing = cuda_unavailable_reason();
  const int index = std::max(number_after(name, "cuda"), number_after(name, "auto"));
  if (name.starts_with("auto") && index >= 0) {
    if (!missing.empty()) return {c10::Device(c10::kCPU), "auto: " + missing};
    const int own = index % cuda_count();
    return {c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(own)),
            "auto: " + cuda_name(own) + " is there"};
  }
  if (index < 0) {
    throw Error(code::kArgument,
                "Expected cpu, cuda, cuda:n or auto for device but received \"" + name + "\"");
  }
  if (!missing.empty()) throw Error(code::kDevice, "Cannot use " + name + ": " + missing);
  if (index >= cuda_count()) {
    throw Error(code::kDevice, "Cannot use " + name + ": there are " +
                                   std::to_string(cuda_count()) + " CUDA devices");
  }
  return {c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(index)), name + " was asked for"};
}

std::vector<DeviceMemory> cuda_memory() {
  std::vector<DeviceMemory> memory;
  if (!at::hasCUDA() || !cuda_unavailable_reason().empty()) return memory;
  auto* allocator = dynamic_cast<c10::DeviceAllocator*>(c10::GetAllocator(c10::kCUDA));
  if (allocator == nullptr || !allocator->initialized()) return memory;
  for (int i = 0; i < cuda_count(); ++i) {
    const auto stats = allocator->getDeviceStats(static_cast<c10::DeviceIndex>(i));
    memory.push_back({i, stats.allocated_bytes[0].current, stats.reserved_bytes[0].current});
  }
  return memory;
}

void synchronize(c10::Device device) {
  if (device.is_cuda()) at::detail::getCUDAHooks().deviceSynchronize(device.index());
}

}  // namespace lexiseg
