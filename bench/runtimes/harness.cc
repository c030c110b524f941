// What the harness of other runtimes costs: 2,000 batches of one text on runtimes/null.py, which
// computes nothing. Prints what it adds to the measured interval, as a share of a batch of 5 ms,
// and the round trip around it, which nobody measures. usage: runtimes_harness [MODEL]
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/clock.h"
#include "runtimes/pool.h"

namespace {

using namespace breakeven;

constexpr std::size_t kBatches = 2000;
constexpr std::size_t kWarmUp = 100;
constexpr double kRow_s = 5e-3;

template <class T>
T value_or_exit(Result<T> result) {
  if (result) return *std::move(result);
  fmt::print(stderr, "runtimes_harness: {}\n", result.error().to_string());
  std::exit(2);
}

double percentile(std::vector<double>& values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

void print_row(const char* what, std::vector<double>& seconds) {
  fmt::print("{:<44} {:>8.1f} {:>8.1f} {:>8.1f}\n", what, 1e6 * percentile(seconds, 0.5),
             1e6 * percentile(seconds, 0.9), 1e6 * percentile(seconds, 0.99));
}

}  // namespace

int main(int argc, char** argv) {
  runtimes::Pool pool({});
  runtimes::WorkerSpec spec;
  spec.runtime.name = "null";
  spec.padding = Padding::longest;
  spec.model_folder = argc > 1 ? argv[1] : BREAKEVEN_SOURCE_DIR "/models/builtin";
  const auto classifier = value_or_exit(pool.make(spec));
  std::vector<std::string> made;
  for (std::size_t i = 0; i < 64; ++i) {
    made.push_back(std::string(1000, 'x') + std::to_string(i));
  }
  const std::vector<Text> texts(made.begin(), made.end());
  std::vector<double> inside;
  std::vector<double> outside;
  BatchResult result;
  for (std::size_t i = 0; i < kWarmUp + kBatches; ++i) {
    const double start_s = monotonic_clock().now_s();
    const auto done = classifier->run_batch(std::span(texts).subspan(i % texts.size(), 1), result);
    const double took_s = monotonic_clock().now_s() - start_s;
    if (!done) {
      fmt::print(stderr, "runtimes_harness: {}\n", done.error().to_string());
      return 2;
    }
    if (i < kWarmUp) continue;
    inside.push_back(result.seconds);
    outside.push_back(took_s - result.seconds);
  }
  fmt::print("{:<44} {:>8} {:>8} {:>8}\n", "us, of 2,000 batches of one text", "p50", "p90", "p99");
  print_row("inside: padding, decoding, the clock", inside);
  print_row("outside: the round trip, not measured", outside);
  fmt::print("inside, as a share of a batch of 5 ms: {:.2f} % (p50)\n",
             100 * percentile(inside, 0.5) / kRow_s);
  return 0;
}
