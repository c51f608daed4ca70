#include "addon/environment.h"

#include <algorithm>

#include "addon/pending_call.h"
#include "core/error.h"

namespace lexiseg {
namespace {

// Telling the garbage collector of every small tensor would make it run for nothing.
constexpr int64_t kReportStep = 8 << 20;

bool device_order(c10::Device a, c10::Device b) {
  return std::pair(a.type(), a.index()) < std::pair(b.type(), b.index());
}

}  // namespace

Environment& Environment::create(Napi::Env env) {
  auto* environment = new Environment(env);
  env.SetInstanceData(environment);
  return *environment;
}

Environment::Environment(Napi::Env env) : env_(env), executors_(device_order) {
  const auto call_js = [](napi_env alive, napi_value, void* context, void*) {
    if (alive != nullptr) static_cast<Environment*>(context)->settle_finished();
  };
  const auto name = Napi::String::New(env, "lexiseg");
  if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this,
                                      call_js, &wake_) != napi_ok ||
      napi_unref_threadsafe_function(env, wake_) != napi_ok) {
    throw Error(code::kNativeLoad, "Cannot create the channel between threads");
  }
  stop_at_process_exit();
  // After the channel, because hooks run in reverse: the executors stop before it closes. After all
  // that may throw, because a hook would outlive what it closes.
  napi_add_env_cleanup_hook(
      env, [](void* context) { static_cast<Environment*>(context)->close(); }, this);
}

Environment::~Environment() { close(); }

// process.exit() ends the main thread without cleanup hooks, and destroys LibTorch's statics under
// a network that still runs.
void Environment::stop_at_process_exit() {
  const auto process = env_.Global().Get("process").As<Napi::Object>();
  const auto stop = Napi::Function::New(
      env_, [](const Napi::CallbackInfo& info) { Environment::of(info.Env()).close(); });
  process.Get("on").As<Napi::Function>().Call(process, {Napi::String::New(env_, "exit"), stop});
}

Executor& Environment::executor(c10::Device device) {
  if (ledger_->closed) throw Error(code::kDisposed, "The environment is shutting down");
  const auto found = executors_.find(device);
  if (found != executors_.end()) return *found->second;
  // Made before it has a place: a thread that cannot be started leaves none.
  auto made = std::make_unique<Executor>();
  return *executors_.emplace(device, std::move(made)).first->second;
}

int Environment::waiting() const {
  int count = 0;
  for (const auto& [device, executor] : executors_) count += executor->waiting();
  return count;
}

int Environment::running() const {
  int count = 0;
  for (const auto& [device, executor] : executors_) count += executor->running();
  return count;
}

void Environment::start(const std::shared_ptr<PendingCall>& call) {
  // The task is owned by the call; a strong reference back would keep both for ever.
  call->task->done = [this, weak = std::weak_ptr(call)](std::exception_ptr failure) {
    if (auto strong = weak.lock()) {
      strong->failure = std::move(failure);
      announce(std::move(strong));
    }
  };
  call->executor->submit(call->task);
  // A promise in flight keeps the process alive; idle executors do not.
  if (calls_.empty()) napi_ref_threadsafe_function(env_, wake_);
  calls_.push_back(call);
}

void Environment::announce(std::shared_ptr<PendingCall> call) {
  {
    const std::lock_guard lock(finished_mutex_);
    finished_.push_back(std::move(call));
  }
  napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking);
}

void Environment::settle_finished() {
  const Napi::HandleScope scope(env_);
  std::vector<std::shared_ptr<PendingCall>> finished;
  {
    const std::lock_guard lock(finished_mutex_);
    finished.swap(finished_);
  }
  for (const auto& call : finished) {
    try {
      call->settle(env_);
    } catch (const Napi::Error&) {
      // The worker is being terminated: no JavaScript runs any more, and nobody waits.
    }
    forget(call);
  }
}

void Environment::cancel(const std::shared_ptr<PendingCall>& call) {
  if (call->settled) return;
  call->task->cancelled = true;
  const bool waited = call->executor->withdraw(call->task);
  call->reject(env_, std::make_exception_ptr(Error(code::kAborted, "The call was cancelled")));
  // A running task still reads the call's arrays; it is forgotten when it announces its end.
  if (waited) forget(call);
}

void Environment::forget(const std::shared_ptr<PendingCall>& call) {
  calls_.erase(std::remove(calls_.begin(), calls_.end(), call), calls_.end());
  if (calls_.empty()) napi_unref_threadsafe_function(env_, wake_);
}

void Environment::report_memory(Napi::Env env, Ledger& ledger, int64_t bytes) {
  ledger.unreported += bytes;
  if (ledger.closed || std::abs(ledger.unreported) < kReportStep) return;
  Napi::MemoryManagement::AdjustExternalMemory(env, ledger.unreported);
  ledger.unreported = 0;
}

void Environment::close() {
  if (ledger_->closed) return;
  ledger_->closed = true;
  for (auto& [device, executor] : executors_) executor->stop();
  const std::lock_guard lock(finished_mutex_);
  finished_.clear();
  calls_.clear();
}

}  // namespace lexiseg
