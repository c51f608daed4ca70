// The operators as every caller reaches them, and numbers to try them with.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <cstdint>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "check.h"

namespace operators {

using at::Tensor;
using Two = std::tuple<Tensor, Tensor>;
using Three = std::tuple<Tensor, Tensor, Tensor>;
using Six = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

template <typename Signature, typename... Arguments>
auto call(const char* name, const Arguments&... arguments) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>().call(
      arguments...);
}

inline Two label_map(const Tensor& masks, const Tensor& probs, at::IntArrayRef geometry,
                     bool resize_scores) {
  return call<Two(const Tensor&, const Tensor&, at::IntArrayRef, bool)>(
      "lexiseg::label_map", masks, probs, geometry, resize_scores);
}

struct Thresholds {
  double object_mask = 0, overlap = 0.8;
};

struct Classified {
  Tensor masks, scores, labels, thing;
};

inline Six panoptic_merge(const Classified& c, at::IntArrayRef geometry,
                          const Thresholds& thresholds = {}) {
  return call<Six(const Tensor&, const Tensor&, const Tensor&, const Tensor&, at::IntArrayRef,
                  double, double)>("lexiseg::panoptic_merge", c.masks, c.scores, c.labels, c.thing,
                                   geometry, thresholds.object_mask, thresholds.overlap);
}

inline Six select_instances(const Tensor& masks, const Tensor& probs, const Tensor& thing,
                            at::IntArrayRef geometry, int64_t top_k) {
  return call<Six(const Tensor&, const Tensor&, const Tensor&, at::IntArrayRef, int64_t, bool)>(
      "lexiseg::select_instances", masks, probs, thing, geometry, top_k, false);
}

inline Tensor mask_pooling(const Tensor& features, const Tensor& masks) {
  return call<Tensor(const Tensor&, const Tensor&)>("lexiseg::mask_pooling", features, masks);
}

inline Two rle_encode(const Tensor& masks) {
  return call<Two(const Tensor&)>("lexiseg::rle_encode", masks);
}

inline Tensor rle_decode(const Tensor& counts, const Tensor& offsets, int64_t height,
                         int64_t width) {
  return call<Tensor(const Tensor&, const Tensor&, int64_t, int64_t)>("lexiseg::rle_decode", counts,
                                                                      offsets, height, width);
}

inline Two linear_sum_assignment(const Tensor& cost) {
  return call<Two(const Tensor&)>("lexiseg::linear_sum_assignment", cost);
}

struct Attention {
  Tensor value;
  std::vector<int64_t> shapes;
  Tensor reference, offsets, logits;
};

inline Tensor attention(const Tensor& query, const Tensor& key, const Tensor& value) {
  return call<Tensor(const Tensor&, const Tensor&, const Tensor&)>("lexiseg::attention", query, key,
                                                                   value);
}

inline Tensor ms_deform_attn(const Attention& a) {
  return call<Tensor(const Tensor&, at::IntArrayRef, const Tensor&, const Tensor&, const Tensor&)>(
      "lexiseg::ms_deform_attn", a.value, a.shapes, a.reference, a.offsets, a.logits);
}

inline Three ms_deform_attn_backward(const Tensor& grad, const Attention& a) {
  return call<Three(const Tensor&, const Tensor&, at::IntArrayRef, const Tensor&, const Tensor&,
                    const Tensor&)>("lexiseg::ms_deform_attn_backward", grad, a.value, a.shapes,
                                    a.reference, a.offsets, a.logits);
}

// Runs and returns what the op says when it refuses, "" when it does not.
template <typename Run>
std::string refusal(const Run& run) {
  try {
    static_cast<void>(run());
    return "";
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
}

// A small generator whose numbers are the same everywhere.
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed * 2654435769u + 1) {}

  int64_t below(int64_t limit) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<int64_t>((state_ >> 33) % static_cast<uint64_t>(limit));
  }
  int64_t between(int64_t low, int64_t high) { return low + below(high - low + 1); }
  float number() { return static_cast<float>(below(20001) - 10000) / 1000.0f; }

  // Sometimes what arithmetic does not expect.
  float odd_number() {
    constexpr float kOdd[] = {std::numeric_limits<float>::quiet_NaN(),
                              std::numeric_limits<float>::infinity(),
                              -std::numeric_limits<float>::infinity(),
                              std::numeric_limits<float>::max(),
                              std::numeric_limits<float>::lowest(),
                              std::numeric_limits<float>::denorm_min(),
                              -0.0f,
                              0.0f};
    return below(6) == 0 ? kOdd[below(8)] : number();
  }

  Tensor tensor(at::IntArrayRef sizes, bool odd = false) {
    Tensor result = at::empty(sizes, at::kFloat);
    float* data = result.mutable_data_ptr<float>();
    for (int64_t i = 0; i < result.numel(); ++i) data[i] = odd ? odd_number() : number();
    return result;
  }

 private:
  uint64_t state_;
};

#define EXPECT_REFUSAL(expression, part)                                                    \
  do {                                                                                      \
    const std::string said = operators::refusal([&] { return expression; });                \
    if (said.find(part) == std::string::npos) {                                             \
      check::fail(__FILE__, __LINE__, #expression " said \"" + said + "\", not " + (part)); \
    }                                                                                       \
  } while (false)

}  // namespace operators
