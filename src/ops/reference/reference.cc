#include "ops/reference/reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/memory.h"
#include "base/thread_team.h"
#include "base/units.h"
#include "ops/reference/primitives.h"

namespace breakeven::ops {
namespace {

using reference::pack_panels;
using reference::Panels;
using reference::round_up_to_panel;

// Rows (of an attention: query rows) that one thread takes at a time.
constexpr std::size_t kRowsAtATime = 12;

// Owns copies: the caller's weights live only until pack() has returned.
struct Linear {
  explicit Linear(const LinearWeights& weights)
      : storage(round_up_to_panel(weights.out) * weights.in),
        bias(weights.bias.begin(), weights.bias.end()) {
    BREAKEVEN_CHECK(
        weights.weight.size() == weights.out * weights.in && weights.bias.size() == weights.out,
        "weight {} bias {} for [{}, {}]", weights.weight.size(), weights.bias.size(), weights.out,
        weights.in);
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

struct Layer {
  explicit Layer(const LayerWeights& weights)
      : query(weights.query),
        key(weights.key),
        value(weights.value),
        project(weights.project),
        attention_norm(weights.attention_norm),
        up(weights.up),
        down(weights.down),
        ffn_norm(weights.ffn_norm) {}
  std::size_t bytes() const {
    return query.bytes() + key.bytes() + value.bytes() + project.bytes() + attention_norm.bytes() +
           up.bytes() + down.bytes() + ffn_norm.bytes();
  }
  Linear query, key, value, project;
  Norm attention_norm;
  Linear up, down;
  Norm ffn_norm;
};

void check_linear(const Linear& linear, std::size_t out, std::size_t in, const char* name) {
  BREAKEVEN_CHECK(linear.panels.out == out && linear.panels.in == in, "{} [{}, {}], not [{}, {}]",
                  name, linear.panels.out, linear.panels.in, out, in);
}

void check_norm(const Norm& norm, std::size_t hidden, const char* name) {
  BREAKEVEN_CHECK(norm.gamma.size() == hidden && norm.beta.size() == hidden, "{} {} {}", name,
                  norm.gamma.size(), norm.beta.size());
}

class ReferenceModel final : public PackedModel {
 public:
  explicit ReferenceModel(const EncoderWeights& weights)
      : hidden(weights.hidden),
        heads(weights.heads),
        intermediate(weights.intermediate),
        vocabulary(weights.vocabulary),
        positions(weights.positions),
        labels(weights.labels),
        activation(weights.activation),
        word(weights.embedding.word.begin(), weights.embedding.word.end()),
        position(weights.embedding.position.begin(), weights.embedding.position.end()),
        token_type(weights.embedding.token_type.begin(), weights.embedding.token_type.end()),
        embedding_norm(weights.embedding.norm),
        layers(weights.layers.begin(), weights.layers.end()),
        dense(weights.head.dense),
        head_activation(weights.head.activation),
        classifier(weights.head.classifier) {
    check();
  }

  std::size_t weight_bytes() const override {
    std::size_t bytes = (word.size() + position.size() + token_type.size()) * sizeof(float) +
                        embedding_norm.bytes() + dense.bytes() + classifier.bytes();
    for (const Layer& layer : layers) bytes += layer.bytes();
    return bytes;
  }

  std::size_t head_size() const { return hidden / heads; }
  std::size_t token_types() const { return token_type.size() / hidden; }

  std::size_t hidden, heads, intermediate, vocabulary, positions, labels;
  Activation activation;
  std::vector<float> word, position, token_type;
  Norm embedding_norm;
  std::vector<Layer> layers;
  Linear dense;
  Activation head_activation;
  Linear classifier;

 private:
  void check() const {
    BREAKEVEN_CHECK(hidden > 0 && heads > 0 && hidden % heads == 0, "H={} N={}", hidden, heads);
    BREAKEVEN_CHECK(word.size() == vocabulary * hidden, "word {}", word.size());
    BREAKEVEN_CHECK(position.size() == positions * hidden, "position {}", position.size());
    BREAKEVEN_CHECK(token_type.size() % hidden == 0, "token_type {}", token_type.size());
    check_norm(embedding_norm, hidden, "embedding norm");
    for (const Layer& layer : layers) {
      for (const Linear* linear : {&layer.query, &layer.key, &layer.value, &layer.project}) {
        check_linear(*linear, hidden, hidden, "attention");
      }
      check_linear(layer.up, intermediate, hidden, "up");
      check_linear(layer.down, hidden, intermediate, "down");
      check_norm(layer.attention_norm, hidden, "attention norm");
      check_norm(layer.ffn_norm, hidden, "ffn norm");
    }
    check_linear(dense, hidden, hidden, "head dense");
    check_linear(classifier, labels, hidden, "classifier");
  }
};

// Longest sequence that a lane can meet.
std::size_t longest_sequence(const ReferenceModel& model, const LaneLimits& limits) {
  return std::min(model.positions, limits.rows);
}

// Doubles of one thread's scratch for reference::multiply.
std::size_t scratch_doubles(const ReferenceModel& model, const LaneLimits& limits) {
  return kRowsAtATime *
         std::max({model.hidden, model.intermediate, longest_sequence(model, limits)});
}

// Who may take part in an op.
std::size_t members(const LaneLimits& limits) {
  return limits.threads + limits.helpers;
}

// Floats of one thread's workspace: keys and values of one head in panels, scores of a few queries.
std::size_t workspace_floats(const ReferenceModel& model, const LaneLimits& limits) {
  const std::size_t longest = longest_sequence(model, limits);
  return round_up_to_panel(longest) * model.head_size() +
         round_up_to_panel(model.head_size()) * longest + kRowsAtATime * longest;
}

std::size_t lane_floats(const ReferenceModel& model, const LaneLimits& limits) {
  const std::size_t rows = 6 * model.hidden + model.intermediate;  // x q k v ctx sum, up
  const std::size_t cls = 2 * model.hidden;                        // x_cls, ctx_cls
  return limits.rows * rows + limits.sequences * (cls + model.labels) +
         members(limits) * workspace_floats(model, limits);
}

std::size_t lane_integers(const LaneLimits& limits) {
  return 2 * limits.rows + 2 * limits.sequences + 1;
}

std::size_t lane_bytes_of(const ReferenceModel& model, const LaneLimits& limits) {
  return lane_floats(model, limits) * sizeof(float) + lane_integers(limits) * sizeof(std::int32_t) +
         members(limits) * scratch_doubles(model, limits) * sizeof(double);
}

class ReferenceLane final : public Lane {
 public:
  ReferenceLane(std::shared_ptr<const ReferenceModel> packed, const LaneLimits& lane_limits)
      : model(std::move(packed)),
        limits(lane_limits),
        team(lane_limits.threads, {}, lane_limits.helpers) {
    floats_.resize(lane_floats(*model, limits));
    integers_.resize(lane_integers(limits));
    scratch_.resize(members(limits) * scratch_doubles(*model, limits));
    float* next = floats_.data();
    const auto take = [&next](std::size_t count) { return std::exchange(next, next + count); };
    const std::size_t hidden_rows = limits.rows * model->hidden;
    x = take(hidden_rows);
    query = take(hidden_rows);
    key = take(hidden_rows);
    value = take(hidden_rows);
    ctx = take(hidden_rows);
    sum = take(hidden_rows);
    up = take(limits.rows * model->intermediate);
    x_cls = take(limits.sequences * model->hidden);
    ctx_cls = take(limits.sequences * model->hidden);
    logits = take(limits.sequences * model->labels);
    workspace_ = take(members(limits) * workspace_floats(*model, limits));
    std::int32_t* integers = integers_.data();
    ids = integers;
    token_types = ids + limits.rows;
    cu_seqlens = token_types + limits.rows;
    valid_len = cu_seqlens + limits.sequences + 1;
  }

  std::size_t activation_bytes() const override {
    return floats_.size() * sizeof(float) + integers_.size() * sizeof(std::int32_t) +
           scratch_.size() * sizeof(double);
  }

  bool help() override { return team.help(); }

  float* workspace(unsigned member) const {
    return workspace_ + member * workspace_floats(*model, limits);
  }
  std::span<double> scratch(unsigned member) {
    const std::size_t size = scratch_doubles(*model, limits);
    return {scratch_.data() + member * size, size};
  }
  std::size_t first_row(std::size_t b) const { return static_cast<std::size_t>(cu_seqlens[b]); }
  std::size_t sequence_rows(std::size_t b) const { return first_row(b + 1) - first_row(b); }

  // Calls work(first, last, member) until all of [0, count) is done, each thread taking `step` at a
  // time. Who computes a row changes nothing in it.
  template <class Work>
  void share_out(std::size_t count, std::size_t step, const Work& work) {
    std::atomic<std::size_t> next{0};
    const auto member_work = [&](unsigned member) {
      for (std::size_t first = next.fetch_add(step); first < count; first = next.fetch_add(step)) {
        work(first, std::min(first + step, count), member);
      }
    };
    team.admit();
    team.run(std::cref(member_work));  // a reference: std::function need not allocate
  }

  std::shared_ptr<const ReferenceModel> model;
  LaneLimits limits;
  ThreadTeam team;
  std::size_t rows = 0;       // of the uploaded batch
  std::size_t sequences = 0;  // of the uploaded batch
  std::int32_t *ids, *token_types, *cu_seqlens, *valid_len;
  float *x, *query, *key, *value, *ctx, *sum, *up, *x_cls, *ctx_cls, *logits;

 private:
  std::vector<float> floats_;
  std::vector<std::int32_t> integers_;
  std::vector<double> scratch_;
  float* workspace_;
};

ReferenceLane& lane_of(Lane& lane) {
  return static_cast<ReferenceLane&>(lane);
}

// out[r] = linear(in[r]) for r < rows.
void linear(ReferenceLane& lane, const Linear& weights, const float* in, std::size_t rows,
            float* out) {
  const Panels& panels = weights.panels;
  lane.share_out(rows, kRowsAtATime, [&](std::size_t first, std::size_t last, unsigned member) {
    multiply(in + first * panels.in, last - first, panels.in, panels, weights.bias,
             out + first * panels.out, panels.out, lane.scratch(member));
  });
}

// x[r] = LN(linear(in[r]) + x[r]) for r < rows.
void linear_residual_norm(ReferenceLane& lane, const Linear& weights, const Norm& norm,
                          const float* in, std::size_t rows, float* x) {
  linear(lane, weights, in, rows, lane.sum);
  const std::size_t hidden = lane.model->hidden;
  lane.share_out(rows, kRowsAtATime, [&](std::size_t first, std::size_t last, unsigned) {
    for (std::size_t r = first; r < last; ++r) {
      const std::span<float> row(lane.sum + r * hidden, hidden);
      for (std::size_t h = 0; h < hidden; ++h) row[h] += x[r * hidden + h];
      reference::layer_norm(row, norm.view(), {x + r * hidden, hidden});
    }
  });
}

// Where the queries of one sequence lie, and where their results go.
struct Queries {
  const float* query;  // [count, H]
  float* ctx;          // [count, H]
  std::size_t count;
};

// One head of one sequence: ctx = softmax(q k^T / sqrt(D)) v over its valid rows.
void attend(ReferenceLane& lane, std::size_t b, std::size_t head, const Queries& queries,
            unsigned member) {
  const ReferenceModel& model = *lane.model;
  const std::size_t hidden = model.hidden;
  const std::size_t head_size = model.head_size();
  const auto valid = static_cast<std::size_t>(lane.valid_len[b]);
  const std::size_t offset = lane.first_row(b) * hidden + head * head_size;
  float* memory = lane.workspace(member);
  const std::size_t key_floats = round_up_to_panel(valid) * head_size;
  const std::size_t value_floats = round_up_to_panel(head_size) * valid;
  const Panels keys =
      pack_panels(lane.key + offset, valid, head_size, hidden, 1, {memory, key_floats});
  const Panels values = pack_panels(lane.value + offset, head_size, valid, 1, hidden,
                                    {memory + key_floats, value_floats});
  float* scores = memory + key_floats + value_floats;  // [kRowsAtATime, valid]
  const std::span<double> scratch = lane.scratch(member);
  const double scale = 1.0 / std::sqrt(static_cast<double>(head_size));
  for (std::size_t first = 0; first < queries.count; first += kRowsAtATime) {
    const std::size_t count = std::min(kRowsAtATime, queries.count - first);
    const std::size_t at = first * hidden + head * head_size;
    multiply(queries.query + at, count, hidden, keys, {}, scores, valid, scratch);
    for (std::size_t r = 0; r < count; ++r) reference::softmax({scores + r * valid, valid}, scale);
    multiply(scores, count, valid, values, {}, queries.ctx + at, hidden, scratch);
  }
}

void check_batch(const ReferenceLane& lane, const Batch& batch) {
  const ReferenceModel& model = *lane.model;
  const std::size_t rows = batch.rows();
  const std::size_t sequences = batch.sequences();
  BREAKEVEN_CHECK(rows >= 1 && rows <= lane.limits.rows, "T={} limit={}", rows, lane.limits.rows);
  BREAKEVEN_CHECK(sequences >= 1 && sequences <= lane.limits.sequences, "B={} limit={}", sequences,
                  lane.limits.sequences);
  BREAKEVEN_CHECK(batch.token_types.empty() || batch.token_types.size() == rows, "{} types",
                  batch.token_types.size());
  BREAKEVEN_CHECK(batch.cu_seqlens.size() == sequences + 1 && batch.cu_seqlens[0] == 0 &&
                      std::cmp_equal(batch.cu_seqlens[sequences], rows),
                  "cu_seqlens of {} for B={} T={}", batch.cu_seqlens.size(), sequences, rows);
  for (std::size_t b = 0; b < sequences; ++b) {
    const std::int32_t length = batch.cu_seqlens[b + 1] - batch.cu_seqlens[b];
    BREAKEVEN_CHECK(length >= 1 && std::cmp_less_equal(length, model.positions),
                    "sequence {} has {} rows, P={}", b, length, model.positions);
    BREAKEVEN_CHECK(batch.valid_len[b] >= 1 && batch.valid_len[b] <= length,
                    "sequence {} has {} valid of {} rows", b, batch.valid_len[b], length);
  }
  for (const std::int32_t id : batch.ids) {
    BREAKEVEN_CHECK(id >= 0 && std::cmp_less(id, model.vocabulary), "id={} V={}", id,
                    model.vocabulary);
  }
  if (model.token_types() == 0) return;
  for (const std::int32_t type : batch.token_types) {
    BREAKEVEN_CHECK(type >= 0 && std::cmp_less(type, model.token_types()), "type={} of {}", type,
                    model.token_types());
  }
}

class ReferenceBackend final : public Backend {
 public:
  BackendInfo info() const override { return {"reference", "", Precision::fp32}; }

  Result<std::shared_ptr<const PackedModel>> pack(const EncoderWeights& weights) override {
    BREAKEVEN_TRY_VOID(require_bert_form(weights.form, "reference"));
    try {
      return std::shared_ptr<const PackedModel>(std::make_shared<ReferenceModel>(weights));
    } catch (const std::bad_alloc&) {
      const MemoryLeft left = memory_left();
      return fail("ops/memory",
                  "the weights do not fit into memory a second time, for the reference: " +
                      left.to_string(),
                  left.advice() + " or take a smaller model");
    }
  }

  std::size_t lane_bytes(const PackedModel& model, const LaneLimits& limits) const override {
    return lane_bytes_of(static_cast<const ReferenceModel&>(model), limits);
  }

  Result<std::unique_ptr<Lane>> make_lane(std::shared_ptr<const PackedModel> model,
                                          const LaneLimits& limits) override {
    BREAKEVEN_CHECK(limits.rows >= 1 && limits.sequences >= 1 && limits.threads >= 1,
                    "T={} B={} threads={}", limits.rows, limits.sequences, limits.threads);
    // The kernel promises more than there is: told before it is taken.
    const std::size_t bytes = lane_bytes(*model, limits);
    const auto refuse = [&] {
      return fail("ops/memory",
                  fmt::format("the activations of {} tokens need {}, and {}", limits.rows,
                              format_bytes(static_cast<double>(bytes)), memory_left().to_string()),
                  "take a smaller batch or a smaller maximum length");
    };
    if (bytes > memory_left().bytes) return refuse();
    try {
      return std::unique_ptr<Lane>(std::make_unique<ReferenceLane>(
          std::static_pointer_cast<const ReferenceModel>(std::move(model)), limits));
    } catch (const std::bad_alloc&) {
      return refuse();
    }
  }

  void upload(Lane& base, const Batch& batch) override {
    ReferenceLane& lane = lane_of(base);
    check_batch(lane, batch);
    lane.rows = batch.rows();
    lane.sequences = batch.sequences();
    std::copy(batch.ids.begin(), batch.ids.end(), lane.ids);
    if (batch.token_types.empty()) {
      std::fill_n(lane.token_types, lane.rows, 0);
    } else {
      std::copy(batch.token_types.begin(), batch.token_types.end(), lane.token_types);
    }
    std::copy(batch.cu_seqlens.begin(), batch.cu_seqlens.end(), lane.cu_seqlens);
    std::copy(batch.valid_len.begin(), batch.valid_len.end(), lane.valid_len);
    lane.team.open();
  }

  void run(Lane&, const std::function<void()>& body) override { body(); }

  std::span<const float> wait(Lane& base) override {
    ReferenceLane& lane = lane_of(base);
    lane.team.close();
    return {lane.logits, lane.sequences * lane.model->labels};
  }

  void embed_ln(Lane& base) override {
    ReferenceLane& lane = lane_of(base);
    const ReferenceModel& model = *lane.model;
    lane.share_out(lane.sequences, 1, [&](std::size_t b, std::size_t, unsigned) {
      for (std::size_t s = 0; s < lane.sequence_rows(b); ++s) {
        embed_row(model, lane, lane.first_row(b) + s, s);
      }
    });
  }

  void attention(Lane& base, std::size_t layer) override {
    ReferenceLane& lane = lane_of(base);
    const Layer& weights = lane.model->layers.at(layer);
    linear(lane, weights.query, lane.x, lane.rows, lane.query);
    attend_all(lane, weights, [&lane](std::size_t b) {
      const std::size_t offset = lane.first_row(b) * lane.model->hidden;
      return Queries{lane.query + offset, lane.ctx + offset, lane.sequence_rows(b)};
    });
  }

  void cls_attention(Lane& base, std::size_t layer) override {
    ReferenceLane& lane = lane_of(base);
    const Layer& weights = lane.model->layers.at(layer);
    const std::size_t hidden = lane.model->hidden;
    for (std::size_t b = 0; b < lane.sequences; ++b) {
      std::copy_n(lane.x + lane.first_row(b) * hidden, hidden, lane.x_cls + b * hidden);
    }
    linear(lane, weights.query, lane.x_cls, lane.sequences, lane.query);
    attend_all(lane, weights, [&lane, hidden](std::size_t b) {
      return Queries{lane.query + b * hidden, lane.ctx_cls + b * hidden, 1};
    });
  }

  void project_ln(Lane& base, std::size_t layer, Act x) override {
    ReferenceLane& lane = lane_of(base);
    const Layer& weights = lane.model->layers.at(layer);
    const auto [rows, stream] = residual_stream(lane, x);
    linear_residual_norm(lane, weights.project, weights.attention_norm,
                         x == Act::x ? lane.ctx : lane.ctx_cls, rows, stream);
  }

  void ffn_ln(Lane& base, std::size_t layer, Act x) override {
    ReferenceLane& lane = lane_of(base);
    const ReferenceModel& model = *lane.model;
    const Layer& weights = model.layers.at(layer);
    const auto [rows, stream] = residual_stream(lane, x);
    linear(lane, weights.up, stream, rows, lane.up);
    const std::size_t intermediate = model.intermediate;
    lane.share_out(rows, kRowsAtATime, [&](std::size_t first, std::size_t last, unsigned) {
      reference::activate(model.activation,
                          {lane.up + first * intermediate, (last - first) * intermediate});
    });
    linear_residual_norm(lane, weights.down, weights.ffn_norm, lane.up, rows, stream);
  }

  void head(Lane& base) override {
    ReferenceLane& lane = lane_of(base);
    const ReferenceModel& model = *lane.model;
    linear(lane, model.dense, lane.x_cls, lane.sequences, lane.sum);
    reference::activate(model.head_activation, {lane.sum, lane.sequences * model.hidden});
    linear(lane, model.classifier, lane.sum, lane.sequences, lane.logits);
  }

  void tap(Lane& base, Act act, std::span<float> out) override {
    const ReferenceLane& lane = lane_of(base);
    const bool cls = act == Act::x_cls || act == Act::ctx_cls;
    const std::size_t size = (cls ? lane.sequences : lane.rows) * lane.model->hidden;
    BREAKEVEN_CHECK(out.size() == size, "tap of {} into {}", size, out.size());
    const float* from = act == Act::x       ? lane.x
                        : act == Act::ctx   ? lane.ctx
                        : act == Act::x_cls ? lane.x_cls
                                            : lane.ctx_cls;
    std::copy_n(from, size, out.data());
  }

 private:
  static void embed_row(const ReferenceModel& model, ReferenceLane& lane, std::size_t row,
                        std::size_t position) {
    const std::size_t hidden = model.hidden;
    const float* word = model.word.data() + static_cast<std::size_t>(lane.ids[row]) * hidden;
    const float* place = model.position.data() + position * hidden;
    const std::span<float> x(lane.x + row * hidden, hidden);
    for (std::size_t h = 0; h < hidden; ++h) x[h] = word[h] + place[h];
    if (model.token_types() > 0) {
      const float* type =
          model.token_type.data() + static_cast<std::size_t>(lane.token_types[row]) * hidden;
      for (std::size_t h = 0; h < hidden; ++h) x[h] += type[h];
    }
    reference::layer_norm(x, model.embedding_norm.view(), x);
  }

  // Keys and values of all rows, then every (sequence, head) with the queries that
  // queries_of(sequence) names.
  template <class QueriesOf>
  static void attend_all(ReferenceLane& lane, const Layer& weights, const QueriesOf& queries_of) {
    linear(lane, weights.key, lane.x, lane.rows, lane.key);
    linear(lane, weights.value, lane.x, lane.rows, lane.value);
    const std::size_t heads = lane.model->heads;
    lane.share_out(lane.sequences * heads, 1, [&](std::size_t i, std::size_t, unsigned member) {
      attend(lane, i / heads, i % heads, queries_of(i / heads), member);
    });
  }

  static std::pair<std::size_t, float*> residual_stream(const ReferenceLane& lane, Act x) {
    BREAKEVEN_CHECK(x == Act::x || x == Act::x_cls, "act={}", static_cast<int>(x));
    if (x == Act::x) return {lane.rows, lane.x};
    return {lane.sequences, lane.x_cls};
  }
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend() {
  return std::make_unique<ReferenceBackend>();
}

}  // namespace breakeven::ops
