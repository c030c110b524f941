// Encodes the same texts again and again on one thread, cut at 512 ids unless told otherwise, and
// prints times on demand.
//
//   tokenizer_bench MODEL TEXTS          the one-pass route against the route by stages,
//                                        interleaved
//   tokenizer_bench MODEL TEXTS --serve [MAX_LENGTH]
//                                        one round of the one-pass route for every line on stdin;
//                                        compare_with_tokenizers.py drives it
// TEXTS: for every text its length in bytes (uint32, little-endian) and its bytes.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/units.h"
#include "text/tokenizer.h"

namespace {

using breakeven::text::EncodeOptions;
using breakeven::text::Route;
using breakeven::text::Tokenizer;

constexpr std::size_t kCut = 512;

struct Round {
  double seconds = 0;
  std::size_t ids = 0;
  std::uint64_t sum = 0;  // so that no compiler drops the work, and for the other side to compare
};

std::vector<std::string_view> split(const std::string& content) {
  std::vector<std::string_view> texts;
  for (std::size_t at = 0; at + sizeof(std::uint32_t) <= content.size();) {
    std::uint32_t bytes = 0;
    std::memcpy(&bytes, content.data() + at, sizeof(bytes));
    at += sizeof(bytes);
    texts.push_back(std::string_view(content).substr(at, bytes));
    at += bytes;
  }
  return texts;
}

Round encode_all(const Tokenizer& tokenizer, const std::vector<std::string_view>& texts,
                 Route route, std::size_t max_length, Tokenizer::Scratch& scratch) {
  EncodeOptions options;
  options.max_length = max_length;
  options.route = route;
  std::vector<std::int32_t> ids;
  Round round;
  const auto begin = std::chrono::steady_clock::now();
  for (const std::string_view text : texts) {
    ids.clear();
    tokenizer.encode(text, options, scratch, ids);
    round.ids += ids.size();
    for (const std::int32_t id : ids) round.sum += static_cast<std::uint64_t>(id);
  }
  round.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return round;
}

void serve(const Tokenizer& tokenizer, const std::vector<std::string_view>& texts,
           std::size_t max_length) {
  const auto scratch = tokenizer.make_scratch();
  for (std::string line; std::getline(std::cin, line);) {
    const Round round = encode_all(tokenizer, texts, Route::fastest, max_length, *scratch);
    fmt::print("{:.9f} {} {}\n", round.seconds, round.ids, round.sum);
    std::fflush(stdout);
  }
}

void compare_routes(const Tokenizer& tokenizer, const std::vector<std::string_view>& texts) {
  constexpr int kRounds = 9;
  const auto scratch = tokenizer.make_scratch();
  std::vector<double> ratios;
  for (int i = -1; i < kRounds; ++i) {  // the first round warms up
    const Round fast = encode_all(tokenizer, texts, Route::fastest, kCut, *scratch);
    const Round staged = encode_all(tokenizer, texts, Route::by_stages, kCut, *scratch);
    if (i >= 0) ratios.push_back(staged.seconds / fast.seconds);
  }
  std::sort(ratios.begin(), ratios.end());
  fmt::print("one pass is {}x as fast as by stages ({}-{} in {} rounds), {} texts cut at 512\n",
             breakeven::three_digits(ratios[kRounds / 2]), breakeven::three_digits(ratios.front()),
             breakeven::three_digits(ratios.back()), kRounds, texts.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: tokenizer_bench MODEL TEXTS [--serve]\n");
    return 2;
  }
  const auto tokenizer = Tokenizer::load(argv[1]);
  const auto content = breakeven::read_file(argv[2]);
  if (!tokenizer || !content) {
    fmt::print(stderr, "{}\n", (!tokenizer ? tokenizer.error() : content.error()).to_string());
    return 2;
  }
  const auto texts = split(*content);
  if (argc > 3 && std::string_view(argv[3]) == "--serve") {
    serve(*tokenizer, texts, argc > 4 ? std::strtoul(argv[4], nullptr, 10) : kCut);
  } else {
    compare_routes(*tokenizer, texts);
  }
  return 0;
}
