// From C++ exceptions to JavaScript errors with a code: the only such mapping.
#pragma once

#include <napi.h>

#include <exception>
#include <string>

namespace lexiseg {

// An Error whose `code` is one of lib/errors.ts; a pending JavaScript exception passes unchanged.
// Messages never carry a C++ backtrace.
Napi::Error to_js_error(Napi::Env env, const std::exception_ptr& failure);

// TypeError "Expected {what} for {name} but received {value}".
[[noreturn]] void throw_expected(const std::string& what, const std::string& name,
                                 const Napi::Value& value);

// Runs a synchronous call, its exceptions mapped.
template <typename Call>
Napi::Value guarded(Napi::Env env, const Call& call) {
  try {
    return call();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw to_js_error(env, std::current_exception());
  }
}

// Runs the beginning of an asynchronous call; whatever it throws becomes a rejected promise.
template <typename Call>
Napi::Value promised(Napi::Env env, const Call& call) {
  try {
    return call();
  } catch (...) {
    const auto deferred = Napi::Promise::Deferred::New(env);
    deferred.Reject(to_js_error(env, std::current_exception()).Value());
    return deferred.Promise();
  }
}

}  // namespace lexiseg
