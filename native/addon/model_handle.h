// A loaded bundle as JavaScript holds it: NativeModel of lib/native.ts, and the calls on files.
#pragma once

#include <napi.h>

#include <initializer_list>
#include <memory>

#include "addon/environment.h"
#include "core/model.h"

namespace lexiseg {

class ModelHandle : public Napi::ObjectWrap<ModelHandle> {
 public:
  static Napi::Function define(Napi::Env env);
  static Napi::Object wrap(Napi::Env env, std::shared_ptr<Model> model);

  explicit ModelHandle(const Napi::CallbackInfo& info);
  ~ModelHandle() override;

 private:
  Napi::Value info(const Napi::CallbackInfo& info);
  Napi::Value encode_text(const Napi::CallbackInfo& info);
  Napi::Value encode_images(const Napi::CallbackInfo& info);
  Napi::Value propose_masks(const Napi::CallbackInfo& info);
  Napi::Value classify_masks(const Napi::CallbackInfo& info);
  Napi::Value segment_dense(const Napi::CallbackInfo& info);
  Napi::Value classify_images(const Napi::CallbackInfo& info);
  Napi::Value patch_similarity(const Napi::CallbackInfo& info);
  Napi::Value encode_patches(const Napi::CallbackInfo& info);
  Napi::Value embed_masks(const Napi::CallbackInfo& info);
  Napi::Value profile(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  // Reads a job and the named tensors, runs call(model, tensors) and resolves with face(env,
  // result).
  template <typename Call, typename Face>
  Napi::Value run(const Napi::CallbackInfo& info, std::initializer_list<const char*> names,
                  Call call, Face face);

  // The model, or Error(ERR_DISPOSED).
  const std::shared_ptr<Model>& live() const;
  void forget_weights();

  std::shared_ptr<Model> model_;
  std::shared_ptr<Ledger> ledger_;
  int64_t weight_bytes_ = 0;
  Napi::ObjectReference disposal_;  // the promise of the first dispose
};

// readExtraFiles, hashWeights and loadModel of lib/native.ts.
Napi::Value read_extra_files(const Napi::CallbackInfo& info);
Napi::Value hash_weights(const Napi::CallbackInfo& info);
Napi::Value load_model(const Napi::CallbackInfo& info);

}  // namespace lexiseg
