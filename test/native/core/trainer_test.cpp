#include "core/trainer.h"

#include <ATen/ATen.h>
#include <torch/serialize/archive.h>

#include <cmath>
#include <optional>
#include <utility>

#include "bundle_bytes.h"
#include "check.h"
#include "core/atomic_file.h"
#include "core/error.h"

namespace {

using lexiseg::NamedTensors;
using lexiseg::ParameterGroup;
using lexiseg::Trainer;
using lexiseg::TrainerRequest;

const std::string kScale = "in_vocabulary_classifier.logit_scale";
const std::string kQueries = "transformer_decoder.query_content.weight";

std::shared_ptr<Trainer> open(const std::string& kind, std::vector<ParameterGroup> groups) {
  TrainerRequest request;
  request.path = tiny_bundle();
  request.device = "cpu";
  request.precision = "float32";
  request.threads = 1;
  request.groups = std::move(groups);
  request.optimizer = {kind, 0.9, 0.999, 1e-8, 0.0};
  return Trainer::open(request);
}

// Two halves of an image.
NamedTensors some_batch(Trainer& trainer, int64_t seed) {
  const int64_t side = 64;
  const at::Tensor left = at::arange(side).lt(side / 2).expand({side, side});
  const at::Tensor tokens = at::arange(18, at::kLong).view({2, 9});
  return {
      {"images", at::arange(side * side * 3, at::kLong)
                     .mul(seed)
                     .remainder(251)
                     .to(at::kByte)
                     .view({1, side, side, 3})},
      {"masks", at::stack({left, left.logical_not()}).to(at::kByte)},
      {"labels", at::tensor({0, 1}, at::kLong)},
      {"mask_counts", at::tensor({2}, at::kLong)},
      {"seeds", at::tensor({seed}, at::kLong)},
      {"class_embeddings", trainer.encode_text(tokens)},
      {"synonym_counts", at::ones({2}, at::kLong)},
  };
}

double stepped(Trainer& trainer, int64_t seed, double learning_rate) {
  trainer.accumulate(some_batch(trainer, seed), 1.0, true, true);
  return trainer.update(learning_rate, 0.0);
}

// The first trained parameter, as a checkpoint holds it.
at::Tensor first_value(const Trainer& trainer) {
  const ScratchFile file("");
  trainer.save(file.path());
  torch::serialize::InputArchive archive;
  archive.load_from(file.path());
  at::Tensor value;
  archive.read("value0", value);
  return value;
}

}  // namespace

TEST("a parameter stays within the bounds of its group") {
  const auto bounded = open("sgd", {{{kScale}, 1.0, 0.0, std::pair{2.6, 2.7}}});
  const auto free = open("sgd", {{{kScale}, 1.0, 0.0, std::nullopt}});
  for (const auto& trainer : {bounded, free}) stepped(*trainer, 1, 1e3);
  const double held = first_value(*bounded).item<double>();
  const double loose = first_value(*free).item<double>();
  EXPECT(loose < 2.6 || loose > 2.7);
  EXPECT(std::abs(held - (loose < 2.6 ? 2.6 : 2.7)) < 1e-6);
}

TEST("what an abandoned step has gathered is no part of the next") {
  const std::vector<ParameterGroup> groups{{{kQueries}, 1.0, 0.0, std::nullopt}};
  const auto fresh = open("adamw", groups);
  const double wanted = stepped(*fresh, 2, 1e-3);
  const auto tried = open("adamw", groups);
  tried->accumulate(some_batch(*tried, 1), 1.0, true, false);
  EXPECT(std::abs(stepped(*tried, 2, 1e-3) - wanted) < 1e-6 * wanted);
  // The gradients of one step add up.
  const auto summed = open("adamw", groups);
  summed->accumulate(some_batch(*summed, 1), 1.0, true, false);
  summed->accumulate(some_batch(*summed, 2), 1.0, false, true);
  EXPECT(std::abs(summed->update(1e-3, 0.0) - wanted) > 1e-3 * wanted);
}

TEST("a state from before the first step brings no moments of later ones back") {
  const auto trainer = open("adamw", {{{kQueries}, 1.0, 0.0, std::nullopt}});
  const ScratchFile start("");
  trainer->save(start.path());
  stepped(*trainer, 1, 1e-2);
  const at::Tensor once = first_value(*trainer);
  stepped(*trainer, 2, 1e-2);
  trainer->restore(start.path());
  EXPECT(trainer->step() == 0);
  stepped(*trainer, 1, 1e-2);
  EXPECT(at::equal(first_value(*trainer), once));
}

TEST("what is no checkpoint is refused, and nothing changes") {
  const auto trainer = open("adamw", {{{kQueries}, 1.0, 0.0, std::nullopt}});
  stepped(*trainer, 1, 1e-2);
  const at::Tensor before = first_value(*trainer);
  for (const char* name : {"nested-data.pt", "nested-code.pt", "breaks.pt", "checkpoint.pt"}) {
    EXPECT_CODE(trainer->restore(std::string(LEXISEG_FIXTURES) + "/" + name), "ERR_CHECKPOINT");
  }
  EXPECT(trainer->step() == 1 && at::equal(first_value(*trainer), before));
}

TEST("a full disk is told when the file is closed") {
  lexiseg::FileSink sink("/dev/full");
  const std::string bytes(1 << 16, 'x');
  EXPECT(sink.write(bytes.data(), bytes.size()) == bytes.size());
  EXPECT_CODE(sink.close(), "ERR_OUTPUT");
}
