#include "core/distributed/process_group.h"

#define USE_C10D_GLOO
#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "core/allocator.h"
#include "core/error.h"

namespace lexiseg {
namespace {

// Runs a call of c10d, whose errors carry no code.
template <typename Call>
auto coded(const char* what, Call&& call) -> decltype(call()) {
  try {
    return call();
  } catch (const Error&) {
    throw;
  } catch (const c10::Error& error) {
    throw Error(code::kDistributed, std::string(what) + ": " + error.what_without_backtrace());
  } catch (const std::exception& error) {
    throw Error(code::kDistributed, std::string(what) + ": " + error.what());
  }
}

constexpr const char* kLost = "Another process of the run has died or does not answer";

c10::intrusive_ptr<c10d::Backend> gloo_group(const c10::intrusive_ptr<c10d::Store>& store,
                                             const char* name, const Rendezvous& rendezvous) {
  auto options = c10d::ProcessGroupGloo::Options::create(rendezvous.timeout);
  // One machine needs no name that the network resolves.
  const bool local = rendezvous.host == "127.0.0.1" || rendezvous.host == "localhost";
  options->devices.push_back(local ? c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1")
                                   : c10d::ProcessGroupGloo::createDefaultDevice());
  auto named = c10::make_intrusive<c10d::PrefixStore>(name, store);
  return c10::make_intrusive<c10d::ProcessGroupGloo>(named, rendezvous.rank, rendezvous.size,
                                                     std::move(options));
}

std::vector<std::uint8_t> bytes(const std::string& text) { return {text.begin(), text.end()}; }
std::string text(const std::vector<std::uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

void stop_if_cancelled() {
  const std::atomic<bool>* cancelled = current_abort_flag();
  if (cancelled != nullptr && cancelled->load()) {
    throw Error(code::kAborted, "The call was cancelled");
  }
}

using Moment = std::chrono::steady_clock::time_point;

// A connection to the store. It is tried for a moment at a time, since nothing ends one attempt.
c10::intrusive_ptr<c10d::Store> open_store(const Rendezvous& rendezvous, Moment latest) {
  constexpr std::chrono::milliseconds kAttempt{2000};
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(rendezvous.port);
  options.isServer = rendezvous.serves;
  options.numWorkers = static_cast<std::size_t>(rendezvous.size);
  // The processes wait for each other below; a launcher's store has no such count.
  options.waitWorkers = false;
  options.timeout = std::min(rendezvous.timeout, kAttempt);
  while (true) {
    stop_if_cancelled();
    try {
      auto store = c10::make_intrusive<c10d::TCPStore>(rendezvous.host, options);
      store->setTimeout(rendezvous.timeout);
      return c10::make_intrusive<c10d::PrefixStore>(rendezvous.prefix, std::move(store));
    } catch (const std::exception&) {
      if (rendezvous.serves || std::chrono::steady_clock::now() > latest) throw;
    }
  }
}

constexpr std::chrono::milliseconds kLook{50};

// Returns when all processes are there. Gloo would wait for them too, and not be cancelled.
void await_all(c10d::Store& store, const Rendezvous& rendezvous, Moment latest) {
  const auto place = [](int rank) { return "here/" + std::to_string(rank); };
  store.set(place(rendezvous.rank), std::vector<std::uint8_t>{1});
  for (int rank = 0; rank < rendezvous.size; ++rank) {
    while (!store.check({place(rank)})) {
      stop_if_cancelled();
      if (std::chrono::steady_clock::now() > latest) {
        throw Error(code::kDistributed, "Rank " + std::to_string(rank) + " did not come");
      }
      std::this_thread::sleep_for(kLook);
    }
  }
}

// How long a store that was lost may need to come again.
constexpr std::chrono::seconds kRenewal{60};

// The store where all processes are. One that is lost meanwhile belonged to an earlier trainer,
// which rank 0 had not yet disposed of.
c10::intrusive_ptr<c10d::Store> meet(const Rendezvous& rendezvous) {
  Moment latest = std::chrono::steady_clock::now() + rendezvous.timeout;
  for (bool renewed = false;; renewed = true) {
    auto store = open_store(rendezvous, latest);
    try {
      await_all(*store, rendezvous, latest);
      return store;
    } catch (const Error&) {
      throw;
    } catch (const std::exception&) {
      const auto now = std::chrono::steady_clock::now();
      if (!renewed) latest = std::min<Moment>(latest, now + kRenewal);
      if (rendezvous.serves || now > latest) throw;
      std::this_thread::sleep_for(kLook);
    }
  }
}

// In the place of a GPU's name.
constexpr const char* kNoGpu = "none";

// How long a GPU may still need once all ranks have started their sums.
constexpr std::chrono::seconds kDeviceWait{60};
constexpr std::chrono::microseconds kPoll{100};

// Gloo moves memory of the host.
at::Tensor on_host(const at::Tensor& tensor) { return tensor.cpu().contiguous(); }

}  // namespace

std::shared_ptr<ProcessGroup> ProcessGroup::join(const Rendezvous& rendezvous, c10::Device device) {
  const std::string place = rendezvous.host + ":" + std::to_string(rendezvous.port);
  const std::string what = "The processes of the run did not meet at " + place;
  return coded(what.c_str(),
               [&] { return std::shared_ptr<ProcessGroup>(new ProcessGroup(rendezvous, device)); });
}

ProcessGroup::ProcessGroup(const Rendezvous& rendezvous, c10::Device device)
    : rank_(rendezvous.rank), size_(rendezvous.size) {
  store_ = meet(rendezvous);
  calls_ = gloo_group(store_, "calls", rendezvous);
  sums_ = gloo_group(store_, "sums", rendezvous);
  join_device_sums(device);
}

void ProcessGroup::join_device_sums(c10::Device device) {
  const ops::DeviceSumsOffer* offer = device.is_cuda() ? ops::device_sums_offer() : nullptr;
  // NCCL refuses two ranks on one GPU, and all ranks must decide alike.
  store_->set("gpu/" + std::to_string(rank_), bytes(offer ? offer->name_device(device) : kNoGpu));
  std::set<std::string> gpus;
  for (int64_t rank = 0; rank < size_; ++rank) {
    gpus.insert(text(store_->get("gpu/" + std::to_string(rank))));
  }
  if (gpus.contains(kNoGpu) || static_cast<int64_t>(gpus.size()) < size_) return;
  if (rank_ == 0) store_->set("meeting", bytes(offer->make_meeting()));
  device_sums_ = offer->join(text(store_->get("meeting")), rank_, size_, device);
}

ProcessGroup::~ProcessGroup() = default;

at::Tensor ProcessGroup::all_gather(const at::Tensor& own) {
  return coded(kLost, [&] {
    std::vector<at::Tensor> inputs{on_host(own)};
    std::vector<int64_t> shape = own.sizes().vec();
    shape[0] *= size_;
    const at::Tensor all = at::empty(shape, inputs[0].options());
    std::vector<std::vector<at::Tensor>> outputs{all.chunk(size_, 0)};
    calls_->allgather(outputs, inputs)->wait();
    return all.to(own.device());
  });
}

at::Tensor ProcessGroup::all_reduce(const at::Tensor& own) {
  return coded(kLost, [&] {
    std::vector<at::Tensor> tensors{own.is_cpu() ? own.clone(at::MemoryFormat::Contiguous)
                                                 : on_host(own)};
    calls_->allreduce(tensors)->wait();
    return tensors[0].to(own.device());
  });
}

at::Tensor ProcessGroup::summable(const at::Tensor& tensor) const {
  return device_sums_ ? tensor.contiguous() : on_host(tensor);
}

PendingSum ProcessGroup::start_sum(at::Tensor tensor) {
  return coded(kLost, [&] {
    if (device_sums_) {
      sums_started_ = true;
      device_sums_->start(tensor);
      return PendingSum([this] { await_device_sums(); });
    }
    std::vector<at::Tensor> tensors{std::move(tensor)};
    return PendingSum([work = sums_->allreduce(tensors)] { coded(kLost, [&] { work->wait(); }); });
  });
}

void ProcessGroup::await_device_sums() {
  if (!std::exchange(sums_started_, false)) return;
  try {
    // The GPU waits for a dead process for ever. Gloo sees a death at once, and when it has heard
    // of all ranks, each has started its sums.
    all_reduce(at::zeros({1}));
    const auto latest = std::chrono::steady_clock::now() + kDeviceWait;
    while (!coded(kLost, [&] { return device_sums_->finished(); })) {
      if (std::chrono::steady_clock::now() > latest) throw Error(code::kDistributed, kLost);
      std::this_thread::sleep_for(kPoll);
    }
  } catch (const Error&) {
    device_sums_->abort();
    throw;
  }
}

}  // namespace lexiseg
