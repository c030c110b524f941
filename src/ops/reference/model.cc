#include "ops/reference/model.h"

namespace breakeven::ops::reference {
namespace {

void check_linear(const Linear& linear, std::size_t out, std::size_t in, const char* name) {
  BREAKEVEN_CHECK(linear.panels.out == out && linear.panels.in == in, "{} [{}, {}], not [{}, {}]",
                  name, linear.panels.out, linear.panels.in, out, in);
}

void check_norm(const Norm& norm, std::size_t hidden, const char* name) {
  BREAKEVEN_CHECK((norm.gamma.empty() || norm.gamma.size() == hidden) &&
                      (norm.beta.empty() || norm.beta.size() == norm.gamma.size()),
                  "{} {} {}", name, norm.gamma.size(), norm.beta.size());
}

}  // namespace

void ReferenceModel::project_distances(const RelativeWeights& relative) {
  distance_rows = relative.distances.rows(positions);
  const std::vector<float> table = relative.normed(hidden);
  const std::size_t count = table.size() / hidden;
  std::vector<float> rows(table.size());
  std::vector<double> scratch(table.size());
  const auto project = [&](const Linear& linear, std::vector<HeadPanels>& to) {
    multiply(table.data(), count, hidden, linear.panels, linear.bias, rows.data(), hidden, scratch);
    for (std::size_t head = 0; head < heads; ++head) {
      to.emplace_back(rows.data() + head * head_size(), count, head_size(), hidden);
    }
  };
  for (Layer& layer : layers) {
    project(layer.key, layer.position_keys);
    project(layer.query, layer.position_queries);
  }
}

void ReferenceModel::make_rotary_tables(const EncoderWeights& weights) {
  BREAKEVEN_CHECK(head_size() % 2 == 0, "heads of {}", head_size());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    std::vector<float>& table = rotary_tables[weights.layers[i].theta];
    if (table.empty()) table = rotary_table(weights.layers[i].theta, head_size(), positions);
    layers[i].rotary = table.data();
  }
}

void ReferenceModel::check() const {
  BREAKEVEN_CHECK(hidden > 0 && heads > 0 && hidden % heads == 0, "H={} N={}", hidden, heads);
  const std::size_t width = embedding_width();
  BREAKEVEN_CHECK(word.size() == vocabulary * width, "word {}", word.size());
  BREAKEVEN_CHECK(position.empty() || position.size() == positions * width, "position {}",
                  position.size());
  BREAKEVEN_CHECK(token_type.size() % width == 0, "token_type {}", token_type.size());
  check_norm(embedding_norm, width, "embedding norm");
  if (projects()) check_linear(embedding_project, hidden, width, "embedding projection");
  for (const Layer& layer : layers) {
    for (const Linear* linear : {&layer.query, &layer.key, &layer.value, &layer.project}) {
      check_linear(*linear, hidden, hidden, "attention");
    }
    check_linear(layer.up, (gated() ? 2 : 1) * intermediate, hidden, "up");
    check_linear(layer.down, hidden, intermediate, "down");
    check_norm(layer.attention_norm, hidden, "attention norm");
    check_norm(layer.ffn_norm, hidden, "ffn norm");
  }
  check_norm(final_norm, hidden, "final norm");
  check_norm(head_norm, hidden, "head norm");
  check_linear(dense, hidden, hidden, "head dense");
  check_linear(classifier, labels, hidden, "classifier");
}

}  // namespace breakeven::ops::reference
