// What a trainer keeps on disk between two runs.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <torch/serialize/archive.h>

#include "core/allocator.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "core/program_check.h"
#include "core/trainer.h"

namespace lexiseg {
namespace {

using at::Tensor;
namespace serialize = torch::serialize;

constexpr int64_t kFormat = 1;

std::string field(const char* what, size_t index) { return what + std::to_string(index); }

// One file names all that must fit: the optimiser, and each parameter with its shape.
std::string signature_of(const std::string& optimizer, bool averaged,
                         const std::vector<std::pair<std::string, Tensor>>& parameters) {
  std::string text = optimizer + (averaged ? " averaged\n" : "\n");
  for (const auto& [name, value] : parameters) text += name + " " + c10::str(value.sizes()) + "\n";
  return text;
}

Tensor text_tensor(const std::string& text) {
  return at::tensor(std::vector<uint8_t>(text.begin(), text.end()), at::kByte);
}

std::string tensor_text(const Tensor& tensor) {
  const Tensor bytes = tensor.cpu().contiguous();
  const auto* data = bytes.const_data_ptr<uint8_t>();
  return {data, data + bytes.numel()};
}

}  // namespace

void Trainer::save(const std::string& path) const {
  const c10::InferenceMode off(false);
  const at::NoGradGuard no_grad;
  std::vector<std::pair<std::string, Tensor>> named;
  for (const Parameter& parameter : trained_) named.emplace_back(parameter.name, parameter.value);
  serialize::OutputArchive archive;
  archive.write("format", c10::IValue(kFormat));
  archive.write("step", c10::IValue(step_));
  archive.write("signature", text_tensor(signature_of(optimizer_kind_, ema_decay_ > 0, named)));
  for (size_t i = 0; i < trained_.size(); ++i) {
    archive.write(field("value", i), trained_[i].value.detach().cpu());
    if (ema_decay_ > 0) archive.write(field("average", i), trained_[i].average.cpu());
  }
  serialize::OutputArchive optimizer;
  optimizer_->save(optimizer);
  archive.write("optimizer", optimizer);
  AtomicFile file(path);
  FileSink sink(file.path());
  try {
    archive.save_to([&](const void* data, size_t n) { return sink.write(data, n); });
  } catch (const c10::Error& error) {
    throw Error(code::kOutput, "Cannot write " + path + ": " + error.what_without_backtrace());
  }
  sink.close();
  file.commit();
}

void Trainer::load_optimizer(serialize::InputArchive& archive) {
  // What was never saved must not stay either: moments of steps that this state has not seen.
  auto& state = optimizer_->state();
  auto before = std::move(state);
  state.clear();
  try {
    optimizer_->load(archive);
  } catch (...) {
    state = std::move(before);
    throw;
  }
}

void Trainer::restore(const std::string& path) {
  const c10::InferenceMode off(false);
  const at::NoGradGuard no_grad;
  std::vector<std::pair<std::string, Tensor>> named;
  for (const Parameter& parameter : trained_) named.emplace_back(parameter.name, parameter.value);
  try {
    serialize::InputArchive archive;
    // Read by recursion, and not by the strict reader: LibTorch deflates what it writes here.
    run_with_deep_stack([&] {
      const c10::InferenceMode off_there(false);
      archive.load_from(path, info_.device);
    });
    c10::IValue format, step;
    archive.read("format", format);
    archive.read("step", step);
    Tensor signature;
    archive.read("signature", signature);
    const std::string expected = signature_of(optimizer_kind_, ema_decay_ > 0, named);
    if (format.toInt() != kFormat || tensor_text(signature) != expected) {
      throw Error(code::kCheckpoint,
                  path + " belongs to another network, optimiser or choice of what is trained");
    }
    std::vector<Tensor> values(trained_.size()), averages(trained_.size());
    for (size_t i = 0; i < trained_.size(); ++i) {
      const auto sizes = trained_[i].value.sizes();
      archive.read(field("value", i), values[i]);
      if (ema_decay_ > 0) archive.read(field("average", i), averages[i]);
      if (values[i].sizes() != sizes || (ema_decay_ > 0 && averages[i].sizes() != sizes)) {
        throw Error(code::kCheckpoint, path + " is damaged: " + trained_[i].name + " does not fit");
      }
    }
    serialize::InputArchive optimizer;
    archive.read("optimizer", optimizer);
    // From here on nothing cancels it: half a state would be none.
    const AbortScope whole(nullptr);
    load_optimizer(optimizer);
    for (size_t i = 0; i < trained_.size(); ++i) {
      trained_[i].value.copy_(values[i]);
      if (ema_decay_ > 0) trained_[i].average.copy_(averages[i]);
    }
    step_ = step.toInt();
    drop_gradients();
  } catch (const Error& error) {
    if (error.code() == std::string(code::kCheckpoint)) throw;
    throw Error(code::kCheckpoint, "Cannot restore " + path + ": " + error.what());
  } catch (const c10::Error& error) {
    throw Error(code::kCheckpoint,
                "Cannot restore " + path + ": " + error.what_without_backtrace());
  } catch (const std::exception& error) {
    throw Error(code::kCheckpoint, "Cannot restore " + path + ": " + error.what());
  }
}

}  // namespace lexiseg
