#include "cli/journals.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/files.h"
#include "cli/output.h"
#include "shards/folder.h"

namespace breakeven::cli {
namespace {

// Folders replaced by what they hold; of a job's folder that is the records of its shards.
Result<std::vector<std::string>> files_of(const std::vector<std::string>& named) {
  std::vector<std::string> files;
  for (const std::string& name : named) {
    if (!is_folder(name)) {
      files.push_back(name);
      continue;
    }
    const std::string of_shards = name + "/" + shards::Folder::kDone;
    BREAKEVEN_TRY(auto entries, list_folder(is_folder(of_shards) ? of_shards : name));
    std::sort(entries.begin(), entries.end());
    const std::size_t before = files.size();
    for (const auto& entry : entries) {
      if (entry.extension() == ".json" || entry.extension() == ".jsonl") files.push_back(entry);
    }
    if (files.size() == before) {
      return fail("journal/empty", fmt::format("the folder '{}' holds no record", name),
                  "give a folder such as out/_done, or journals");
    }
  }
  return files;
}

}  // namespace

Result<std::vector<record::Record>> read_journals(const std::vector<std::string>& files) {
  std::vector<record::Record> records;
  BREAKEVEN_TRY(const std::vector<std::string> all, files_of(files));
  for (const std::string& file : all) {
    BREAKEVEN_TRY(record::JournalContent content, record::read_journal(file));
    for (const std::string& note : content.notes) tell(note);
    if (content.records.empty()) {
      return fail("journal/empty", fmt::format("'{}' holds no record", file),
                  "give journals that `breakeven run` wrote");
    }
    records.insert(records.end(), std::make_move_iterator(content.records.begin()),
                   std::make_move_iterator(content.records.end()));
  }
  return records;
}

Result<record::Journal> open_journal(const std::string& named) {
  if (!named.empty()) return record::Journal::open(named);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return record::Journal::open_new(std::chrono::duration<double>(now).count());
}

Result<DocumentFormat> parse_document_format(const std::string& text) {
  if (text == "table") return DocumentFormat::table;
  if (text == "md") return DocumentFormat::md;
  if (text == "json") return DocumentFormat::json;
  return fail("format/unknown", fmt::format("--format '{}' is not known", text),
              "choose table, md or json");
}

std::string show_document(const report::Document& document, DocumentFormat format,
                          const std::string& output) {
  if (format == DocumentFormat::md) return document.to_markdown();
  constexpr std::size_t kWidth = 100;
  return document.to_text(kWidth, use_colour(output));
}

}  // namespace breakeven::cli
