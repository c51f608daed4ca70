#include "core/training_program.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/serialization/export.h>

#include <functional>
#include <set>
#include <unordered_map>
#include <utility>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/program_check.h"
#include "core/script_module.h"

namespace lexiseg {
namespace {

namespace jit = torch::jit;

// A place in the module tree that holds a tensor.
struct Slot {
  jit::Module owner;
  std::string field;
  at::Tensor get() const { return owner.attr(field).toTensor(); }
  void set(const at::Tensor& tensor) { owner.setattr(field, tensor); }
};

using Slots = std::map<std::string, Slot>;

// The submodule that holds a tensor; empty for the whole.
std::string owner_of(const std::string& name) {
  const size_t dot = name.rfind('.');
  return dot == std::string::npos ? "" : name.substr(0, dot);
}

void collect(const jit::Module& module, Slots& parameters, Slots& buffers) {
  for (const auto& part : module.named_modules()) {
    const std::string prefix = part.name.empty() ? "" : part.name + ".";
    for (const auto& entry : part.value.named_parameters(/*recurse=*/false)) {
      parameters.emplace(prefix + entry.name, Slot{part.value, entry.name});
    }
    for (const auto& entry : part.value.named_buffers(/*recurse=*/false)) {
      buffers.emplace(prefix + entry.name, Slot{part.value, entry.name});
    }
  }
}

// A method as plain instructions. Left as calls, its parts would go through the profiling executor,
// which rewrites graphs while they train.
jit::Code flat_code(const jit::Module& module, const std::string& name) {
  auto graph = module.get_method(name).graph()->copy();
  jit::Inline(*graph);
  make_safe(*graph, name);
  return jit::Code(graph, name);
}

// Smaller tensors stay whoever reads them: a number such as CLIP's scale may be wanted by another
// network that begins with this one.
constexpr int64_t kWorthLeavingOut = 4096;

// Names of the tensors that inference reads.
std::set<std::string> read_by_inference(const jit::Module& module) {
  std::set<std::string> names;
  for (const auto& method : module.get_methods()) {
    if (!is_exported(method.name())) continue;
    auto graph = method.graph()->copy();
    jit::Inline(*graph);
    std::unordered_map<const jit::Value*, std::string> places{{graph->inputs().at(0), ""}};
    for_each_node(graph->block(), [&](jit::Node* node) {
      if (node->kind() != c10::prim::GetAttr) return;
      const auto owner = places.find(node->input());
      if (owner == places.end()) return;
      const std::string dot = owner->second.empty() ? "" : ".";
      const std::string place = owner->second + dot + node->s(c10::attr::name);
      names.insert(place);
      places.emplace(node->output(), place);
    });
  }
  return names;
}

at::Tensor stored(const std::string& name, const at::Tensor& tensor, const WeightFormat& format) {
  const at::Tensor plain = tensor.detach().cpu().contiguous();
  if (!plain.is_floating_point()) return plain;
  const bool keep = lies_under(owner_of(name), format.keep_float32);
  return plain.to(keep ? at::kFloat : format.dtype);
}

}  // namespace

struct TrainingProgram::State {
  jit::Module module;
  Slots parameters;
  Slots buffers;
  std::unique_ptr<jit::Code> losses;
  std::unique_ptr<jit::Code> encode_text;
};

TrainingProgram::TrainingProgram(std::unique_ptr<State> state) : state_(std::move(state)) {}
TrainingProgram::~TrainingProgram() = default;

std::unique_ptr<TrainingProgram> TrainingProgram::load(
    const std::shared_ptr<const Archive>& archive, c10::Device device) {
  archive->check_program();
  auto state = std::make_unique<State>();
  run_with_deep_stack([&] {
    const c10::InferenceMode off(false);
    const at::NoGradGuard no_grad;
    state->module = load_script_module(archive);
    jit::Module& module = state->module;
    if (!module.find_method("losses")) {
      throw Error(code::kUnsupported,
                  archive->path() + " holds no training loss: export it with --trainable");
    }
    // The statistics of frozen norms must not move; a network that drops activations while it
    // learns does so in its losses, by seeds of the batch.
    module.eval();
    collect(module, state->parameters, state->buffers);
    for (Slots* slots : {&state->parameters, &state->buffers}) {
      for (auto& [name, slot] : *slots) {
        const at::Tensor tensor = slot.get().detach();
        const auto dtype = tensor.is_floating_point() ? at::kFloat : tensor.scalar_type();
        slot.set(tensor.to(device, dtype, /*non_blocking=*/false, /*copy=*/true));
      }
    }
    try {
      state->losses = std::make_unique<jit::Code>(flat_code(module, "losses"));
      if (module.find_method("encode_text")) {
        state->encode_text = std::make_unique<jit::Code>(flat_code(module, "encode_text"));
      }
    } catch (const c10::Error& error) {
      throw Error(code::kBundleContract, "Cannot prepare " + archive->path() + ": " +
                                             last_line(error.what_without_backtrace()));
    }
  });
  return std::unique_ptr<TrainingProgram>(new TrainingProgram(std::move(state)));
}

NamedTensors TrainingProgram::parameters() const {
  NamedTensors tensors;
  for (const auto& [name, slot] : state_->parameters) tensors.emplace(name, slot.get());
  return tensors;
}

NamedTensors TrainingProgram::cast_others(const NamedTensors& but, const WeightFormat& format) {
  std::set<std::string> learning;
  for (const auto& [name, tensor] : but) learning.insert(owner_of(name));
  NamedTensors buffers;
  for (Slots* slots : {&state_->parameters, &state_->buffers}) {
    for (auto& [name, slot] : *slots) {
      const at::Tensor tensor = slot.get();
      // Beside what learns all stays as it is: a batch norm takes its four tensors in one dtype.
      if (learning.contains(owner_of(name)) || !tensor.is_floating_point()) continue;
      const bool keep = lies_under(owner_of(name), format.keep_float32);
      at::Tensor cast = tensor.to(keep ? at::kFloat : format.dtype);
      if (cast.dim() == 4) cast = cast.contiguous(at::MemoryFormat::ChannelsLast);
      slot.set(cast);
      if (slots == &state_->buffers) buffers.emplace(name, tensor);
    }
  }
  return buffers;
}

NamedTensors TrainingProgram::losses(const NamedTensors& batch) const {
  c10::Dict<std::string, at::Tensor> inputs;
  for (const auto& [name, tensor] : batch) inputs.insert(name, tensor);
  std::vector<c10::IValue> stack{state_->module._ivalue(), std::move(inputs)};
  interpret(*state_->losses, "losses", code::kTraining, stack);
  const c10::IValue& result = stack.back();
  NamedTensors losses;
  if (result.isGenericDict()) {
    for (const auto& entry : result.toGenericDict()) {
      if (!entry.key().isString() || !entry.value().isTensor()) break;
      losses.emplace(entry.key().toStringRef(), entry.value().toTensor());
    }
  }
  if (losses.empty() || losses.size() != result.toGenericDict().size()) {
    throw Error(code::kBundleContract, "Method losses did not return tensors by name");
  }
  return losses;
}

at::Tensor TrainingProgram::encode_text(const at::Tensor& token_ids) const {
  if (!state_->encode_text) throw Error(code::kUnsupported, "The bundle has no encode_text");
  std::vector<c10::IValue> stack{state_->module._ivalue(), token_ids};
  interpret(*state_->encode_text, "encode_text", code::kTraining, stack);
  return stack.back().toTensor();
}

void TrainingProgram::write(const std::string& path, const NamedTensors& weights,
                            const WeightFormat& format) {
  const at::NoGradGuard no_grad;
  std::vector<std::pair<Slot, at::Tensor>> own;
  const auto restore = [&own] {
    for (auto& [slot, tensor] : own) slot.set(tensor);
  };
  try {
    const std::set<std::string> read =
        format.for_training ? std::set<std::string>() : read_by_inference(state_->module);
    for (Slots* slots : {&state_->parameters, &state_->buffers}) {
      for (auto& [name, slot] : *slots) {
        const auto given = weights.find(name);
        const at::Tensor tensor = slot.get();
        own.emplace_back(slot, tensor);
        if (format.for_training || read.contains(name) || tensor.numel() < kWorthLeavingOut) {
          slot.set(stored(name, given == weights.end() ? tensor : given->second, format));
        } else {
          // One number that stands for all: the file holds no more.
          slot.set(at::zeros({1}, tensor.options().device(at::kCPU)).expand(tensor.sizes()));
        }
      }
    }
    FileSink sink(path);
    jit::ExportModule(state_->module,
                      [&](const void* data, size_t n) { return sink.write(data, n); });
    sink.close();
  } catch (const c10::Error& error) {
    restore();
    throw Error(code::kOutput,
                "Cannot write " + path + ": " + last_line(error.what_without_backtrace()));
  } catch (...) {
    restore();
    throw;
  }
  restore();
}

}  // namespace lexiseg
