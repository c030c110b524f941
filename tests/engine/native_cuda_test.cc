// Text to label by the CUDA backend on the host executor: everything of the GPU's way through the
// engine but the GPU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "engine/native.h"
#include "engine/native_classifier.h"
#include "measure/paced.h"
#include "ops/cuda/blocks.h"
#include "ops/cuda/cuda_backend.h"
#include "ops/cuda/emulator/host_runtime.h"

namespace breakeven::engine {
namespace {

using emulator::HostDevice;
using emulator::HostRuntime;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::shared_ptr<const LoadedModel> narrow() {
  static const std::shared_ptr<const LoadedModel> model = *load_model({.model = "builtin-narrow"});
  return model;
}

// A classifier whose "cuda:0", "cuda:1" ... are host executors.
struct Gpus {
  std::vector<std::shared_ptr<HostRuntime>> runtimes;
  std::unique_ptr<NativeClassifier> classifier;
  Gpus(NativeOptions options, const std::vector<HostDevice>& devices) {
    options.setup.device = {};
    std::vector<Place> places;
    for (const HostDevice& device : devices) {
      Place place;
      place.device = "cuda:" + std::to_string(places.size());
      options.setup.device.gpus.push_back(static_cast<int>(places.size()));
      runtimes.push_back(std::make_shared<HostRuntime>(device));
      place.backend =
          ops::cuda::make_blocks(runtimes.back(), options.setup.precision, {.kernels = {}});
      place.packed = place.backend->pack(narrow()->checkpoint.weights.view()).value();
      places.push_back(std::move(place));
    }
    classifier = std::make_unique<NativeClassifier>(*narrow(), options, std::move(places));
  }
};
struct Gpu : Gpus {
  std::shared_ptr<HostRuntime> runtime;
  explicit Gpu(const NativeOptions& options, const HostDevice& device = {})
      : Gpus(options, {device}), runtime(runtimes.front()) {}
};

const std::vector<Text> kTexts = {"a great film", "terrible !", "",
                                  "the actors were not bad , the plot was", "unwatchable"};

std::vector<float> judged(const std::vector<Text>& texts) {
  const auto judge = *make_native(
      narrow(), {.setup = {.max_length = 32, .batch = texts.size()}, .reference = true});
  BatchResult out;
  EXPECT_TRUE(judge->run_batch(texts, out));
  return out.logits;
}

TEST(NativeCuda, BatchesAgreeWithTheReference) {
  const auto right = judged(kTexts);
  for (const Padding padding : {Padding::none, Padding::longest}) {
    Gpu gpu({.setup = {.precision = ops::Precision::fp16,
                       .max_length = 32,
                       .batch = kTexts.size(),
                       .padding = padding}});
    BatchResult out;
    for (int pass = 0; pass < 3; ++pass) {  // eager, captured, replayed
      ASSERT_TRUE(gpu.classifier->run_batch(kTexts, out));
      ASSERT_EQ(out.logits.size(), right.size());
      for (std::size_t i = 0; i < right.size(); ++i) EXPECT_NEAR(out.logits[i], right[i], 0.02);
    }
    EXPECT_GT(out.stages.upload, 0);
    EXPECT_GT(out.stages.download, 0);
    EXPECT_THAT(gpu.runtime->report().findings, IsEmpty());
    EXPECT_GE(gpu.runtime->graph_launches(), 2U);
  }
}

// Rows have scales of their own, so that a text's logits are the same whoever shares its batch.
TEST(NativeCuda, Fp8KeepsLabelsAndKnowsNoNeighbours) {
  const auto right = judged(kTexts);
  const std::size_t classes = right.size() / kTexts.size();
  Gpu gpu({.setup = {.precision = ops::Precision::fp8, .max_length = 32, .batch = kTexts.size()}},
          {.minor = 9});
  BatchResult out;
  ASSERT_TRUE(gpu.classifier->run_batch(kTexts, out));
  const std::vector<float> together = out.logits;
  ASSERT_EQ(together.size(), right.size());
  for (std::size_t i = 0; i < right.size(); ++i) EXPECT_NEAR(together[i], right[i], 0.2);
  for (std::size_t text = 0; text < kTexts.size(); ++text) {
    const std::size_t first = text * classes;
    EXPECT_EQ(together[first] < together[first + 1], right[first] < right[first + 1]);
    ASSERT_TRUE(gpu.classifier->run_batch({kTexts.data() + text, 1}, out));
    for (std::size_t c = 0; c < classes; ++c) EXPECT_EQ(out.logits[c], together[first + c]);
  }
  EXPECT_THAT(gpu.runtime->report().kernels, ::testing::Contains("dequantise_row_activation"));
  EXPECT_THAT(gpu.runtime->report().findings, IsEmpty());
  EXPECT_EQ(gpu.classifier->info().settings.at("kernels"), "fast");
}

TEST(NativeCuda, TheRecordSaysWhichKernelsRan) {
  Gpu gpu({.setup = {.precision = ops::Precision::fp16, .max_length = 32, .batch = 2}},
          {.gemm_library = false});
  const ClassifierInfo info = gpu.classifier->info();
  EXPECT_EQ(to_string(info.device), "cuda:0");
  EXPECT_EQ(info.instruction_set, "sm_80");
  EXPECT_EQ(info.settings.at("kernels"), "plain: gemm");
  EXPECT_EQ(info.settings.at("gemm"), "own");
  EXPECT_EQ(info.device_peak_bytes, info.weight_bytes);
}

TEST(NativeCuda, ABatchThatDoesNotFitIsRefusedWithTheLargestThatDoes) {
  const HostDevice small{.memory_bytes = std::size_t{24} << 20};
  Gpu gpu({.setup = {.precision = ops::Precision::fp16, .max_length = 128, .batch = 400}}, small);
  BatchResult out;
  const auto refused = gpu.classifier->run_batch(kTexts, out);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "ops/memory");
  EXPECT_THAT(refused.error().message, HasSubstr("a batch of 400 texts of 128 tokens needs"));
  const std::string hint = refused.error().hint;
  ASSERT_THAT(hint, HasSubstr("the largest batch that fits is "));
  // The prediction is exact: it fits, and one more does not.
  const std::size_t fits = std::stoul(hint.substr(hint.rfind(' ') + 1));
  ASSERT_GE(fits, 1U);
  for (const std::size_t batch : {fits, fits + 1}) {
    Gpu other({.setup = {.precision = ops::Precision::fp16, .max_length = 128, .batch = batch}},
              small);
    const std::vector<Text> one = {"a great film"};
    EXPECT_EQ(other.classifier->run_batch(one, out).has_value(), batch == fits) << batch;
  }
}

// Twelve texts in batches of two.
std::vector<Text> many() {
  std::vector<Text> texts;
  for (int i = 0; i < 12; ++i) texts.push_back(kTexts[static_cast<std::size_t>(i * 7 % 5)]);
  return texts;
}
const NativeOptions kTwoAtOnce{
    .setup = {.precision = ops::Precision::fp16, .max_length = 32, .batch = 2}};

// One queue of batches for all devices: the slow one takes fewer, results keep the texts' order.
TEST(NativeGpus, OneStreamRunsOnAllOfThem) {
  const auto texts = many();
  const auto right = judged(texts);
  Gpus gpus(kTwoAtOnce, {{}, {.synchronise_s = 0.02}});
  EXPECT_EQ(to_string(gpus.classifier->info().device), "cuda:0+cuda:1");
  StreamResult out;
  for (int pass = 0; pass < 2; ++pass) {
    ASSERT_TRUE(gpus.classifier->run_stream(texts, 2, out));
    ASSERT_EQ(out.logits.size(), right.size());
    for (std::size_t i = 0; i < right.size(); ++i) EXPECT_NEAR(out.logits[i], right[i], 0.02) << i;
  }
  EXPECT_EQ(out.batches_in_flight, 4U);  // two on each
  for (const auto& runtime : gpus.runtimes) {
    EXPECT_GT(runtime->launches(), 0U);
    EXPECT_THAT(runtime->report().findings, IsEmpty());
  }
}

// A GPU that is lost in the middle of a stream ends it with its name; the other one is not to
// blame, and what it computed is no result.
TEST(NativeGpus, OneThatFailsInTheMiddleEndsTheStream) {
  const auto texts = many();
  Gpus gpus(kTwoAtOnce, {{}, {.fails_after = 60, .name = "the second GPU"}});
  StreamResult out;
  bool failed = false;
  for (int pass = 0; pass < 20 && !failed; ++pass) {
    const auto ran = gpus.classifier->run_stream(texts, 2, out);
    failed = !ran;
    if (!failed) continue;
    EXPECT_EQ(ran.error().code, "device/failed");
    EXPECT_EQ(ran.error().message, "cuda:1: the second GPU has fallen off");
  }
  EXPECT_TRUE(failed);
  EXPECT_FALSE(gpus.classifier->run_stream(texts, 2, out)) << "it stays lost";
}

TEST(NativeGpus, ABatchIsSharedOutWhereItIsLargeEnough) {
  std::vector<Text> texts;
  for (int i = 0; i < 32; ++i) texts.push_back(kTexts[static_cast<std::size_t>(i % 5)]);
  const NativeOptions options{.setup = {.precision = ops::Precision::fp16,
                                        .max_length = 32,
                                        .batch = texts.size(),
                                        .padding = Padding::max_length}};
  const auto right = judged(texts);
  Gpus gpus(options, {{}, {}});
  BatchResult out;
  ASSERT_TRUE(gpus.classifier->run_batch(texts, out));
  for (std::size_t i = 0; i < right.size(); ++i) EXPECT_NEAR(out.logits[i], right[i], 0.02) << i;
  EXPECT_GT(gpus.runtimes[1]->launches(), 0U);
  const std::size_t before = gpus.runtimes[1]->launches();
  ASSERT_TRUE(gpus.classifier->run_batch(kTexts, out));  // too small to be worth two
  EXPECT_EQ(gpus.runtimes[1]->launches(), before);
  Gpus failing(options, {{.fails_after = 10}, {.fails_after = 10}});
  const auto ran = failing.classifier->run_batch(texts, out);
  ASSERT_FALSE(ran);
  EXPECT_THAT(ran.error().message, HasSubstr("has fallen off"));
}

TEST(NativeGpus, TheRecordSaysWhereTheyDiffer) {
  Gpus gpus(kTwoAtOnce, {{}, {.gemm_library = false}});
  const ClassifierInfo info = gpus.classifier->info();
  EXPECT_EQ(info.settings.at("kernels"), "cuda:0: fast; cuda:1: plain: gemm");
  EXPECT_EQ(info.settings.at("gemm"), "cuda:0: interpreted; cuda:1: own");
  EXPECT_EQ(info.device_peak_bytes, info.weight_bytes);
}

TEST(NativeGpus, TheSmallestOneDecidesWhatFits) {
  Gpus gpus({.setup = {.precision = ops::Precision::fp16, .max_length = 128, .batch = 400}},
            {{}, {.memory_bytes = std::size_t{24} << 20}});
  BatchResult out;
  const auto refused = gpus.classifier->run_batch(kTexts, out);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "ops/memory");
  EXPECT_THAT(refused.error().message, HasSubstr("on cuda:1"));
}

// A classifier whose batches take a second each, and what each of them asked of the device.
class Counted final : public Classifier {
 public:
  struct Batch {
    std::size_t texts, launches, graphs, waits;
  };
  Counted(Gpu& gpu, ManualClock& clock) : gpu_(gpu), clock_(clock) {}
  ClassifierInfo info() const override { return gpu_.classifier->info(); }
  Result<void> run_batch(std::span<const Text> texts, BatchResult& out) override {
    const HostRuntime& runtime = *gpu_.runtime;
    const Batch before{0, runtime.launches(), runtime.graph_launches(), runtime.synchronisations()};
    auto result = gpu_.classifier->run_batch(texts, out);
    batches.push_back({texts.size(), runtime.launches() - before.launches,
                       runtime.graph_launches() - before.graphs,
                       runtime.synchronisations() - before.waits});
    clock_.advance(1);
    return result;
  }
  Result<void> run_stream(std::span<const Text> texts, std::size_t batch,
                          StreamResult& out) override {
    return gpu_.classifier->run_stream(texts, batch, out);
  }

  std::vector<Batch> batches;

 private:
  Gpu& gpu_;
  ManualClock& clock_;
};

// Texts of one length, so that a batch's bucket is its number of texts.
TEST(NativeCuda, RequestsThatWaitTogetherShareOneLaunchInPacedMode) {
  const std::vector<Text> texts(8, "a great film");
  Gpu gpu({.setup = {.precision = ops::Precision::fp16, .max_length = 32, .batch = 4}});
  ManualClock clock;
  Counted counted(gpu, clock);
  const measure::PacedOptions options{.rate_per_s = 2.5, .max_batch = 4, .window_s = 40};
  const auto outputs = measure::answer_all(counted, texts, options.max_batch);
  const auto played = measure::run_paced(counted, texts, options, *outputs, clock);
  ASSERT_TRUE(played);
  EXPECT_FALSE(played->saturated);
  std::map<std::size_t, std::size_t> met;  // batches of so many texts
  for (const Counted::Batch& batch : counted.batches) {
    SCOPED_TRACE(::testing::Message() << batch.texts << " texts, met " << met[batch.texts]);
    EXPECT_EQ(batch.graphs, met[batch.texts] > 0 ? 1U : 0U);
    if (met[batch.texts] > 1) {
      EXPECT_EQ(batch.launches, 1U);
      EXPECT_EQ(batch.waits, 1U);
    }
    ++met[batch.texts];
  }
  EXPECT_LT(counted.batches.size(), 2 + options.rate_per_s * options.window_s / 2)
      << "requests have waited together";
  for (std::size_t size = 2; size <= 4; ++size) EXPECT_GT(met[size], 2U) << size;
}

// In a stream nobody waits: batches of one text stay launches of their own.
TEST(NativeCuda, AStreamOfSingleTextsLaunchesEachAlone) {
  const std::vector<Text> texts(12, "a great film");
  Gpu gpu({.setup = {.precision = ops::Precision::fp16, .max_length = 32, .batch = 1}});
  StreamResult out;
  ASSERT_TRUE(gpu.classifier->run_stream(texts, 1, out));
  const std::size_t before = gpu.runtime->synchronisations();
  ASSERT_TRUE(gpu.classifier->run_stream(texts, 1, out));
  EXPECT_EQ(gpu.runtime->synchronisations() - before, texts.size());
}

TEST(NativeCuda, AGpuThatIsNotThereIsRefused) {
  const auto made = make_native(narrow(), {.setup = {.device = Device{{99}}}});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ops::cuda_engine_built() ? "device/failed" : "engine/device");
}

}  // namespace
}  // namespace breakeven::engine
