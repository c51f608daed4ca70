// One thread that runs heavy work for one device, first in, first out.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace lexiseg {

struct Task {
  // Executor thread; may throw. Destroyed there before `done` is called.
  std::function<void()> work;
  // Executor thread, exactly once for every task that was not withdrawn; holds null on success.
  std::function<void(std::exception_ptr)> done;
  // Threads inside an operation; 0 keeps what the last task used.
  int threads = 0;
  // Set from any thread: a running network stops at its next layer, and `work` is not begun.
  std::atomic<bool> cancelled{false};
};

class Executor {
 public:
  Executor();
  // Cancels what waits and what runs, then joins the thread; no `done` is called after that.
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  void submit(std::shared_ptr<Task> task);

  // True when the task was still waiting: neither `work` nor `done` will be called.
  bool withdraw(const std::shared_ptr<Task>& task);

  // Cancels everything and joins; later tasks are refused with ERR_DISPOSED. Idempotent.
  void stop();

  int waiting() const;
  int running() const;

 private:
  void loop();
  static std::exception_ptr run(Task& task);

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Task>> queue_;
  std::shared_ptr<Task> current_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace lexiseg
