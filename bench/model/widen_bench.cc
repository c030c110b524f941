// What the built-in model costs at start: reading it, and widening it to DistilBERT's shape. Also
// the reference's pace, which decides how many reviews it can judge.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/cpus.h"
#include "model/checkpoint.h"
#include "model/forward.h"
#include "model/widen.h"
#include "ops/reference/reference.h"

namespace breakeven::model {
namespace {

const std::string kFolder = std::string(BREAKEVEN_SOURCE_DIR) + "/models/builtin";

void bench_load(benchmark::State& state) {
  for (auto _ : state) {
    auto checkpoint = load_checkpoint(kFolder);
    BREAKEVEN_CHECK(checkpoint.has_value());
    benchmark::DoNotOptimize(checkpoint->weights.view().layers.data());
  }
}
BENCHMARK(bench_load)->Name("load builtin")->Unit(benchmark::kMillisecond)->UseRealTime();

void bench_widen(benchmark::State& state) {
  const auto narrow = load_checkpoint(kFolder);
  BREAKEVEN_CHECK(narrow.has_value());
  for (auto _ : state) {
    auto wide = widen(*narrow, {}, 1);
    BREAKEVEN_CHECK(wide.has_value());
    benchmark::DoNotOptimize(wide->weights.view().layers.data());
  }
  state.counters["threads"] = usable_cpus().threads();
}
BENCHMARK(bench_widen)
    ->Name("widen builtin to 6x768")
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// Four texts of 128 tokens.
void bench_reference(benchmark::State& state) {
  auto checkpoint = load_checkpoint(kFolder);
  BREAKEVEN_CHECK(checkpoint.has_value());
  const auto hidden = static_cast<std::size_t>(state.range(0));
  const auto wide = widen(*checkpoint, {hidden, hidden / 64, 4 * hidden}, 1);
  BREAKEVEN_CHECK(wide.has_value());
  const std::unique_ptr<ops::Backend> backend = ops::make_reference_backend();
  auto lane =
      backend->make_lane(*backend->pack(wide->weights.view()), {512, 4, usable_cpus().threads()});
  BREAKEVEN_CHECK(lane.has_value());
  std::vector<std::int32_t> ids(512);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(5 + 13 * i);
  const std::vector<std::int32_t> cu_seqlens{0, 128, 256, 384, 512};
  const std::vector<std::int32_t> valid_len(4, 128);
  for (auto _ : state) {
    backend->upload(**lane, {ids, {}, cu_seqlens, valid_len});
    forward(*backend, **lane, wide->plan);
    benchmark::DoNotOptimize(backend->wait(**lane).data());
  }
  state.counters["tokens_per_s"] =
      benchmark::Counter(512, benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(bench_reference)
    ->Name("reference, 6 layers of H")
    ->Arg(128)
    ->Arg(384)
    ->Arg(768)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace breakeven::model

BENCHMARK_MAIN();
