// Deformable attention on places and sizes of every kind.
#include "operators.h"

namespace {

using operators::Attention;
using operators::Dice;

Attention random_attention(Dice& dice, at::ScalarType dtype, bool odd) {
  const int64_t levels = dice.between(1, 3), points = dice.between(1, 5);
  const int64_t batch = dice.between(0, 2), heads = dice.between(1, 3);
  const int64_t width = dice.between(1, 70), queries = dice.between(0, 9);
  std::vector<int64_t> shapes;
  int64_t tokens = 0;
  for (int64_t level = 0; level < levels; ++level) {
    shapes.push_back(dice.between(1, 7));
    shapes.push_back(dice.between(1, 7));
    tokens += shapes[2 * level] * shapes[2 * level + 1];
  }
  return {dice.tensor({batch, tokens, heads, width}).to(dtype), shapes,
          dice.tensor({queries, 2}, odd),
          dice.tensor({batch, queries, heads, levels, points, 2}, odd).to(dtype),
          dice.tensor({batch, queries, heads, levels * points}, odd).to(dtype)};
}

}  // namespace

TEST("attention reads no token that is not there") {
  Dice dice(5);
  for (int round = 0; round < 200; ++round) {
    const auto dtype = round % 3 == 0 ? at::kFloat : round % 3 == 1 ? at::kBFloat16 : at::kDouble;
    const Attention a = random_attention(dice, dtype, /*odd=*/round % 2 == 0);
    const auto out = operators::ms_deform_attn(a);
    EXPECT(out.scalar_type() == dtype);
    const auto [value, offsets, logits] = operators::ms_deform_attn_backward(at::ones_like(out), a);
    EXPECT(value.sizes() == a.value.sizes());
    EXPECT(offsets.sizes() == a.offsets.sizes());
    EXPECT(logits.sizes() == a.logits.sizes());
    if (round % 2 == 1) EXPECT(!out.isnan().any().item<bool>());
  }
}

TEST("attention refuses levels that are not the value's") {
  Dice dice(6);
  Attention a = random_attention(dice, at::kFloat, false);
  const auto shapes = a.shapes;
  a.shapes = {};
  EXPECT_REFUSAL(operators::ms_deform_attn(a), "for spatial_shapes");
  a.shapes = shapes;
  a.shapes[0] += 1;
  EXPECT_REFUSAL(operators::ms_deform_attn(a), "for spatial_shapes");
  a.shapes = shapes;
  a.shapes[0] = int64_t{1} << 40;
  a.shapes[1] = int64_t{1} << 40;
  EXPECT_REFUSAL(operators::ms_deform_attn(a), "for spatial_shapes");
  a.shapes = shapes;
  a.value = at::Tensor();
  EXPECT(!operators::refusal([&] { return operators::ms_deform_attn(a); }).empty());
}
