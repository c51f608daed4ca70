// labelMap, denseLabelMap, panopticMerge, selectInstances and the run-length calls of
// lib/native.ts.
#pragma once

#include <napi.h>

namespace lexiseg {

Napi::Value label_map_call(const Napi::CallbackInfo& info);
Napi::Value dense_label_map_call(const Napi::CallbackInfo& info);
Napi::Value panoptic_merge_call(const Napi::CallbackInfo& info);
Napi::Value select_instances_call(const Napi::CallbackInfo& info);

Napi::Value assign_call(const Napi::CallbackInfo& info);
Napi::Value rle_encode_call(const Napi::CallbackInfo& info);
Napi::Value rle_decode_call(const Napi::CallbackInfo& info);
Napi::Value rle_to_string_call(const Napi::CallbackInfo& info);
Napi::Value rle_from_string_call(const Napi::CallbackInfo& info);

}  // namespace lexiseg
