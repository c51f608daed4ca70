// A promise and the task behind it: how every heavy call leaves the JavaScript thread and returns.
#pragma once

#include <napi.h>

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "addon/environment.h"
#include "core/executor.h"

namespace lexiseg {

struct PendingCall {
  explicit PendingCall(Napi::Env env);

  // JavaScript thread: settles the promise from what the executor left.
  void settle(Napi::Env env);
  void reject(Napi::Env env, const std::exception_ptr& failure);

  Napi::Promise::Deferred deferred;
  Napi::ObjectReference origin;  // an Error made by the caller, for its stack
  std::vector<Pin> pins;         // arrays that the task reads
  Executor* executor = nullptr;
  std::shared_ptr<Task> task = std::make_shared<Task>();
  std::exception_ptr failure;                  // written by the executor, read after `announce`
  std::function<Napi::Value(Napi::Env)> face;  // makes the JavaScript result
  bool settled = false;
};

// The right to cancel one call, as JavaScript holds it.
class JobHandle : public Napi::ObjectWrap<JobHandle> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit JobHandle(const Napi::CallbackInfo& info);

  Napi::Value cancel(const Napi::CallbackInfo& info);

  // Throws Error(ERR_ABORTED) when cancelled already, Error(ERR_ARGUMENT) when used before.
  void claim();
  void attach(const std::shared_ptr<PendingCall>& call) { call_ = call; }

 private:
  std::weak_ptr<PendingCall> call_;
  bool claimed_ = false;
  bool cancelled_ = false;
};

// Where and how a call runs.
struct CallPlan {
  JobHandle& job;
  Executor& executor;
  int threads = 0;
  std::vector<Pin> pins;
};

// Runs work() on the executor and resolves the promise with face(env, outcome).
template <typename Work, typename Face>
Napi::Value start_call(Napi::Env env, CallPlan plan, Work work, Face face) {
  using Outcome = decltype(work());
  plan.job.claim();
  auto call = std::make_shared<PendingCall>(env);
  auto outcome = std::make_shared<std::optional<Outcome>>();
  call->pins = std::move(plan.pins);
  call->executor = &plan.executor;
  call->task->threads = plan.threads;
  call->task->work = [work = std::move(work), outcome]() mutable { outcome->emplace(work()); };
  call->face = [face = std::move(face), outcome](Napi::Env inner) -> Napi::Value {
    return face(inner, **outcome);
  };
  plan.job.attach(call);
  const Napi::Value promise = call->deferred.Promise();
  Environment::of(env).start(call);
  return promise;
}

}  // namespace lexiseg
