// Checks of what JavaScript passed: a TypeError for a wrong type, a coded error for a wrong state.
#pragma once

#include <ATen/core/Tensor.h>
#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

#include "addon/dtype.h"
#include "addon/pending_call.h"
#include "addon/tensor_handle.h"

namespace lexiseg {

// What a typed array is right now; valid until JavaScript runs again.
struct ArrayView {
  napi_typedarray_type type;
  size_t length;  // elements
  size_t byte_length;
  void* data;
  bool shared;     // over a SharedArrayBuffer
  bool resizable;  // over a resizable ArrayBuffer
};

ArrayView view_array(const Napi::Value& value, const std::string& name);

// Of any value, e.g. a field of an object: an array of strings, a finite number.
std::vector<std::string> text_list(const Napi::Value& value, const std::string& name);
double finite_number(const Napi::Value& value, const std::string& name);

class Arguments {
 public:
  explicit Arguments(const Napi::CallbackInfo& info) : info_(info) {}

  Napi::Env env() const { return info_.Env(); }
  Napi::Value value(size_t index) const { return info_[index]; }

  std::string text(size_t index, const char* name) const;
  std::vector<std::string> texts(size_t index, const char* name) const;
  bool flag(size_t index, const char* name) const;
  int64_t integer(size_t index, const char* name, int64_t least, int64_t most) const;
  double number(size_t index, const char* name) const;
  std::vector<int64_t> integers(size_t index, const char* name, int64_t most) const;
  std::vector<double> numbers(size_t index, const char* name, size_t count) const;
  const DType& dtype(size_t index, const char* name) const;
  JobHandle& job(size_t index) const;

  // The tensor of a live handle; its pins are appended to `pins`.
  at::Tensor tensor(size_t index, const char* name, std::vector<Pin>& pins) const;
  std::vector<at::Tensor> tensors(size_t index, const char* name, std::vector<Pin>& pins) const;

  // A copy of a typed array of the given kind as a tensor [length].
  at::Tensor array_copy(size_t index, const char* name, at::ScalarType scalar) const;

 private:
  const Napi::CallbackInfo& info_;
};

}  // namespace lexiseg
