// The program of a bundle with its weights free to change: losses with gradients, and writing it.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/archive.h"

namespace lexiseg {

// How the weights of a written bundle are stored.
struct WeightFormat {
  at::ScalarType dtype;                   // float32 or bfloat16
  std::vector<std::string> keep_float32;  // submodules that stay float32
  // What only the loss reads is written too; without, as zeros that take no room.
  bool for_training = true;
};

using NamedTensors = std::map<std::string, at::Tensor>;

class TrainingProgram {
 public:
  // Float32 weights on the device. Throws Error(ERR_UNSUPPORTED) for a bundle without `losses`.
  static std::unique_ptr<TrainingProgram> load(const std::shared_ptr<const Archive>& archive,
                                               c10::Device device);
  ~TrainingProgram();

  // Every parameter as the program holds it now.
  NamedTensors parameters() const;

  // Buffers and parameters of submodules without one of `but`, to `dtype`, except those under
  // `keep_float32`. Gives these buffers as they were.
  NamedTensors cast_others(const NamedTensors& but, const WeightFormat& format);

  // Weighted losses, scalars by name. Throws Error(ERR_TRAINING) when the program fails.
  NamedTensors losses(const NamedTensors& batch) const;

  // int64 [N, L] to float32 [N, D]; Error(ERR_UNSUPPORTED) when the program has no text tower.
  at::Tensor encode_text(const at::Tensor& token_ids) const;

  // Writes an archive with these weights; the program's own are back afterwards.
  void write(const std::string& path, const NamedTensors& weights, const WeightFormat& format);

 private:
  struct State;
  explicit TrainingProgram(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lexiseg
