#include "model/weights.h"

#include <gmock/gmock.h>

#include <map>
#include <set>

namespace breakeven::model {
namespace {

using ::testing::ElementsAre;

EncoderPlan plan_of(std::string_view architecture) {
  EncoderPlan plan;
  plan.architecture = &architecture_named(architecture);
  plan.hidden = 6;
  plan.heads = 2;
  plan.intermediate = 10;
  plan.vocabulary = 17;
  plan.positions = 9;
  plan.token_types = architecture == "bert" ? 2 : 0;
  plan.layers = 2;
  plan.norm_eps = 1e-7F;
  plan.activation = ops::Activation::relu;
  plan.head_activation = ops::Activation::tanh;
  plan.labels = {"a", "b", "c"};
  return plan;
}

// Tensors whose every value tells which tensor it is from.
class Numbered {
 public:
  explicit Numbered(const EncoderPlan& plan) : plan_(plan) {}
  Result<ModelWeights> build() {
    return ModelWeights::build(
        plan_, {nullptr, [this](const TensorSpec& spec) -> Result<std::span<const float>> {
                  std::size_t size = 1;
                  for (const std::size_t extent : spec.shape) size *= extent;
                  auto& tensor = tensors_[spec.name];
                  tensor.assign(size, static_cast<float>(tensors_.size()));
                  return std::span<const float>(tensor);
                }});
  }
  const std::vector<float>& operator[](const std::string& name) const { return tensors_.at(name); }
  bool same(std::span<const float> view, const std::string& name) const {
    const auto found = tensors_.find(name);
    return found != tensors_.end() && view.data() == found->second.data() &&
           view.size() == found->second.size();
  }
  std::size_t size() const { return tensors_.size(); }

 private:
  EncoderPlan plan_;
  std::map<std::string, std::vector<float>> tensors_;
};

// Counts the tensors that it was asked about, so that none can be forgotten.
class Expect {
 public:
  Expect(const Numbered& tensors, const ModelWeights& weights)
      : tensors_(tensors), weights_(weights) {}
  void linear(const ops::LinearWeights& linear, const std::string& name, std::size_t out,
              std::size_t in) {
    EXPECT_TRUE(tensors_.same(linear.weight, name + ".weight")) << name;
    EXPECT_TRUE(tensors_.same(linear.bias, name + ".bias")) << name;
    EXPECT_EQ(linear.out, out) << name;
    EXPECT_EQ(linear.in, in) << name;
    shape(name + ".weight", {out, in});
    shape(name + ".bias", {out});
  }
  void norm(const ops::NormWeights& norm, const std::string& name) {
    EXPECT_TRUE(tensors_.same(norm.gamma, name + ".weight")) << name;
    EXPECT_TRUE(tensors_.same(norm.beta, name + ".bias")) << name;
    EXPECT_EQ(norm.eps, 1e-7F);
    shape(name + ".weight", {6});
    shape(name + ".bias", {6});
  }
  void table(std::span<const float> view, const std::string& name, std::size_t rows) {
    EXPECT_TRUE(tensors_.same(view, name + ".weight")) << name;
    shape(name + ".weight", {rows, 6});
  }
  std::size_t seen() const { return seen_.size(); }

 private:
  void shape(const std::string& name, const std::vector<std::size_t>& expected) {
    seen_.insert(name);
    for (const TensorSpec& spec : weights_.table()) {
      if (spec.name == name) {
        EXPECT_EQ(spec.shape, expected) << name;
        EXPECT_TRUE(tensors_.same(weights_.tensor(name), name)) << name;
        return;
      }
    }
    ADD_FAILURE() << "no " << name << " in the table";
  }
  const Numbered& tensors_;
  const ModelWeights& weights_;
  std::set<std::string> seen_;
};

void expect_sizes(const ops::EncoderWeights& view) {
  EXPECT_EQ(view.hidden, 6U);
  EXPECT_EQ(view.heads, 2U);
  EXPECT_EQ(view.intermediate, 10U);
  EXPECT_EQ(view.vocabulary, 17U);
  EXPECT_EQ(view.positions, 9U);
  EXPECT_EQ(view.labels, 3U);
  EXPECT_EQ(view.activation, ops::Activation::relu);
  EXPECT_EQ(view.head.activation, ops::Activation::tanh);
  EXPECT_EQ(view.layers.size(), 2U);
}

TEST(Weights, EveryTensorOfDistilbert) {
  Numbered tensors(plan_of("distilbert"));
  const auto weights = tensors.build();
  ASSERT_TRUE(weights.has_value());
  const ops::EncoderWeights& view = weights->view();
  expect_sizes(view);
  Expect expect(tensors, *weights);
  expect.table(view.embedding.word, "distilbert.embeddings.word_embeddings", 17);
  expect.table(view.embedding.position, "distilbert.embeddings.position_embeddings", 9);
  EXPECT_TRUE(view.embedding.token_type.empty());
  expect.norm(view.embedding.norm, "distilbert.embeddings.LayerNorm");
  for (std::size_t l = 0; l < 2; ++l) {
    const std::string name = "distilbert.transformer.layer." + std::to_string(l);
    const ops::LayerWeights& layer = view.layers[l];
    expect.linear(layer.query, name + ".attention.q_lin", 6, 6);
    expect.linear(layer.key, name + ".attention.k_lin", 6, 6);
    expect.linear(layer.value, name + ".attention.v_lin", 6, 6);
    expect.linear(layer.project, name + ".attention.out_lin", 6, 6);
    expect.norm(layer.attention_norm, name + ".sa_layer_norm");
    expect.linear(layer.up, name + ".ffn.lin1", 10, 6);
    expect.linear(layer.down, name + ".ffn.lin2", 6, 10);
    expect.norm(layer.ffn_norm, name + ".output_layer_norm");
  }
  expect.linear(view.head.dense, "pre_classifier", 6, 6);
  expect.linear(view.head.classifier, "classifier", 3, 6);
  EXPECT_EQ(expect.seen(), tensors.size());
  EXPECT_EQ(expect.seen(), weights->table().size());
  EXPECT_EQ(expect.seen(), 4U + 2U * 16U + 4U);
}

TEST(Weights, EveryTensorOfBert) {
  Numbered tensors(plan_of("bert"));
  const auto weights = tensors.build();
  ASSERT_TRUE(weights.has_value());
  const ops::EncoderWeights& view = weights->view();
  expect_sizes(view);
  Expect expect(tensors, *weights);
  expect.table(view.embedding.word, "bert.embeddings.word_embeddings", 17);
  expect.table(view.embedding.position, "bert.embeddings.position_embeddings", 9);
  expect.table(view.embedding.token_type, "bert.embeddings.token_type_embeddings", 2);
  expect.norm(view.embedding.norm, "bert.embeddings.LayerNorm");
  for (std::size_t l = 0; l < 2; ++l) {
    const std::string name = "bert.encoder.layer." + std::to_string(l);
    const ops::LayerWeights& layer = view.layers[l];
    expect.linear(layer.query, name + ".attention.self.query", 6, 6);
    expect.linear(layer.key, name + ".attention.self.key", 6, 6);
    expect.linear(layer.value, name + ".attention.self.value", 6, 6);
    expect.linear(layer.project, name + ".attention.output.dense", 6, 6);
    expect.norm(layer.attention_norm, name + ".attention.output.LayerNorm");
    expect.linear(layer.up, name + ".intermediate.dense", 10, 6);
    expect.linear(layer.down, name + ".output.dense", 6, 10);
    expect.norm(layer.ffn_norm, name + ".output.LayerNorm");
  }
  expect.linear(view.head.dense, "bert.pooler.dense", 6, 6);
  expect.linear(view.head.classifier, "classifier", 3, 6);
  EXPECT_EQ(expect.seen(), tensors.size());
  EXPECT_EQ(expect.seen(), weights->table().size());
  EXPECT_EQ(expect.seen(), 5U + 2U * 16U + 4U);
}

TEST(Weights, HandsTheSourcesErrorOn) {
  const auto weights = ModelWeights::build(
      plan_of("bert"), {nullptr, [](const TensorSpec& spec) -> Result<std::span<const float>> {
                          return fail("weights/missing", "no " + spec.name);
                        }});
  ASSERT_FALSE(weights.has_value());
  EXPECT_EQ(weights.error().code, "weights/missing");
  EXPECT_EQ(weights.error().message, "no bert.embeddings.word_embeddings.weight");
}

TEST(Weights, KeepsTheOwnerAlive) {
  auto memory = std::make_shared<std::vector<float>>(1000, 1.0F);
  const std::weak_ptr<std::vector<float>> watch = memory;
  {
    auto weights = ModelWeights::build(
        plan_of("distilbert"),
        {memory, [&memory](const TensorSpec& spec) -> Result<std::span<const float>> {
           std::size_t size = 1;
           for (const std::size_t extent : spec.shape) size *= extent;
           return std::span<const float>(*memory).first(size);
         }});
    memory.reset();
    ASSERT_TRUE(weights.has_value());
    const ModelWeights moved = *std::move(weights);
    EXPECT_FALSE(watch.expired());
    EXPECT_THAT(moved.view().head.classifier.bias, ElementsAre(1.0F, 1.0F, 1.0F));
  }
  EXPECT_TRUE(watch.expired());
}

TEST(WeightsDeathTest, UnknownTensor) {
  Numbered tensors(plan_of("bert"));
  const auto weights = tensors.build();
  ASSERT_TRUE(weights.has_value());
  EXPECT_DEATH((void)weights->tensor("classifier.gamma"), "no tensor classifier.gamma");
}

}  // namespace
}  // namespace breakeven::model
