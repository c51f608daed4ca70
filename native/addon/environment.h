// What one JavaScript environment (main thread or worker) owns: executors, calls in flight, counts.
#pragma once

#include <c10/core/Device.h>
#include <napi.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/executor.h"

namespace lexiseg {

// Counts of what lives through this environment's handles; outlives the environment itself, since
// finalizers may run after it.
struct Ledger {
  std::map<std::string, int64_t> tensor_bytes;  // by device
  int64_t handles = 0;
  int64_t weight_bytes = 0;
  int64_t unreported = 0;  // bytes that the garbage collector has not been told of
  bool closed = false;
};

// Keeps a JavaScript value alive; made and destroyed on the JavaScript thread.
using Pin = std::shared_ptr<Napi::Reference<Napi::Value>>;

struct PendingCall;

class Environment {
 public:
  // Makes the instance data of this environment and hooks its end.
  static Environment& create(Napi::Env env);
  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }
  ~Environment();

  Executor& executor(c10::Device device);
  const std::shared_ptr<Ledger>& ledger() const { return ledger_; }
  int waiting() const;
  int running() const;

  // Takes over a call whose task is about to be submitted, and submits it.
  void start(const std::shared_ptr<PendingCall>& call);

  // Executor thread: the call's task has ended. The reference moves on, so that the JavaScript
  // thread drops the last one.
  void announce(std::shared_ptr<PendingCall> call);

  // JavaScript thread: rejects the call's promise with ERR_ABORTED and drops its result.
  void cancel(const std::shared_ptr<PendingCall>& call);

  // Tells the garbage collector of memory outside its heap, in coarse steps.
  static void report_memory(Napi::Env env, Ledger& ledger, int64_t bytes);

  // Stops all work and joins the threads; later calls are refused. Idempotent.
  void close();

  Napi::FunctionReference tensor_class;
  Napi::FunctionReference model_class;
  Napi::FunctionReference trainer_class;
  Napi::FunctionReference job_class;

 private:
  explicit Environment(Napi::Env env);

  void settle_finished();
  void forget(const std::shared_ptr<PendingCall>& call);
  void stop_at_process_exit();

  Napi::Env env_;
  napi_threadsafe_function wake_ = nullptr;
  std::shared_ptr<Ledger> ledger_ = std::make_shared<Ledger>();
  std::map<c10::Device, std::unique_ptr<Executor>, bool (*)(c10::Device, c10::Device)> executors_;
  std::vector<std::shared_ptr<PendingCall>> calls_;

  std::mutex finished_mutex_;
  std::vector<std::shared_ptr<PendingCall>> finished_;
};

}  // namespace lexiseg
