#include "cli/zero_shot.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

#include "cli/study_flags.h"
#include "data/source.h"

namespace breakeven::cli {
namespace {

constexpr std::string_view kTemplate = "This example is {}.", kSlot = "{}";

std::string_view trimmed(std::string_view text) {
  constexpr const char* kBlanks = " \t\r\n\v\f";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::vector<std::string> between_commas(const std::string& list) {
  std::vector<std::string> parts = split_list(list);
  for (std::string& part : parts) part = std::string(trimmed(part));
  return parts;
}

Result<std::vector<std::string>> lines_of(const std::string& file) {
  data::SourceOptions options;
  options.texts = file;
  options.format = data::Format::lines;
  options.label_field = "";
  BREAKEVEN_TRY(const data::ReviewSet lines, data::read_reviews(options, SIZE_MAX));
  std::vector<std::string> candidates;
  for (const data::Review& line : lines.reviews) candidates.emplace_back(trimmed(line.text));
  return candidates;
}

Result<void> check_candidates(const std::vector<std::string>& candidates, const char* flag) {
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const std::string& candidate = candidates[i];
    if (candidate.empty()) {
      return fail("flag/zero-shot",
                  fmt::format("{}: candidate {} of {} is empty", flag, i + 1, candidates.size()),
                  "give each a name, as in --zero-shot \"sports,politics\"");
    }
    if (std::find(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(i),
                  candidate) != candidates.begin() + static_cast<std::ptrdiff_t>(i)) {
      return fail("flag/zero-shot",
                  fmt::format("{}: the candidate '{}' is there twice", flag, candidate),
                  "leave one out: they would share one score");
    }
  }
  return {};
}

// The template with the candidate in its {}.
Result<std::vector<std::string>> hypotheses_of(const std::string& given,
                                               const std::vector<std::string>& candidates) {
  const std::string_view form = given.empty() ? kTemplate : given;
  const std::size_t slot = form.find(kSlot);
  if (slot == std::string_view::npos || std::ranges::count(form, '{') > 1 ||
      std::ranges::count(form, '}') > 1) {
    return fail("flag/zero-shot",
                fmt::format("--hypothesis-template '{}' needs {{}} once, where the candidate "
                            "stands, and no other braces",
                            form),
                fmt::format("give for example --hypothesis-template \"{}\"", kTemplate));
  }
  std::vector<std::string> hypotheses;
  hypotheses.reserve(candidates.size());
  for (const std::string& candidate : candidates) {
    hypotheses.push_back(
        fmt::format("{}{}{}", form.substr(0, slot), candidate, form.substr(slot + kSlot.size())));
  }
  return hypotheses;
}

}  // namespace

void add_zero_shot_flags(CLI::App& command, ZeroShotFlags& flags) {
  command.add_option("--zero-shot", flags.candidates,
                     "labels of your own, as in \"sports,politics\": a model of natural language "
                     "inference says how well each fits");
  command.add_option("--zero-shot-file", flags.file,
                     "the same from a file, one label a line, which may hold commas");
  command.add_option(
      "--hypothesis-template", flags.hypothesis_template,
      fmt::format("what is said of a text, with {{}} for the label [{}]", kTemplate));
  command.add_flag("--multi-label", flags.multi_label,
                   "of --zero-shot: each label by itself, so that several may fit, or none");
}

Result<std::optional<engine::ZeroShot>> check_zero_shot_flags(const ZeroShotFlags& flags) {
  if (flags.candidates.empty() && flags.file.empty()) {
    if (!flags.multi_label && flags.hypothesis_template.empty()) return std::nullopt;
    return fail("flag/zero-shot",
                fmt::format("{} has no candidates",
                            flags.multi_label ? "--multi-label" : "--hypothesis-template"),
                "name them: --zero-shot \"sports,politics\"");
  }
  if (!flags.candidates.empty() && !flags.file.empty()) {
    return fail("flag/zero-shot",
                fmt::format("--zero-shot '{}' and --zero-shot-file {} exclude each other",
                            flags.candidates, flags.file),
                "put all candidates into the file");
  }
  engine::ZeroShot zero_shot;
  zero_shot.candidates = between_commas(flags.candidates);
  if (!flags.file.empty()) {
    BREAKEVEN_TRY(zero_shot.candidates, lines_of(flags.file));
  }
  BREAKEVEN_TRY_VOID(check_candidates(zero_shot.candidates,
                                      flags.file.empty() ? "--zero-shot" : "--zero-shot-file"));
  BREAKEVEN_TRY(zero_shot.hypotheses,
                hypotheses_of(flags.hypothesis_template, zero_shot.candidates));
  zero_shot.multi_label = flags.multi_label || zero_shot.candidates.size() == 1;
  return zero_shot;
}

}  // namespace breakeven::cli
