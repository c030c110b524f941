// Journals that subcommands read and write, and the documents that they show of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "record/journal.h"
#include "record/record.h"
#include "report/document.h"

namespace breakeven::cli {

// All records of all files in order, of a folder those of its .json and .jsonl files by name; notes
// (torn lines) go to stderr. Errors: those of record::read_journal; journal/empty when a file holds
// no record.
Result<std::vector<record::Record>> read_journals(const std::vector<std::string>& files);

// The journal that was named, or a new one of this second when none was. Errors: those of Journal.
Result<record::Journal> open_journal(const std::string& named);

enum class DocumentFormat : std::uint8_t { table, md, json };
Result<DocumentFormat> parse_document_format(const std::string& text);  // errors: format/unknown

// As text of 100 columns (coloured on a terminal) or Markdown. Not for json.
std::string show_document(const report::Document& document, DocumentFormat format,
                          const std::string& output);

}  // namespace breakeven::cli
