// What is not a fitting tensor is refused by name.
#include "operators.h"

namespace {

using at::Tensor;

const std::vector<int64_t> kGeometry{16, 16, 16, 16, 8, 8};

struct Good {
  Tensor masks = at::zeros({2, 4, 4}), probs = at::zeros({2, 3}), scores = at::zeros({2});
  Tensor labels = at::zeros({2}, at::kLong), thing = at::zeros({3}, at::kBool);
};

}  // namespace

TEST("mask logits of another kind are refused") {
  const Good good;
  for (const Tensor& masks :
       {at::zeros({4, 4}), at::zeros({2, 4, 4}, at::kHalf), at::zeros({2, 4, 0}),
        at::zeros({2, 0, 4}), at::zeros({2, 1, 2, 2})}) {
    EXPECT_REFUSAL(operators::label_map(masks, good.probs, kGeometry, false), "mask_logits");
    EXPECT_REFUSAL(operators::select_instances(masks, good.probs, good.thing, kGeometry, 5),
                   "mask_logits");
    EXPECT_REFUSAL(
        operators::panoptic_merge({masks, good.scores, good.labels, good.thing}, kGeometry),
        "mask_logits");
  }
}

TEST("undefined tensors and tensors without data are refused") {
  const Good good;
  EXPECT(!operators::refusal([&] {
            return operators::label_map(good.masks, Tensor(), kGeometry, false);
          }).empty());
  EXPECT(!operators::refusal([&] {
            return operators::label_map(good.masks, good.probs.to(at::kMeta), kGeometry, false);
          }).empty());
  EXPECT(!operators::refusal([&] {
            return operators::label_map(good.masks.to_sparse(), good.probs, kGeometry, false);
          }).empty());
  EXPECT(!operators::refusal([&] {
            return operators::rle_encode(at::zeros({1, 2, 2}, at::kByte).to(at::kMeta));
          }).empty());
}

TEST("geometries that cannot be are refused") {
  const Good good;
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  for (const std::vector<int64_t>& geometry :
       std::vector<std::vector<int64_t>>{{},
                                         {16, 16, 16, 16, 8},
                                         {16, 16, 16, 16, 8, 0},
                                         {16, 16, 17, 16, 8, 8},
                                         {16, 16, 16, -1, 8, 8},
                                         {kHuge, 16, 16, 16, 8, 8},
                                         {16, 16, 16, 16, kHuge, kHuge},
                                         {16, 16, 16, 16, 1 << 20, 1 << 20}}) {
    EXPECT_REFUSAL(operators::label_map(good.masks, good.probs, geometry, true), "geometry");
    EXPECT_REFUSAL(operators::select_instances(good.masks, good.probs, good.thing, geometry, 5),
                   "geometry");
    EXPECT_REFUSAL(
        operators::panoptic_merge({good.masks, good.scores, good.labels, good.thing}, geometry),
        "geometry");
  }
}

TEST("classes that do not fit are refused") {
  const Good good;
  EXPECT_REFUSAL(operators::label_map(good.masks, at::zeros({3, 3}), kGeometry, false),
                 "class_probs");
  EXPECT_REFUSAL(operators::label_map(good.masks, at::zeros({2, 3}, at::kDouble), kGeometry, false),
                 "class_probs");
  for (const int64_t label : {int64_t{-1}, int64_t{4}, std::numeric_limits<int64_t>::min()}) {
    EXPECT_REFUSAL(
        operators::panoptic_merge(
            {good.masks, good.scores, at::full({2}, label, at::kLong), good.thing}, kGeometry),
        "labels");
  }
  EXPECT_REFUSAL(operators::select_instances(good.masks, good.probs, good.thing, kGeometry, -1),
                 "top_k");
  EXPECT(std::get<2>(operators::select_instances(good.masks, good.probs, good.thing, kGeometry,
                                                 std::numeric_limits<int64_t>::max()))
             .size(0) == 0);
}

TEST("costs are assigned whatever their size, and refused when they are not finite") {
  for (const double scale : {1e308, 1e-308, 1.0}) {
    const auto cost = at::tensor({3.0, -1.0, 2.0, 1.7, -1.7, 0.1, -1.7, 1.7, 0.2}, at::kDouble)
                          .mul(scale / 3)
                          .view({3, 3});
    const auto [rows, columns] = operators::linear_sum_assignment(cost);
    EXPECT(at::equal(columns, at::tensor({1, 2, 0}, at::kLong)));
  }
  auto cost = at::zeros({3, 4});
  cost[1][2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_REFUSAL(operators::linear_sum_assignment(cost), "row 1, column 2");
  EXPECT_REFUSAL(operators::linear_sum_assignment(at::zeros({3})), "cost");
}

TEST("random costs are assigned to different columns") {
  operators::Dice dice(9);
  for (int round = 0; round < 60; ++round) {
    const int64_t rows_in = dice.between(1, 12), columns_in = dice.between(1, 12);
    const auto [rows, columns] =
        operators::linear_sum_assignment(dice.tensor({rows_in, columns_in}).round());
    const int64_t count = std::min(rows_in, columns_in);
    EXPECT(rows.size(0) == count);
    EXPECT(std::get<0>(at::_unique(columns)).size(0) == count);
    EXPECT(std::get<0>(at::_unique(rows)).size(0) == count);
  }
}
