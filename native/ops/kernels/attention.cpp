#include "ops/kernels/attention.h"

#include "ops/kernels/simd.h"

namespace lexiseg::ops::LEXISEG_ISA {
namespace {

// Accumulators of a product: kRows by kWide vectors, which with their operands fill the registers.
constexpr int kRows = 6;
constexpr int kWide = kLanes == 16 ? 4 : 2;
constexpr int64_t kTile = kWide * kLanes;
// Keys whose scores are weighed together; their packed keys and values stay in the nearest cache.
constexpr int64_t kKeyBlock = 256;
constexpr int64_t kPanels = kQueryBlock / kRows;

static_assert(kKeyBlock % kTile == 0 && kQueryBlock % kRows == 0 && kHeadStep % kLanes == 0);

constexpr float kNone = -__builtin_huge_valf();

// What a word of a packed array holds, and the products and weights of it. A weight is exp(x) for
// x <= 0; far below, its 1e-38 is nothing to a sum of weights, which is at least 1. NaN stays NaN.
template <typename V>
struct Word;

template <>
struct Word<float> {
  static constexpr int64_t kElements = 1;

  static LEXISEG_INLINE Floats add_products(Floats sum, Ints a, Ints b) {
    return sum + reinterpret_cast<Floats>(a) * reinterpret_cast<Floats>(b);
  }
  static LEXISEG_INLINE Floats weight(Floats x) { return x == x ? exponential(x) : x; }
  static LEXISEG_INLINE void store_weights(float* to, Floats v) { store(to, v); }
};

template <>
struct Word<BFloat16> {
  static constexpr int64_t kElements = 2;

  static LEXISEG_INLINE Floats add_products(Floats sum, Ints a, Ints b) {
#if defined(__AVX512BF16__)
    return reinterpret_cast<Floats>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(sum),
                                                     reinterpret_cast<__m512bh>(a),
                                                     reinterpret_cast<__m512bh>(b)));
#else
    sum += reinterpret_cast<Floats>(a << 16) * reinterpret_cast<Floats>(b << 16);
    return sum +
           reinterpret_cast<Floats>(a & kUpperHalf) * reinterpret_cast<Floats>(b & kUpperHalf);
#endif
  }
  // Within 6e-5; rounding to bfloat16 is off by up to 2e-3.
  static LEXISEG_INLINE Floats weight(Floats x) {
    constexpr float kRounder = 12582912.0f;
    x = x * 1.44269504f;
    x = x < -126.0f ? all(-126.0f) : x;
    const Floats shifted = x + kRounder;
    const Floats r = x - (shifted - kRounder);
    Floats p = r * 9.6181291e-3f + 5.5504109e-2f;
    p = p * r + 2.4022651e-1f;
    p = p * r + 6.9314718e-1f;
    p = p * r + 1.0f;
    return reinterpret_cast<Floats>(reinterpret_cast<Ints>(p) +
                                    (reinterpret_cast<Ints>(shifted) << 23));
  }
  static LEXISEG_INLINE void store_weights(BFloat16* to, Floats v) {
#if defined(__AVX512BF16__)
    *reinterpret_cast<LooseHalves*>(to) =
        reinterpret_cast<Halves>(_mm512_cvtneps_pbh(reinterpret_cast<__m512>(v)));
#else
    store(to, v);
#endif
  }
};

// Rows of values, read a word at a time.
template <typename V>
struct Rows {
  const V* row[kRows];
};

// `steps` rows of words, `stride` words apart.
struct Columns {
  const int32_t* words;
  int64_t steps, stride;
};

template <int W>
struct Product {
  Floats sum[kRows][W];
};

template <int W, typename V>
LEXISEG_INLINE Product<W> multiply(const Rows<V>& a, const Columns& b) {
  Product<W> product{};
  const int32_t* words = b.words;
  for (int64_t s = 0; s < b.steps; ++s, words += b.stride) {
    Ints columns[W];
#pragma GCC unroll 4
    for (int w = 0; w < W; ++w) columns[w] = load(words + w * kLanes);
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      int32_t word;
      __builtin_memcpy(&word, a.row[r] + Word<V>::kElements * s, sizeof(word));
      const Ints row = all(word);
#pragma GCC unroll 4
      for (int w = 0; w < W; ++w) {
        product.sum[r][w] = Word<V>::add_products(product.sum[r][w], row, columns[w]);
      }
    }
  }
  return product;
}

// What is known of some queries after some of the keys.
struct Panel {
  float mixed[kRows][kMaxHeadWidth];  // sum of weight * value
  float total[kRows];                 // of the weights
  float most[kRows];                  // largest score
};

template <typename V>
struct Scores {
  float score[kRows][kKeyBlock];
  V weight[kRows][kKeyBlock];
};

template <int W, typename V>
LEXISEG_INLINE void score_tile(const Rows<V>& query, const Columns& key, int64_t at,
                               Scores<V>* scores) {
  const Product<W> product = multiply<W>(query, key);
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int w = 0; w < W; ++w) store(scores->score[r] + at + w * kLanes, product.sum[r][w]);
  }
}

template <int W, typename V>
LEXISEG_INLINE void mix_tile(const Rows<V>& weight, const Columns& value, int64_t at,
                             Panel* panel) {
  const Product<W> product = multiply<W>(weight, value);
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int w = 0; w < W; ++w) {
      float* to = panel->mixed[r] + at + w * kLanes;
      store(to, load(to) + product.sum[r][w]);
    }
  }
}

// Calls tile(vectors as a constant, first column) until `vectors` of them are done.
template <typename Tile>
LEXISEG_INLINE void each_tile(int64_t vectors, const Tile& tile) {
  int64_t done = 0;
  for (; done + kWide <= vectors; done += kWide) tile.template operator()<kWide>(done * kLanes);
  if constexpr (kWide > 2) {
    if (done + 2 <= vectors) {
      tile.template operator()<2>(done * kLanes);
      done += 2;
    }
  }
  if (done < vectors) tile.template operator()<1>(done * kLanes);
}

int64_t vectors_of(int64_t count) { return (count + kLanes - 1) / kLanes; }

// Scores become weights relative to the largest so far, and what was summed is brought to it.
template <typename V>
LEXISEG_INLINE void weigh(int r, int64_t keys, const AttentionTask& task, Scores<V>* scores,
                          Panel* panel) {
  float* score = scores->score[r];
  const int64_t padded = vectors_of(keys) * kLanes;
  for (int64_t k = keys; k < padded; ++k) score[k] = kNone;
  Floats largest = load(score);
  for (int64_t k = kLanes; k < padded; k += kLanes) largest = larger(load(score + k), largest);
  const float before = panel->most[r], found = largest_lane(largest);
  const float most = found > before ? found : before;
  const Floats scale = all(task.scale), offset = all(most * task.scale);
  Floats total{};
  for (int64_t k = 0; k < padded; k += kLanes) {
    const Floats weight = Word<V>::weight(load(score + k) * scale - offset);
    total += weight;
    Word<V>::store_weights(scores->weight[r] + k, weight);
  }
  if (before != most) {
    const Floats kept = Word<V>::weight(all((before - most) * task.scale));
    for (int64_t c = 0; c < task.width; c += kLanes) {
      store(panel->mixed[r] + c, load(panel->mixed[r] + c) * kept);
    }
    panel->total[r] *= kept[0];
    panel->most[r] = most;
  }
  panel->total[r] += sum_of_lanes(total);
}

// The keys from `first`, kKeyBlock of them or those that are left.
template <typename V>
void see(const AttentionTask& task, const Rows<V>& query, int64_t first, Panel* panel) {
  constexpr int64_t kElements = Word<V>::kElements;
  const int64_t keys = task.keys - first < kKeyBlock ? task.keys - first : kKeyBlock;
  const int64_t words = task.width / kElements;
  Scores<V> scores;
  each_tile(vectors_of(keys), [&]<int W>(int64_t at) {
    const int32_t* tile = task.packed_key + (first + at) / kTile * kTile * words + at % kTile;
    score_tile<W>(query, {tile, words, kTile}, at, &scores);
  });
  Rows<V> weights;
  for (int r = 0; r < kRows; ++r) {
    weigh(r, keys, task, &scores, panel);
    weights.row[r] = scores.weight[r];
  }
  const int32_t* values = task.packed_value + first / kElements * task.width;
  const int64_t steps = (keys + kElements - 1) / kElements;
  each_tile(task.width / kLanes, [&]<int W>(int64_t at) {
    mix_tile<W>(weights, {values + at, steps, task.width}, at, panel);
  });
}

template <typename V>
const V* row_of(const AttentionRows& rows, int64_t index) {
  return static_cast<const V*>(rows.first) + index * rows.stride;
}

template <typename V>
void attend(const AttentionTask& task, int64_t begin) {
  const int64_t left = task.queries - begin;
  const int64_t queries = left < kQueryBlock ? left : kQueryBlock;
  const int64_t panels = (queries + kRows - 1) / kRows;
  Panel states[kPanels];
  Rows<V> query[kPanels];
  for (int64_t p = 0; p < panels; ++p) {
    for (int r = 0; r < kRows; ++r) {
      // Rows past the last repeat it.
      const int64_t at = p * kRows + r < queries ? p * kRows + r : queries - 1;
      query[p].row[r] = row_of<V>(task.query, begin + at);
      states[p].total[r] = 0;
      states[p].most[r] = kNone;
      for (int64_t c = 0; c < task.width; c += kLanes) store(states[p].mixed[r] + c, Floats{});
    }
  }
  for (int64_t first = 0; first < task.keys; first += kKeyBlock) {
    for (int64_t p = 0; p < panels; ++p) see(task, query[p], first, &states[p]);
  }
  for (int64_t q = 0; q < queries; ++q) {
    const Panel& panel = states[q / kRows];
    const int64_t r = q % kRows;
    const Floats share = all(1.0f / panel.total[r]);
    V* out = static_cast<V*>(task.out) + (begin + q) * task.out_stride;
    for (int64_t c = 0; c < task.width; c += kLanes) {
      store(out + c, load(panel.mixed[r] + c) * share);
    }
  }
}

int64_t padded_keys(int64_t keys) { return (keys + kTile - 1) / kTile * kTile; }

template <typename V>
int64_t packed_words(int64_t keys, int64_t width) {
  return padded_keys(keys) * width / Word<V>::kElements;
}

// Words of neighbours in a row: [tiles, words of the width, kTile]. Zeros past the last key.
template <typename V>
void pack_keys(const AttentionTask& task) {
  const int64_t words = task.width / Word<V>::kElements;
  for (int64_t k = 0; k < padded_keys(task.keys); ++k) {
    int32_t* to = task.packed_key + k / kTile * kTile * words + k % kTile;
    const V* from = row_of<V>(task.key, k < task.keys ? k : 0);
    for (int64_t i = 0; i < words; ++i) {
      int32_t word = 0;
      if (k < task.keys) __builtin_memcpy(&word, from + Word<V>::kElements * i, sizeof(word));
      to[i * kTile] = word;
    }
  }
}

// Words of the same place in neighbouring rows: [words of the keys, width]. Zeros past the last.
template <typename V>
void pack_values(const AttentionTask& task) {
  constexpr int64_t kElements = Word<V>::kElements;
  for (int64_t k = 0; k < padded_keys(task.keys); k += kElements) {
    V* to = reinterpret_cast<V*>(task.packed_value + k / kElements * task.width);
    for (int64_t e = 0; e < kElements; ++e) {
      const V* from = row_of<V>(task.value, k + e < task.keys ? k + e : 0);
      for (int64_t c = 0; c < task.width; ++c) {
        to[c * kElements + e] = k + e < task.keys ? from[c] : V{};
      }
    }
  }
}

template <typename V>
void pack(const AttentionTask& task) {
  pack_keys<V>(task);
  pack_values<V>(task);
}

template <typename V>
constexpr AttentionKernel kKernel = {packed_words<V>, pack<V>, attend<V>};

}  // namespace

extern const AttentionKernels attention_kernels;
const AttentionKernels attention_kernels = {kKernel<float>, kKernel<BFloat16>};

}  // namespace lexiseg::ops::LEXISEG_ISA
