#include "core/executor.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <atomic>
#include <chrono>

#include "core/allocator.h"
#include "core/error.h"
#include "core/processor.h"

namespace lexiseg {
namespace {

// After this long without work the pages of freed tensors go back to the system.
constexpr std::chrono::seconds kIdle{60};

// Tasks under way on all executors: a step that goes on wants its freed blocks again.
std::atomic<int> at_work{0};

}  // namespace

Executor::Executor() : thread_([this] { loop(); }) {}

Executor::~Executor() { stop(); }

void Executor::submit(std::shared_ptr<Task> task) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) throw Error(code::kDisposed, "The environment is shutting down");
    queue_.push_back(std::move(task));
  }
  wake_.notify_one();
}

bool Executor::withdraw(const std::shared_ptr<Task>& task) {
  std::shared_ptr<Task> taken;
  const std::lock_guard lock(mutex_);
  const auto found = std::find(queue_.begin(), queue_.end(), task);
  if (found == queue_.end()) return false;
  taken = std::move(*found);
  queue_.erase(found);
  return true;
}

void Executor::stop() {
  std::deque<std::shared_ptr<Task>> dropped;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(queue_);
    if (current_) current_->cancelled = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

int Executor::waiting() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(queue_.size());
}

int Executor::running() const {
  const std::lock_guard lock(mutex_);
  return current_ ? 1 : 0;
}

void Executor::loop() {
  at::set_num_threads(available_threads());
  const c10::InferenceMode inference;
  while (true) {
    std::shared_ptr<Task> task;
    {
      std::unique_lock lock(mutex_);
      const auto ready = [this] { return stopping_ || !queue_.empty(); };
      // What was freed meanwhile was freed by whoever held the results.
      if (!wake_.wait_for(lock, kIdle, ready)) {
        lock.unlock();
        if (at_work == 0 && allocator_keeps_blocks()) trim_allocator();
        continue;
      }
      if (stopping_) return;
      task = std::move(queue_.front());
      queue_.pop_front();
      current_ = task;
    }
    ++at_work;
    const std::exception_ptr failure = run(*task);
    --at_work;
    {
      const std::lock_guard lock(mutex_);
      current_.reset();
    }
    if (task->done) task->done(failure);
  }
}

std::exception_ptr Executor::run(Task& task) {
  std::exception_ptr failure;
  try {
    const AbortScope scope(&task.cancelled);
    if (task.cancelled) throw Error(code::kAborted, "The call was cancelled");
    if (task.threads > 0 && task.threads != at::get_num_threads()) {
      at::set_num_threads(task.threads);
    }
    task.work();
  } catch (...) {
    failure = std::current_exception();
  }
  // What the work captured (tensors, models) is let go before anyone hears of its end.
  task.work = nullptr;
  return failure;
}

}  // namespace lexiseg
