// The flags that classify and tokenize share, as typed and as understood.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "cli/output.h"
#include "data/source.h"
#include "setup/setup.h"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11's own name
class App;
}

namespace breakeven::cli {

inline constexpr std::uint64_t kMaxBatch = 4096;  // that any command takes

struct TextFlags {
  std::string input = "-";
  std::string input_format = "auto";
  std::string text_field = "text";
  std::string model = "";
  std::string precision = "fp32";
  std::string device = "auto";
  std::string threads = "all";
  std::string max_length = "";  // "" = engine::default_max_length()
  std::string batch = "32";
  std::string output = "";
};
void add_text_flags(CLI::App& command, TextFlags& flags);

struct TextOptions : Setup {
  bool max_length_given = false;  // without it max_length is 0
  std::string device_note{};      // what "auto" left out; may be empty
};
// Errors: flag/number, precision/unknown, those of ops::select_devices, device/one (several were
// asked for).
Result<TextOptions> check_text_flags(const TextFlags& flags);

// A whole number of `least` to `most`. Errors: flag/number, which names the flag.
Result<std::uint64_t> parse_number(const std::string& flag, const std::string& text,
                                   std::uint64_t least, std::uint64_t most);

// No labels are read: a field of any name but the text's is passed on. Errors: those of
// open_source.
Result<std::unique_ptr<data::Source>> open_texts(const TextFlags& flags);

// How a run ended: an error says how many texts were written before it, and a closed pipe is none.
Result<void> finish_stream(Result<void> streamed, Output& output);

}  // namespace breakeven::cli
