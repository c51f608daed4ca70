#include "addon/tensor_handle.h"

#include <ATen/ATen.h>

#include <cstring>
#include <limits>

#include "addon/arguments.h"
#include "addon/failure.h"
#include "addon/identity.h"
#include "core/device.h"
#include "core/error.h"
#include "core/postprocess.h"

namespace lexiseg {
namespace {

constexpr int64_t kMaxSide = int64_t{1} << 40;
constexpr size_t kMaxDimensions = 16;

std::string name_of(c10::Device device) { return device.is_cpu() ? "cpu" : device.str(); }

// Bytes of a shape; throws Error(ERR_TENSOR) beyond what memory can be addressed with.
size_t checked_bytes(const std::vector<int64_t>& shape, const DType& dtype) {
  if (shape.size() > kMaxDimensions) {
    throw Error(code::kTensor, "Expected at most 16 dimensions for shape");
  }
  auto bytes = static_cast<unsigned __int128>(c10::elementSize(dtype.scalar));
  for (const int64_t side : shape) {
    bytes *= static_cast<uint64_t>(side);
    if (bytes > static_cast<uint64_t>(kMaxSide)) {
      throw Error(code::kTensor, "The shape asks for more than 2^40 bytes");
    }
  }
  return static_cast<size_t>(bytes);
}

struct CheckedArray {
  ArrayView view;
  std::vector<int64_t> shape;
  const DType& dtype;
};

// data, shape, dtype: the three agree, and the array is not detached.
CheckedArray checked_array(const Arguments& arguments) {
  const ArrayView view = view_array(arguments.value(0), "data");
  const auto shape = arguments.integers(1, "shape", kMaxSide);
  const DType& dtype = arguments.dtype(2, "dtype");
  if (!array_fits(view.type, dtype)) {
    throw_expected(std::string("a typed array of ") + dtype.name, "data", arguments.value(0));
  }
  const size_t bytes = checked_bytes(shape, dtype);
  if (view.byte_length != bytes || (bytes > 0 && view.data == nullptr)) {
    throw Error(code::kTensor, "Expected " + std::to_string(bytes) +
                                   " bytes for data but received " +
                                   std::to_string(view.byte_length) +
                                   (view.byte_length == 0 ? " (is it detached?)" : ""));
  }
  return {view, shape, dtype};
}

}  // namespace

Napi::Function TensorHandle::define(Napi::Env env) {
  return DefineClass(
      env, "NativeTensor",
      {InstanceAccessor<&TensorHandle::shape>("shape"),
       InstanceAccessor<&TensorHandle::dtype>("dtype"),
       InstanceAccessor<&TensorHandle::device>("device"),
       InstanceAccessor<&TensorHandle::byte_length>("byteLength"),
       InstanceAccessor<&TensorHandle::is_disposed>("disposed"),
       InstanceMethod<&TensorHandle::data>("data"), InstanceMethod<&TensorHandle::to>("to"),
       InstanceMethod<&TensorHandle::dispose>("dispose")});
}

Napi::Object TensorHandle::wrap(Napi::Env env, at::Tensor tensor, Pin pin) {
  if (dtype_of(tensor.scalar_type()) == nullptr) {
    throw Error(code::kUnsupported, std::string("Tensors of dtype ") +
                                        c10::toString(tensor.scalar_type()) +
                                        " have no JavaScript face");
  }
  const auto key = Napi::External<void>::New(env, nullptr);
  const auto object = Environment::of(env).tensor_class.New({key});
  Unwrap(object)->adopt(std::move(tensor), std::move(pin));
  return object;
}

TensorHandle::TensorHandle(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<TensorHandle>(info), disposed_(true) {
  require_internal_construction(info);
  brand(info.This().As<Napi::Object>(), Kind::kTensor);
  ledger_ = Environment::of(info.Env()).ledger();
}

TensorHandle::~TensorHandle() { release(Env()); }

void TensorHandle::adopt(at::Tensor tensor, Pin pin) {
  tensor_ = std::move(tensor);
  pin_ = std::move(pin);
  device_name_ = name_of(tensor_.device());
  bytes_ = static_cast<int64_t>(tensor_.nbytes());
  disposed_ = false;
  ledger_->handles += 1;
  ledger_->tensor_bytes[device_name_] += bytes_;
  if (tensor_.is_cpu() && !pin_) Environment::report_memory(Env(), *ledger_, bytes_);
}

void TensorHandle::release(Napi::Env env) {
  if (disposed_) return;
  disposed_ = true;
  ledger_->handles -= 1;
  ledger_->tensor_bytes[device_name_] -= bytes_;
  if (tensor_.is_cpu() && !pin_) Environment::report_memory(env, *ledger_, -bytes_);
  tensor_.reset();
  view_.Reset();
  pin_.reset();
}

Napi::Value TensorHandle::shape(const Napi::CallbackInfo& info) {
  auto shape = Napi::Array::New(info.Env());
  if (disposed_) return shape;
  for (int64_t i = 0; i < tensor_.dim(); ++i) {
    shape[static_cast<uint32_t>(i)] =
        Napi::Number::New(info.Env(), static_cast<double>(tensor_.size(i)));
  }
  return shape;
}

Napi::Value TensorHandle::dtype(const Napi::CallbackInfo& info) {
  const DType* found = disposed_ ? nullptr : dtype_of(tensor_.scalar_type());
  return Napi::String::New(info.Env(), found == nullptr ? "uint8" : found->name);
}

Napi::Value TensorHandle::device(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), device_name_);
}

Napi::Value TensorHandle::byte_length(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), disposed_ ? 0.0 : static_cast<double>(bytes_));
}

Napi::Value TensorHandle::is_disposed(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), disposed_);
}

Napi::Value TensorHandle::data(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    if (disposed_) throw Error(code::kDisposed, "The tensor was used after dispose");
    if (!view_.IsEmpty()) return view_.Value();
    // Borrowed memory has its face already: the array that it was borrowed from.
    if (pin_) return pin_->Value();
    if (!tensor_.is_cpu()) {
      throw Error(code::kTensor, "The tensor is on " + device_name_ + "; copy it to the CPU first");
    }
    const Napi::Value buffer = shared_buffer(env);
    const DType& dtype = *dtype_of(tensor_.scalar_type());
    napi_value view = nullptr;
    if (napi_create_typedarray(env, dtype.array, static_cast<size_t>(tensor_.numel()), buffer, 0,
                               &view) != napi_ok) {
      throw Error(code::kTensor, "The tensor is too large for a typed array");
    }
    view_ = Napi::Reference<Napi::Value>::New(Napi::Value(env, view), 1);
    return view_.Value();
  });
}

// An ArrayBuffer over the tensor's own memory, which it keeps alive.
Napi::Value TensorHandle::shared_buffer(Napi::Env env) {
  if (bytes_ == 0) return Napi::ArrayBuffer::New(env, 0);
  auto* owner = new at::Tensor(tensor_);
  napi_value buffer = nullptr;
  const napi_status status = napi_create_external_arraybuffer(
      env, tensor_.mutable_data_ptr(), static_cast<size_t>(bytes_),
      [](napi_env, void*, void* hint) { delete static_cast<at::Tensor*>(hint); }, owner, &buffer);
  if (status == napi_ok) return Napi::Value(env, buffer);
  delete owner;
  // Electron and other builds with a memory cage refuse foreign memory: move into theirs.
  const auto own = Napi::ArrayBuffer::New(env, static_cast<size_t>(bytes_));
  move_into(own);
  return own;
}

void TensorHandle::move_into(const Napi::ArrayBuffer& buffer) {
  auto moved = at::from_blob(const_cast<Napi::ArrayBuffer&>(buffer).Data(), tensor_.sizes(),
                             tensor_.options().pinned_memory(false));
  moved.copy_(tensor_);
  tensor_ = std::move(moved);
  // From here on it is the engine's own memory, which it counts itself.
  Environment::report_memory(Env(), *ledger_, -bytes_);
  pin_ =
      std::make_shared<Napi::Reference<Napi::Value>>(Napi::Reference<Napi::Value>::New(buffer, 1));
}

Napi::Value TensorHandle::to(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const Arguments arguments(info);
    JobHandle& job = arguments.job(0);
    const std::string device_name = arguments.text(1, "device");
    const DType& dtype = arguments.dtype(2, "dtype");
    if (disposed_) throw Error(code::kDisposed, "The tensor was used after dispose");
    const c10::Device device = choose_device(device_name).device;
    std::vector<Pin> pins;
    if (pin_) pins.push_back(pin_);
    Executor& executor = Environment::of(env).executor(device.is_cpu() ? tensor_.device() : device);
    return start_call(
        env, {job, executor, 0, std::move(pins)},
        [tensor = tensor_, device, scalar = dtype.scalar] {
          return transfer(tensor, device, scalar);
        },
        [](Napi::Env inner, at::Tensor& result) { return TensorHandle::wrap(inner, result); });
  });
}

Napi::Value TensorHandle::dispose(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  // Pinned memory belongs to JavaScript, and a task may still read it: never detached.
  if (!disposed_ && !view_.IsEmpty() && !pin_) {
    const auto buffer = view_.Value().As<Napi::TypedArray>().ArrayBuffer();
    if (!buffer.IsDetached()) napi_detach_arraybuffer(env, buffer);
  }
  release(env);
  return env.Undefined();
}

Napi::Value alloc_tensor(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const Arguments arguments(info);
    const auto shape = arguments.integers(0, "shape", kMaxSide);
    const DType& dtype = arguments.dtype(1, "dtype");
    const bool pinned = arguments.flag(2, "pinned");
    checked_bytes(shape, dtype);
    if (pinned) {
      const std::string missing = cuda_unavailable_reason();
      if (!missing.empty()) throw Error(code::kDevice, "Cannot pin memory: " + missing);
    }
    auto tensor = at::empty(shape, at::TensorOptions(dtype.scalar).pinned_memory(pinned));
    if (tensor.nbytes() > 0) std::memset(tensor.mutable_data_ptr(), 0, tensor.nbytes());
    return TensorHandle::wrap(info.Env(), std::move(tensor));
  });
}

Napi::Value copy_tensor(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const CheckedArray array = checked_array(Arguments(info));
    auto tensor = at::empty(array.shape, array.dtype.scalar);
    if (array.view.byte_length > 0) {
      std::memcpy(tensor.mutable_data_ptr(), array.view.data, array.view.byte_length);
    }
    return TensorHandle::wrap(info.Env(), std::move(tensor));
  });
}

Napi::Value borrow_tensor(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const CheckedArray array = checked_array(Arguments(info));
    if (array.view.shared || array.view.resizable) {
      throw Error(code::kTensor,
                  std::string("A typed array over a ") +
                      (array.view.shared ? "SharedArrayBuffer" : "resizable ArrayBuffer") +
                      " cannot be borrowed; copy it");
    }
    if (array.view.byte_length == 0) {
      return TensorHandle::wrap(info.Env(), at::empty(array.shape, array.dtype.scalar));
    }
    const size_t size = c10::elementSize(array.dtype.scalar);
    if (reinterpret_cast<uintptr_t>(array.view.data) % size != 0) {
      throw Error(code::kTensor, "The typed array is not aligned to its elements; copy it");
    }
    auto tensor =
        at::from_blob(array.view.data, array.shape, at::TensorOptions(array.dtype.scalar));
    auto pin = std::make_shared<Napi::Reference<Napi::Value>>(
        Napi::Reference<Napi::Value>::New(info[0], 1));
    return TensorHandle::wrap(info.Env(), std::move(tensor), std::move(pin));
  });
}

}  // namespace lexiseg
