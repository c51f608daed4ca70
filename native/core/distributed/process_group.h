// The processes of one run of training, joined by LibTorch's c10d: TCPStore and Gloo, and NCCL for
// the gradients where each process has a GPU of its own.
#pragma once

#include <c10/core/Device.h>
#include <c10/util/intrusive_ptr.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "ops/collective.h"
#include "ops/device_sums.h"

namespace c10d {
class Backend;
class Store;
}  // namespace c10d

namespace lexiseg {

// Where the processes meet, in torchrun's words.
struct Rendezvous {
  std::string host;    // MASTER_ADDR
  int port;            // MASTER_PORT
  int rank;            // RANK
  int size;            // WORLD_SIZE
  bool serves;         // this process keeps the store; another does when a launcher has one already
  std::string prefix;  // differs from one attempt of the run to the next
  std::chrono::milliseconds timeout;  // of joining, and of waiting for the others in a call
};

// An all-reduce under way.
class PendingSum {
 public:
  explicit PendingSum(std::function<void()> wait) : wait_(std::move(wait)) {}

  // Returns when the tensor holds the sum. Throws Error(ERR_DISTRIBUTED).
  void wait() { wait_(); }

 private:
  std::function<void()> wait_;
};

// Calls are made by all ranks in the same order, from one thread at a time. Any of them throws
// Error(ERR_DISTRIBUTED) when another rank has died or does not answer.
class ProcessGroup final : public ops::Collective {
 public:
  // Returns when all ranks have joined. device: where this one trains.
  static std::shared_ptr<ProcessGroup> join(const Rendezvous& rendezvous, c10::Device device);
  ~ProcessGroup() override;

  int64_t rank() const override { return rank_; }
  int64_t size() const override { return size_; }
  at::Tensor all_gather(const at::Tensor& own) override;
  at::Tensor all_reduce(const at::Tensor& own) override;

  // What carries the sums of `start_sum`: "gloo" or "nccl".
  const char* backend() const { return device_sums_ ? "nccl" : "gloo"; }

  // The tensor, or a copy of it, where `start_sum` can sum it.
  at::Tensor summable(const at::Tensor& tensor) const;

  // Sums into the tensor itself, which must live and stay unread until the wait is over. Has an
  // order of its own, so that it may overlap with the calls above. All sums of a step are started
  // before the first is waited for.
  PendingSum start_sum(at::Tensor tensor);

 private:
  ProcessGroup(const Rendezvous& rendezvous, c10::Device device);

  void join_device_sums(c10::Device device);
  void await_device_sums();

  int64_t rank_;
  int64_t size_;
  c10::intrusive_ptr<c10d::Store> store_;
  c10::intrusive_ptr<c10d::Backend> calls_;
  c10::intrusive_ptr<c10d::Backend> sums_;
  std::unique_ptr<ops::DeviceSums> device_sums_;  // null where sums go over Gloo
  bool sums_started_ = false;                     // on the device, since the last wait
};

}  // namespace lexiseg
