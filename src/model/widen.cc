#include "model/widen.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/content_hash.h"
#include "base/cpus.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/thread_team.h"
#include "base/units.h"

namespace breakeven::model {
namespace {

// Part of the content hash: a change of the algorithm changes the weights that a seed gives.
constexpr std::string_view kAlgorithm = "widen/1";

// Shares of a split weight are drawn from this range before they are made to add up to 1: none is
// so small that its copy would not matter.
constexpr double kShareLow = 0.4;
constexpr double kShareHigh = 1.6;

constexpr unsigned kMostThreads = 16;

// What a stream of random numbers is for: the first step of its path.
enum class Purpose : std::uint64_t {
  hidden_map,
  intermediate_map,
  head_map,
  dense_map,
  query_key_rotation,
  value_rotation,
  query,
  key,
  value,
  project,
  up,
  down,
  dense,
  classifier,
};

// Wide index -> narrow index; each narrow one appears equally often.
using Map = std::vector<std::size_t>;

Map repeat_map(std::size_t narrow, std::size_t wide, Random random) {
  Map map(wide);
  for (std::size_t i = 0; i < wide; ++i) map[i] = i % narrow;
  random.shuffle(map);
  return map;
}

Map identity_map(std::size_t size) {
  Map map(size);
  for (std::size_t i = 0; i < size; ++i) map[i] = i;
  return map;
}

// A matrix [size, size] of doubles that turns one head.
using Rotation = std::vector<double>;

// out = sum over k of weights[k] * rows[k], where row(k) is a pointer to `size` doubles.
template <class RowOf>
void combine(const double* weights, std::size_t count, const RowOf& row, std::span<double> out) {
  std::fill(out.begin(), out.end(), 0.0);
  for (std::size_t k = 0; k < count; ++k) {
    const double* from = row(k);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] += weights[k] * from[i];
  }
}

// Splits each value of a narrow row over the copies of its column, in random shares that add up to
// 1. One thread's scratch.
class Splitter {
 public:
  Splitter(std::size_t narrow, const Map& columns)
      : columns_(columns), totals_(narrow), shares_(columns.size()) {}

  // out[c] = row[columns[c]] * share[c]
  template <class Value>
  void split(std::span<const double> row, Random random, std::span<Value> out) {
    std::fill(totals_.begin(), totals_.end(), 0.0);
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      shares_[c] = random.uniform(kShareLow, kShareHigh);
      totals_[columns_[c]] += shares_[c];
    }
    for (std::size_t s = 0; s < row.size(); ++s) totals_[s] = row[s] / totals_[s];
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      out[c] = static_cast<Value>(totals_[columns_[c]] * shares_[c]);
    }
  }

 private:
  const Map& columns_;
  std::vector<double> totals_;
  std::vector<double> shares_;
};

std::span<const double> row_in_double(const ops::LinearWeights& linear, std::size_t row,
                                      std::vector<double>& memory) {
  const std::span<const float> from = linear.weight.subspan(row * linear.in, linear.in);
  memory.assign(from.begin(), from.end());
  return memory;
}

class Widener {
 public:
  Widener(const ops::EncoderWeights& from, const ops::EncoderWeights& to, float* storage,
          std::uint64_t seed)
      : from_(from),
        to_(to),
        storage_(storage),
        seed_(seed),
        team_(std::min(usable_cpus().threads(), kMostThreads)),
        hidden_(repeat_map(from.hidden, to.hidden, random(Purpose::hidden_map))) {}

  void run() {
    table(from_.embedding.word, to_.embedding.word);
    table(from_.embedding.position, to_.embedding.position);
    norm(from_.embedding.norm, to_.embedding.norm);
    for (std::size_t layer = 0; layer < from_.layers.size(); ++layer) {
      attention(layer);
      norm(from_.layers[layer].attention_norm, to_.layers[layer].attention_norm);
      ffn(layer);
      norm(from_.layers[layer].ffn_norm, to_.layers[layer].ffn_norm);
    }
    const Map dense = repeat_map(from_.hidden, to_.hidden, random(Purpose::dense_map));
    linear(from_.head.dense, to_.head.dense, dense, hidden_, Purpose::dense, 0);
    linear(from_.head.classifier, to_.head.classifier, identity_map(from_.labels), dense,
           Purpose::classifier, 0);
  }

 private:
  Random random(Purpose purpose, std::size_t layer = 0, std::size_t row = 0) const {
    return {seed_, {static_cast<std::uint64_t>(purpose), layer, row}};
  }

  // The writable memory behind a view of the wide weights.
  std::span<float> writable(std::span<const float> view) const {
    return {storage_ + (view.data() - storage_), view.size()};
  }

  // Calls work(first, last) until all of [0, count) is done, `step` at a time, on all threads.
  template <class Work>
  void share_out(std::size_t count, std::size_t step, const Work& work) {
    std::atomic<std::size_t> next{0};
    const auto member_work = [&](unsigned) {
      for (std::size_t first = next.fetch_add(step); first < count; first = next.fetch_add(step)) {
        work(first, std::min(first + step, count));
      }
    };
    team_.run(std::cref(member_work));
  }

  void repeat(std::span<const float> narrow, const Map& map, std::span<float> out) const {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = narrow[map[i]];
  }

  void table(std::span<const float> narrow, std::span<const float> wide) {
    const std::span<float> out = writable(wide);
    share_out(narrow.size() / from_.hidden, 64, [&](std::size_t first, std::size_t last) {
      for (std::size_t r = first; r < last; ++r) {
        repeat(narrow.subspan(r * from_.hidden, from_.hidden), hidden_,
               out.subspan(r * to_.hidden, to_.hidden));
      }
    });
  }

  void norm(const ops::NormWeights& narrow, const ops::NormWeights& wide) {
    repeat(narrow.gamma, hidden_, writable(wide.gamma));
    repeat(narrow.beta, hidden_, writable(wide.beta));
  }

  void linear(const ops::LinearWeights& narrow, const ops::LinearWeights& wide, const Map& rows,
              const Map& columns, Purpose purpose, std::size_t layer) {
    const std::span<float> out = writable(wide.weight);
    repeat(narrow.bias, rows, writable(wide.bias));
    share_out(wide.out, 32, [&](std::size_t first, std::size_t last) {
      Splitter splitter(narrow.in, columns);
      std::vector<double> memory;
      for (std::size_t r = first; r < last; ++r) {
        splitter.split(row_in_double(narrow, rows[r], memory), random(purpose, layer, r),
                       out.subspan(r * wide.in, wide.in));
      }
    });
  }

  // Which narrow feature each wide one of the attention repeats: whole heads stay together.
  Map head_map(std::size_t layer) const {
    const std::size_t narrow_size = from_.hidden / from_.heads;
    const std::size_t wide_size = to_.hidden / to_.heads;
    const Map heads = repeat_map(from_.heads, to_.heads, random(Purpose::head_map, layer, 0));
    Map map;
    for (std::size_t n = 0; n < to_.heads; ++n) {
      for (const std::size_t d :
           repeat_map(narrow_size, wide_size, random(Purpose::head_map, layer, n + 1))) {
        map.push_back(heads[n] * narrow_size + d);
      }
    }
    return map;
  }

  std::vector<Rotation> rotations(Purpose purpose, std::size_t layer) {
    std::vector<Rotation> made(to_.heads);
    share_out(to_.heads, 1, [&](std::size_t n, std::size_t) {
      Random stream = random(purpose, layer, n);
      made[n] = random_rotation(to_.hidden / to_.heads, stream);
    });
    return made;
  }

  void attention(std::size_t layer) {
    const ops::LayerWeights& narrow = from_.layers[layer];
    const ops::LayerWeights& wide = to_.layers[layer];
    const Map heads = head_map(layer);
    const std::vector<Rotation> turn = rotations(Purpose::query_key_rotation, layer);
    const std::vector<Rotation> turn_value = rotations(Purpose::value_rotation, layer);
    // q k^T counts each feature of a head `copies` times, and is divided by the root of the wide
    // size instead of the narrow one.
    const std::size_t narrow_head = from_.hidden / from_.heads;
    const std::size_t wide_head = to_.hidden / to_.heads;
    const auto narrow_size = static_cast<double>(narrow_head);
    const auto wide_size = static_cast<double>(wide_head);
    const double copies = wide_size / narrow_size;
    const double scale = std::sqrt(wide_size) / (copies * std::sqrt(narrow_size));
    turned(narrow.query, wide.query, heads, turn, scale, Purpose::query, layer);
    turned(narrow.key, wide.key, heads, turn, 1.0, Purpose::key, layer);
    turned(narrow.value, wide.value, heads, turn_value, 1.0, Purpose::value, layer);
    turned_back(narrow.project, wide.project, heads, turn_value, layer);
  }

  // Rows of each head turned by its rotation, then split over the copies of each input.
  void turned(const ops::LinearWeights& narrow, const ops::LinearWeights& wide, const Map& rows,
              const std::vector<Rotation>& turn, double scale, Purpose purpose, std::size_t layer) {
    const std::size_t size = to_.hidden / to_.heads;
    const std::span<float> out = writable(wide.weight);
    const std::span<float> bias = writable(wide.bias);
    share_out(to_.heads, 1, [&](std::size_t n, std::size_t) {
      // The narrow rows of this head in double, each with its bias at the end.
      const std::size_t length = narrow.in + 1;
      std::vector<double> head(size * length);
      for (std::size_t k = 0; k < size; ++k) {
        const std::size_t source = rows[n * size + k];
        for (std::size_t i = 0; i < narrow.in; ++i) {
          head[k * length + i] = scale * static_cast<double>(narrow.weight[source * narrow.in + i]);
        }
        head[k * length + narrow.in] = scale * static_cast<double>(narrow.bias[source]);
      }
      Splitter splitter(narrow.in, hidden_);
      std::vector<double> row(length);
      for (std::size_t k = 0; k < size; ++k) {
        const std::size_t r = n * size + k;
        combine(
            turn[n].data() + k * size, size,
            [&](std::size_t other) { return head.data() + other * length; }, row);
        splitter.split(std::span<const double>(row).first(narrow.in), random(purpose, layer, r),
                       out.subspan(r * wide.in, wide.in));
        bias[r] = static_cast<float>(row[narrow.in]);
      }
    });
  }

  // The projection reads turned values: its columns, split over the copies of each value, are
  // turned by the same rotations.
  void turned_back(const ops::LinearWeights& narrow, const ops::LinearWeights& wide,
                   const Map& columns, const std::vector<Rotation>& turn, std::size_t layer) {
    const std::size_t size = to_.hidden / to_.heads;
    std::vector<Rotation> transposed(to_.heads, Rotation(size * size));
    for (std::size_t n = 0; n < to_.heads; ++n) {
      for (std::size_t r = 0; r < size; ++r) {
        for (std::size_t c = 0; c < size; ++c) transposed[n][c * size + r] = turn[n][r * size + c];
      }
    }
    const std::span<float> out = writable(wide.weight);
    repeat(narrow.bias, hidden_, writable(wide.bias));
    share_out(wide.out, 32, [&](std::size_t first, std::size_t last) {
      Splitter splitter(narrow.in, columns);
      std::vector<double> memory;
      std::vector<double> row(wide.in);
      std::vector<double> head(size);
      for (std::size_t r = first; r < last; ++r) {
        splitter.split(row_in_double(narrow, hidden_[r], memory),
                       random(Purpose::project, layer, r), std::span<double>(row));
        for (std::size_t n = 0; n < to_.heads; ++n) {
          combine(
              row.data() + n * size, size,
              [&](std::size_t k) { return transposed[n].data() + k * size; }, head);
          float* to = out.data() + r * wide.in + n * size;
          for (std::size_t c = 0; c < size; ++c) to[c] = static_cast<float>(head[c]);
        }
      }
    });
  }

  void ffn(std::size_t layer) {
    const Map intermediate =
        repeat_map(from_.intermediate, to_.intermediate, random(Purpose::intermediate_map, layer));
    linear(from_.layers[layer].up, to_.layers[layer].up, intermediate, hidden_, Purpose::up, layer);
    linear(from_.layers[layer].down, to_.layers[layer].down, hidden_, intermediate, Purpose::down,
           layer);
  }

  const ops::EncoderWeights& from_;
  const ops::EncoderWeights& to_;
  float* storage_;
  std::uint64_t seed_;
  ThreadTeam team_;
  Map hidden_;  // the residual stream
};

Result<void> check_shape(const EncoderPlan& plan, const WideShape& shape) {
  if (plan.architecture->model_type != "distilbert") {
    return fail("widen/architecture", "only DistilBERT checkpoints can be widened",
                "run the model in its own size");
  }
  const auto check = [](const char* what, std::size_t wide, std::size_t narrow) -> Result<void> {
    if (wide >= narrow && wide % narrow == 0) return {};
    return fail("widen/shape", fmt::format("{} {} is not a multiple of {}", what, wide, narrow),
                fmt::format("take {} or {}", narrow, 2 * narrow));
  };
  BREAKEVEN_TRY_VOID(check("hidden size", shape.hidden, plan.hidden));
  BREAKEVEN_TRY_VOID(check("number of heads", shape.heads, plan.heads));
  BREAKEVEN_TRY_VOID(check("intermediate size", shape.intermediate, plan.intermediate));
  BREAKEVEN_TRY_VOID(check("hidden size", shape.hidden, shape.heads));
  return check("head size", shape.hidden / shape.heads, plan.hidden / plan.heads);
}

std::size_t count_values(const EncoderPlan& plan) {
  std::size_t values = 0;
  for (const TensorSpec& spec : tensor_table(plan)) {
    std::size_t size = 1;
    for (const std::size_t extent : spec.shape) size *= extent;
    values += size;
  }
  return values;
}

tl::unexpected<Error> memory_error(std::size_t values) {
  const MemoryLeft left = memory_left();
  return fail(
      "widen/memory",
      fmt::format("the wide weights need {}, and {}",
                  format_bytes(static_cast<double>(values * sizeof(float))), left.to_string()),
      left.advice() + " or take the narrow model: --model builtin-narrow");
}

// Names the wide weights without reading them: they follow from the narrow ones and these values.
std::shared_future<std::string> wide_hash(const Checkpoint& narrow, const WideShape& shape,
                                          std::uint64_t seed) {
  return std::async(std::launch::deferred, [hash = narrow.lazy_hash, shape, seed] {
    return sha256_hex(fmt::format("{} {} {} {} {} {}", kAlgorithm, hash.get(), shape.hidden,
                                  shape.heads, shape.intermediate, seed));
  });
}

}  // namespace

Result<Checkpoint> widen(const Checkpoint& narrow, const WideShape& shape, std::uint64_t seed) {
  BREAKEVEN_TRY_VOID(check_shape(narrow.plan, shape));
  Checkpoint wide;
  wide.plan = narrow.plan;
  wide.plan.hidden = shape.hidden;
  wide.plan.heads = shape.heads;
  wide.plan.intermediate = shape.intermediate;
  const std::size_t values = count_values(wide.plan);
  if (values * sizeof(float) > memory_left().bytes) return memory_error(values);
  std::shared_ptr<float[]> storage;
  try {
    storage = std::make_shared_for_overwrite<float[]>(values);
  } catch (const std::bad_alloc&) {
    return memory_error(values);
  }
  std::size_t used = 0;
  const float* const view = storage.get();
  const ModelWeights::Source source{
      storage, [&](const TensorSpec& spec) -> Result<std::span<const float>> {
        std::size_t size = 1;
        for (const std::size_t extent : spec.shape) size *= extent;
        return std::span<const float>(view + std::exchange(used, used + size), size);
      }};
  BREAKEVEN_TRY(wide.weights, ModelWeights::build(wide.plan, source));
  Widener(narrow.weights.view(), wide.weights.view(), storage.get(), seed).run();
  wide.lazy_hash = wide_hash(narrow, shape, seed);
  return wide;
}

}  // namespace breakeven::model
