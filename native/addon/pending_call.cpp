#include "addon/pending_call.h"

#include "addon/failure.h"
#include "addon/identity.h"
#include "core/error.h"

namespace lexiseg {
namespace {

// The frames of the call that failed, under the message of its failure.
void adopt_stack(Napi::Env env, const Napi::Object& error, const Napi::Object& origin) {
  const Napi::Value frames = origin.Get("stack");
  if (!frames.IsString()) return;
  const std::string text = frames.As<Napi::String>();
  const size_t newline = text.find('\n');
  const std::string message = error.Get("message").ToString();
  error.Set("stack",
            Napi::String::New(
                env, "Error: " + message +
                         (newline == std::string::npos ? std::string() : text.substr(newline))));
}

}  // namespace

PendingCall::PendingCall(Napi::Env env)
    : deferred(env), origin(Napi::Persistent(Napi::Error::New(env, "").Value())) {}

void PendingCall::settle(Napi::Env env) {
  if (settled) return;
  if (failure) return reject(env, failure);
  try {
    const Napi::Value value = face(env);
    settled = true;
    deferred.Resolve(value);
  } catch (...) {
    reject(env, std::current_exception());
  }
}

void PendingCall::reject(Napi::Env env, const std::exception_ptr& reason) {
  if (settled) return;
  settled = true;
  const Napi::Value error = to_js_error(env, reason).Value();
  if (error.IsObject()) adopt_stack(env, error.As<Napi::Object>(), origin.Value());
  deferred.Reject(error);
}

Napi::Function JobHandle::define(Napi::Env env) {
  return DefineClass(env, "NativeJob", {InstanceMethod<&JobHandle::cancel>("cancel")});
}

JobHandle::JobHandle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<JobHandle>(info) {
  require_internal_construction(info);
  brand(info.This().As<Napi::Object>(), Kind::kJob);
}

void JobHandle::claim() {
  if (cancelled_) throw Error(code::kAborted, "The call was cancelled");
  if (claimed_) throw Error(code::kArgument, "A job belongs to one call; create another");
  claimed_ = true;
}

Napi::Value JobHandle::cancel(const Napi::CallbackInfo& info) {
  cancelled_ = true;
  const auto call = call_.lock();
  if (call) Environment::of(info.Env()).cancel(call);
  return info.Env().Undefined();
}

}  // namespace lexiseg
