#include "addon/trainer_handle.h"

#include "addon/arguments.h"
#include "addon/failure.h"
#include "addon/identity.h"
#include "addon/pending_call.h"
#include "addon/tensor_handle.h"
#include "core/allocator.h"
#include "core/device.h"
#include "core/error.h"

namespace lexiseg {
namespace {

constexpr int64_t kMaxThreads = 1024;
constexpr int64_t kMaxRanks = 1 << 20;
constexpr int64_t kMaxWait = 1000LL * 3600 * 24 * 7;  // milliseconds

at::ScalarType weight_dtype(const std::string& name) {
  if (name == "float32") return at::kFloat;
  if (name == "bfloat16") return at::kBFloat16;
  throw Error(code::kArgument,
              "Expected float32 or bfloat16 for dtype but received \"" + name + "\"");
}

// Names and texts that belong together, as two arrays.
std::map<std::string, std::string> files_of(const Arguments& arguments, size_t index) {
  const auto names = arguments.texts(index, "extraNames");
  const auto texts = arguments.texts(index + 1, "extraTexts");
  if (names.size() != texts.size()) {
    throw Error(code::kArgument, "Expected as many extraTexts as extraNames");
  }
  std::map<std::string, std::string> files;
  for (size_t i = 0; i < names.size(); ++i) files.emplace(names[i], texts[i]);
  return files;
}

void free_trainer(std::shared_ptr<Trainer>& trainer) {
  trainer.reset();
  trim_allocator();
}

}  // namespace

Napi::Function TrainerHandle::define(Napi::Env env) {
  return DefineClass(
      env, "NativeTrainer",
      {InstanceMethod<&TrainerHandle::info>("info"), InstanceMethod<&TrainerHandle::join>("join"),
       InstanceMethod<&TrainerHandle::sum_over_ranks>("sumOverRanks"),
       InstanceMethod<&TrainerHandle::accumulate>("accumulate"),
       InstanceMethod<&TrainerHandle::update>("update"),
       InstanceMethod<&TrainerHandle::encode_text>("encodeText"),
       InstanceMethod<&TrainerHandle::save>("save"),
       InstanceMethod<&TrainerHandle::restore>("restore"),
       InstanceMethod<&TrainerHandle::write_bundle>("writeBundle"),
       InstanceMethod<&TrainerHandle::dispose>("dispose")});
}

Napi::Object TrainerHandle::wrap(Napi::Env env, std::shared_ptr<Trainer> trainer) {
  const auto key = Napi::External<void>::New(env, nullptr);
  const auto object = Environment::of(env).trainer_class.New({key});
  Unwrap(object)->trainer_ = std::move(trainer);
  return object;
}

TrainerHandle::TrainerHandle(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<TrainerHandle>(info) {
  require_internal_construction(info);
  brand(info.This().As<Napi::Object>(), Kind::kTrainer);
  ledger_ = Environment::of(info.Env()).ledger();
}

TrainerHandle::~TrainerHandle() {
  if (!trainer_ || ledger_->closed) return;
  // Unmapping the weights takes time; it is no work for the JavaScript thread.
  Executor& queue = executor(Env());
  auto task = std::make_shared<Task>();
  task->work = [trainer = std::move(trainer_)]() mutable { free_trainer(trainer); };
  queue.submit(std::move(task));
}

const std::shared_ptr<Trainer>& TrainerHandle::live() const {
  if (!trainer_) throw Error(code::kDisposed, "The trainer was used after dispose");
  return trainer_;
}

Executor& TrainerHandle::executor(Napi::Env env) const {
  return Environment::of(env).executor(trainer_->info().device);
}

Napi::Value TrainerHandle::info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    const TrainerInfo& known = live()->info();
    const char* backend = live()->backend();
    auto object = Napi::Object::New(env);
    object["device"] = Napi::String::New(env, known.device.is_cpu() ? "cpu" : known.device.str());
    object["reason"] = Napi::String::New(env, known.reason);
    object["precision"] = Napi::String::New(env, known.autocast ? "bfloat16" : "float32");
    if (backend != nullptr) object["backend"] = Napi::String::New(env, backend);
    object["trainedParameters"] =
        Napi::Number::New(env, static_cast<double>(known.trained_parameters));
    object["frozenParameters"] =
        Napi::Number::New(env, static_cast<double>(known.frozen_parameters));
    return object;
  });
}

Napi::Value TrainerHandle::join(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const Arguments arguments(info);
    const auto trainer = live();
    JobHandle& job = arguments.job(0);
    Rendezvous rendezvous;
    rendezvous.host = arguments.text(1, "host");
    rendezvous.port = static_cast<int>(arguments.integer(2, "port", 1, 65535));
    rendezvous.rank = static_cast<int>(arguments.integer(3, "rank", 0, kMaxRanks - 1));
    rendezvous.size = static_cast<int>(arguments.integer(4, "size", 1, kMaxRanks));
    rendezvous.serves = arguments.flag(5, "serves");
    rendezvous.prefix = arguments.text(6, "prefix");
    rendezvous.timeout = std::chrono::milliseconds(arguments.integer(7, "timeout", 1, kMaxWait));
    return start_call(
        env, {job, executor(env), trainer->threads(), {}},
        [trainer, rendezvous] {
          trainer->join(ProcessGroup::join(rendezvous, trainer->info().device));
          return true;
        },
        [](Napi::Env inner, bool) { return inner.Undefined(); });
  });
}

Napi::Value TrainerHandle::sum_over_ranks(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const Arguments arguments(info);
    std::vector<Pin> pins;
    const auto trainer = live();
    JobHandle& job = arguments.job(0);
    const auto own = arguments.tensor(1, "own", pins);
    return start_call(
        env, {job, executor(env), trainer->threads(), std::move(pins)},
        [trainer, own] { return trainer->sum_over_ranks(own).clone(); },
        [](Napi::Env inner, at::Tensor& result) { return TensorHandle::wrap(inner, result); });
  });
}

Napi::Value TrainerHandle::accumulate(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const Arguments arguments(info);
    std::vector<Pin> pins;
    const auto trainer = live();
    JobHandle& job = arguments.job(0);
    const auto names = arguments.texts(1, "names");
    const auto tensors = arguments.tensors(2, "tensors", pins);
    const double scale = arguments.number(3, "scale");
    const bool first = arguments.flag(4, "first");
    const bool last = arguments.flag(5, "last");
    if (names.size() != tensors.size()) {
      throw Error(code::kArgument, "Expected as many tensors as names");
    }
    NamedTensors batch;
    for (size_t i = 0; i < names.size(); ++i) batch.emplace(names[i], tensors[i]);
    return start_call(
        env, {job, executor(env), trainer->threads(), std::move(pins)},
        [trainer, batch = std::move(batch), scale, first, last] {
          return trainer->accumulate(batch, scale, first, last);
        },
        [](Napi::Env inner, const Losses& losses) {
          auto object = Napi::Object::New(inner);
          for (const auto& [name, value] : losses) object[name] = Napi::Number::New(inner, value);
          return object;
        });
  });
}

Napi::Value TrainerHandle::update(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const Arguments arguments(info);
    const auto trainer = live();
    JobHandle& job = arguments.job(0);
    const double learning_rate = arguments.number(1, "learningRate");
    const double max_norm = arguments.number(2, "maxNorm");
    return start_call(
        env, {job, executor(env), trainer->threads(), {}},
        [trainer, learning_rate, max_norm] {
          const double norm = trainer->update(learning_rate, max_norm);
          return std::make_pair(norm, trainer->step());
        },
        [](Napi::Env inner, const std::pair<double, int64_t>& result) {
          auto object = Napi::Object::New(inner);
          object["gradNorm"] = Napi::Number::New(inner, result.first);
          object["step"] = Napi::Number::New(inner, static_cast<double>(result.second));
          return object;
        });
  });
}

Napi::Value TrainerHandle::encode_text(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const Arguments arguments(info);
    std::vector<Pin> pins;
    const auto trainer = live();
    JobHandle& job = arguments.job(0);
    const auto token_ids = arguments.tensor(1, "tokenIds", pins);
    if (token_ids.dim() != 2 || token_ids.numel() == 0 || token_ids.scalar_type() != at::kLong) {
      throw Error(code::kTensor, "Expected int64 [N, L] for tokenIds");
    }
    return start_call(
        env, {job, executor(env), trainer->threads(), std::move(pins)},
        [trainer, token_ids] { return trainer->encode_text(token_ids); },
        [](Napi::Env inner, at::Tensor& result) { return TensorHandle::wrap(inner, result); });
  });
}

Napi::Value TrainerHandle::save(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const Arguments arguments(info);
    const auto trainer = live();
    JobHandle& job = arguments.job(0);
    const std::string path = arguments.text(1, "path");
    return start_call(
        env, {job, executor(env), trainer->threads(), {}},
        [trainer, path] {
          trainer->save(path);
          return true;
        },
        [](Napi::Env inner, bool) { return inner.Undefined(); });
  });
}

Napi::Value TrainerHandle::restore(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const Arguments arguments(info);
    const auto trainer = live();
    JobHandle& job = arguments.job(0);
    const std::string path = arguments.text(1, "path");
    return start_call(
        env, {job, executor(env), trainer->threads(), {}},
        [trainer, path] {
          trainer->restore(path);
          return trainer->step();
        },
        [](Napi::Env inner, int64_t step) {
          return Napi::Number::New(inner, static_cast<double>(step));
        });
  });
}

Napi::Value TrainerHandle::write_bundle(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const Arguments arguments(info);
    const auto trainer = live();
    JobHandle& job = arguments.job(0);
    BundleRequest request;
    request.path = arguments.text(1, "path");
    request.moving_average = arguments.flag(2, "movingAverage");
    request.format.dtype = weight_dtype(arguments.text(3, "dtype"));
    request.format.keep_float32 = arguments.texts(4, "keepFloat32");
    request.manifest = arguments.text(5, "manifest");
    request.extra_files = files_of(arguments, 6);
    request.format.for_training = arguments.flag(8, "trainable");
    return start_call(
        env, {job, executor(env), trainer->threads(), {}},
        [trainer, request = std::move(request)] { return trainer->write_bundle(request); },
        [](Napi::Env inner, const std::string& hash) { return Napi::String::New(inner, hash); });
  });
}

Napi::Value TrainerHandle::dispose(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!disposal_.IsEmpty()) return disposal_.Value();
  const Napi::Value promise = promised(env, [&] {
    const auto key = Napi::External<void>::New(env, nullptr);
    const auto job = Environment::of(env).job_class.New({key});
    // The last in the queue: everything started before it has ended when it runs.
    Executor& queue = executor(env);
    return start_call(
        env, {*JobHandle::Unwrap(job), queue, 0, {}},
        [trainer = std::move(trainer_)]() mutable {
          free_trainer(trainer);
          return true;
        },
        [](Napi::Env inner, bool) { return inner.Undefined(); });
  });
  trainer_.reset();
  disposal_ = Napi::Persistent(promise.As<Napi::Object>());
  return promise;
}

namespace {

std::optional<std::pair<double, double>> bounds_of(const Napi::Value& value,
                                                   const std::string& name) {
  if (value.IsUndefined()) return std::nullopt;
  if (!value.IsArray() || value.As<Napi::Array>().Length() != 2) {
    throw_expected("two numbers", name, value);
  }
  const auto pair = value.As<Napi::Array>();
  return std::pair{finite_number(pair.Get(0u), name), finite_number(pair.Get(1u), name)};
}

}  // namespace

Napi::Value open_trainer(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const Arguments arguments(info);
    JobHandle& job = arguments.job(0);
    TrainerRequest request;
    request.path = arguments.text(1, "path");
    request.device = arguments.text(2, "device");
    request.precision = arguments.text(3, "precision");
    request.threads = static_cast<int>(arguments.integer(4, "threads", 0, kMaxThreads));
    request.keep_float32 = arguments.texts(5, "keepFloat32");
    const Napi::Value groups = arguments.value(6);
    if (!groups.IsArray()) throw_expected("an array of groups", "groups", groups);
    for (uint32_t i = 0; i < groups.As<Napi::Array>().Length(); ++i) {
      const Napi::Value entry = groups.As<Napi::Array>()[i];
      const std::string name = "groups[" + std::to_string(i) + "]";
      if (!entry.IsObject()) throw_expected("an object", name, entry);
      const auto group = entry.As<Napi::Object>();
      request.groups.push_back(
          {text_list(group.Get("parameters"), name + ".parameters"),
           finite_number(group.Get("learningRateMultiplier"), name + ".learningRateMultiplier"),
           finite_number(group.Get("weightDecay"), name + ".weightDecay"),
           bounds_of(group.Get("bounds"), name + ".bounds")});
    }
    request.optimizer.kind = arguments.text(7, "optimizer");
    const auto numbers = arguments.numbers(8, "optimizerNumbers", 4);
    request.optimizer.beta1 = numbers[0];
    request.optimizer.beta2 = numbers[1];
    request.optimizer.epsilon = numbers[2];
    request.optimizer.momentum = numbers[3];
    request.ema_decay = arguments.number(9, "emaDecay");
    Executor& queue = Environment::of(env).executor(choose_device(request.device).device);
    return start_call(
        env, {job, queue, request.threads, {}}, [request] { return Trainer::open(request); },
        [](Napi::Env inner, std::shared_ptr<Trainer>& trainer) {
          return TrainerHandle::wrap(inner, std::move(trainer));
        });
  });
}

}  // namespace lexiseg
