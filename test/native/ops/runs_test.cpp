// Run lengths and their text, from any bytes.
#include "operators.h"
#include "ops/rle.h"

namespace {

using lexiseg::ops::rle_from_string;
using lexiseg::ops::rle_to_string;
using operators::Dice;

at::Tensor numbers(const std::vector<int32_t>& values) {
  return at::tensor(at::ArrayRef<int32_t>(values), at::kInt);
}

at::Tensor offsets(const std::vector<int64_t>& values) {
  return at::tensor(at::ArrayRef<int64_t>(values), at::kLong);
}

}  // namespace

TEST("counts survive their text") {
  Dice dice(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<uint32_t> counts(dice.below(20));
    for (uint32_t& count : counts) {
      count = static_cast<uint32_t>(dice.below(int64_t{1} << dice.between(1, 31)));
    }
    if (round == 0) counts = {0xffffffffu, 0, 0xffffffffu, 0, 0xffffffffu, 0xffffffffu, 0, 1};
    EXPECT(rle_from_string(rle_to_string(counts)) == counts);
  }
  EXPECT(rle_to_string({}).empty());
  EXPECT(rle_from_string("").empty());
}

TEST("text equals what COCO's own tools write") {
  EXPECT(rle_to_string({6, 1, 40, 4, 5, 4, 5, 4, 21}) == "61X13mN000`0");
}

TEST("text that no encoder writes is refused") {
  for (const std::string text :
       {"o", "Z`", "~", " ", "\x7f", "0\n", "OOOOOOO", "oooooooooooooo0"}) {
    EXPECT(!operators::refusal([&] { return rle_from_string(text); }).empty());
  }
  EXPECT(
      !operators::refusal([] { return rle_from_string(std::string_view("0\0000", 5)); }).empty());
}

TEST("random text is read or refused") {
  Dice dice(8);
  for (int round = 0; round < 5000; ++round) {
    std::string text(dice.below(12), '0');
    for (char& c : text) {
      c = static_cast<char>(round % 2 == 0 ? dice.between(48, 111) : dice.below(256));
    }
    operators::refusal([&] { return rle_from_string(text); });
  }
}

TEST("masks of any size survive their counts") {
  Dice dice(9);
  for (int round = 0; round < 150; ++round) {
    const int64_t masks = dice.between(0, 3), height = dice.between(0, 140),
                  width = dice.between(0, 140);
    const auto in = (dice.tensor({masks, height, width}) > dice.number()).to(at::kByte);
    const auto [counts, bounds] = operators::rle_encode(in);
    EXPECT(at::equal(operators::rle_decode(counts, bounds, height, width), in));
  }
}

TEST("counts that do not fit are refused before memory is asked for") {
  constexpr int32_t kMost = std::numeric_limits<int32_t>::max();
  EXPECT_REFUSAL(operators::rle_decode(numbers({kMost}), offsets({0, 1}), 20000, 20000), "counts");
  EXPECT_REFUSAL(operators::rle_decode(numbers({-5, 9}), offsets({0, 2}), 2, 2), "counts");
  EXPECT_REFUSAL(operators::rle_decode(numbers({kMost, kMost, 6}), offsets({0, 3}), 2, 2),
                 "counts");
  EXPECT_REFUSAL(operators::rle_decode(numbers({4}), offsets({0, 9}), 2, 2), "offsets");
  EXPECT_REFUSAL(operators::rle_decode(numbers({4}), offsets({-1, 1}), 2, 2), "offsets");
  EXPECT_REFUSAL(operators::rle_decode(numbers({4, 0}), offsets({0, 2, 1, 2}), 2, 2), "offsets");
  EXPECT_REFUSAL(operators::rle_decode(numbers({4}), offsets({}), 2, 2), "offsets");
  EXPECT_REFUSAL(operators::rle_decode(numbers({4}), offsets({0, 1}), int64_t{1} << 40, 1), "size");
  EXPECT_REFUSAL(operators::rle_decode(numbers({4}), offsets({0, 1}), -2, -2), "size");
}
