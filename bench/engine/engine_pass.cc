// Classifies a fixed set of texts once for every line on its standard input and prints the seconds
// of that pass, so that a driver can interleave it with other engines over the same texts. usage:
// engine_pass MODEL TEXTS.jsonl PRECISION serial|stream BATCH MAX_LENGTH THREADS [LOGITS_OUT]
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/native.h"

namespace {

using breakeven::Classifier;

template <class T>
T value_or_exit(breakeven::Result<T> result) {
  if (result) return *std::move(result);
  fmt::print(stderr, "engine_pass: {}\n", result.error().to_string());
  std::exit(2);
}

std::vector<std::string> read_texts(const char* path) {
  std::ifstream in(path);
  std::vector<std::string> texts;
  for (std::string line; std::getline(in, line);) {
    texts.push_back(nlohmann::json::parse(line).at("text").get<std::string>());
  }
  return texts;
}

// Of all stream passes, over all workers.
double busy = 0, tokenizing = 0;

// One pass over all texts; returns the seconds.
double pass(Classifier& classifier, std::span<const breakeven::Text> texts, const std::string& mode,
            std::size_t batch, std::vector<float>& logits) {
  const auto start = std::chrono::steady_clock::now();
  if (mode == "stream") {
    static breakeven::StreamResult out;
    if (auto done = classifier.run_stream(texts, batch, out); !done) std::exit(2);
    busy += out.busy.sum();
    tokenizing += out.busy.tokenize;
    logits = out.logits;
  } else {
    static breakeven::BatchResult out;
    logits.clear();
    for (std::size_t first = 0; first < texts.size(); first += batch) {
      const auto some = texts.subspan(first, std::min(batch, texts.size() - first));
      if (auto done = classifier.run_batch(some, out); !done) std::exit(2);
      logits.insert(logits.end(), out.logits.begin(), out.logits.end());
    }
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 8) {
    fmt::print(
        stderr,
        "usage: engine_pass MODEL TEXTS.jsonl PRECISION serial|stream BATCH MAX_LENGTH THREADS "
        "[LOGITS_OUT]\n");
    return 2;
  }
  auto model = value_or_exit(breakeven::engine::load_model({.model = argv[1]}));
  const std::vector<std::string> owned = read_texts(argv[2]);
  const std::vector<breakeven::Text> texts(owned.begin(), owned.end());
  breakeven::engine::NativeOptions options;
  options.reference = std::string(argv[3]) == "reference";
  if (!options.reference)
    options.setup.precision = value_or_exit(breakeven::parse<breakeven::Precision>(argv[3]));
  const std::size_t batch = std::stoul(argv[5]);
  options.setup.batch = batch;
  options.setup.max_length = std::stoul(argv[6]);
  options.setup.threads = static_cast<unsigned>(std::stoul(argv[7]));
  const auto classifier = value_or_exit(breakeven::engine::make_native(model, options));
  model.reset();
  fmt::print("ready {}\n", classifier->info().instruction_set);
  std::fflush(stdout);
  std::vector<float> logits;
  for (std::string line; std::getline(std::cin, line);) {
    fmt::print("{:.6f}\n", pass(*classifier, texts, argv[4], batch, logits));
    std::fflush(stdout);
  }
  if (busy > 0) {
    fmt::print(stderr, "text to label keeps {:.2f} % of the throughput of ids to label\n",
               100 * (1 - tokenizing / busy));
  }
  if (argc > 8) {
    std::ofstream out(argv[8]);
    for (const float logit : logits) out << fmt::format("{:.9g}\n", logit);
  }
  return 0;
}
