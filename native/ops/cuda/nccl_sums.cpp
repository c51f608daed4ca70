#include "ops/cuda/nccl_sums.h"

#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <dlfcn.h>

#include <cstring>
#include <vector>

#include "ops/cuda/nccl.h"
#include "ops/device_sums.h"

namespace lexiseg::ops::cuda {
namespace {

namespace nccl = torch::cuda::nccl;

nccl::ncclComm_t meet(const std::string& meeting, int64_t rank, int64_t size, c10::Device device) {
  nccl::ncclUniqueId id;
  TORCH_CHECK(meeting.size() == sizeof(id.internal), "Expected the id of an NCCL communicator");
  std::memcpy(id.internal, meeting.data(), sizeof(id.internal));
  const c10::cuda::CUDAGuard guard(device);
  return nccl::comm_init_rank(static_cast<int>(size), id, static_cast<int>(rank));
}

// LibTorch has no call to give up a communicator; NCCL itself has, where it is a library of its
// own.
void abort_communicator(nccl::ncclComm_t communicator) {
  void* library = ::dlopen("libnccl.so.2", RTLD_LAZY | RTLD_NOLOAD);
  if (library == nullptr) return;
  auto* give_up = reinterpret_cast<int (*)(void*)>(::dlsym(library, "ncclCommAbort"));
  if (give_up != nullptr) give_up(communicator);
  ::dlclose(library);
}

// A place in the work of a stream. Made and used while its device is the current one.
class Event {
 public:
  Event() { C10_CUDA_CHECK(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming)); }
  ~Event() { C10_CUDA_CHECK_WARN(cudaEventDestroy(event_)); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(cudaStream_t stream) { C10_CUDA_CHECK(cudaEventRecord(event_, stream)); }
  void block(cudaStream_t stream) { C10_CUDA_CHECK(cudaStreamWaitEvent(stream, event_, 0)); }

  bool reached() {
    const cudaError_t state = cudaEventQuery(event_);
    if (state != cudaErrorNotReady) C10_CUDA_CHECK(state);
    return state == cudaSuccess;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

class NcclSums final : public DeviceSums {
 public:
  NcclSums(const std::string& meeting, int64_t rank, int64_t size, c10::Device device)
      : device_(device),
        stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/true, device.index())),
        communicator_(meet(meeting, rank, size, device)) {}

  ~NcclSums() override {
    // To destroy one is to wait for the others; after abort there is none.
    if (communicator_ != nullptr) nccl::comm_destroy(communicator_);
  }
  NcclSums(const NcclSums&) = delete;
  NcclSums& operator=(const NcclSums&) = delete;

  void start(const at::Tensor& tensor) override {
    TORCH_CHECK(communicator_ != nullptr, "The processes of the run have parted");
    const c10::cuda::CUDAGuard guard(device_);
    Event written;
    written.record(c10::cuda::getCurrentCUDAStream(device_.index()));
    written.block(stream_);
    std::vector<at::Tensor> sums{tensor};
    nccl::all_reduce({tensor}, sums, nccl::kSum, {stream_}, {communicator_});
    c10::cuda::CUDACachingAllocator::recordStream(tensor.storage().data_ptr(), stream_);
    last_.record(stream_);
  }

  bool finished() override {
    const c10::cuda::CUDAGuard guard(device_);
    return last_.reached();
  }

  void abort() noexcept override {
    if (communicator_ != nullptr) abort_communicator(communicator_);
    communicator_ = nullptr;
  }

 private:
  c10::Device device_;
  c10::cuda::CUDAStream stream_;
  nccl::ncclComm_t communicator_;  // owned; null once given up
  Event last_;                     // of the sum started last
};

std::string name_device(c10::Device device) {
  cudaDeviceProp properties;
  C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, device.index()));
  return {properties.uuid.bytes, sizeof(properties.uuid.bytes)};
}

std::string make_meeting() {
  nccl::ncclUniqueId id;
  nccl::get_unique_id(id);
  return {id.internal, sizeof(id.internal)};
}

std::unique_ptr<DeviceSums> join(const std::string& meeting, int64_t rank, int64_t size,
                                 c10::Device device) {
  const c10::cuda::CUDAGuard guard(device);
  return std::make_unique<NcclSums>(meeting, rank, size, device);
}

}  // namespace

void offer_nccl_sums() { offer_device_sums({&name_device, &make_meeting, &join}); }

}  // namespace lexiseg::ops::cuda
