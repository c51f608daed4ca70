// Opens the program inside a bundle. Only files of core that run TorchScript include this.
#pragma once

#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/runtime/interpreter.h>

#include <memory>
#include <string>

#include "core/archive.h"

namespace lexiseg {

// The module as it was written, weights on the CPU. LibTorch reads the very file that the strict
// reader accepted. Throws Error(ERR_BUNDLE_READ | ERR_BUNDLE_CONTRACT).
torch::jit::Module load_script_module(const std::shared_ptr<const Archive>& archive);

// Whether a bundle may export a method of this name; anything else in it is internal.
bool is_exported(const std::string& name);

// Calls see(node) for every node of a graph and of the blocks inside it.
template <typename See>
void for_each_node(torch::jit::Block* block, const See& see) {
  for (torch::jit::Node* node : block->nodes()) {
    see(node);
    for (torch::jit::Block* inner : node->blocks()) for_each_node(inner, see);
  }
}

// A network computes; an inlined graph that would touch files, run what this cannot see (a task, an
// awaitable, a call through an interface) or use operators that are neither known ones of LibTorch
// nor ours is no bundle of ours: Error(ERR_BUNDLE_CONTRACT). ATen's attention becomes ours, which
// looks at its arguments.
void make_safe(torch::jit::Graph& graph, const std::string& method);

// Interprets `code` as it is: no profiling and no recompiling, so that the first call costs what a
// later one does. `stack` holds the module and the arguments, then the results. Errors of the
// program become Error(failure); those of ours, cancellation and exhausted memory pass.
void interpret(const torch::jit::Code& code, const std::string& method, const char* failure,
               std::vector<c10::IValue>& stack);

// The cause of an error without the interpreter's trace: its last line that says something.
std::string last_line(std::string text);

// Whether `name` is one of `prefixes` or lies under one.
bool lies_under(const std::string& name, const std::vector<std::string>& prefixes);

}  // namespace lexiseg
