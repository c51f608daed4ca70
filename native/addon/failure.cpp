#include "addon/failure.h"

#include <c10/util/Exception.h>

#include <new>

#include "core/error.h"

namespace lexiseg {
namespace {

Napi::Error coded(Napi::Env env, const char* code, const std::string& message) {
  auto error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string describe(const Napi::Value& value) {
  if (value.IsString()) {
    const std::string text = value.As<Napi::String>();
    return '"' + (text.size() > 60 ? text.substr(0, 57) + "..." : text) + '"';
  }
  if (value.IsTypedArray()) {
    return "a typed array of " + std::to_string(value.As<Napi::TypedArray>().ByteLength()) +
           " bytes";
  }
  if (value.IsFunction()) return "a function";
  if (value.IsArray()) {
    return "an array of " + std::to_string(value.As<Napi::Array>().Length());
  }
  if (value.IsObject()) return "an object";
  if (value.IsSymbol()) return "a symbol";
  return value.ToString();
}

}  // namespace

Napi::Error to_js_error(Napi::Env env, const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Napi::Error& error) {
    return error;
  } catch (const Error& error) {
    return coded(env, error.code(), error.what());
  } catch (const c10::OutOfMemoryError& error) {
    return coded(env, code::kOutOfMemory, first_line(error.what_without_backtrace()));
  } catch (const std::bad_alloc&) {
    return coded(env, code::kOutOfMemory, "Out of memory");
  } catch (const c10::Error& error) {
    return coded(env, code::kInference, first_line(error.what_without_backtrace()));
  } catch (const std::exception& error) {
    return coded(env, code::kInference, first_line(error.what()));
  } catch (...) {
    return coded(env, code::kInference, "Unknown failure in native code");
  }
}

void throw_expected(const std::string& what, const std::string& name, const Napi::Value& value) {
  throw Napi::TypeError::New(
      value.Env(), "Expected " + what + " for " + name + " but received " + describe(value));
}

}  // namespace lexiseg
