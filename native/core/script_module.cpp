#include "core/script_module.h"

#include <caffe2/serialize/read_adapter_interface.h>
#include <torch/csrc/jit/serialization/import.h>

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "core/allocator.h"
#include "core/error.h"
#include "core/known_operators.h"
#include "ops/linear_sum_assignment.h"

namespace lexiseg {
namespace {

namespace jit = torch::jit;

// LibTorch reads the very file that the strict reader accepted, not the path a second time.
class ArchiveAdapter final : public caffe2::serialize::ReadAdapterInterface {
 public:
  explicit ArchiveAdapter(std::shared_ptr<const Archive> archive) : archive_(std::move(archive)) {}
  size_t size() const override { return archive_->file_size(); }
  size_t read(uint64_t position, void* buffer, size_t n, const char*) const override {
    return archive_->read_at(position, buffer, n);
  }

 private:
  std::shared_ptr<const Archive> archive_;
};

// The first line that says something.
std::string first_line(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \n\t");
  return begin == std::string::npos ? text : text.substr(begin, text.find('\n', begin) - begin);
}

// The interpreter turns the errors of operators into texts.
Error failed(const std::string& method, const std::string& what, const char* failure) {
  const auto says = [&](const char* text) { return what.find(text) != std::string::npos; };
  const char* code = failure;
  if (says(ops::kCostNotFinite)) code = code::kNotFinite;
  if (says(kNoHostMemory) || says("CUDA out of memory")) code = code::kOutOfMemory;
  return {code, method + ": " + last_line(what)};
}

// A task, an awaitable or a closure: it runs nodes that are in none of the graph's blocks.
bool holds_graph(const jit::Node& node) {
  const auto names = node.attributeNames();
  return std::any_of(names.begin(), names.end(), [&](c10::Symbol name) {
    const jit::AttributeKind kind = node.kindOf(name);
    return kind == jit::AttributeKind::g || kind == jit::AttributeKind::gs;
  });
}

// Those of other libraries resize and reinterpret memory without looking at its bounds, and so do
// many of LibTorch.
bool is_foreign(c10::Symbol kind) {
  if (kind.is_aten()) return !is_known_operator(kind.toUnqualString());
  return !kind.is_prim() && kind.ns().toUnqualString() != std::string("lexiseg");
}

// Looks at every tensor of a program before anything reads one: LibTorch holds a tensor against the
// size that its storage claims, never against the record that fills the storage.
class TensorCheck {
 public:
  explicit TensorCheck(const Archive& archive) : path_(archive.path()) {
    for (const Record& record : archive.records()) {
      largest_record_ = std::max<uint64_t>(largest_record_, record.size);
    }
  }

  void check(const jit::Module& module) {
    check(c10::IValue(module._ivalue()));
    for (jit::Function* function : module._ivalue()->compilation_unit()->get_functions()) {
      if (auto* program = jit::tryToGraphFunction(*function)) check(*program->graph());
    }
  }

 private:
  void check(const at::Tensor& tensor) const {
    if (!tensor.defined()) return;
    const bool plain = tensor.layout() == at::kStrided && tensor.is_cpu() &&
                       !tensor.is_quantized() && tensor.has_storage();
    const char* fault = nullptr;
    if (!plain) {
      fault = " holds a tensor that is not plain";
    } else if (tensor.storage().nbytes() > readable_bytes(tensor.storage().data_ptr())) {
      fault = " holds a tensor that is larger than its record";
    }
    if (fault != nullptr) throw Error(code::kBundleRead, path_ + fault);
  }

  // What a record has filled; the most that one can have where another allocator served.
  uint64_t readable_bytes(const c10::DataPtr& memory) const {
    if (memory.get() == nullptr) return 0;
    return allocator_made(memory) ? allocator_capacity(memory.get()) : largest_record_;
  }

  void check(const c10::IValue& value) {
    value.visit([this](const c10::IValue& part) {
      if (part.isTensor()) check(part.toTensor());
      return part.isPtrType() && !met_.insert(part.internalToPointer()).second;
    });
  }

  void check(jit::Graph& graph) {
    for_each_node(graph.block(), [this](jit::Node* node) {
      if (node->kind() != c10::prim::Constant || !node->hasAttribute(c10::attr::value)) return;
      const jit::AttributeKind kind = node->kindOf(c10::attr::value);
      if (kind == jit::AttributeKind::t) check(node->t(c10::attr::value));
      if (kind == jit::AttributeKind::ival) check(node->ival(c10::attr::value));
    });
  }

  const std::string& path_;
  uint64_t largest_record_ = 0;
  std::unordered_set<const void*> met_;  // values that need no second look
};

jit::Module read_module(const std::shared_ptr<const Archive>& archive) {
  try {
    return jit::load(std::make_shared<ArchiveAdapter>(archive), c10::Device(c10::kCPU),
                     /*load_debug_files=*/false);
  } catch (const Error&) {
    throw;
  } catch (const c10::OutOfMemoryError&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
    const std::string text = torch_error ? torch_error->what_without_backtrace() : error.what();
    const bool unknown_op = text.find("nknown builtin op") != std::string::npos;
    throw Error(unknown_op ? code::kBundleContract : code::kBundleRead,
                "Cannot load " + archive->path() + ": " + first_line(text));
  }
}

void check_attention(jit::Graph& graph) {
  static const auto plain = c10::Symbol::fromQualString("aten::scaled_dot_product_attention");
  static const auto checked = c10::Symbol::fromQualString("lexiseg::checked_attention");
  std::vector<jit::Node*> found;
  for_each_node(graph.block(), [&](jit::Node* node) {
    if (node->kind() == plain) found.push_back(node);
  });
  for (jit::Node* node : found) {
    node->replaceWithNewSymbol(checked);
    node->destroy();
  }
}

}  // namespace

bool is_exported(const std::string& name) {
  static const std::unordered_set<std::string> names{
      "encode_text",    "encode_image",     "propose_masks",  "classify_masks", "segment_dense",
      "classify_image", "patch_similarity", "encode_patches", "embed_masks"};
  return names.contains(name) || name.starts_with("stage_");
}

std::string last_line(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  const size_t newline = text.rfind('\n');
  return newline == std::string::npos ? text : text.substr(newline + 1);
}

bool lies_under(const std::string& name, const std::vector<std::string>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](const std::string& prefix) {
    return name == prefix || name.starts_with(prefix + ".");
  });
}

void make_safe(jit::Graph& graph, const std::string& method) {
  // Inlining leaves a call only where it cannot tell what is called.
  static const std::unordered_set<std::string> refused{"prim::CallFunction", "prim::CallMethod",
                                                       "prim::fork", "prim::forkClosure"};
  for_each_node(graph.block(), [&](jit::Node* node) {
    const std::string kind = node->kind().toQualString();
    if (refused.contains(kind) || is_foreign(node->kind()) || holds_graph(*node)) {
      throw Error(code::kBundleContract, "Method " + method + " uses " + kind);
    }
  });
  check_attention(graph);
}

jit::Module load_script_module(const std::shared_ptr<const Archive>& archive) {
  jit::Module module = read_module(archive);
  TensorCheck(*archive).check(module);
  return module;
}

void interpret(const jit::Code& code, const std::string& method, const char* failure,
               std::vector<c10::IValue>& stack) {
  try {
    jit::InterpreterState(code).run(stack);
  } catch (const Error&) {
    throw;
  } catch (const c10::OutOfMemoryError&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const c10::Error& error) {
    throw failed(method, error.what_without_backtrace(), failure);
  } catch (const std::exception& error) {
    throw failed(method, error.what(), failure);
  }
}

}  // namespace lexiseg
