#include "addon/model_handle.h"

#include <cstring>
#include <optional>

#include "addon/arguments.h"
#include "addon/failure.h"
#include "addon/identity.h"
#include "addon/pending_call.h"
#include "addon/tensor_handle.h"
#include "core/allocator.h"
#include "core/archive.h"
#include "core/device.h"
#include "core/error.h"

namespace lexiseg {
namespace {

constexpr uint64_t kMaxExtraFile = 64ull << 20;
constexpr double kMaxEdge = 65535;
constexpr int64_t kMaxThreads = 1024;
const c10::Device kCpu(c10::kCPU);

Napi::Array names_of(Napi::Env env, const std::vector<std::string>& names) {
  auto array = Napi::Array::New(env, names.size());
  for (uint32_t i = 0; i < names.size(); ++i) array[i] = Napi::String::New(env, names[i]);
  return array;
}

Napi::Value bytes_of(Napi::Env env, const std::optional<std::string>& bytes) {
  if (!bytes) return env.Null();
  auto array = Napi::Uint8Array::New(env, bytes->size());
  if (!bytes->empty()) std::memcpy(array.Data(), bytes->data(), bytes->size());
  return array;
}

using Tensors = std::vector<at::Tensor>;

Napi::Object tensor_object(Napi::Env env, const at::Tensor& tensor) {
  return TensorHandle::wrap(env, tensor);
}

Napi::Array tensor_array(Napi::Env env, const Tensors& tensors) {
  auto array = Napi::Array::New(env, tensors.size());
  for (uint32_t i = 0; i < tensors.size(); ++i) array[i] = TensorHandle::wrap(env, tensors[i]);
  return array;
}

void free_weights(std::shared_ptr<Model>& model) {
  model.reset();
  trim_allocator();
}

struct ModelCall {
  JobHandle& job;
  const Model& model;
  std::vector<Pin> pins;
};

// Runs where the model is, on its threads; `work` keeps the model alive.
template <typename Work, typename Face>
Napi::Value call_model(Napi::Env env, ModelCall call, Work work, Face face) {
  Executor& executor = Environment::of(env).executor(call.model.info().device);
  return start_call(env, {call.job, executor, call.model.threads(), std::move(call.pins)},
                    std::move(work), std::move(face));
}

}  // namespace

Napi::Function ModelHandle::define(Napi::Env env) {
  return DefineClass(env, "NativeModel",
                     {InstanceMethod<&ModelHandle::info>("info"),
                      InstanceMethod<&ModelHandle::encode_text>("encodeText"),
                      InstanceMethod<&ModelHandle::encode_images>("encodeImages"),
                      InstanceMethod<&ModelHandle::propose_masks>("proposeMasks"),
                      InstanceMethod<&ModelHandle::classify_masks>("classifyMasks"),
                      InstanceMethod<&ModelHandle::segment_dense>("segmentDense"),
                      InstanceMethod<&ModelHandle::classify_images>("classifyImages"),
                      InstanceMethod<&ModelHandle::patch_similarity>("patchSimilarity"),
                      InstanceMethod<&ModelHandle::encode_patches>("encodePatches"),
                      InstanceMethod<&ModelHandle::embed_masks>("embedMasks"),
                      InstanceMethod<&ModelHandle::profile>("profile"),
                      InstanceMethod<&ModelHandle::dispose>("dispose")});
}

Napi::Object ModelHandle::wrap(Napi::Env env, std::shared_ptr<Model> model) {
  const auto key = Napi::External<void>::New(env, nullptr);
  const auto object = Environment::of(env).model_class.New({key});
  ModelHandle* handle = Unwrap(object);
  handle->weight_bytes_ = model->info().weight_bytes;
  handle->ledger_->weight_bytes += handle->weight_bytes_;
  handle->model_ = std::move(model);
  return object;
}

ModelHandle::ModelHandle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ModelHandle>(info) {
  require_internal_construction(info);
  brand(info.This().As<Napi::Object>(), Kind::kModel);
  ledger_ = Environment::of(info.Env()).ledger();
}

ModelHandle::~ModelHandle() {
  forget_weights();
  if (!model_ || ledger_->closed) return;
  // Unmapping gigabytes takes long enough to be felt; it is no work for the JavaScript thread.
  const c10::Device device = model_->info().device;
  auto task = std::make_shared<Task>();
  task->work = [model = std::move(model_)]() mutable { free_weights(model); };
  Environment::of(Env()).executor(device).submit(std::move(task));
}

void ModelHandle::forget_weights() {
  ledger_->weight_bytes -= weight_bytes_;
  weight_bytes_ = 0;
}

const std::shared_ptr<Model>& ModelHandle::live() const {
  if (!model_) throw Error(code::kDisposed, "The model was used after dispose");
  return model_;
}

Napi::Value ModelHandle::info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    const ModelInfo& known = live()->info();
    auto object = Napi::Object::New(env);
    object["device"] = Napi::String::New(env, known.device.is_cpu() ? "cpu" : known.device.str());
    object["dtype"] = Napi::String::New(env, dtype_of(known.dtype)->name);
    object["reason"] = Napi::String::New(env, known.reason);
    object["weightBytes"] = Napi::Number::New(env, static_cast<double>(known.weight_bytes));
    object["methods"] = names_of(env, known.methods);
    return object;
  });
}

template <typename Call, typename Face>
Napi::Value ModelHandle::run(const Napi::CallbackInfo& info,
                             std::initializer_list<const char*> names, Call call, Face face) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const Arguments arguments(info);
    std::vector<Pin> pins;
    const auto model = live();
    JobHandle& job = arguments.job(0);
    std::vector<at::Tensor> inputs;
    for (const char* name : names) {
      inputs.push_back(arguments.tensor(inputs.size() + 1, name, pins));
    }
    return call_model(
        env, {job, *model, std::move(pins)},
        [model, inputs = std::move(inputs), call] { return call(*model, inputs); }, face);
  });
}

Napi::Value ModelHandle::encode_text(const Napi::CallbackInfo& info) {
  return run(
      info, {"tokenIds"},
      [](Model& model, const Tensors& inputs) { return model.encode_text(inputs[0]); },
      tensor_object);
}

Napi::Value ModelHandle::encode_images(const Napi::CallbackInfo& info) {
  return run(
      info, {"images"},
      [](Model& model, const Tensors& inputs) { return model.encode_images(inputs[0]); },
      tensor_object);
}

Napi::Value ModelHandle::propose_masks(const Napi::CallbackInfo& info) {
  return run(
      info, {"images"},
      [](Model& model, const Tensors& inputs) { return model.propose_masks(inputs[0]); },
      tensor_array);
}

Napi::Value ModelHandle::segment_dense(const Napi::CallbackInfo& info) {
  return run(
      info, {"images", "classEmbeddings", "synonymCounts"},
      [](Model& model, const Tensors& inputs) {
        return model.segment_dense(inputs[0], inputs[1], inputs[2]);
      },
      tensor_array);
}

Napi::Value ModelHandle::classify_images(const Napi::CallbackInfo& info) {
  return run(
      info, {"images", "classEmbeddings", "synonymCounts"},
      [](Model& model, const Tensors& inputs) {
        return model.classify_images(inputs[0], inputs[1], inputs[2]);
      },
      tensor_object);
}

Napi::Value ModelHandle::patch_similarity(const Napi::CallbackInfo& info) {
  return run(
      info, {"images", "textEmbeddings"},
      [](Model& model, const Tensors& inputs) {
        return model.patch_similarity(inputs[0], inputs[1]);
      },
      tensor_array);
}

Napi::Value ModelHandle::encode_patches(const Napi::CallbackInfo& info) {
  return run(
      info, {"images"},
      [](Model& model, const Tensors& inputs) { return model.encode_patches(inputs[0]); },
      tensor_array);
}

Napi::Value ModelHandle::embed_masks(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const Arguments arguments(info);
    std::vector<Pin> pins;
    const auto model = live();
    JobHandle& job = arguments.job(0);
    const auto images = arguments.tensor(1, "images", pins);
    auto masks = arguments.tensors(2, "masks", pins);
    return call_model(
        env, {job, *model, std::move(pins)},
        [model, images, masks = std::move(masks)] { return model->embed_masks(images, masks); },
        tensor_array);
  });
}

Napi::Value ModelHandle::classify_masks(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const Arguments arguments(info);
    std::vector<Pin> pins;
    const auto model = live();
    JobHandle& job = arguments.job(0);
    auto proposals = arguments.tensors(1, "proposals", pins);
    const auto class_embeddings = arguments.tensor(2, "classEmbeddings", pins);
    const auto synonym_counts = arguments.tensor(3, "synonymCounts", pins);
    const auto seen = arguments.tensor(4, "seen", pins);
    return call_model(
        env, {job, *model, std::move(pins)},
        [model, proposals = std::move(proposals), class_embeddings, synonym_counts, seen] {
          return model->classify_masks(proposals, class_embeddings, synonym_counts, seen);
        },
        tensor_object);
  });
}

Napi::Value ModelHandle::profile(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const Arguments arguments(info);
    std::vector<Pin> pins;
    const auto model = live();
    JobHandle& job = arguments.job(0);
    const auto images = arguments.tensor(1, "images", pins);
    const auto stages = arguments.texts(2, "stages");
    return call_model(
        env, {job, *model, std::move(pins)},
        [model, images, stages] { return model->profile(images, stages); },
        [](Napi::Env inner, const std::vector<StageTime>& times) {
          auto array = Napi::Array::New(inner, times.size());
          for (uint32_t i = 0; i < times.size(); ++i) {
            auto entry = Napi::Object::New(inner);
            entry["stage"] = Napi::String::New(inner, times[i].stage);
            entry["milliseconds"] = Napi::Number::New(inner, times[i].milliseconds);
            array[i] = entry;
          }
          return array;
        });
  });
}

Napi::Value ModelHandle::dispose(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!disposal_.IsEmpty()) return disposal_.Value();
  const Napi::Value promise = promised(env, [&] {
    const auto key = Napi::External<void>::New(env, nullptr);
    Environment& environment = Environment::of(env);
    const auto job = environment.job_class.New({key});
    // The last in the queue: everything started before it has ended when it runs.
    Executor& executor = environment.executor(model_->info().device);
    return start_call(
        env, {*JobHandle::Unwrap(job), executor, 0, {}},
        [model = std::move(model_)]() mutable {
          free_weights(model);
          return true;
        },
        [](Napi::Env inner, bool) { return inner.Undefined(); });
  });
  model_.reset();
  forget_weights();
  disposal_ = Napi::Persistent(promise.As<Napi::Object>());
  return promise;
}

Napi::Value read_extra_files(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const Arguments arguments(info);
    JobHandle& job = arguments.job(0);
    const std::string path = arguments.text(1, "path");
    const auto names = arguments.texts(2, "names");
    return start_call(
        env, {job, Environment::of(env).executor(kCpu), 0, {}},
        [path, names] {
          const auto archive = Archive::open(path);
          std::vector<std::optional<std::string>> files;
          for (const std::string& name : names) {
            const Record* record = archive->find("extra/" + name);
            files.push_back(record == nullptr
                                ? std::nullopt
                                : std::optional(archive->read(*record, kMaxExtraFile)));
          }
          return files;
        },
        [](Napi::Env inner, const std::vector<std::optional<std::string>>& files) {
          auto array = Napi::Array::New(inner, files.size());
          for (uint32_t i = 0; i < files.size(); ++i) array[i] = bytes_of(inner, files[i]);
          return array;
        });
  });
}

Napi::Value hash_weights(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const Arguments arguments(info);
    JobHandle& job = arguments.job(0);
    const std::string path = arguments.text(1, "path");
    return start_call(
        env, {job, Environment::of(env).executor(kCpu), 0, {}},
        [path] { return Archive::open(path)->hash_weights(); },
        [](Napi::Env inner, const std::string& hex) { return Napi::String::New(inner, hex); });
  });
}

Napi::Value load_model(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const Arguments arguments(info);
    JobHandle& job = arguments.job(0);
    LoadRequest request;
    request.path = arguments.text(1, "path");
    request.device = arguments.text(2, "device");
    request.dtype = arguments.text(3, "dtype");
    request.threads = static_cast<int>(arguments.integer(4, "threads", 0, kMaxThreads));
    if (!arguments.value(5).IsUndefined()) {
      request.keep_float32 = arguments.texts(5, "keepFloat32");
    }
    if (!arguments.value(6).IsUndefined()) {
      const auto exponents = arguments.numbers(6, "ensemble", 2);
      request.ensemble = {exponents[0], exponents[1]};
    }
    if (!arguments.value(7).IsUndefined()) {
      const auto edges = arguments.numbers(7, "inputEdges", 2);
      for (const double edge : edges) {
        if (!(edge >= 1 && edge <= kMaxEdge)) {
          throw Error(code::kArgument, "Expected 1 to 65535 pixels for inputEdges");
        }
      }
      request.input_edges = {static_cast<int64_t>(edges[0]), static_cast<int64_t>(edges[1])};
    }
    Executor& executor = Environment::of(env).executor(choose_device(request.device).device);
    return start_call(
        env, {job, executor, request.threads, {}}, [request] { return Model::load(request); },
        [](Napi::Env inner, std::shared_ptr<Model>& model) {
          return ModelHandle::wrap(inner, std::move(model));
        });
  });
}

}  // namespace lexiseg
