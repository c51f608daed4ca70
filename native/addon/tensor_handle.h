// A native tensor as JavaScript holds it: NativeTensor of lib/native.ts.
#pragma once

#include <ATen/core/Tensor.h>
#include <napi.h>

#include <memory>
#include <string>

#include "addon/environment.h"

namespace lexiseg {

class TensorHandle : public Napi::ObjectWrap<TensorHandle> {
 public:
  static Napi::Function define(Napi::Env env);

  // Takes over a contiguous tensor that nothing else writes. `pin` keeps borrowed memory alive.
  static Napi::Object wrap(Napi::Env env, at::Tensor tensor, Pin pin = nullptr);

  explicit TensorHandle(const Napi::CallbackInfo& info);
  ~TensorHandle() override;

  const at::Tensor& tensor() const { return tensor_; }
  const Pin& pin() const { return pin_; }
  bool disposed() const { return disposed_; }

 private:
  Napi::Value shape(const Napi::CallbackInfo& info);
  Napi::Value dtype(const Napi::CallbackInfo& info);
  Napi::Value device(const Napi::CallbackInfo& info);
  Napi::Value byte_length(const Napi::CallbackInfo& info);
  Napi::Value is_disposed(const Napi::CallbackInfo& info);
  Napi::Value data(const Napi::CallbackInfo& info);
  Napi::Value to(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  void adopt(at::Tensor tensor, Pin pin);
  void release(Napi::Env env);
  Napi::Value shared_buffer(Napi::Env env);
  void move_into(const Napi::ArrayBuffer& buffer);

  at::Tensor tensor_;
  Pin pin_;
  Napi::Reference<Napi::Value> view_;  // the one typed array over the memory, once asked for
  std::shared_ptr<Ledger> ledger_;
  std::string device_name_;
  int64_t bytes_ = 0;
  bool disposed_ = false;
};

// allocTensor, copyTensor and borrowTensor of lib/native.ts.
Napi::Value alloc_tensor(const Napi::CallbackInfo& info);
Napi::Value copy_tensor(const Napi::CallbackInfo& info);
Napi::Value borrow_tensor(const Napi::CallbackInfo& info);

}  // namespace lexiseg
