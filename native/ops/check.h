// Checks of the ops' arguments: "Expected {what} for {name} but received {value}".
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <initializer_list>
#include <string>

#include "ops/export.h"

#define LEXISEG_EXPECT(condition, what, name, ...) \
  TORCH_CHECK(condition, "Expected ", what, " for ", name, " but received ", __VA_ARGS__)

namespace lexiseg::ops {

// "Float [2, 3] on cpu"
LEXISEG_OPS_API std::string describe(const at::Tensor& tensor);

// A dense tensor of one of the dtypes on any device, with `dim` dimensions.
LEXISEG_OPS_API void check_dense(const at::Tensor& tensor, const char* name,
                                 std::initializer_list<at::ScalarType> dtypes, int64_t dim);

// The same on the CPU.
LEXISEG_OPS_API void check_tensor(const at::Tensor& tensor, const char* name,
                                  std::initializer_list<at::ScalarType> dtypes, int64_t dim);

LEXISEG_OPS_API void check_sizes(const at::Tensor& tensor, const char* name, at::IntArrayRef sizes);

// Whether autograd has to follow what is done with one of them.
LEXISEG_OPS_API bool wants_gradient(at::ArrayRef<at::Tensor> tensors);

// a * b of sizes that are not negative; refuses a product of more than `most`.
LEXISEG_OPS_API int64_t checked_product(int64_t a, int64_t b, int64_t most, const char* name);

}  // namespace lexiseg::ops
