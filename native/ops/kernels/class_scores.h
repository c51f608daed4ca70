// Class scores of pixels: class probabilities times mask probabilities.
#pragma once

#include <cstdint>

namespace lexiseg::ops {

// Some classes' probabilities in blocks of `ClassScoreKernels::rows` classes: [blocks, queries,
// rows], the last block filled up with anything finite.
struct ClassBlocks {
  const float* probs;
  int64_t classes, queries;
};

struct ClassScoreKernels {
  int64_t rows;
  int64_t pixels;  // of a panel: mask probabilities [queries, pixels]

  // out [blocks * rows, pixels]
  void (*scores)(const ClassBlocks&, const float* panel, float* out);
  // The largest score of each pixel and which class has it, the first among equals; -infinity and
  // -1 where no score is a number.
  void (*best)(const ClassBlocks&, const float* panel, float* score, int32_t* label);
  // The softmax over classes of class logits [classes, pixels]: the class with the largest logit at
  // each pixel, the first among equals, -1 where none is a number; sum over classes of e =
  // exp(logit
  // - largest); and the sum of (logit - largest) * e, from which the entropy follows.
  void (*softmax)(const float* logits, int64_t classes, int32_t* label, float* sum,
                  float* weighted);
};

}  // namespace lexiseg::ops
