// The exported program of a bundle as callable methods; its format is known to network.cpp alone.
#pragma once

#include <ATen/core/ivalue.h>
#include <c10/core/Device.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/archive.h"

namespace lexiseg {

struct Placement {
  c10::Device device;
  at::ScalarType dtype;                   // float32 or bfloat16
  std::vector<std::string> keep_float32;  // submodules that stay float32
  // Exponents of the out-of-vocabulary classifier for seen and unseen classes, instead of its own.
  std::optional<std::pair<double, double>> ensemble;
  // Shorter and longer edge of the network input, pixels, instead of its own.
  std::optional<std::pair<int64_t, int64_t>> input_edges;
};

class Network {
 public:
  // Loads, converts the weights and freezes; throws Error(ERR_BUNDLE_READ | ERR_BUNDLE_CONTRACT).
  static std::unique_ptr<Network> load(std::shared_ptr<const Archive> archive,
                                       const Placement& placement);
  ~Network();

  std::vector<std::string> methods() const;
  bool has(const std::string& method) const;

  // How many tensors the tuple argument `index` of a method has; 0 when it takes no tuple.
  size_t tuple_width(const std::string& method, size_t index) const;
  size_t argument_count(const std::string& method) const;

  // Throws Error(ERR_BUNDLE_CONTRACT) for a method that is not there, ERR_INFERENCE when it fails.
  c10::IValue run(const std::string& method, std::vector<c10::IValue> inputs) const;

  // Bytes of the weights that all methods share.
  int64_t weight_bytes() const { return weight_bytes_; }

 private:
  struct Method;
  Network();
  static std::unique_ptr<Network> read(const std::shared_ptr<const Archive>& archive,
                                       const Placement& placement);

  // The functions that were inlined: where an operator fails, the interpreter reads their names.
  std::shared_ptr<const void> functions_;
  std::map<std::string, std::unique_ptr<Method>> methods_;
  int64_t weight_bytes_ = 0;
};

// The tensors of a Tensor, tuple or list, in order; throws Error(ERR_BUNDLE_CONTRACT) for others.
std::vector<at::Tensor> tensors_of(const c10::IValue& value);

}  // namespace lexiseg
