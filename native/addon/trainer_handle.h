// A bundle in training as JavaScript holds it: NativeTrainer of lib/native.ts.
#pragma once

#include <napi.h>

#include <memory>

#include "addon/environment.h"
#include "core/trainer.h"

namespace lexiseg {

class TrainerHandle : public Napi::ObjectWrap<TrainerHandle> {
 public:
  static Napi::Function define(Napi::Env env);
  static Napi::Object wrap(Napi::Env env, std::shared_ptr<Trainer> trainer);

  explicit TrainerHandle(const Napi::CallbackInfo& info);
  ~TrainerHandle() override;

 private:
  Napi::Value info(const Napi::CallbackInfo& info);
  Napi::Value join(const Napi::CallbackInfo& info);
  Napi::Value sum_over_ranks(const Napi::CallbackInfo& info);
  Napi::Value accumulate(const Napi::CallbackInfo& info);
  Napi::Value update(const Napi::CallbackInfo& info);
  Napi::Value encode_text(const Napi::CallbackInfo& info);
  Napi::Value save(const Napi::CallbackInfo& info);
  Napi::Value restore(const Napi::CallbackInfo& info);
  Napi::Value write_bundle(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  // The trainer, or Error(ERR_DISPOSED).
  const std::shared_ptr<Trainer>& live() const;
  Executor& executor(Napi::Env env) const;

  std::shared_ptr<Trainer> trainer_;
  std::shared_ptr<Ledger> ledger_;
  Napi::ObjectReference disposal_;  // the promise of the first dispose
};

// openTrainer of lib/native.ts.
Napi::Value open_trainer(const Napi::CallbackInfo& info);

}  // namespace lexiseg
