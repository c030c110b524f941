// The flags that classify and tokenize share, and those of texts, which run and scale have, too: as
// typed and as understood.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/problem_type.h"
#include "base/result.h"
#include "cli/output.h"
#include "data/source.h"
#include "engine/load.h"
#include "setup/setup.h"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11's own name
class App;
}

namespace breakeven::cli {

// That any command takes.
inline constexpr std::uint64_t kMaxBatch = 4096, kMaxLength = 1'000'000;

// How a file of texts is read.
struct ReadingFlags {
  std::string input_format = "auto";
  std::string encoding{};                  // "" = by the byte order mark, else UTF-8
  std::string text_field{}, pair_field{};  // "" = as data::SourceOptions has it
  std::string csv_separator{};             // "" = found out
  std::string csv_quoting = "auto";
  bool no_header = false;
};
void add_reading_flags(CLI::App& command, ReadingFlags& flags);
// Of `texts`, without labels. Errors: data/format, data/encoding.
Result<data::SourceOptions> source_options(const std::string& texts, const ReadingFlags& flags);

struct TextFlags {
  std::string input = "-";
  std::optional<std::string> text{};  // instead of the input
  std::optional<std::string> pair{};  // the second text of that one
  ReadingFlags reading{};
  std::string model = "";
  std::string precision = "fp32";
  std::string device = "auto";
  std::string threads = "all";
  std::string max_length = "";  // "" = engine::kDefaultMaxLength
  std::string batch = "32";
  std::string output = "";
};
void add_text_flags(CLI::App& command, TextFlags& flags);

struct TextOptions : Setup {
  std::optional<std::uint64_t> asked_length{};  // --max-length; cut_length() makes max_length of it
  std::string device_note{};                    // what "auto" left out; may be empty
};
// Errors: flag/number, precision/unknown, those of ops::select_devices, device/one (several were
// asked for).
Result<TextOptions> check_text_flags(const TextFlags& flags);

// Tokens at which texts are cut: those asked for or engine::kDefaultMaxLength, and never more than
// the model's engine::length_limit(). Tells who asked for more.
std::uint64_t cut_length(std::optional<std::uint64_t> asked, std::uint64_t limit);

// A model and how it is to run.
struct OpenModel {
  std::shared_ptr<const engine::LoadedModel> model{};
  Setup setup{};          // as asked; max_length is the model's where that is less
  std::size_t limit = 0;  // tokens that the model takes
};
// Loads it, and tells what it and the devices have to say. Errors: those of engine::load_model.
Result<OpenModel> open_model(const std::string& name, const TextOptions& options);

// Tells how many texts were cut, where some were.
void tell_cut(std::uint64_t cut, std::uint64_t texts, std::uint64_t max_length,
              std::uint64_t limit);

// A whole number of `least` to `most`. Errors: flag/number, which names the flag.
Result<std::uint64_t> parse_number(const std::string& flag, const std::string& text,
                                   std::uint64_t least, std::uint64_t most);

// A file's one line, which is the key that a server asks for. Errors: those of read_file; flag/key.
Result<std::string> read_key(const std::string& path);

// Of --function-to-apply. Errors: flag/choice.
Result<ScoreFunction> parse_score_function(const std::string& text);
std::string_view name_of(ScoreFunction function);

// No labels are read: a field of any name but the text's is passed on. Tells how the texts are read
// where they do not say so themselves. Errors: those of source_options and open_source.
Result<std::unique_ptr<data::Source>> open_texts(const TextFlags& flags);

// How a run ended: an error says how many texts were written before it, and a closed pipe is none.
// Tells what of the texts could not be read.
Result<void> finish_stream(Result<void> streamed, const data::Source& source, Output& output);

}  // namespace breakeven::cli
