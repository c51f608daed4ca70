// The exports of lexiseg.node, name by name as lib/native.ts types them.
#include <ATen/Version.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <napi.h>
#include <torch/version.h>

#include <string>

#include "addon/environment.h"
#include "addon/failure.h"
#include "addon/model_handle.h"
#include "addon/pending_call.h"
#include "addon/result_calls.h"
#include "addon/tensor_handle.h"
#include "addon/trainer_handle.h"
#include "core/allocator.h"
#include "core/device.h"
#include "core/error.h"
#include "core/processor.h"
#include "ops/register.h"

namespace lexiseg {
namespace {

// The version of the LibTorch that runs, not of the one compiled against.
std::string running_torch_version() {
  const std::string config = at::show_config();
  const std::string key = "TORCH_VERSION=";
  const size_t begin = config.find(key);
  if (begin == std::string::npos) return "";
  return config.substr(begin + key.size(), config.find(',', begin) - begin - key.size());
}

std::string minor_of(const std::string& version) {
  return version.substr(0, version.find('.', version.find('.') + 1));
}

// The C++ interface of LibTorch changes with every minor version, and a mismatch would corrupt
// memory; a LibTorch that another package loaded first may be any version.
void check_libraries() {
  const std::string running = running_torch_version();
  if (!running.empty() && minor_of(running) != minor_of(TORCH_VERSION)) {
    throw Error("ERR_LIBTORCH_VERSION", "The addon was built for LibTorch " TORCH_VERSION
                                        " but LibTorch " +
                                            running + " is loaded in this process");
  }
  const std::string refused = ops::registration_error();
  if (!refused.empty()) throw Error(code::kNativeLoad, refused);
}

Napi::Value versions(const Napi::CallbackInfo& info) {
  auto object = Napi::Object::New(info.Env());
  object["torch"] = Napi::String::New(info.Env(), running_torch_version());
  object["ops"] = Napi::String::New(info.Env(), ops::version());
  object["napi"] = Napi::Number::New(info.Env(), NAPI_VERSION);
  return object;
}

Napi::Value devices(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    auto array = Napi::Array::New(env);
    uint32_t count = 0;
    for (const DeviceDescription& device : list_devices()) {
      auto object = Napi::Object::New(env);
      object["name"] = Napi::String::New(env, device.name);
      object["description"] = Napi::String::New(env, device.description);
      array[count++] = object;
    }
    return array;
  });
}

Napi::Value cuda_reason(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const std::string reason = cuda_unavailable_reason();
    if (reason.empty()) return info.Env().Null();
    return Napi::String::New(info.Env(), reason);
  });
}

Napi::Value features(const Napi::CallbackInfo& info) {
  auto array = Napi::Array::New(info.Env());
  uint32_t count = 0;
  for (const std::string& name : cpu_features()) {
    array[count++] = Napi::String::New(info.Env(), name);
  }
  return array;
}

Napi::Value threads(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), available_threads());
}

Napi::Value memory_stats(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    Environment& environment = Environment::of(env);
    const Ledger& ledger = *environment.ledger();
    const auto number = [env](int64_t value) {
      return Napi::Number::New(env, static_cast<double>(value));
    };
    auto tensors = Napi::Object::New(env);
    for (const auto& [device, bytes] : ledger.tensor_bytes) tensors[device] = number(bytes);
    const ResidentMemory resident = resident_memory();
    auto stats = Napi::Object::New(env);
    stats["tensors"] = tensors;
    stats["handles"] = number(ledger.handles);
    stats["weights"] = number(ledger.weight_bytes);
    stats["waiting"] = number(environment.waiting());
    stats["running"] = number(environment.running());
    stats["rss"] = number(resident.now);
    stats["peakRss"] = number(resident.peak);
    const auto cuda = cuda_memory();
    if (!cuda.empty()) {
      auto array = Napi::Array::New(env, cuda.size());
      for (uint32_t i = 0; i < cuda.size(); ++i) {
        auto entry = Napi::Object::New(env);
        entry["device"] = number(cuda[i].index);
        entry["allocated"] = number(cuda[i].allocated);
        entry["reserved"] = number(cuda[i].reserved);
        array[i] = entry;
      }
      stats["cuda"] = array;
    }
    return stats;
  });
}

Napi::Value create_job(const Napi::CallbackInfo& info) {
  const auto key = Napi::External<void>::New(info.Env(), nullptr);
  return Environment::of(info.Env()).job_class.New({key});
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  guarded(env, [&] {
    check_libraries();
    install_allocator();
    Environment& environment = Environment::create(env);
    environment.tensor_class = Napi::Persistent(TensorHandle::define(env));
    environment.model_class = Napi::Persistent(ModelHandle::define(env));
    environment.trainer_class = Napi::Persistent(TrainerHandle::define(env));
    environment.job_class = Napi::Persistent(JobHandle::define(env));
    return env.Undefined();
  });
  using Callback = Napi::Value (*)(const Napi::CallbackInfo&);
  const std::pair<const char*, Callback> functions[] = {
      {"versions", versions},
      {"devices", devices},
      {"cudaUnavailableReason", cuda_reason},
      {"cpuFeatures", features},
      {"availableThreads", threads},
      {"memoryStats", memory_stats},
      {"createJob", create_job},
      {"readExtraFiles", read_extra_files},
      {"hashWeights", hash_weights},
      {"loadModel", load_model},
      {"openTrainer", open_trainer},
      {"allocTensor", alloc_tensor},
      {"copyTensor", copy_tensor},
      {"borrowTensor", borrow_tensor},
      {"labelMap", label_map_call},
      {"denseLabelMap", dense_label_map_call},
      {"panopticMerge", panoptic_merge_call},
      {"selectInstances", select_instances_call},
      {"assign", assign_call},
      {"rleEncode", rle_encode_call},
      {"rleDecode", rle_decode_call},
      {"rleToString", rle_to_string_call},
      {"rleFromString", rle_from_string_call},
  };
  for (const auto& [name, function] : functions) {
    exports[name] = Napi::Function::New(env, function, name);
  }
  return exports;
}

}  // namespace
}  // namespace lexiseg

static Napi::Object initialise_addon(Napi::Env env, Napi::Object exports) {
  return lexiseg::initialise(env, exports);
}

NODE_API_MODULE(lexiseg, initialise_addon)
