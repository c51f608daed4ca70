// Label maps, panoptic maps and instances on geometries and numbers of every kind.
#include <ATen/Parallel.h>

#include <thread>

#include "operators.h"

namespace {

using at::Tensor;
using operators::Dice;

struct Case {
  Tensor masks, probs, scores, labels, thing;
  std::vector<int64_t> geometry;
  int64_t queries, classes;

  operators::Classified classified() const { return {masks, scores, labels, thing}; }
};

// Sides from 1 to a few hundred, most of them small.
int64_t side(Dice& dice) { return dice.below(4) == 0 ? dice.between(1, 300) : dice.between(1, 40); }

Case random_case(Dice& dice, bool odd) {
  Case c;
  c.queries = dice.between(0, 9);
  c.classes = dice.between(1, dice.below(3) == 0 ? 60 : 5);
  const int64_t network_height = side(dice), network_width = side(dice);
  c.geometry = {network_height,
                network_width,
                dice.between(1, network_height),
                dice.between(1, network_width),
                side(dice),
                side(dice)};
  c.masks = dice.tensor({c.queries, dice.between(1, 20), dice.between(1, 70)}, odd);
  c.probs = dice.tensor({c.queries, c.classes}, odd);
  if (!odd) c.probs = c.probs.softmax(-1);
  c.scores = dice.tensor({c.queries}, odd);
  c.labels = at::empty({c.queries}, at::kLong);
  for (int64_t q = 0; q < c.queries; ++q) c.labels[q] = dice.between(0, c.classes);
  c.thing = at::empty({c.classes}, at::kBool);
  for (int64_t k = 0; k < c.classes; ++k) c.thing[k] = dice.below(2) == 0;
  return c;
}

void expect_sound_labels(const Case& c, bool resize_scores) {
  const auto [labels, scores] = operators::label_map(c.masks, c.probs, c.geometry, resize_scores);
  EXPECT(labels.sizes() == at::IntArrayRef({c.geometry[4], c.geometry[5]}));
  EXPECT(scores.sizes() == labels.sizes());
  EXPECT(labels.min().item<int>() >= -1);
  EXPECT(labels.max().item<int>() < c.classes);
  EXPECT(!scores.isnan().any().item<bool>());
}

void expect_sound_segments(const Case& c) {
  const auto [ids, classes, scores, areas, boxes, queries] =
      operators::panoptic_merge(c.classified(), c.geometry, {-100, 0.1});
  const int64_t count = classes.size(0);
  EXPECT(ids.sizes() == at::IntArrayRef({c.geometry[4], c.geometry[5]}));
  EXPECT(ids.min().item<int>() >= 0);
  EXPECT(ids.max().item<int>() <= count);
  for (int64_t i = 0; i < count; ++i) {
    const auto inside = ids == i + 1;
    EXPECT(inside.sum().item<int64_t>() == areas[i].item<int64_t>());
    EXPECT(areas[i].item<int64_t>() > 0);
    EXPECT(c.labels[queries[i].item<int64_t>()].item<int64_t>() == classes[i].item<int64_t>());
    const auto columns = inside.any(0).nonzero(), rows = inside.any(1).nonzero();
    const int64_t left = columns.min().item<int64_t>(), top = rows.min().item<int64_t>();
    EXPECT(boxes[i][0].item<int64_t>() == left);
    EXPECT(boxes[i][1].item<int64_t>() == top);
    EXPECT(boxes[i][2].item<int64_t>() == columns.max().item<int64_t>() - left + 1);
    EXPECT(boxes[i][3].item<int64_t>() == rows.max().item<int64_t>() - top + 1);
  }
}

void expect_sound_instances(const Case& c) {
  const auto [counts, offsets, classes, scores, areas, boxes] =
      operators::select_instances(c.masks, c.probs, c.thing, c.geometry, 7);
  const int64_t count = classes.size(0);
  EXPECT(count <= 7);
  EXPECT(offsets.size(0) == count + 1);
  const auto masks = operators::rle_decode(counts, offsets, c.geometry[4], c.geometry[5]);
  for (int64_t i = 0; i < count; ++i) {
    EXPECT(masks[i].sum().item<int64_t>() == areas[i].item<int64_t>());
    const auto columns = masks[i].any(0).nonzero();
    EXPECT(boxes[i][0].item<int64_t>() == columns.min().item<int64_t>());
    EXPECT(classes[i].item<int64_t>() < c.classes);
  }
}

}  // namespace

TEST("masks of any size give sound results at any size") {
  Dice dice(1);
  for (int round = 0; round < 120; ++round) {
    const Case c = random_case(dice, /*odd=*/false);
    expect_sound_labels(c, round % 2 == 0);
    expect_sound_segments(c);
    expect_sound_instances(c);
  }
}

TEST("numbers of any kind give sound results") {
  Dice dice(2);
  for (int round = 0; round < 120; ++round) {
    const Case c = random_case(dice, /*odd=*/true);
    const auto labels =
        std::get<0>(operators::label_map(c.masks, c.probs, c.geometry, round % 2 == 0));
    EXPECT(labels.min().item<int>() >= -1);
    EXPECT(labels.max().item<int>() < c.classes);
    expect_sound_segments(c);
    expect_sound_instances(c);
  }
}

TEST("features of any size are pooled within bounds") {
  Dice dice(10);
  for (int round = 0; round < 60; ++round) {
    const int64_t batch = dice.between(0, 2), height = side(dice), width = side(dice);
    auto features = dice.tensor({batch, dice.between(1, 300), height, width});
    auto masks = dice.tensor({batch, dice.between(0, 5), height, width}, /*odd=*/true);
    if (round % 2 == 0) features = features.contiguous(at::MemoryFormat::ChannelsLast);
    if (round % 3 == 0) features = features.to(at::kBFloat16);
    if (round % 4 == 0) masks = masks.to(at::kBFloat16);
    const auto pooled = operators::mask_pooling(features, masks);
    EXPECT(pooled.sizes() == at::IntArrayRef({batch, masks.size(1), features.size(1)}));
    EXPECT(!pooled.isnan().any().item<bool>());
  }
}

TEST("extreme aspect ratios and scales stay in bounds") {
  const std::vector<std::vector<int64_t>> geometries = {
      {1, 5000, 1, 5000, 1, 5000}, {5000, 1, 5000, 1, 5000, 1},  {4096, 4096, 4000, 4001, 1, 1},
      {32, 32, 1, 1, 3000, 2},     {20000, 12, 20000, 11, 7, 9}, {2, 2, 2, 2, 1, 20000}};
  Dice dice(3);
  for (const auto& geometry : geometries) {
    Case c = random_case(dice, false);
    c.geometry = geometry;
    expect_sound_labels(c, false);
    expect_sound_labels(c, true);
    expect_sound_segments(c);
    expect_sound_instances(c);
  }
}

TEST("a result does not depend on threads, nor on who else runs") {
  Dice dice(4);
  Case c = random_case(dice, false);
  c.masks = dice.tensor({30, 24, 40});
  c.probs = dice.tensor({30, 90}).softmax(-1);
  c.geometry = {96, 160, 90, 160, 200, 300};
  const auto expected = operators::label_map(c.masks, c.probs, c.geometry, false);
  const auto same = [&] {
    const auto again = operators::label_map(c.masks, c.probs, c.geometry, false);
    return at::equal(std::get<0>(again), std::get<0>(expected)) &&
           at::equal(std::get<1>(again), std::get<1>(expected));
  };
  int sound[4] = {};
  std::vector<std::thread> threads;
  for (int& result : sound) threads.emplace_back([&same, &result] { result = same(); });
  for (std::thread& thread : threads) thread.join();
  for (const int result : sound) EXPECT(result == 1);
  bool nested = true;
  at::parallel_for(0, 2, 1, [&](int64_t, int64_t) {
    if (!same()) nested = false;
  });
  EXPECT(nested);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  EXPECT(same());
  at::set_num_threads(before);
}
