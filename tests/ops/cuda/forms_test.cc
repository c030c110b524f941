// Encoders whose form is not BERT's, on the host executor against the reference.
#include <random>

#include "model/forward.h"
#include "ops/cuda/agreement.h"

namespace breakeven::testing {
namespace {

using Form = ops::EncoderForm;
using ::testing::IsEmpty;

constexpr Form kModern{.norm = Form::Norm::pre,
                       .position = Form::Position::rotary,
                       .ffn = Form::Ffn::gated,
                       .attention = Form::Attention::windowed,
                       .pooling = Form::Pooling::mean};
constexpr Form kModernRow0{.norm = Form::Norm::pre,
                           .position = Form::Position::rotary,
                           .ffn = Form::Ffn::gated,
                           .attention = Form::Attention::windowed};

EncoderShape small(const Form& form) {
  EncoderShape shape = small_bert();
  shape.token_types = 0;
  shape.form = form;
  shape.biases = false;
  shape.window = form.attention == Form::Attention::windowed ? 11 : 0;
  shape.gain = 1.0F;  // a gated FFN multiplies two products, and their errors
  shape.head_activation = ops::Activation::gelu_erf;
  return shape;
}

TEST(CudaForms, AModernEncoderAgreesWithTheReferenceInEveryPrecision) {
  for (const Precision precision : precisions()) {
    for (const Form& form : {kModern, kModernRow0}) {
      SCOPED_TRACE(::testing::Message() << to_string(precision) << " "
                                        << (form.pooling == Form::Pooling::mean ? "mean" : "cls"));
      expect_agreement({.shape = small(form),
                        .sequences = {{5, 5}, {130, 130}, {64, 64}, {17, 60}, {1, 2}},
                        .precision = precision});
    }
  }
}

EncoderShape small_deberta(const ops::RelativeDistances& distances) {
  EncoderShape shape = small_bert();
  shape.token_types = 0;
  shape.distances = distances;
  shape.head_activation = ops::Activation::gelu_erf;
  return shape;
}

TEST(CudaForms, RelativePositionsAgreeWithTheReferenceInEveryPrecision) {
  for (const Precision precision : precisions()) {
    SCOPED_TRACE(to_string(precision));
    expect_agreement({.shape = small_deberta({.span = 16, .near = 8, .farthest = 60}),
                      .sequences = {{5, 5}, {130, 130}, {64, 64}, {17, 60}, {1, 2}},
                      .precision = precision});
  }
}

// Tables of one row a distance and of fewer, shorter and longer than sequences; heads that no fast
// kernel takes; token types where no position is added.
TEST(CudaForms, EveryTableOfDistancesAgreesWithTheReference) {
  const ops::RelativeDistances tables[] = {{.span = 5, .near = 2, .farthest = 12},
                                           {.span = 40, .near = 40, .farthest = 40},
                                           {.span = 256, .near = 128, .farthest = 512}};
  for (const ops::RelativeDistances& distances : tables) {
    for (const std::size_t heads : {2U, 4U, 8U}) {
      SCOPED_TRACE(::testing::Message() << distances.span << " " << heads);
      EncoderShape shape = small_deberta(distances);
      shape.heads = heads;
      shape.token_types = heads == 4 ? 2 : 0;
      shape.layers = 2;
      expect_agreement({.shape = shape, .sequences = {{100, 100}, {33, 40}}});
    }
  }
}

// On tensor cores, where a tile has 64 queries and 32 keys.
TEST(CudaForms, RelativePositionsAgreeWithTheReferenceAtTheEndsOfTiles) {
  std::size_t index = 0;
  for (const std::size_t length : {1U, 15U, 16U, 17U, 31U, 32U, 33U, 63U, 64U, 65U, 97U, 129U}) {
    const Precision precision = index / 2 % 2 == 0 ? Precision::fp16 : Precision::bf16;
    EncoderShape shape = small_deberta({.span = 24, .near = 12, .farthest = 100});
    shape.heads = index++ % 2 == 0 ? 2 : 4;
    shape.layers = 2;
    SCOPED_TRACE(::testing::Message()
                 << shape.heads << " " << length << " " << to_string(precision));
    expect_agreement({.shape = shape,
                      .sequences = {{length, length}, {length, length + 5}, {3, 3}},
                      .precision = precision});
  }
}

// Each field of the form alone, with and without biases.
TEST(CudaForms, EveryFieldAloneAgreesWithTheReference) {
  const Form forms[] = {{.norm = Form::Norm::pre},
                        {.position = Form::Position::rotary},
                        {.ffn = Form::Ffn::gated},
                        {.attention = Form::Attention::windowed},
                        {.pooling = Form::Pooling::mean}};
  std::size_t index = 0;
  for (const Form& form : forms) {
    for (const bool biases : {true, false}) {
      const Precision precision = precisions()[index++ % 6];
      SCOPED_TRACE(::testing::Message() << index << " " << to_string(precision));
      EncoderShape shape = small(form);
      shape.biases = biases;
      shape.token_types = 2;
      expect_agreement({.shape = shape, .sequences = {{66, 66}, {5, 40}}, .precision = precision});
    }
  }
}

TEST(CudaForms, PlainTwinsAgreeWithTheReference) {
  for (const Precision precision : precisions()) {
    SCOPED_TRACE(to_string(precision));
    const EncoderShape shape =
        odd_sized(small(precision == Precision::bf16 ? kModernRow0 : kModern), precision);
    expect_agreement({.shape = shape,
                      .sequences = {{5, 5}, {66, 66}, {17, 60}},
                      .precision = precision,
                      .options = {.kernels = kPlain, .switches = {.graphs = false}}});
  }
}

// Windows that end within and at the ends of tiles of keys, also narrower than a tile is away.
TEST(CudaForms, WindowsAgreeWithTheReference) {
  for (const Precision precision : {Precision::fp16, Precision::fp32}) {
    for (const std::size_t window : {1U, 31U, 32U, 63U, 64U, 65U, 128U, 300U}) {
      SCOPED_TRACE(::testing::Message() << to_string(precision) << " " << window);
      EncoderShape shape = small({.attention = Form::Attention::windowed});
      shape.positions = 300;
      shape.window = window;
      shape.layers = 3;
      shape.intermediate = 8;
      expect_agreement(
          {.shape = shape, .sequences = {{260, 260}, {3, 200}}, .precision = precision});
    }
  }
}

// Shapes at random among those that fast kernels take, another order of warps each time.
TEST(CudaForms, RandomShapesAgreeWithTheReference) {
  std::mt19937 random(16);
  const auto choose = [&](const auto& from) { return from[random() % std::size(from)]; };
  const std::size_t lengths[] = {1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129};
  const std::size_t head_sizes[] = {32, 64};
  for (std::uint32_t round = 0; round < 12; ++round) {
    EncoderShape shape = small(round % 3 == 0 ? kModernRow0 : kModern);
    shape.heads = 1 + random() % 5;
    shape.hidden = shape.heads * choose(head_sizes);
    shape.intermediate = 16 * (1 + random() % 12);
    shape.labels = 1 + random() % 5;
    shape.layers = 1 + random() % 3;
    shape.window = 1 + random() % 80;
    Case c{.shape = shape, .sequences = {}};
    for (std::size_t b = 1 + random() % 3; b > 0; --b) {
      const std::size_t valid = choose(lengths);
      c.sequences.push_back({valid, valid + random() % 30});
    }
    c.precision = precisions()[random() % 6];
    c.device.seed = round;
    c.options.switches.wide_rows = round % 3 != 0;
    SCOPED_TRACE(::testing::Message() << "round " << round << " H=" << shape.hidden
                                      << " N=" << shape.heads << " F=" << shape.intermediate);
    expect_agreement(c);
  }
}

// ModernBERT's widths, of which a warp cannot hold the FFN's hidden layer.
TEST(CudaForms, BlocksOfAWideHiddenLayerAgreeWithTheReference) {
  EncoderShape shape = small(kModern);
  shape.hidden = 768;
  shape.heads = 12;
  shape.intermediate = 1152;
  shape.layers = 1;
  for (const Precision precision : {Precision::int8, Precision::fp8}) {
    expect_agreement({.shape = shape, .sequences = {{9, 9}, {3, 5}}, .precision = precision});
  }
}

TEST(CudaForms, FastKernelsRunAndGraphsGiveTheSameBits) {
  const EncoderShape shape = small(kModern);
  const RandomEncoder encoder(shape);
  model::EncoderPlan plan;
  plan.layers = shape.layers;
  plan.form = shape.form;
  auto runtime = std::make_shared<HostRuntime>();
  Runner cuda(ops::cuda::make_blocks(runtime, Precision::fp16, {.kernels = {}}), encoder.weights,
              {.rows = 200, .sequences = 4, .threads = 1});
  const RandomBatch batch(shape, {{70, 70}, {30, 30}});
  std::vector<float> first;
  for (int i = 0; i < 3; ++i) {
    cuda.backend->upload(*cuda.lane, batch.batch());
    model::forward(*cuda.backend, *cuda.lane, plan);
    const auto logits = cuda.backend->wait(*cuda.lane);
    if (i == 0) first.assign(logits.begin(), logits.end());
    EXPECT_EQ(std::vector<float>(logits.begin(), logits.end()), first);
  }
  EXPECT_EQ(runtime->graph_launches(), 2U);
  EXPECT_EQ(cuda.backend->kernels(), "fast");
  EXPECT_THAT(runtime->report().findings, IsEmpty());
  EXPECT_EQ(runtime->report().bank_conflicts, 0U);
  for (const char* kernel : {"wide_pre_norm", "gated_activation", "rotate", "flash_attention",
                             "window_attention", "mean_rows", "norm_head"}) {
    EXPECT_TRUE(runtime->report().kernels.contains(kernel)) << kernel;
  }
}

// What the known-answer test found wrong is not used by a form that needs it, and by no other.
TEST(CudaForms, WhatIsWrongIsNotUsed) {
  const auto kernels = [](const EncoderShape& shape, const KernelChoice& allowed) {
    const auto backend = ops::cuda::make_blocks(std::make_shared<HostRuntime>(), Precision::fp16,
                                                {.kernels = allowed});
    const RandomEncoder encoder(shape);
    EXPECT_TRUE(backend->pack(encoder.weights));
    return backend->kernels();
  };
  EXPECT_EQ(kernels(small(kModern), {.form_rows = false, .window = false}),
            "plain: rows, attention");
  EXPECT_EQ(kernels(small_bert(), {.form_rows = false, .window = false}), "fast");
  const EncoderShape deberta = small_deberta({.span = 16, .near = 8, .farthest = 60});
  EXPECT_EQ(kernels(deberta, {.window = false}), "fast");
  EXPECT_EQ(kernels(deberta, {.relative = false}), "plain: attention");
  EncoderShape odd = small(kModern);
  odd.heads = 16;  // of 8: no line of eight pairs
  EXPECT_EQ(kernels(odd, {}), "plain: rows, attention");
}

// 8,192 positions: a lane's memory grows with the rows, not with their square.
TEST(CudaForms, LongSequencesNeedNoMemoryForTheirScores) {
  EncoderShape shape = small(kModern);
  shape.positions = 8192;
  const RandomEncoder encoder(shape);
  for (const Precision precision : precisions()) {
    const auto backend =
        ops::cuda::make_blocks(std::make_shared<HostRuntime>(), precision, {.kernels = {}});
    const auto model = backend->pack(encoder.weights).value();
    const auto bytes = [&](std::size_t rows) {
      return backend->lane_bytes(*model, {.rows = rows, .sequences = 1});
    };
    // Not 64 MiB more, as scores of one head in 8 bits would be.
    EXPECT_LT(bytes(8192), std::size_t{64} << 20) << to_string(precision);
    EXPECT_LT(bytes(8192) - bytes(4096), 3 * (bytes(4096) - bytes(2048))) << to_string(precision);
  }
}

// A text's logits do not depend on which others are packed with it.
TEST(CudaForms, SequencesKnowNothingOfEachOther) {
  const EncoderShape shape = small(kModern);
  const RandomEncoder encoder(shape);
  model::EncoderPlan plan;
  plan.layers = shape.layers;
  plan.form = shape.form;
  const auto logits_of = [&](const ops::Batch& batch) {
    Runner cuda(ops::cuda::make_blocks(std::make_shared<HostRuntime>(), Precision::fp32,
                                       {.kernels = {}, .switches = {.graphs = false}}),
                encoder.weights, {.rows = 250, .sequences = 3, .threads = 1});
    cuda.backend->upload(*cuda.lane, batch);
    model::forward(*cuda.backend, *cuda.lane, plan);
    const auto logits = cuda.backend->wait(*cuda.lane);
    return std::vector<float>(logits.begin(), logits.end());
  };
  const RandomBatch together(shape, {{70, 70}, {9, 9}, {130, 130}});
  const auto all = logits_of(together.batch());
  for (std::size_t b = 0; b < 3; ++b) {
    const auto begin = static_cast<std::size_t>(together.cu_seqlens[b]);
    const auto rows = static_cast<std::size_t>(together.cu_seqlens[b + 1]) - begin;
    const std::vector<std::int32_t> cu_seqlens{0, static_cast<std::int32_t>(rows)};
    const std::vector<std::int32_t> valid{static_cast<std::int32_t>(rows)};
    const auto alone = logits_of({.ids = std::span(together.ids).subspan(begin, rows),
                                  .token_types = {},
                                  .cu_seqlens = cu_seqlens,
                                  .valid_len = valid});
    for (std::size_t c = 0; c < shape.labels; ++c) {
      EXPECT_NEAR(alone[c], all[b * shape.labels + c], 1e-5) << b;
    }
  }
}

}  // namespace
}  // namespace breakeven::testing
