#include "core/model.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <filesystem>

#include "bundle_bytes.h"
#include "check.h"
#include "core/archive.h"
#include "core/error.h"

namespace {

using lexiseg::LoadRequest;
using lexiseg::Model;

const std::vector<std::string> kStages{"stage_preprocess", "stage_backbone", "stage_pixel_decoder",
                                       "stage_transformer_decoder"};

std::shared_ptr<Model> load(const std::string& path, const std::string& dtype = "float32") {
  LoadRequest request;
  request.path = path;
  request.device = "cpu";
  request.dtype = dtype;
  return Model::load(request);
}

std::string fixture(const std::string& name) { return std::string(LEXISEG_FIXTURES) + "/" + name; }

at::Tensor some_image(int64_t height, int64_t width) {
  return at::arange(height * width * 3, at::kLong)
      .remainder(251)
      .to(at::kByte)
      .view({1, height, width, 3});
}

at::Tensor some_tokens(int64_t prompts, int64_t length) {
  return at::arange(prompts * length, at::kLong).remainder(1000).view({prompts, length});
}

at::Tensor unit_rows(int64_t rows, int64_t width) {
  const at::Tensor ramp = at::arange(rows * width, at::kFloat).sin().view({rows, width});
  return ramp / ramp.norm(2, 1, true);
}

// The tiny bundle with the numbers of its largest weights replaced.
std::string poisoned_bundle() {
  std::string bytes = file_bytes(tiny_bundle());
  const auto archive = lexiseg::Archive::open(tiny_bundle());
  for (const auto& record : archive->records()) {
    if (!record.name.starts_with("data/") || record.size < 1024) continue;
    const size_t middle = record.header + record.size / 2;
    std::fill_n(bytes.begin() + static_cast<ptrdiff_t>(middle), 256, '\xff');
  }
  return bytes;
}

}  // namespace

TEST("the tiny bundle loads, and its methods give the shapes of the contract") {
  const c10::InferenceMode inference;
  const auto model = load(tiny_bundle());
  const auto& methods = model->info().methods;
  for (const char* name : {"encode_text", "propose_masks", "classify_masks"}) {
    EXPECT(std::find(methods.begin(), methods.end(), name) != methods.end());
  }
  EXPECT(model->info().weight_bytes > 1 << 20);
  const at::Tensor text = model->encode_text(some_tokens(3, 9));
  EXPECT(text.dim() == 2 && text.size(0) == 3 && text.scalar_type() == at::kFloat);
  EXPECT((text.norm(2, 1) - 1).abs().max().item<float>() < 1e-4);
  const auto proposals = model->propose_masks(some_image(120, 160));
  EXPECT(proposals.size() == 7 && proposals[0].dim() == 4);
  const at::Tensor counts = at::ones({3}, at::kLong);
  const at::Tensor log_probs =
      model->classify_masks(proposals, text, counts, at::zeros({3}, at::kBool));
  EXPECT(log_probs.dim() == 3 && log_probs.size(1) == proposals[0].size(1) &&
         log_probs.size(2) == 4);
  const auto times = model->profile(some_image(64, 64), kStages);
  EXPECT(times.size() == kStages.size() && times[1].milliseconds > 0);
}

TEST("bfloat16 stays near float32, and its weights are smaller") {
  const c10::InferenceMode inference;
  const auto exact = load(tiny_bundle());
  const auto fast = load(tiny_bundle(), "bfloat16");
  EXPECT(fast->info().dtype == at::kBFloat16);
  EXPECT(fast->info().weight_bytes < exact->info().weight_bytes);
  const at::Tensor tokens = some_tokens(4, 12);
  const at::Tensor cosine = (exact->encode_text(tokens) * fast->encode_text(tokens)).sum(1);
  EXPECT(cosine.min().item<float>() > 0.99);
}

TEST("submodules named to stay float32 keep their bytes") {
  LoadRequest request;
  request.path = tiny_bundle();
  request.device = "cpu";
  request.dtype = "bfloat16";
  const auto all = Model::load(request);
  request.keep_float32 = {"transformer_decoder"};
  EXPECT(Model::load(request)->info().weight_bytes > all->info().weight_bytes);
}

TEST("a later call is no other than the first") {
  const c10::InferenceMode inference;
  const auto model = load(tiny_bundle());
  const auto image = some_image(97, 133);
  const auto first = model->propose_masks(image);
  const auto second = model->propose_masks(image);
  for (size_t i = 0; i < first.size(); ++i) EXPECT(first[i].equal(second[i]));
}

TEST("a result shares no memory with an argument") {
  const c10::InferenceMode inference;
  const auto model = load(fixture("breaks.pt"));
  const at::Tensor tokens = some_tokens(2, 3);
  EXPECT(!model->encode_text(tokens).is_alias_of(tokens));
}

TEST("arguments that do not fit are refused before anything runs") {
  const c10::InferenceMode inference;
  const auto model = load(tiny_bundle());
  EXPECT_CODE(model->encode_text(at::ones({3}, at::kLong)), "ERR_TENSOR");
  EXPECT_CODE(model->encode_text(at::ones({3, 4})), "ERR_TENSOR");
  EXPECT_CODE(model->encode_text(at::ones({0, 4}, at::kLong)), "ERR_TENSOR");
  EXPECT_CODE(model->propose_masks(at::ones({1, 8, 8, 4}, at::kByte)), "ERR_TENSOR");
  EXPECT_CODE(model->propose_masks(at::ones({1, 8, 8, 3})), "ERR_TENSOR");
  EXPECT_CODE(model->propose_masks(at::ones({1, 0, 8, 3}, at::kByte)), "ERR_IMAGE_SIZE");
  EXPECT_CODE(model->propose_masks(at::ones({1, 1, 40000, 3}, at::kByte)), "ERR_IMAGE_SIZE");
  const auto proposals = model->propose_masks(some_image(64, 64));
  const at::Tensor embeddings = unit_rows(3, proposals[1].size(2));
  const at::Tensor ones = at::ones({3}, at::kLong);
  const at::Tensor seen = at::zeros({3}, at::kBool);
  const auto classify = [&](const at::Tensor& e, const at::Tensor& c, const at::Tensor& s) {
    return model->classify_masks(proposals, e, c, s);
  };
  EXPECT(classify(embeddings, ones, seen).size(2) == 4);
  EXPECT_CODE(classify(embeddings, ones * 2, seen), "ERR_TENSOR");
  EXPECT_CODE(classify(embeddings, ones * 0, seen), "ERR_TENSOR");
  EXPECT_CODE(classify(embeddings, ones * -1, seen), "ERR_TENSOR");
  EXPECT_CODE(classify(embeddings, ones, at::zeros({2}, at::kBool)), "ERR_TENSOR");
  EXPECT_CODE(classify(unit_rows(3, 5), ones, seen), "ERR_INFERENCE");
  EXPECT_CODE(model->classify_masks({proposals[0]}, embeddings, ones, seen), "ERR_TENSOR");
  EXPECT_CODE(model->encode_text(at::full({1, 4}, 1'000'000'000, at::kLong)), "ERR_INFERENCE");
  EXPECT_CODE(model->encode_text(at::full({1, 4}, -5, at::kLong)), "ERR_INFERENCE");
}

TEST("images of every lawful size run") {
  const c10::InferenceMode inference;
  const auto model = load(tiny_bundle());
  for (const auto& [height, width] :
       {std::pair<int64_t, int64_t>{1, 1}, {1, 500}, {500, 2}, {33, 31}}) {
    EXPECT(model->propose_masks(some_image(height, width)).size() == 7);
  }
}

TEST("weights that are not numbers give a coded error, not a result") {
  const c10::InferenceMode inference;
  const ScratchFile file(poisoned_bundle());
  const auto model = load(file.path());
  EXPECT_CODE(model->propose_masks(some_image(64, 64)), "ERR_NOT_FINITE");
}

TEST("files that are no bundles are refused") {
  EXPECT_CODE(load(fixture("checkpoint.pt")), "ERR_BUNDLE_READ");
  EXPECT_CODE(load(fixture("legacy-checkpoint.pt")), "ERR_BUNDLE_READ");
  EXPECT_CODE(load(fixture("foreign-module.pt")), "ERR_BUNDLE_CONTRACT");
  EXPECT_CODE(load(fixture("compressed-module.pt")), "ERR_BUNDLE_READ");
  EXPECT_CODE(load(fixture("nested-code.pt")), "ERR_BUNDLE_READ");
  EXPECT_CODE(load(fixture("nested-data.pt")), "ERR_BUNDLE_READ");
  EXPECT_CODE(load(fixture("wrong-arity.pt")), "ERR_BUNDLE_CONTRACT");
  EXPECT_CODE(load(fixture("writes-file.pt")), "ERR_BUNDLE_CONTRACT");
  EXPECT_CODE(load(fixture("maps-file.pt")), "ERR_BUNDLE_CONTRACT");
  EXPECT_CODE(load(fixture("forks-writing.pt")), "ERR_BUNDLE_CONTRACT");
  EXPECT_CODE(load(fixture("awaits-writing.pt")), "ERR_BUNDLE_CONTRACT");
  EXPECT_CODE(load(fixture("calls-interface.pt")), "ERR_BUNDLE_CONTRACT");
  EXPECT_CODE(load(fixture("reinterprets-memory.pt")), "ERR_BUNDLE_CONTRACT");
  EXPECT_CODE(load(fixture("writes-when-loaded.pt")), "ERR_BUNDLE_READ");
  EXPECT(!std::filesystem::exists("/tmp/lexiseg-written-by-a-bundle"));
}

TEST("a method that raises, is absent or returns no tensor gives a coded error") {
  const c10::InferenceMode inference;
  const auto model = load(fixture("breaks.pt"));
  EXPECT_CODE(model->propose_masks(some_image(8, 8)), "ERR_INFERENCE");
  EXPECT_CODE(model->encode_images(some_image(8, 8)), "ERR_INFERENCE");
  EXPECT_CODE(model->profile(some_image(8, 8), {"stage_absent"}), "ERR_BUNDLE_CONTRACT");
  EXPECT_CODE(model->classify_masks({}, unit_rows(1, 4), at::ones({1}, at::kLong),
                                    at::zeros({1}, at::kBool)),
              "ERR_BUNDLE_CONTRACT");
}

TEST("attention reads no more keys than there are") {
  const c10::InferenceMode inference;
  const auto model = load(fixture("reads-beyond.pt"));
  EXPECT_CODE(model->encode_text(some_tokens(2, 3)), "ERR_INFERENCE");
}

TEST("bytes flipped anywhere give a model or a coded error") {
  const std::string bytes = file_bytes(tiny_bundle());
  Dice dice(7);
  for (int i = 0; i < 25; ++i) {
    std::string damaged = bytes;
    for (int k = 0; k < 20; ++k) {
      damaged[dice.next() % damaged.size()] = static_cast<char>(dice.next());
    }
    const ScratchFile file(damaged);
    try {
      load(file.path());
    } catch (const lexiseg::Error& error) {
      EXPECT(std::string(error.code()).starts_with("ERR_BUNDLE"));
    }
  }
}

TEST("wrong devices and dtypes are refused") {
  LoadRequest request;
  request.path = tiny_bundle();
  request.device = "tpu";
  request.dtype = "auto";
  EXPECT_CODE(Model::load(request), "ERR_ARGUMENT");
  request.device = "cpu";
  request.dtype = "float8";
  EXPECT_CODE(Model::load(request), "ERR_ARGUMENT");
}
