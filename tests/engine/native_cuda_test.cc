// Text to label by the CUDA backend on the host executor: everything of the GPU's way through the
// engine but the GPU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/native.h"
#include "engine/native_classifier.h"
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

// A classifier whose "cuda:0" is the host executor.
struct Gpu {
  std::shared_ptr<HostRuntime> runtime;
  std::unique_ptr<NativeClassifier> classifier;
  explicit Gpu(NativeOptions options, HostDevice device = {}) {
    options.device = "cuda:0";
    runtime = std::make_shared<HostRuntime>(device);
    auto backend = ops::cuda::make_blocks(runtime, options.precision, {.kernels = {}});
    auto packed = backend->pack(narrow()->checkpoint.weights.view()).value();
    classifier = std::make_unique<NativeClassifier>(*narrow(), options, std::move(backend),
                                                    std::move(packed));
  }
};

const std::vector<std::string_view> kTexts = {
    "a great film", "terrible !", "", "the actors were not bad , the plot was", "unwatchable"};

std::vector<float> judged(const std::vector<std::string_view>& texts) {
  const auto judge =
      *make_native(narrow(), {.max_length = 32, .max_batch = texts.size(), .reference = true});
  BatchResult out;
  EXPECT_TRUE(judge->run_batch(texts, out));
  return out.logits;
}

TEST(NativeCuda, BatchesAgreeWithTheReference) {
  const auto right = judged(kTexts);
  for (const Padding padding : {Padding::none, Padding::longest}) {
    Gpu gpu({.precision = ops::Precision::fp16,
             .max_length = 32,
             .max_batch = kTexts.size(),
             .padding = padding});
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

TEST(NativeCuda, TheRecordSaysWhichKernelsRan) {
  Gpu gpu({.precision = ops::Precision::fp16, .max_length = 32, .max_batch = 2},
          {.gemm_library = false});
  const ClassifierInfo info = gpu.classifier->info();
  EXPECT_EQ(info.device, "cuda:0");
  EXPECT_EQ(info.instruction_set, "sm_80");
  EXPECT_EQ(info.settings.at("kernels"), "plain: gemm");
  EXPECT_EQ(info.settings.at("gemm"), "own");
  EXPECT_EQ(info.settings.at("device_peak_bytes"), std::to_string(info.weight_bytes));
}

TEST(NativeCuda, ABatchThatDoesNotFitIsRefusedWithTheLargestThatDoes) {
  const HostDevice small{.memory_bytes = std::size_t{24} << 20};
  Gpu gpu({.precision = ops::Precision::fp16, .max_length = 128, .max_batch = 400}, small);
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
    Gpu other({.precision = ops::Precision::fp16, .max_length = 128, .max_batch = batch}, small);
    const std::vector<std::string_view> one = {"a great film"};
    EXPECT_EQ(other.classifier->run_batch(one, out).has_value(), batch == fits) << batch;
  }
}

TEST(NativeCuda, ADeviceOfAnotherNameIsRefused) {
  for (const char* device : {"cuda", "cuda:", "cuda:-1", "cuda:x", "gpu"}) {
    const auto made = make_native(narrow(), {.device = device});
    ASSERT_FALSE(made) << device;
    EXPECT_EQ(made.error().code, "engine/device");
  }
  const auto made = make_native(narrow(), {.device = "cuda:99"});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ops::cuda_engine_built() ? "device/failed" : "engine/device");
}

}  // namespace
}  // namespace breakeven::engine
