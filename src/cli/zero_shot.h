// The flags of classify that make labels out of candidates: as typed and as understood.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "engine/zero_shot.h"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11's own name
class App;
}

namespace breakeven::cli {

struct ZeroShotFlags {
  std::string candidates{};           // with commas between them
  std::string file{};                 // or one a line
  std::string hypothesis_template{};  // "" = Hugging Face's
  bool multi_label = false;
};
void add_zero_shot_flags(CLI::App& command, ZeroShotFlags& flags);

// Nothing where no candidates are given. One candidate is judged by itself, as multi_label.
// Errors: flag/zero-shot; those of data::read_reviews (the file).
Result<std::optional<engine::ZeroShot>> check_zero_shot_flags(const ZeroShotFlags& flags);

}  // namespace breakeven::cli
