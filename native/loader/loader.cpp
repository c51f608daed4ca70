// Opens shared libraries by absolute path and keeps them for good; it must not need LibTorch.
#include <dlfcn.h>
#include <node_api.h>
#include <torch/version.h>

#include <cstdlib>
#include <string>

namespace {

std::string text_of(napi_env env, napi_value value) {
  size_t length = 0;
  napi_get_value_string_utf8(env, value, nullptr, 0, &length);
  std::string text(length, '\0');
  napi_get_value_string_utf8(env, value, text.data(), length + 1, &length);
  return text;
}

// Threads of libgomp that wait for each other spin for milliseconds before they sleep, and it reads
// how long from the environment once, when it is loaded. On a machine that others use too (or whose
// processors Node's own threads want) that made a forward pass two to three times slower; a
// fraction of a millisecond still bridges the gap between two layers. What a user set stays.
class SpinSetting {
 public:
  SpinSetting()
      : ours_(std::getenv("GOMP_SPINCOUNT") == nullptr &&
              std::getenv("OMP_WAIT_POLICY") == nullptr) {
    if (ours_) setenv("GOMP_SPINCOUNT", "2000", 1);
  }
  ~SpinSetting() {
    if (ours_) unsetenv("GOMP_SPINCOUNT");
  }
  SpinSetting(const SpinSetting&) = delete;
  SpinSetting& operator=(const SpinSetting&) = delete;

 private:
  const bool ours_;
};

void throw_load_error(napi_env env, const std::string& path, const std::string& reason) {
  napi_value message, code, error, path_value;
  napi_create_string_utf8(env, ("Cannot load " + path + ": " + reason).c_str(), NAPI_AUTO_LENGTH,
                          &message);
  napi_create_string_utf8(env, "ERR_LIBTORCH_LOAD", NAPI_AUTO_LENGTH, &code);
  napi_create_string_utf8(env, path.c_str(), NAPI_AUTO_LENGTH, &path_value);
  napi_create_error(env, code, message, &error);
  napi_set_named_property(env, error, "path", path_value);
  napi_throw(env, error);
}

// open(paths: string[]): loads each library in order, or finds it already in the process.
napi_value open(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  bool is_array = false;
  if (count == 0 || napi_is_array(env, argument, &is_array) != napi_ok || !is_array) {
    napi_throw_type_error(env, nullptr, "Expected an array of strings for paths");
    return nullptr;
  }
  const SpinSetting spin;
  uint32_t length = 0;
  napi_get_array_length(env, argument, &length);
  for (uint32_t i = 0; i < length; ++i) {
    napi_value element;
    napi_valuetype type;
    if (napi_get_element(env, argument, i, &element) != napi_ok ||
        napi_typeof(env, element, &type) != napi_ok || type != napi_string) {
      napi_throw_type_error(env, nullptr, "Expected an array of strings for paths");
      return nullptr;
    }
    const std::string path = text_of(env, element);
    const std::string soname = path.substr(path.rfind('/') + 1);
    // A second copy of this package must use the libraries of the first: two LibTorches in one
    // process do not share their tensors.
    constexpr int kFlags = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;
    if (dlopen(soname.c_str(), kFlags | RTLD_NOLOAD) != nullptr) continue;
    if (dlopen(path.c_str(), kFlags) == nullptr) {
      const char* reason = dlerror();
      throw_load_error(env, path, reason == nullptr ? "unknown reason" : reason);
      return nullptr;
    }
  }
  return nullptr;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value function;
  napi_create_function(env, "open", NAPI_AUTO_LENGTH, open, nullptr, &function);
  napi_set_named_property(env, exports, "open", function);
  // Macros of a header: the version that the addon beside this file was compiled against.
  napi_value version;
  napi_create_string_utf8(env, TORCH_VERSION, NAPI_AUTO_LENGTH, &version);
  napi_set_named_property(env, exports, "torchVersion", version);
  return exports;
}
