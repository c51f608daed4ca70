#include "ops/check.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <sstream>

namespace lexiseg::ops {

std::string describe(const at::Tensor& tensor) {
  if (!tensor.defined()) return "an undefined tensor";
  std::ostringstream text;
  text << c10::toString(tensor.scalar_type()) << " " << tensor.sizes() << " on " << tensor.device();
  return text.str();
}

namespace {

bool is_dense(const at::Tensor& tensor, std::initializer_list<at::ScalarType> dtypes, int64_t dim) {
  return tensor.defined() && tensor.layout() == at::kStrided && tensor.dim() == dim &&
         std::find(dtypes.begin(), dtypes.end(), tensor.scalar_type()) != dtypes.end();
}

void refuse(std::string what, const at::Tensor& tensor, const char* name,
            std::initializer_list<at::ScalarType> dtypes, int64_t dim) {
  for (const at::ScalarType dtype : dtypes) {
    what += (dtype == *dtypes.begin() ? "" : " or ") + std::string(c10::toString(dtype));
  }
  what += " with " + std::to_string(dim) + " dimensions";
  TORCH_CHECK(false, "Expected ", what, " for ", name, " but received ", describe(tensor));
}

}  // namespace

void check_dense(const at::Tensor& tensor, const char* name,
                 std::initializer_list<at::ScalarType> dtypes, int64_t dim) {
  if (!is_dense(tensor, dtypes, dim)) refuse("a tensor of ", tensor, name, dtypes, dim);
}

void check_tensor(const at::Tensor& tensor, const char* name,
                  std::initializer_list<at::ScalarType> dtypes, int64_t dim) {
  const bool fits = is_dense(tensor, dtypes, dim) && tensor.device().is_cpu();
  if (!fits) refuse("a CPU tensor of ", tensor, name, dtypes, dim);
}

void check_sizes(const at::Tensor& tensor, const char* name, at::IntArrayRef sizes) {
  LEXISEG_EXPECT(tensor.sizes() == sizes, c10::str("sizes ", sizes), name, describe(tensor));
}

bool wants_gradient(at::ArrayRef<at::Tensor> tensors) {
  const auto asks = [](const at::Tensor& t) { return t.defined() && t.requires_grad(); };
  return c10::GradMode::is_enabled() && std::any_of(tensors.begin(), tensors.end(), asks);
}

int64_t checked_product(int64_t a, int64_t b, int64_t most, const char* name) {
  LEXISEG_EXPECT(a >= 0 && b >= 0, "sizes of at least 0", name, a, " and ", b);
  LEXISEG_EXPECT(a == 0 || b <= most / a, "at most " + std::to_string(most) + " elements", name, a,
                 " x ", b);
  return a * b;
}

}  // namespace lexiseg::ops
