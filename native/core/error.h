// The one exception type of core: a message for people and a code of lib/errors.ts for programs.
#pragma once

#include <stdexcept>
#include <string>

namespace lexiseg {

class Error : public std::runtime_error {
 public:
  // code: one of the names in lib/errors.ts, with static lifetime.
  Error(const char* code, const std::string& message) : std::runtime_error(message), code_(code) {}

  const char* code() const noexcept { return code_; }

 private:
  const char* code_;
};

namespace code {
inline constexpr const char* kBundleRead = "ERR_BUNDLE_READ";
inline constexpr const char* kBundleContract = "ERR_BUNDLE_CONTRACT";
inline constexpr const char* kUnsupported = "ERR_UNSUPPORTED";
inline constexpr const char* kDevice = "ERR_DEVICE";
inline constexpr const char* kOutOfMemory = "ERR_OUT_OF_MEMORY";
inline constexpr const char* kImageSize = "ERR_IMAGE_SIZE";
inline constexpr const char* kTensor = "ERR_TENSOR";
inline constexpr const char* kArgument = "ERR_ARGUMENT";
inline constexpr const char* kNotFinite = "ERR_NOT_FINITE";
inline constexpr const char* kInference = "ERR_INFERENCE";
inline constexpr const char* kTraining = "ERR_TRAINING";
inline constexpr const char* kDistributed = "ERR_DISTRIBUTED";
inline constexpr const char* kCheckpoint = "ERR_CHECKPOINT";
inline constexpr const char* kOutput = "ERR_OUTPUT";
inline constexpr const char* kDisposed = "ERR_DISPOSED";
inline constexpr const char* kAborted = "ERR_ABORTED";
inline constexpr const char* kNativeLoad = "ERR_NATIVE_LOAD";
}  // namespace code

}  // namespace lexiseg
