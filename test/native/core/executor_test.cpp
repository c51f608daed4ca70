#include "core/executor.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <chrono>
#include <future>
#include <vector>

#include "check.h"
#include "core/allocator.h"
#include "core/error.h"
#include "core/processor.h"

namespace {

using lexiseg::Error;
using lexiseg::Executor;
using lexiseg::Task;

std::string code_of(const std::exception_ptr& failure) {
  if (!failure) return "";
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    return error.code();
  } catch (...) {
    return "other";
  }
}

// A task whose end can be waited for; it gives the code of its failure.
struct Watched {
  explicit Watched(std::function<void()> work) {
    task->work = std::move(work);
    // Shared: an executor that outlives this may be telling the end still.
    task->done = [ended = ended](std::exception_ptr failure) {
      ended->set_value(code_of(failure));
    };
  }
  std::shared_ptr<Task> task = std::make_shared<Task>();
  std::shared_ptr<std::promise<std::string>> ended = std::make_shared<std::promise<std::string>>();
};

// A stand-in for a long forward pass: it only ends by being cancelled.
void run_until_cancelled(std::promise<void>* begun) {
  begun->set_value();
  while (true) at::empty({16});
}

}  // namespace

TEST("tasks run one after the other in the order they were given") {
  Executor executor;
  std::vector<int> order;
  std::vector<std::unique_ptr<Watched>> tasks;
  for (int i = 0; i < 100; ++i) {
    tasks.push_back(std::make_unique<Watched>([&order, i] { order.push_back(i); }));
    executor.submit(tasks.back()->task);
  }
  for (auto& task : tasks) EXPECT(task->ended->get_future().get().empty());
  EXPECT(order.size() == 100 && std::is_sorted(order.begin(), order.end()));
}

TEST("an exception of a task reaches its end and leaves the executor working") {
  Executor executor;
  Watched bad([] { throw Error(lexiseg::code::kTensor, "wrong"); });
  Watched good([] {});
  executor.submit(bad.task);
  executor.submit(good.task);
  EXPECT(bad.ended->get_future().get() == "ERR_TENSOR");
  EXPECT(good.ended->get_future().get().empty());
}

TEST("a waiting task can be withdrawn, a running one cannot") {
  lexiseg::install_allocator();
  Executor executor;
  std::promise<void> begun;
  Watched running([&] { run_until_cancelled(&begun); });
  bool ran = false;
  Watched waiting([&] { ran = true; });
  executor.submit(running.task);
  executor.submit(waiting.task);
  begun.get_future().wait();
  EXPECT(executor.running() == 1 && executor.waiting() == 1);
  EXPECT(executor.withdraw(waiting.task));
  EXPECT(!executor.withdraw(waiting.task));
  EXPECT(!executor.withdraw(running.task));
  running.task->cancelled = true;
  EXPECT(running.ended->get_future().get() == "ERR_ABORTED");
  EXPECT(!ran);
}

TEST("a cancelled task that had not begun does not begin") {
  Executor executor;
  bool ran = false;
  Watched task([&] { ran = true; });
  task.task->cancelled = true;
  executor.submit(task.task);
  EXPECT(task.ended->get_future().get() == "ERR_ABORTED");
  EXPECT(!ran);
}

TEST("stopping ends the running task, drops the waiting ones and refuses new ones") {
  lexiseg::install_allocator();
  Executor executor;
  std::promise<void> begun;
  Watched running([&] { run_until_cancelled(&begun); });
  bool ran = false;
  Watched waiting([&] { ran = true; });
  executor.submit(running.task);
  executor.submit(waiting.task);
  begun.get_future().wait();
  executor.stop();
  executor.stop();
  EXPECT(running.ended->get_future().get() == "ERR_ABORTED");
  EXPECT(!ran);
  EXPECT_CODE(executor.submit(waiting.task), "ERR_DISPOSED");
}

TEST("fifty executors start, compute and stop") {
  for (int i = 0; i < 50; ++i) {
    Executor executor;
    Watched task(
        [] { EXPECT(at::ones({64, 64}).mm(at::ones({64, 64}))[0][0].item<float>() == 64); });
    executor.submit(task.task);
    if (i % 2 == 0) EXPECT(task.ended->get_future().get().empty());
  }
}

TEST("a task runs with its own number of threads") {
  Executor executor;
  int default_threads = 0, own_threads = 0;
  Watched first([&] { default_threads = at::get_num_threads(); });
  Watched second([&] { own_threads = at::get_num_threads(); });
  second.task->threads = 1;
  executor.submit(first.task);
  executor.submit(second.task);
  first.ended->get_future().wait();
  second.ended->get_future().wait();
  EXPECT(default_threads == lexiseg::available_threads());
  EXPECT(own_threads == 1);
}
