// The flags that `run` and `scale` share: as typed, and each one understood.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/paced_options.h"
#include "data/source.h"
#include "session/axes.h"
#include "study/plan.h"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11's own name
class App;
}

namespace breakeven::cli {

// As typed: CLI11 fills these, the functions below turn them into meaning.
struct StudyFlags {
  std::string model;
  std::string texts = "builtin", text_field = "text", label_field = "label", split = "test";
  std::string count, judge;
  std::string device = "all", precision = "all", batch = "1,32", threads = "all";
  std::string max_length;  // "" = engine::default_max_length()
  std::string padding, mode = "serial,stream";
  std::string runtime = "native";
  std::vector<std::string> python;  // NAME=PATH
  std::string instruction_set;
  std::string time = "4m";
  std::uint64_t seed = 1;
  std::string format = "table", output, journal, resume;
  bool dry_run = false;
  PacedFlags paced;
};
void add_study_flags(CLI::App& command, StudyFlags& flags);

// "a,b" -> {"a", "b"}; parts may be empty, there is one at least.
std::vector<std::string> split_list(const std::string& text);

// "1,32" -> {1, 32}. Empty parts, zero, signs, fractions and values above `most` are refused by
// value. Errors: flag/number.
Result<std::vector<std::uint64_t>> parse_numbers(const std::string& flag, const std::string& text,
                                                 std::uint64_t most);
// "1,all" -> {1, 16}: "all" is one a usable core. Errors: flag/threads.
Result<std::vector<unsigned>> parse_threads(const std::string& text, unsigned all);
// Every part must be one of `known`;
// Errors: flag/choice.
Result<std::vector<std::string>> parse_choices(const std::string& flag, const std::string& text,
                                               const std::vector<std::string>& known);

// "native,pytorch:seed,openvino:all"; "all" alone is native and every other runtime with its
// default variant. Errors: flag/choice.
Result<std::vector<session::RuntimeChoice>> parse_runtimes(const std::string& text);

// All axes but runtimes, devices and precisions. `positions`: the longest text that the model
// takes. Errors: flag/..., those of apply_paced.
Result<study::Axes> parse_axes(const StudyFlags& flags, std::size_t positions);

// Texts of a pass, and texts whose outputs are judged (as many or more).
struct TextCounts {
  std::size_t timed = 0, judged = 0;
};
// `default_count`: of a pass, when the flags do not say. Errors: flag/number.
Result<TextCounts> parse_counts(const StudyFlags& flags, std::size_t default_count);
// Without the model's labels.
data::SourceOptions text_source(const StudyFlags& flags);

}  // namespace breakeven::cli
