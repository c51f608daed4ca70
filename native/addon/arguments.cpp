#include "addon/arguments.h"

#include <ATen/ATen.h>

#include <cmath>
#include <cstring>

#include "addon/failure.h"
#include "addon/identity.h"
#include "core/error.h"

namespace lexiseg {
namespace {

constexpr DType kDTypes[] = {
    {"float32", at::kFloat, napi_float32_array}, {"bfloat16", at::kBFloat16, napi_uint16_array},
    {"float16", at::kHalf, napi_uint16_array},   {"float64", at::kDouble, napi_float64_array},
    {"int64", at::kLong, napi_bigint64_array},   {"int32", at::kInt, napi_int32_array},
    {"int16", at::kShort, napi_int16_array},     {"uint8", at::kByte, napi_uint8_array},
    {"bool", at::kBool, napi_uint8_array},
};

// Float16Array, which the headers of this Node-API version do not name yet.
constexpr int kFloat16Array = 11;

constexpr size_t kMaxArray = 1 << 20;

at::Tensor live_tensor(const Napi::Value& value, const std::string& name, std::vector<Pin>& pins) {
  if (!is_branded(value, Kind::kTensor)) throw_expected("a native tensor", name, value);
  const auto* handle = TensorHandle::Unwrap(value.As<Napi::Object>());
  if (handle->disposed()) throw Error(code::kDisposed, name + " was used after dispose");
  if (handle->pin()) pins.push_back(handle->pin());
  return handle->tensor();
}

int64_t whole_number(const Napi::Value& value, const std::string& name, int64_t least,
                     int64_t most) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (!(number >= static_cast<double>(least) && number <= static_cast<double>(most)) ||
      std::trunc(number) != number) {
    const std::string range =
        "an integer from " + std::to_string(least) + " to " + std::to_string(most);
    if (value.IsNumber()) {
      throw Napi::RangeError::New(value.Env(), "Expected " + range + " for " + name +
                                                   " but received " + value.ToString().Utf8Value());
    }
    throw_expected(range, name, value);
  }
  return static_cast<int64_t>(number);
}

Napi::Array checked_array(const Napi::Value& value, const std::string& what,
                          const std::string& name) {
  if (!value.IsArray() || value.As<Napi::Array>().Length() > kMaxArray) {
    throw_expected(what, name, value);
  }
  return value.As<Napi::Array>();
}

}  // namespace

const DType* dtype_of(at::ScalarType scalar) {
  for (const DType& dtype : kDTypes) {
    if (dtype.scalar == scalar) return &dtype;
  }
  return nullptr;
}

const DType* dtype_named(const std::string& name) {
  for (const DType& dtype : kDTypes) {
    if (name == dtype.name) return &dtype;
  }
  return nullptr;
}

bool array_fits(napi_typedarray_type array, const DType& dtype) {
  if (array == dtype.array) return true;
  if (array == napi_uint8_clamped_array) return dtype.scalar == at::kByte;
  return static_cast<int>(array) == kFloat16Array && dtype.scalar == at::kHalf;
}

ArrayView view_array(const Napi::Value& value, const std::string& name) {
  bool is_array = false;
  napi_is_typedarray(value.Env(), value, &is_array);
  if (!is_array) throw_expected("a typed array", name, value);
  ArrayView view{};
  napi_value buffer = nullptr;
  size_t offset = 0;
  if (napi_get_typedarray_info(value.Env(), value, &view.type, &view.length, &view.data, &buffer,
                               &offset) != napi_ok) {
    throw_expected("a typed array", name, value);
  }
  bool plain = false;
  napi_is_arraybuffer(value.Env(), buffer, &plain);
  view.shared = !plain;
  const auto object = Napi::Value(value.Env(), buffer).As<Napi::Object>();
  if (plain) view.resizable = object.Get("resizable").ToBoolean();
  // node-addon-api does not know that width.
  const bool half = static_cast<int>(view.type) == kFloat16Array;
  view.byte_length = half ? 2 * view.length : value.As<Napi::TypedArray>().ByteLength();
  return view;
}

std::string Arguments::text(size_t index, const char* name) const {
  if (!info_[index].IsString()) throw_expected("a string", name, info_[index]);
  return info_[index].As<Napi::String>();
}

std::vector<std::string> text_list(const Napi::Value& value, const std::string& name) {
  const auto array = checked_array(value, "an array of strings", name);
  std::vector<std::string> texts;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value element = array[i];
    if (!element.IsString()) throw_expected("an array of strings", name, element);
    texts.push_back(element.As<Napi::String>());
  }
  return texts;
}

double finite_number(const Napi::Value& value, const std::string& name) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (!std::isfinite(number)) throw_expected("a finite number", name, value);
  return number;
}

std::vector<std::string> Arguments::texts(size_t index, const char* name) const {
  return text_list(info_[index], name);
}

bool Arguments::flag(size_t index, const char* name) const {
  if (!info_[index].IsBoolean()) throw_expected("a boolean", name, info_[index]);
  return info_[index].As<Napi::Boolean>();
}

int64_t Arguments::integer(size_t index, const char* name, int64_t least, int64_t most) const {
  return whole_number(info_[index], name, least, most);
}

double Arguments::number(size_t index, const char* name) const {
  if (!info_[index].IsNumber()) throw_expected("a number", name, info_[index]);
  return info_[index].As<Napi::Number>();
}

std::vector<int64_t> Arguments::integers(size_t index, const char* name, int64_t most) const {
  const auto array = checked_array(info_[index], "an array of integers", name);
  std::vector<int64_t> numbers;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    numbers.push_back(whole_number(array[i], name, 0, most));
  }
  return numbers;
}

std::vector<double> Arguments::numbers(size_t index, const char* name, size_t count) const {
  const std::string what = "an array of " + std::to_string(count) + " finite numbers";
  const auto array = checked_array(info_[index], what, name);
  if (array.Length() != count) throw_expected(what, name, array);
  std::vector<double> numbers;
  for (uint32_t i = 0; i < count; ++i) {
    const Napi::Value element = array[i];
    if (!element.IsNumber() || !std::isfinite(element.As<Napi::Number>().DoubleValue())) {
      throw_expected(what, name, element);
    }
    numbers.push_back(element.As<Napi::Number>());
  }
  return numbers;
}

const DType& Arguments::dtype(size_t index, const char* name) const {
  const DType* found = dtype_named(text(index, name));
  if (found == nullptr) throw_expected("a dtype", name, info_[index]);
  return *found;
}

JobHandle& Arguments::job(size_t index) const {
  if (!is_branded(info_[index], Kind::kJob)) throw_expected("a job", "job", info_[index]);
  return *JobHandle::Unwrap(info_[index].As<Napi::Object>());
}

at::Tensor Arguments::tensor(size_t index, const char* name, std::vector<Pin>& pins) const {
  return live_tensor(info_[index], name, pins);
}

std::vector<at::Tensor> Arguments::tensors(size_t index, const char* name,
                                           std::vector<Pin>& pins) const {
  const auto array = checked_array(info_[index], "an array of native tensors", name);
  std::vector<at::Tensor> tensors;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    tensors.push_back(
        live_tensor(array[i], std::string(name) + "[" + std::to_string(i) + "]", pins));
  }
  return tensors;
}

at::Tensor Arguments::array_copy(size_t index, const char* name, at::ScalarType scalar) const {
  const DType& dtype = *dtype_of(scalar);
  const ArrayView view = view_array(info_[index], name);
  const bool fits =
      array_fits(view.type, dtype) || (scalar == at::kInt && view.type == napi_uint32_array);
  if (!fits) throw_expected(std::string("a typed array of ") + dtype.name, name, info_[index]);
  auto copy = at::empty({static_cast<int64_t>(view.length)}, scalar);
  if (view.byte_length > 0) std::memcpy(copy.mutable_data_ptr(), view.data, view.byte_length);
  return copy;
}

}  // namespace lexiseg
