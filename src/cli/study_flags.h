// The flags that `run` and `scale` share: as typed, and each one understood.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/text_options.h"
#include "data/source.h"
#include "session/axes.h"
#include "study/plan.h"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11's own name
class App;
}

namespace breakeven::cli {

// How requests come in paced mode, as typed; "" = not given.
struct PacedFlags {
  std::string rate{};  // "1,10,100/s"
  std::string p99{};   // "50ms": search the highest rate that keeps it
  std::string arrivals{}, max_batch{}, max_wait{};
};

// As typed: CLI11 fills these, the functions below turn them into meaning.
struct StudyFlags {
  std::string model;
  std::string texts = "builtin", label_map, split = "test";
  std::optional<std::string> label_field;  // nothing: "label", where a text has it
  ReadingFlags reading;
  std::string count, judge;
  std::string device = "all", precision = "all", batch = "1,32", threads = "all";
  std::string max_length;  // "" = engine::kDefaultMaxLength
  std::string padding, mode = "serial,stream";
  std::string runtime = "native";
  std::vector<std::string> python;  // NAME=PATH
  std::string instruction_set;
  std::string time = "5m";
  bool energy = false;
  std::uint64_t seed = 1;
  std::string format = "table", output, journal, resume;
  bool dry_run = false;
  PacedFlags paced;
};
void add_study_flags(CLI::App& command, StudyFlags& flags);
void add_paced_flags(CLI::App& command, PacedFlags& flags);

// "a,b" -> {"a", "b"}; parts may be empty, there is one at least.
std::vector<std::string> split_list(const std::string& text);

// "1,32" -> {1, 32}. Empty parts, zero, signs, fractions and values above `most` are refused by
// value. Errors: flag/number.
Result<std::vector<std::uint64_t>> parse_numbers(const std::string& flag, const std::string& text,
                                                 std::uint64_t most);
// "1,10,600/min" -> requests a second, above 0. Errors: flag/quantity.
Result<std::vector<double>> parse_rates(const std::string& text);
// constant or poisson: what needs no more words. Errors: flag/choice.
Result<Arrivals> parse_arrivals(const std::string& text);
// "1,all" -> {1, 16}: "all" is one a usable core. Errors: flag/threads.
Result<std::vector<unsigned>> parse_threads(const std::string& text, unsigned all);
// "serial,stream" -> the values of these names; `more` is what else the flag takes, for the hint.
// Errors: flag/choice.
template <Named T>
Result<std::vector<T>> parse_choices(const std::string& flag, const std::string& text,
                                     const char* more = "") {
  std::vector<T> values;
  for (const std::string& part : split_list(text)) {
    const auto value = part.empty() ? Result<T>(fail("", "")) : parse<T>(part);
    if (!value) {
      return fail("flag/choice", fmt::format("{} '{}' is not known", flag, part),
                  fmt::format("choose from {}{}", list_names<T>(), more));
    }
    values.push_back(*value);
  }
  return values;
}

// "native,pytorch:seed,openvino:all"; "all" alone is native and every other runtime with its
// default variant. Errors: flag/choice.
Result<std::vector<session::RuntimeChoice>> parse_runtimes(const std::string& text);

// All axes but runtimes and devices; no precision stands for all that a device runs fast.
// `limit`: tokens of the longest text that the model takes. Errors: flag/..., flag/mode (paced
// without --rate, or its flags without paced).
Result<study::Axes> parse_axes(const StudyFlags& flags, std::size_t limit);

// Each paced cell's share of the time must hold the requests that a median takes. Errors:
// flag/rate, which names the rate and the time that it needs.
Result<void> check_paced_time(const std::vector<record::Cell>& cells, double time_s);

// Texts of a pass, and texts whose outputs are judged (as many or more).
struct TextCounts {
  std::size_t timed = 0, judged = 0;
};
// `defaults`: when the flags do not say. Errors: flag/number.
Result<TextCounts> parse_counts(const StudyFlags& flags, TextCounts defaults);
// Texts of the shortest pass that is worth timing: the largest batch, and a mix of lengths. Errors:
// flag/number.
Result<std::size_t> fewest_texts(const StudyFlags& flags);
// Without the model's labels. Errors: those of source_options; data/label-map.
Result<data::SourceOptions> text_source(const StudyFlags& flags);

}  // namespace breakeven::cli
