// Shares of this machine's measured peak: each op of a DistilBERT layer, and a whole pass.
//
//   ops_bench [--threads N] [--set NAME] [--batch B] [--cut 512] [--seconds S]
//             [--precision fp32,fp32x3,bf16,int8]
//
// Peaks and ops are measured one after the other in the same run, as CPU time of one thread; the
// whole pass is wall time with the threads asked for. Weights are random: what they hold does not
// change the speed of any op here.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include "base/cpus.h"
#include "gemm_share.h"
#include "ops/cpu/cpu_backend.h"
#include "ops/cpu/isa.h"
#include "ops/cpu/packed_model.h"
#include "peaks.h"
#include "testing/random_encoder.h"

namespace breakeven::bench {
namespace {

using ops::Precision;

// IMDB's lengths in tokens (mean about 310, 14 % over 512) at equal steps of their distribution.
constexpr int kImdbLengths[] = {62,  93,  122, 134, 143, 150, 155, 161, 166, 171, 177,
                                183, 190, 197, 205, 214, 223, 234, 246, 260, 275, 292,
                                312, 335, 362, 394, 432, 480, 540, 640, 800, 1100};

struct Options {
  unsigned threads = usable_cpus().threads();
  std::string set;
  std::size_t batch = 32;
  std::size_t cut = 512;
  double seconds = 2;
  std::vector<std::string> precisions{};  // empty: all
};

// What one layer of DistilBERT's GEMMs read in bf16, five times: more than an L2, less than an L3.
constexpr std::size_t kLayerBytes = std::size_t{2} * (4 * 768 * 768 + 2 * 768 * 3072);

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::vector<testing::RandomBatch::Sequence> lengths(const Options& options) {
  std::vector<testing::RandomBatch::Sequence> sequences;
  for (std::size_t i = 0; i < options.batch; ++i) {
    // Spread over the distribution whatever the batch size; 13 is coprime to 32.
    const std::size_t at = (i * 13 + 16) % std::size(kImdbLengths);
    const auto n = std::min(options.cut, static_cast<std::size_t>(kImdbLengths[at]));
    sequences.push_back({n, n});
  }
  return sequences;
}

// What a core does at most in the number formats of a precision: GEMMs, attention's scores and
// contexts (int8's are bf16 or fp32), and the [CLS] ops, which are fp32 always.
struct Roof {
  double gemm = 0, attention = 0, fp32 = 0;
};

// One op of a pass: its time, and the arithmetic that the model asks for.
struct Part {
  const char* name;
  double gemm = 0, attention = 0, fp32 = 0;  // operations
  double seconds = 0;
  double operations() const { return gemm + attention + fp32; }
  double least_seconds(const Roof& roof) const {
    return gemm / roof.gemm + attention / roof.attention + fp32 / roof.fp32;
  }
};

struct Pass {
  std::vector<Part> parts{{"embed_ln"}, {"attention"},     {"project_ln"},
                          {"ffn_ln"},   {"cls_attention"}, {"cls project_ln + ffn_ln"},
                          {"head"}};
  double seconds = 1e30;
  double operations() const {
    double sum = 0;
    for (const Part& part : parts) sum += part.operations();
    return sum;
  }
  double least_seconds(const Roof& roof) const {
    double sum = 0;
    for (const Part& part : parts) sum += part.least_seconds(roof);
    return sum;
  }
};

void count_operations(const testing::EncoderShape& shape,
                      const std::vector<testing::RandomBatch::Sequence>& sequences, Pass& pass) {
  const auto hidden = static_cast<double>(shape.hidden);
  const auto inner = static_cast<double>(shape.intermediate);
  const auto full = static_cast<double>(shape.layers - 1);
  double rows = 0;
  double pairs = 0;
  for (const auto& s : sequences) {
    rows += static_cast<double>(s.rows);
    pairs += static_cast<double>(s.rows) * static_cast<double>(s.valid);
  }
  const auto count = static_cast<double>(sequences.size());
  pass.parts[1].gemm = full * 6 * hidden * hidden * rows;
  pass.parts[1].attention = full * 4 * hidden * pairs;
  pass.parts[2].gemm = full * 2 * hidden * hidden * rows;
  pass.parts[3].gemm = full * 4 * hidden * inner * rows;
  const auto heads = static_cast<double>(shape.heads);
  pass.parts[4].fp32 = 4 * hidden * heads * rows + 6 * hidden * hidden * count;
  pass.parts[5].gemm = (2 * hidden * hidden + 4 * hidden * inner) * count;
  pass.parts[6].fp32 = 2 * hidden * hidden * count;
}

Pass run_pass(ops::Backend& backend, ops::Lane& lane, std::size_t last, const ops::Batch& batch,
              double (*clock)()) {
  Pass pass;
  pass.seconds = 0;
  const double begin = clock();
  double mark = begin;
  const auto add = [&](std::size_t part) {
    const double now = clock();
    pass.parts[part].seconds += now - mark;
    mark = now;
  };
  backend.upload(lane, batch);
  mark = clock();
  backend.run(lane, [&] {
    backend.embed_ln(lane);
    add(0);
    for (std::size_t layer = 0; layer < last; ++layer) {
      backend.attention(lane, layer);
      add(1);
      backend.project_ln(lane, layer, ops::Act::x);
      add(2);
      backend.ffn_ln(lane, layer, ops::Act::x);
      add(3);
    }
    backend.cls_attention(lane, last);
    add(4);
    backend.project_ln(lane, last, ops::Act::x_cls);
    backend.ffn_ln(lane, last, ops::Act::x_cls);
    add(5);
    backend.head(lane);
    add(6);
  });
  pass.seconds = clock() - begin;
  return pass;
}

// The fastest of many passes, the first one aside.
Pass run_passes(ops::Backend& backend, ops::Lane& lane, const testing::EncoderShape& shape,
                const ops::Batch& batch, double seconds, double (*clock)()) {
  Pass best;
  const double end = wall_seconds() + seconds;
  for (int i = 0; i < 3 || wall_seconds() < end; ++i) {
    const Pass pass = run_pass(backend, lane, shape.layers - 1, batch, clock);
    if (i > 0 && pass.seconds < best.seconds) best = pass;
  }
  return best;
}

Roof roof_of(Precision precision, InstructionSet set, const Peaks& peaks) {
  const bool half = ops::cpu::formats_for(precision, set).bf16_attention;
  Roof roof{peaks.fp32, half ? peaks.bf16 : peaks.fp32, peaks.fp32};
  if (precision == Precision::bf16) roof.gemm = peaks.bf16;
  if (precision == Precision::int8) roof.gemm = peaks.int8;
  if (precision == Precision::fp32x3) roof.gemm = peaks.bf16 / 3;
  return roof;
}

void print_peaks(const Peaks& peaks, const std::string& set, unsigned threads) {
  fmt::print("measured peaks of one core ({}), GFLOP/s (int8: GOP/s)\n", set);
  fmt::print("  fp32 from registers {:.0f}\n", peaks.fp32 / 1e9);
  if (peaks.bf16_loads == 0) {
    fmt::print("  int8 products from registers {:.0f}\n", peaks.int8 / 1e9);
    if (peaks.bf16 > 0) fmt::print("  bf16 products from registers {:.0f}\n", peaks.bf16 / 1e9);
  } else {
    const char* line =
        "  {} tiles from registers {:.0f}, one tile load a product: L1 {:.0f}, L2 {:.0f}\n";
    fmt::print(fmt::runtime(line), "bf16", peaks.bf16 / 1e9, peaks.bf16_loads / 1e9,
               peaks.bf16_l2 / 1e9);
    fmt::print(fmt::runtime(line), "int8", peaks.int8 / 1e9, peaks.int8_loads / 1e9,
               peaks.int8_l2 / 1e9);
  }
  fmt::print(
      "  reading one layer's weights ({:.1f} MB): {:.1f} GB/s with one thread, {:.1f} with {}; "
      "five "
      "layers': {:.1f} with {}\n",
      kLayerBytes / 1e6, read_bandwidth(kLayerBytes, 1) / 1e9,
      read_bandwidth(kLayerBytes, threads) / 1e9, threads,
      read_bandwidth(5 * kLayerBytes, threads) / 1e9, threads);
}

// Shares of the GEMMs' peak, and of the peaks of the formats that the op computes in.
void print_parts(const Pass& pass, const Roof& roof, unsigned threads, Precision precision,
                 const std::string& title) {
  fmt::print("  {:<26}{:>10}{:>12}{:>18}{:>18}\n", title, "ms", "GFLOP/s",
             fmt::format("of {} peak", to_string(precision)), "of formats' peaks");
  for (const Part& part : pass.parts) {
    const double rate = part.operations() / part.seconds;
    fmt::print("  {:<26}{:>10.2f}{:>12.0f}{:>17.1f}%{:>17.1f}%\n", part.name, part.seconds * 1e3,
               rate / 1e9, 100 * rate / (roof.gemm * threads),
               100 * part.least_seconds(roof) / (part.seconds * threads));
  }
}

void bench_precision(Precision precision, InstructionSet set, const Options& options,
                     const Peaks& peaks, const testing::EncoderShape& shape,
                     const testing::RandomEncoder& encoder) {
  const auto backend = ops::make_cpu_backend({precision, options.set}).value();
  const auto sequences = lengths(options);
  const testing::RandomBatch batch(shape, sequences);
  fmt::print("\n{}: batch {}, {} tokens, cut at {}\n", to_string(precision), options.batch,
             batch.ids.size(), options.cut);
  const auto model = backend->pack(encoder.weights).value();
  const auto measure = [&](unsigned threads, double (*clock)()) {
    const auto lane = backend->make_lane(model, {batch.ids.size(), options.batch, threads}).value();
    Pass pass = run_passes(*backend, *lane, shape, batch.batch(), options.seconds, clock);
    count_operations(shape, sequences, pass);
    return pass;
  };
  const Roof roof = roof_of(precision, set, peaks);
  print_parts(measure(1, thread_seconds), roof, 1, precision, "one thread, CPU");
  const Pass pass = measure(options.threads, wall_seconds);
  print_parts(pass, roof, options.threads, precision,
              fmt::format("{} threads, wall", options.threads));
  const double rate = pass.operations() / pass.seconds;
  fmt::print(
      "  roofline: {} threads, wall time {:.1f} ms, {:.1f} sequences/s, {:.0f} GFLOP/s = {:.1f} % "
      "of {} x {:.0f}, {:.1f} % of its formats' peaks\n",
      options.threads, pass.seconds * 1e3, static_cast<double>(options.batch) / pass.seconds,
      rate / 1e9, 100 * rate / (roof.gemm * options.threads), options.threads, roof.gemm / 1e9,
      100 * pass.least_seconds(roof) / (pass.seconds * options.threads));
}

int run(const Options& options) {
  const auto set = ops::cpu::choose_set(options.set);
  if (!set) {
    fmt::print(stderr, "{}\n", set.error().to_string());
    return 2;
  }
  const Peaks peaks = measure_peaks(*set);
  print_peaks(peaks, std::string(to_string(*set)), options.threads);
  print_gemm_share(*set, options.seconds);
  testing::EncoderShape shape;
  shape.hidden = 768;
  shape.heads = 12;
  shape.intermediate = 3072;
  shape.vocabulary = 30522;
  shape.positions = 512;
  shape.layers = 6;
  shape.labels = 2;
  const testing::RandomEncoder encoder(shape);
  for (const Precision precision : ops::cpu_precisions(options.set)) {
    const auto& asked = options.precisions;
    const bool wanted = std::find(asked.begin(), asked.end(), to_string(precision)) != asked.end();
    if (!asked.empty() && !wanted) continue;
    bench_precision(precision, *set, options, peaks, shape, encoder);
  }
  return 0;
}

}  // namespace
}  // namespace breakeven::bench

int main(int count, char** arguments) {
  breakeven::bench::Options options;
  CLI::App app("Shares of this machine's measured peak, op by op");
  app.add_option("--threads", options.threads, "Threads of the whole pass")
      ->check(CLI::PositiveNumber);
  app.add_option("--set", options.set, "Instruction set to force");
  app.add_option("--batch", options.batch, "Sequences of a batch")->check(CLI::PositiveNumber);
  app.add_option("--cut", options.cut, "Longest sequence in tokens")->check(CLI::Range(1, 512));
  app.add_option("--precision", options.precisions, "fp32, fp32x3, bf16, int8; all when left out")
      ->delimiter(',');
  app.add_option("--seconds", options.seconds, "Time for each measurement");
  CLI11_PARSE(app, count, arguments);
  return breakeven::bench::run(options);
}
