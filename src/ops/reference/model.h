// A model as the reference holds it: fp32 copies, matrices in panels.
#pragma once

#include <map>
#include <vector>

#include "base/check.h"
#include "ops/reference/primitives.h"

namespace breakeven::ops::reference {

// Owns copies: the caller's weights live only until pack() has returned.
struct Linear {
  explicit Linear(const LinearWeights& weights)
      : storage(round_up_to_panel(weights.out) * weights.in),
        bias(weights.bias.begin(), weights.bias.end()) {
    BREAKEVEN_CHECK(weights.weight.size() == weights.out * weights.in &&
                        (weights.bias.empty() || weights.bias.size() == weights.out),
                    "weight {} bias {} for [{}, {}]", weights.weight.size(), weights.bias.size(),
                    weights.out, weights.in);
    panels = pack_panels(weights.weight.data(), weights.out, weights.in, weights.in, 1, storage);
  }
  std::vector<float> storage;
  std::vector<float> bias;
  Panels panels;  // into storage: moving a vector keeps its memory, copying would not
  Linear(Linear&&) = default;
  Linear(const Linear&) = delete;
  Linear& operator=(const Linear&) = delete;
  Linear& operator=(Linear&&) = delete;
  ~Linear() = default;
  std::size_t bytes() const { return (storage.size() + bias.size()) * sizeof(float); }
};

struct Norm {
  explicit Norm(const NormWeights& weights)
      : gamma(weights.gamma.begin(), weights.gamma.end()),
        beta(weights.beta.begin(), weights.beta.end()),
        eps(weights.eps) {}
  NormWeights view() const { return {gamma, beta, eps}; }
  std::size_t bytes() const { return (gamma.size() + beta.size()) * sizeof(float); }
  std::vector<float> gamma, beta;
  float eps;
};

// One head's columns of rows of H.
struct HeadPanels {
  HeadPanels(const float* rows, std::size_t count, std::size_t head_size, std::size_t hidden)
      : storage(round_up_to_panel(count) * head_size),
        panels(pack_panels(rows, count, head_size, hidden, 1, storage)) {}
  std::vector<float> storage;
  Panels panels;  // into storage
  HeadPanels(HeadPanels&&) = default;
  HeadPanels(const HeadPanels&) = delete;
  HeadPanels& operator=(const HeadPanels&) = delete;
  HeadPanels& operator=(HeadPanels&&) = delete;
  ~HeadPanels() = default;
};

struct Layer {
  explicit Layer(const LayerWeights& weights)
      : query(weights.query),
        key(weights.key),
        value(weights.value),
        project(weights.project),
        attention_norm(weights.attention_norm),
        up(weights.up),
        down(weights.down),
        ffn_norm(weights.ffn_norm),
        window(weights.window) {}
  std::size_t bytes() const {
    std::size_t positions = 0;
    for (const auto* heads : {&position_keys, &position_queries}) {
      for (const HeadPanels& head : *heads) positions += head.storage.size() * sizeof(float);
    }
    return positions + query.bytes() + key.bytes() + value.bytes() + project.bytes() +
           attention_norm.bytes() + up.bytes() + down.bytes() + ffn_norm.bytes();
  }
  Linear query, key, value, project;
  std::vector<HeadPanels> position_keys, position_queries;  // [N]; empty without relative positions
  Norm attention_norm;
  Linear up, down;
  Norm ffn_norm;
  std::size_t window;
  const float* rotary = nullptr;  // rotary_table(), in the model; null: none
};

class ReferenceModel final : public PackedModel {
 public:
  explicit ReferenceModel(const EncoderWeights& weights)
      : hidden(weights.hidden),
        heads(weights.heads),
        intermediate(weights.intermediate),
        vocabulary(weights.vocabulary),
        positions(weights.positions),
        labels(weights.labels),
        form(weights.form),
        activation(weights.activation),
        word(weights.embedding.word.begin(), weights.embedding.word.end()),
        position(weights.embedding.position.begin(), weights.embedding.position.end()),
        token_type(weights.embedding.token_type.begin(), weights.embedding.token_type.end()),
        uncounted_id(weights.embedding.uncounted_id),
        embedding_norm(weights.embedding.norm),
        embedding_project(weights.embedding.project),
        layers(weights.layers.begin(), weights.layers.end()),
        final_norm(weights.final_norm),
        dense(weights.head.dense),
        head_activation(weights.head.activation),
        head_norm(weights.head.norm),
        classifier(weights.head.classifier) {
    check();
    if (weights.relative.distances.span > 0) project_distances(weights.relative);
    if (form.position == EncoderForm::Position::rotary) make_rotary_tables(weights);
  }

  std::size_t weight_bytes() const override {
    std::size_t bytes = (word.size() + position.size() + token_type.size()) * sizeof(float) +
                        embedding_norm.bytes() + embedding_project.bytes() + final_norm.bytes() +
                        dense.bytes() + head_norm.bytes() + classifier.bytes();
    for (const auto& [theta, table] : rotary_tables) bytes += table.size() * sizeof(float);
    for (const Layer& layer : layers) bytes += layer.bytes();
    return bytes;
  }

  std::size_t head_size() const { return hidden / heads; }
  // Rows of the table of distances; 0: none.
  std::size_t distances() const {
    return distance_rows.empty() ? 0 : layers.front().position_keys.front().panels.out;
  }
  bool projects() const { return embedding_project.panels.out > 0; }
  std::size_t embedding_width() const { return projects() ? embedding_project.panels.in : hidden; }
  std::size_t token_types() const { return token_type.size() / embedding_width(); }
  bool pre_norm() const { return form.norm == EncoderForm::Norm::pre; }
  bool gated() const { return form.ffn == EncoderForm::Ffn::gated; }
  bool takes_mean() const { return form.pooling == EncoderForm::Pooling::mean; }

  std::size_t hidden, heads, intermediate, vocabulary, positions, labels;
  EncoderForm form;
  Activation activation;
  std::vector<float> word, position, token_type;
  std::int32_t uncounted_id;
  Norm embedding_norm;
  Linear embedding_project;
  std::vector<std::int32_t> distance_rows;             // RelativeDistances::rows, or empty
  std::map<double, std::vector<float>> rotary_tables;  // by theta
  std::vector<Layer> layers;
  Norm final_norm;
  Linear dense;
  Activation head_activation;
  Norm head_norm;
  Linear classifier;

 private:
  void project_distances(const RelativeWeights& relative);
  void make_rotary_tables(const EncoderWeights& weights);
  void check() const;  // aborts where a size is not what the shape says
};

}  // namespace breakeven::ops::reference
