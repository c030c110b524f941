// Every block of the reference against an independent, deliberately different computation: one
// unpacked sequence at a time, everything in double, straight from the formulas.
#include "ops/reference/reference.h"

#include <gmock/gmock.h>

#include <cmath>

#include "base/check.h"
#include "model/forward.h"
#include "testing/random_encoder.h"

namespace breakeven::ops {
namespace {

using breakeven::testing::EncoderShape;
using breakeven::testing::RandomBatch;
using breakeven::testing::RandomEncoder;
using ::testing::FloatNear;
using ::testing::Pointwise;
using Row = std::vector<double>;
using Rows = std::vector<Row>;

Row compute(const LinearWeights& linear, const Row& x) {
  Row out(linear.out);
  for (std::size_t o = 0; o < linear.out; ++o) {
    out[o] = linear.bias[o];
    for (std::size_t i = 0; i < linear.in; ++i) out[o] += linear.weight[o * linear.in + i] * x[i];
  }
  return out;
}

Row compute(const NormWeights& norm, const Row& x) {
  const auto size = static_cast<double>(x.size());
  double mean = 0;
  double mean_square = 0;
  for (const double value : x) {
    mean += value / size;
    mean_square += value * value / size;
  }
  Row out(x.size());
  for (std::size_t h = 0; h < x.size(); ++h) {
    out[h] = (x[h] - mean) / std::sqrt(mean_square - mean * mean + norm.eps) * norm.gamma[h] +
             norm.beta[h];
  }
  return out;
}

double compute(Activation activation, double x) {
  switch (activation) {
    case Activation::gelu_erf:
      return x * 0.5 * std::erfc(-x / std::sqrt(2.0));
    case Activation::gelu_tanh:
      return x / (1 + std::exp(-2 * std::sqrt(2 / M_PI) * (x + 0.044715 * std::pow(x, 3))));
    case Activation::relu:
      return std::fmax(x, 0);
    case Activation::tanh:
      return 1 - 2 / (1 + std::exp(2 * x));
  }
  return NAN;
}

Row compute(Activation activation, Row x) {
  for (double& value : x) value = compute(activation, value);
  return x;
}

Row plus(Row a, const Row& b) {
  for (std::size_t h = 0; h < a.size(); ++h) a[h] += b[h];
  return a;
}

// The attention output of one query row.
Row attend(const EncoderWeights& weights, const LayerWeights& layer, const Row& row, const Rows& x,
           std::size_t valid) {
  const std::size_t size = weights.hidden / weights.heads;
  const Row query = compute(layer.query, row);
  Row out(weights.hidden, 0.0);
  for (std::size_t n = 0; n < weights.heads; ++n) {
    Row probability(valid);
    double sum = 0;
    for (std::size_t j = 0; j < valid; ++j) {
      const Row key = compute(layer.key, x[j]);
      double score = 0;
      for (std::size_t d = n * size; d < (n + 1) * size; ++d) score += query[d] * key[d];
      probability[j] = std::exp(score / std::sqrt(static_cast<double>(size)));
      sum += probability[j];
    }
    for (std::size_t j = 0; j < valid; ++j) {
      const Row value = compute(layer.value, x[j]);
      for (std::size_t d = n * size; d < (n + 1) * size; ++d) {
        out[d] += probability[j] / sum * value[d];
      }
    }
  }
  return out;
}

// Packs a model, uploads a batch and offers its activations.
class Bench {
 public:
  explicit Bench(const EncoderShape& shape, const std::vector<RandomBatch::Sequence>& sequences,
                 unsigned threads = 1)
      : encoder(shape), batch(shape, sequences), backend(make_reference_backend()) {
    auto packed = backend->pack(encoder.weights);
    BREAKEVEN_CHECK(packed.has_value());
    const LaneLimits limits{batch.ids.size() + 5, sequences.size() + 1, threads};
    auto made = backend->make_lane(*packed, limits);
    BREAKEVEN_CHECK(made.has_value());
    EXPECT_EQ((*made)->activation_bytes(), backend->lane_bytes(**packed, limits));
    lane = *std::move(made);
    backend->upload(*lane, batch.batch());
  }

  // Rows of sequence b.
  Rows rows(Act act, std::size_t b) const {
    const bool cls = act == Act::x_cls || act == Act::ctx_cls;
    const std::size_t hidden = encoder.weights.hidden;
    std::vector<float> all((cls ? batch.valid_len.size() : batch.ids.size()) * hidden);
    backend->tap(*lane, act, all);
    const std::size_t first = cls ? b : static_cast<std::size_t>(batch.cu_seqlens[b]);
    const std::size_t last = cls ? b + 1 : static_cast<std::size_t>(batch.cu_seqlens[b + 1]);
    Rows out;
    for (std::size_t r = first; r < last; ++r) {
      const auto at = all.begin() + static_cast<std::ptrdiff_t>(r * hidden);
      out.emplace_back(at, at + static_cast<std::ptrdiff_t>(hidden));
    }
    return out;
  }
  std::vector<float> logits() const {
    const auto view = backend->wait(*lane);
    return {view.begin(), view.end()};
  }
  model::EncoderPlan plan() const {
    model::EncoderPlan made;
    made.layers = encoder.weights.layers.size();
    return made;
  }
  std::vector<float> forward() const {
    model::forward(*backend, *lane, plan());
    return logits();
  }

  RandomEncoder encoder;
  RandomBatch batch;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Lane> lane;
};

void expect_close(const Rows& actual, const Rows& expected, const char* what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  for (std::size_t r = 0; r < actual.size(); ++r) {
    for (std::size_t h = 0; h < actual[r].size(); ++h) {
      ASSERT_NEAR(actual[r][h], expected[r][h], 2e-6 * (1 + std::abs(expected[r][h])))
          << what << " row " << r << " feature " << h;
    }
  }
}

struct Kind {
  const char* name;
  EncoderShape shape;
};

class Blocks : public ::testing::TestWithParam<Kind> {
 protected:
  // One token, one full sequence, padded ones.
  Blocks() : bench_(GetParam().shape, {{1, 1}, {7, 7}, {3, 9}, {13, 14}}) {}
  std::size_t sequences() const { return bench_.batch.valid_len.size(); }
  std::size_t valid(std::size_t b) const {
    return static_cast<std::size_t>(bench_.batch.valid_len[b]);
  }
  std::vector<Rows> all(Act act) const {
    std::vector<Rows> out;
    for (std::size_t b = 0; b < sequences(); ++b) out.push_back(bench_.rows(act, b));
    return out;
  }
  Bench bench_;
};

TEST_P(Blocks, EmbedLn) {
  const EmbeddingWeights& embedding = bench_.encoder.weights.embedding;
  const std::size_t hidden = bench_.encoder.weights.hidden;
  bench_.backend->embed_ln(*bench_.lane);
  for (std::size_t b = 0; b < sequences(); ++b) {
    const auto first = static_cast<std::size_t>(bench_.batch.cu_seqlens[b]);
    const Rows actual = bench_.rows(Act::x, b);
    Rows expected;
    for (std::size_t s = 0; s < actual.size(); ++s) {
      Row sum(hidden);
      const auto id = static_cast<std::size_t>(bench_.batch.ids[first + s]);
      for (std::size_t h = 0; h < hidden; ++h) {
        sum[h] = embedding.word[id * hidden + h] + embedding.position[s * hidden + h];
        if (!embedding.token_type.empty()) {
          const auto type = static_cast<std::size_t>(bench_.batch.token_types[first + s]);
          sum[h] += embedding.token_type[type * hidden + h];
        }
      }
      expected.push_back(compute(embedding.norm, sum));
    }
    expect_close(actual, expected, "embed_ln");
  }
}

TEST_P(Blocks, OneWholeLayer) {
  const EncoderWeights& weights = bench_.encoder.weights;
  const LayerWeights& layer = weights.layers[1];  // not the first: the index must be looked at
  bench_.backend->embed_ln(*bench_.lane);
  const std::vector<Rows> x = all(Act::x);

  bench_.backend->attention(*bench_.lane, 1);
  const std::vector<Rows> ctx = all(Act::ctx);
  for (std::size_t b = 0; b < sequences(); ++b) {
    Rows expected;
    for (const Row& row : x[b]) expected.push_back(attend(weights, layer, row, x[b], valid(b)));
    expect_close(ctx[b], expected, "attention");
  }

  bench_.backend->project_ln(*bench_.lane, 1, Act::x);
  const std::vector<Rows> projected = all(Act::x);
  for (std::size_t b = 0; b < sequences(); ++b) {
    Rows expected;
    for (std::size_t s = 0; s < x[b].size(); ++s) {
      expected.push_back(
          compute(layer.attention_norm, plus(compute(layer.project, ctx[b][s]), x[b][s])));
    }
    expect_close(projected[b], expected, "project_ln");
  }

  bench_.backend->ffn_ln(*bench_.lane, 1, Act::x);
  for (std::size_t b = 0; b < sequences(); ++b) {
    Rows expected;
    for (const Row& row : projected[b]) {
      const Row up = compute(weights.activation, compute(layer.up, row));
      expected.push_back(compute(layer.ffn_norm, plus(compute(layer.down, up), row)));
    }
    expect_close(bench_.rows(Act::x, b), expected, "ffn_ln");
  }
}

TEST_P(Blocks, ClsAttentionIsRowZeroOfAttention) {
  Backend& backend = *bench_.backend;
  backend.embed_ln(*bench_.lane);
  const std::vector<Rows> x = all(Act::x);
  backend.attention(*bench_.lane, 0);
  const std::vector<Rows> ctx = all(Act::ctx);
  backend.cls_attention(*bench_.lane, 0);
  for (std::size_t b = 0; b < sequences(); ++b) {
    EXPECT_EQ(bench_.rows(Act::x_cls, b), Rows{x[b][0]});
    EXPECT_EQ(bench_.rows(Act::ctx_cls, b), Rows{ctx[b][0]});
  }
  // The rest of the layer: bit for bit what the full layer has in row 0.
  backend.project_ln(*bench_.lane, 0, Act::x_cls);
  backend.ffn_ln(*bench_.lane, 0, Act::x_cls);
  const std::vector<Rows> cls = all(Act::x_cls);
  backend.project_ln(*bench_.lane, 0, Act::x);
  backend.ffn_ln(*bench_.lane, 0, Act::x);
  for (std::size_t b = 0; b < sequences(); ++b) {
    EXPECT_EQ(cls[b][0], bench_.rows(Act::x, b)[0]);
  }
}

TEST_P(Blocks, Head) {
  const EncoderWeights& weights = bench_.encoder.weights;
  bench_.backend->embed_ln(*bench_.lane);
  bench_.backend->cls_attention(*bench_.lane, 0);
  const std::vector<Rows> cls = all(Act::x_cls);
  bench_.backend->head(*bench_.lane);
  const std::vector<float> logits = bench_.logits();
  ASSERT_EQ(logits.size(), sequences() * weights.labels);
  for (std::size_t b = 0; b < sequences(); ++b) {
    const Row expected =
        compute(weights.head.classifier,
                compute(weights.head.activation, compute(weights.head.dense, cls[b][0])));
    for (std::size_t c = 0; c < weights.labels; ++c) {
      EXPECT_NEAR(logits[b * weights.labels + c], expected[c], 2e-6 * (1 + std::abs(expected[c])));
    }
  }
}

EncoderShape bert_like() {
  EncoderShape shape;
  shape.token_types = 2;
  shape.activation = Activation::gelu_tanh;
  shape.head_activation = Activation::tanh;
  return shape;
}
EncoderShape odd() {  // no size is a multiple of a panel or a tile
  EncoderShape shape;
  shape.hidden = 21;
  shape.heads = 3;
  shape.intermediate = 29;
  shape.labels = 1;
  shape.activation = Activation::relu;
  return shape;
}

INSTANTIATE_TEST_SUITE_P(Shapes, Blocks,
                         ::testing::Values(Kind{"distilbert", {}}, Kind{"bert", bert_like()},
                                           Kind{"odd", odd()}),
                         [](const auto& test) { return test.param.name; });

TEST(Reference, ThreadsChangeNoBit) {
  const std::vector<RandomBatch::Sequence> sequences{{20, 20}, {5, 11}, {1, 1}, {17, 24}};
  const Bench one({}, sequences, 1);
  const Bench three({}, sequences, 3);
  EXPECT_EQ(one.forward(), three.forward());
}

TEST(Reference, PaddingRowsNeverReachValidOnes) {
  const Bench packed({}, {{6, 6}, {9, 9}, {2, 2}});
  Bench padded({}, {{6, 9}, {9, 9}, {2, 9}});
  // The same words, and junk instead of pad tokens: whatever they hold must not matter.
  std::size_t from = 0;
  for (std::size_t b = 0; b < 3; ++b) {
    for (std::int32_t s = 0; s < 9; ++s) {
      const auto row = static_cast<std::size_t>(padded.batch.cu_seqlens[b] + s);
      const bool valid = s < padded.batch.valid_len[b];
      padded.batch.ids[row] = valid ? packed.batch.ids[from++] : 40 + s;
    }
  }
  padded.backend->upload(*padded.lane, padded.batch.batch());
  EXPECT_EQ(packed.forward(), padded.forward());
}

TEST(Reference, ValidLenIsLookedAt) {
  Bench bench({}, {{9, 9}});
  const std::vector<float> whole = bench.forward();
  bench.batch.valid_len[0] = 8;
  bench.backend->upload(*bench.lane, bench.batch.batch());
  EXPECT_NE(whole, bench.forward());
}

TEST(Reference, PermutingSequencesPermutesLogits) {
  Bench bench({}, {{4, 4}, {11, 12}, {7, 7}});
  const std::size_t labels = bench.encoder.weights.labels;
  const std::vector<float> before = bench.forward();
  const std::vector<std::size_t> order{2, 0, 1};
  RandomBatch permuted = bench.batch;
  permuted.ids.clear();
  permuted.cu_seqlens = {0};
  permuted.valid_len.clear();
  for (const std::size_t b : order) {
    const auto first = bench.batch.ids.begin() + bench.batch.cu_seqlens[b];
    const auto last = bench.batch.ids.begin() + bench.batch.cu_seqlens[b + 1];
    permuted.ids.insert(permuted.ids.end(), first, last);
    permuted.cu_seqlens.push_back(static_cast<std::int32_t>(permuted.ids.size()));
    permuted.valid_len.push_back(bench.batch.valid_len[b]);
  }
  bench.backend->upload(*bench.lane, permuted.batch());
  const std::vector<float> after = bench.forward();
  for (std::size_t b = 0; b < order.size(); ++b) {
    for (std::size_t c = 0; c < labels; ++c) {
      EXPECT_EQ(after[b * labels + c], before[order[b] * labels + c]);
    }
  }
}

TEST(Reference, WordOrderMatters) {
  Bench bench({}, {{9, 9}});
  const std::vector<float> before = bench.forward();
  std::swap(bench.batch.ids[3], bench.batch.ids[5]);
  ASSERT_NE(bench.batch.ids[3], bench.batch.ids[5]);
  bench.backend->upload(*bench.lane, bench.batch.batch());
  EXPECT_NE(before, bench.forward());
}

TEST(Reference, TokenTypesDefaultToZero) {
  EncoderShape shape = bert_like();
  Bench bench(shape, {{9, 9}});
  const std::vector<float> pair = bench.forward();
  bench.batch.token_types.assign(9, 0);
  bench.backend->upload(*bench.lane, bench.batch.batch());
  const std::vector<float> zeros = bench.forward();
  bench.batch.token_types.clear();
  bench.backend->upload(*bench.lane, bench.batch.batch());
  EXPECT_EQ(zeros, bench.forward());
  EXPECT_NE(zeros, pair);
}

TEST(Reference, PackCopiesTheWeights) {
  const EncoderShape shape;
  auto backend = make_reference_backend();
  std::shared_ptr<const PackedModel> packed;
  {
    const RandomEncoder encoder(shape);
    packed = *backend->pack(encoder.weights);
  }
  const Bench bench(shape, {{5, 5}});
  auto lane = *backend->make_lane(packed, {5, 1, 1});
  backend->upload(*lane, bench.batch.batch());
  model::forward(*backend, *lane, bench.plan());
  EXPECT_THAT(backend->wait(*lane), ::testing::ElementsAreArray(bench.forward()));
  EXPECT_GT(packed->weight_bytes(), 2 * (4 * 32 * 32 + 2 * 32 * 48) * sizeof(float));
}

TEST(Reference, RefusesALaneThatMemoryCannotHold) {
  const RandomEncoder encoder(EncoderShape{});
  auto backend = make_reference_backend();
  const auto packed = *backend->pack(encoder.weights);
  const LaneLimits limits{std::size_t{1} << 44, 1, 1};
  EXPECT_GT(backend->lane_bytes(*packed, limits), std::size_t{1} << 50);
  const auto lane = backend->make_lane(packed, limits);
  ASSERT_FALSE(lane.has_value());
  EXPECT_EQ(lane.error().code, "ops/memory");
}

using ReferenceDeathTest = ::testing::Test;

TEST(ReferenceDeathTest, ChecksTheBatch) {
  Bench bench({}, {{4, 5}, {3, 3}});
  const auto upload = [&] { bench.backend->upload(*bench.lane, bench.batch.batch()); };
  const RandomBatch good = bench.batch;
  bench.batch.ids[2] = 50;
  EXPECT_DEATH(upload(), "id=50 V=50");
  bench.batch.ids[2] = -1;
  EXPECT_DEATH(upload(), "id=-1");
  bench.batch = good;
  bench.batch.valid_len[0] = 6;
  EXPECT_DEATH(upload(), "6 valid of 5 rows");
  bench.batch.valid_len[0] = 0;
  EXPECT_DEATH(upload(), "0 valid");
  bench.batch = good;
  bench.batch.cu_seqlens[2] = 7;
  EXPECT_DEATH(upload(), "cu_seqlens");
  bench.batch = good;
  bench.batch.ids.resize(40, 1);
  bench.batch.cu_seqlens[2] = 40;
  EXPECT_DEATH(upload(), "T=40");
}

TEST(ReferenceDeathTest, ChecksTheWeights) {
  RandomEncoder encoder(EncoderShape{});
  auto backend = make_reference_backend();
  encoder.weights.layers[1].up.bias = encoder.weights.layers[1].down.bias;
  EXPECT_DEATH((void)backend->pack(encoder.weights), "bias 32 for \\[48, 32\\]");
}

}  // namespace
}  // namespace breakeven::ops
