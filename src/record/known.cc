#include "record/known.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "base/files.h"
#include "base/program_folder.h"
#include "record/journal.h"

namespace breakeven::record {
namespace {

Result<std::string> folder() {
  return find_program_folder(
      {"known", "BREAKEVEN_KNOWN", BREAKEVEN_KNOWN_DIR, "README.md", "known/none"});
}

}  // namespace

Result<std::vector<std::string>> known_names() {
  BREAKEVEN_TRY(const std::string known, folder());
  BREAKEVEN_TRY(const auto entries, list_folder(known));
  std::vector<std::string> names;
  for (const std::filesystem::path& entry : entries) {
    if (entry.extension() == ".jsonl") names.push_back(entry.stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::vector<Record>> known_records(std::string_view name) {
  BREAKEVEN_TRY(const std::string known, folder());
  BREAKEVEN_TRY(const std::vector<std::string> names, known_names());
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    return fail("known/name", fmt::format("no record of a GPU '{}' ships with this program", name),
                fmt::format("there are: {}; of another GPU make one on a machine that has it: "
                            "breakeven run --device cuda --journal gpu.jsonl",
                            fmt::join(names, ", ")));
  }
  BREAKEVEN_TRY(JournalContent content, read_journal(fmt::format("{}/{}.jsonl", known, name)));
  if (content.records.empty())
    return fail("known/name", fmt::format("{}/{}.jsonl is empty", known, name));
  return std::move(content.records);
}

}  // namespace breakeven::record
