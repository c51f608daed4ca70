#include "ops/kernels/mask_pooling.h"

#include "ops/kernels/simd.h"

namespace lexiseg::ops::LEXISEG_ISA {
namespace {

constexpr int64_t kPixels = 32;  // of a block, which then fits the nearest cache
constexpr int64_t kChannels = PoolingTask::kChannels;
constexpr int kSums = kLanes == 16 ? 16 : 8;  // vectors of channels summed in registers

// A bit for each of `count` <= kPixels logits over 0.
template <typename U>
LEXISEG_INLINE uint32_t inside(const U* logits, int64_t count) {
  uint32_t word = 0;
  if (count == kPixels) {
    for (int i = 0; i < kPixels; i += kLanes) word |= bits(load(logits + i) > 0.0f) << i;
    return word;
  }
  for (int64_t i = 0; i < count; ++i) word |= static_cast<uint32_t>(widen(logits[i]) > 0) << i;
  return word;
}

// Pixels one after another with their channels together, filled up with 0.
template <typename V>
LEXISEG_INLINE void gather_block(const PoolingTask& task, int64_t first, int64_t count,
                                 float* block) {
  const V* from = static_cast<const V*>(task.features) + first * task.pixel_stride;
  if (task.channel_stride == 1) {
    for (int64_t p = 0; p < count; ++p) {
      const V* pixel = from + p * task.pixel_stride;
      for (int64_t c = 0; c < task.channels; ++c) block[p * kChannels + c] = widen(pixel[c]);
    }
  } else {
    for (int64_t c = 0; c < task.channels; ++c) {
      const V* channel = from + c * task.channel_stride;
      for (int64_t p = 0; p < count; ++p) {
        block[p * kChannels + c] = widen(channel[p * task.pixel_stride]);
      }
    }
  }
}

// total += the block's pixels named by word.
LEXISEG_INLINE void add_pixels(const float* block, uint32_t word, int64_t channels, float* total) {
  for (int64_t c = 0; c < channels; c += kSums * kLanes) {
    Floats sums[kSums];
#pragma GCC unroll 16
    for (int i = 0; i < kSums; ++i) sums[i] = Floats{};
    for (uint32_t left = word; left != 0; left &= left - 1) {
      const float* pixel = block + __builtin_ctz(left) * kChannels + c;
#pragma GCC unroll 16
      for (int i = 0; i < kSums; ++i) sums[i] += load(pixel + i * kLanes);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kSums; ++i) {
      float* to = total + c + i * kLanes;
      store(to, load(to) + sums[i]);
    }
  }
}

// Bits for up to kWords blocks of every query, so that each mask is read in longer stretches.
template <typename U>
LEXISEG_INLINE void find_inside(const PoolingTask& task, int64_t first, int64_t count) {
  for (int64_t q = 0; q < task.queries; ++q) {
    const U* logits = static_cast<const U*>(task.mask_logits) + q * task.query_stride + first;
    uint32_t* words = task.words + q * PoolingTask::kWords;
    int64_t area = 0;
    for (int64_t at = 0; at < count; at += kPixels) {
      const uint32_t word = inside(logits + at, count - at < kPixels ? count - at : kPixels);
      words[at / kPixels] = word;
      area += __builtin_popcount(word);
    }
    task.area[q] += static_cast<float>(area);
  }
}

template <typename V>
LEXISEG_INLINE void add_block(const PoolingTask& task, int64_t first, int64_t count,
                              const uint32_t* words) {
  float block[kPixels * kChannels] = {}, whole[kChannels] = {};
  const auto all_pixels = static_cast<uint32_t>((uint64_t{1} << count) - 1);
  gather_block<V>(task, first, count, block);
  // Inside a mask most blocks are covered whole.
  add_pixels(block, all_pixels, task.channels, whole);
  for (int64_t q = 0; q < task.queries; ++q) {
    const uint32_t word = words[q * PoolingTask::kWords];
    if (word == 0) continue;
    float* total = task.total + q * kChannels;
    if (word == all_pixels) {
      for (int64_t c = 0; c < kChannels; ++c) total[c] += whole[c];
    } else {
      add_pixels(block, word, task.channels, total);
    }
  }
}

template <typename V, typename U>
void pool(const PoolingTask& task) {
  constexpr int64_t kStretch = kPixels * PoolingTask::kWords;
  for (int64_t start = 0; start < task.pixels; start += kStretch) {
    const int64_t length = task.pixels - start < kStretch ? task.pixels - start : kStretch;
    find_inside<U>(task, start, length);
    for (int64_t at = 0; at < length; at += kPixels) {
      const int64_t count = length - at < kPixels ? length - at : kPixels;
      add_block<V>(task, start + at, count, task.words + at / kPixels);
    }
  }
}

}  // namespace

extern const PoolingKernels pooling_kernels;
const PoolingKernels pooling_kernels = {pool<float, float>, pool<BFloat16, float>,
                                        pool<BFloat16, BFloat16>};

}  // namespace lexiseg::ops::LEXISEG_ISA
