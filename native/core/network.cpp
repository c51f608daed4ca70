#include "core/network.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/freeze_module.h>
#include <torch/csrc/jit/passes/frozen_graph_optimizations.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/runtime/interpreter.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "core/error.h"
#include "core/norm_folding.h"
#include "core/program_check.h"
#include "core/script_module.h"

namespace lexiseg {
namespace {

namespace jit = torch::jit;

// Converts every weight once, so that tensors tied to each other stay tied.
class WeightConverter {
 public:
  explicit WeightConverter(const Placement& placement) : placement_(placement) {}

  void convert(const jit::Module& module) {
    for (const auto& part : module.named_modules()) {
      convert_own(part.name, part.value);
    }
  }

 private:
  void convert_own(const std::string& name, jit::Module part) {
    const bool keep = lies_under(name, placement_.keep_float32);
    std::vector<std::pair<std::string, at::Tensor>> own;
    for (const auto& parameter : part.named_parameters(/*recurse=*/false)) {
      own.emplace_back(parameter.name, parameter.value);
    }
    for (const auto& buffer : part.named_buffers(/*recurse=*/false)) {
      own.emplace_back(buffer.name, buffer.value);
    }
    for (auto& [field, tensor] : own) {
      const at::Tensor result = converted(tensor, keep);
      tensor.reset();
      part.setattr(field, result);
    }
  }

  at::Tensor converted(const at::Tensor& tensor, bool keep) {
    const auto known = done_.find(tensor.unsafeGetTensorImpl());
    if (known != done_.end()) return known->second;
    const bool floating = tensor.scalar_type() == at::kFloat ||
                          tensor.scalar_type() == at::kBFloat16 ||
                          tensor.scalar_type() == at::kHalf;
    const auto dtype = floating ? (keep ? at::kFloat : placement_.dtype) : tensor.scalar_type();
    at::Tensor result = tensor.detach().to(placement_.device, dtype);
    // Convolutions run on channels-last images, and so want their weights.
    if (result.dim() == 4 && result.is_floating_point()) {
      result = result.contiguous(at::MemoryFormat::ChannelsLast);
    }
    // A module met a second time holds results; they may live where a freed source lived.
    done_[tensor.unsafeGetTensorImpl()] = result;
    done_[result.unsafeGetTensorImpl()] = result;
    return result;
  }

  const Placement& placement_;
  std::unordered_map<const c10::TensorImpl*, at::Tensor> done_;
};

// By the names that the manifest has for them too.
void set_ensemble(const jit::Module& module, const std::pair<double, double>& exponents) {
  if (!module.hasattr("ensemble") || !module.attr("ensemble").isModule()) {
    throw Error(code::kUnsupported, "The bundle has no ensemble of classifiers");
  }
  jit::Module ensemble = module.attr("ensemble").toModule();
  if (!ensemble.hasattr("alpha") || !ensemble.hasattr("beta")) {
    throw Error(code::kBundleContract, "The bundle's ensemble has no alpha and beta");
  }
  ensemble.setattr("alpha", exponents.first);
  ensemble.setattr("beta", exponents.second);
}

void set_input_edges(const jit::Module& module, const std::pair<int64_t, int64_t>& edges) {
  const bool found = module.hasattr("preprocess") && module.attr("preprocess").isModule();
  jit::Module preprocess = found ? module.attr("preprocess").toModule() : module;
  if (!preprocess.hasattr("shortest_edge") || !preprocess.hasattr("longest_edge")) {
    throw Error(code::kUnsupported, "The bundle has no size of its input that could be changed");
  }
  preprocess.setattr("shortest_edge", edges.first);
  preprocess.setattr("longest_edge", edges.second);
}

// The weights inside the graphs. Folding makes a copy for each method that has the layer; equal
// ones become one again.
class ConstantPool {
 public:
  void share(jit::Graph& graph) {
    for_each_node(graph.block(), [this](jit::Node* node) {
      if (node->kind() != c10::prim::Constant || !node->hasAttribute(c10::attr::value) ||
          node->kindOf(c10::attr::value) != jit::AttributeKind::t) {
        return;
      }
      const at::Tensor tensor = node->t(c10::attr::value);
      if (!tensor.has_storage() || counted_.contains(tensor.storage().unsafeGetStorageImpl())) {
        return;
      }
      const at::Tensor known = equal_to(tensor);
      if (known.defined()) {
        node->t_(c10::attr::value, known);
      } else {
        count(tensor);
        if (tensor.nbytes() >= kWorthSharing) large_[tensor.numel()].push_back(tensor);
      }
    });
  }

  void count(const at::Tensor& tensor) {
    if (!tensor.has_storage()) return;
    if (counted_.insert(tensor.storage().unsafeGetStorageImpl()).second) {
      bytes_ += static_cast<int64_t>(tensor.storage().nbytes());
    }
  }

  int64_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kWorthSharing = 4096;

  at::Tensor equal_to(const at::Tensor& tensor) const {
    const auto found = large_.find(tensor.numel());
    if (found == large_.end() || tensor.nbytes() < kWorthSharing) return {};
    for (const at::Tensor& other : found->second) {
      if (other.scalar_type() == tensor.scalar_type() && other.sizes() == tensor.sizes() &&
          other.strides() == tensor.strides() && other.device() == tensor.device() &&
          other.equal(tensor)) {
        return other;
      }
    }
    return {};
  }

  std::unordered_map<int64_t, std::vector<at::Tensor>> large_;  // by number of elements
  std::unordered_set<const void*> counted_;
  int64_t bytes_ = 0;
};

}  // namespace

struct Network::Method {
  c10::FunctionSchema schema;
  jit::Code code;
  c10::IValue self;
};

Network::Network() = default;
Network::~Network() = default;

std::unique_ptr<Network> Network::load(std::shared_ptr<const Archive> archive,
                                       const Placement& placement) {
  archive->check_program();
  std::unique_ptr<Network> network;
  run_with_deep_stack([&] { network = read(archive, placement); });
  return network;
}

std::unique_ptr<Network> Network::read(const std::shared_ptr<const Archive>& archive,
                                       const Placement& placement) {
  // Weights outlive this call and are shared by threads: they must not be inference tensors.
  const c10::InferenceMode off(false);
  const at::NoGradGuard no_grad;
  jit::Module module = load_script_module(archive);
  std::vector<std::string> names;
  for (const auto& method : module.get_methods()) {
    if (is_exported(method.name())) names.push_back(method.name());
  }
  if (names.empty()) {
    throw Error(code::kBundleContract,
                archive->path() + " exports none of the methods of a bundle");
  }
  module.eval();
  if (placement.ensemble) set_ensemble(module, *placement.ensemble);
  if (placement.input_edges) set_input_edges(module, *placement.input_edges);
  if (placement.dtype != at::kFloat) fold_norms(module);
  WeightConverter(placement).convert(module);
  std::unique_ptr<Network> network(new Network());
  network->functions_ = module._ivalue()->compilation_unit();
  try {
    // Freezing deletes what it inlines from its copy, and an interpreter that reports an error
    // would read the deleted functions' names. Inlined here, they are those of `functions_`.
    for (const std::string& name : names) {
      auto graph = module.get_method(name).graph();
      jit::Inline(*graph);
      // Before freezing, which runs whatever depends on no input.
      make_safe(*graph, name);
    }
    const jit::Module frozen = jit::freeze_module(module, names);
    ConstantPool constants;
    for (const std::string& name : names) {
      const auto method = frozen.get_method(name);
      // In place: a copy would leave the module holding the weights that folding replaced.
      auto graph = method.graph();
      jit::OptimizeFrozenGraph(graph, /*optimize_numerics=*/true);
      constants.share(*graph);
      network->methods_.emplace(name, new Method{method.function().getSchema(),
                                                 jit::Code(graph, name), frozen._ivalue()});
    }
    for (const at::Tensor& tensor : frozen.parameters()) constants.count(tensor);
    for (const at::Tensor& tensor : frozen.buffers()) constants.count(tensor);
    network->weight_bytes_ = constants.bytes();
  } catch (const c10::Error& error) {
    throw Error(code::kBundleContract, "Cannot prepare " + archive->path() + ": " +
                                           last_line(error.what_without_backtrace()));
  }
  return network;
}

std::vector<std::string> Network::methods() const {
  std::vector<std::string> names;
  for (const auto& [name, method] : methods_) names.push_back(name);
  return names;
}

bool Network::has(const std::string& method) const { return methods_.contains(method); }

size_t Network::argument_count(const std::string& method) const {
  return methods_.at(method)->schema.arguments().size() - 1;
}

size_t Network::tuple_width(const std::string& method, size_t index) const {
  const auto& arguments = methods_.at(method)->schema.arguments();
  if (index + 1 >= arguments.size()) return 0;
  const auto tuple = arguments[index + 1].type()->cast<c10::TupleType>();
  return tuple ? tuple->elements().size() : 0;
}

c10::IValue Network::run(const std::string& method, std::vector<c10::IValue> inputs) const {
  const auto found = methods_.find(method);
  if (found == methods_.end()) {
    throw Error(code::kBundleContract, "The bundle has no method " + method);
  }
  jit::Stack stack{found->second->self};
  for (c10::IValue& input : inputs) stack.push_back(std::move(input));
  interpret(found->second->code, method, code::kInference, stack);
  return std::move(stack.back());
}

std::vector<at::Tensor> tensors_of(const c10::IValue& value) {
  if (value.isTensor()) return {value.toTensor()};
  if (value.isTensorList()) return value.toTensorVector();
  std::vector<at::Tensor> tensors;
  if (value.isTuple()) {
    for (const c10::IValue& element : value.toTupleRef().elements()) {
      if (!element.isTensor()) break;
      tensors.push_back(element.toTensor());
    }
    if (tensors.size() == value.toTupleRef().elements().size()) return tensors;
  }
  throw Error(code::kBundleContract, "A method of the bundle returned something else than tensors");
}

}  // namespace lexiseg
