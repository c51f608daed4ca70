// How native objects are told from anything else that JavaScript passes: brands of this very
// binary.
#pragma once

#include <napi.h>

#include <cstdint>

namespace lexiseg {

enum class Kind : uint64_t { kTensor = 1, kModel = 2, kJob = 3, kTrainer = 4 };

// The address differs between two loaded copies of the addon, so neither takes the other's objects.
inline napi_type_tag tag_of(Kind kind) {
  static const char here = 0;
  return {reinterpret_cast<uint64_t>(&here), static_cast<uint64_t>(kind)};
}

inline void brand(const Napi::Object& object, Kind kind) {
  const napi_type_tag tag = tag_of(kind);
  object.TypeTag(&tag);
}

inline bool is_branded(const Napi::Value& value, Kind kind) {
  const napi_type_tag tag = tag_of(kind);
  return value.IsObject() && value.As<Napi::Object>().CheckTypeTag(&tag);
}

// Classes are reachable from JavaScript through `constructor`; only native code may construct.
inline void require_internal_construction(const Napi::CallbackInfo& info) {
  if (info.Length() == 1 && info[0].IsExternal()) return;
  throw Napi::TypeError::New(info.Env(), "Illegal constructor");
}

}  // namespace lexiseg
