// The append-only truth of a run: one record a line, synced to disk before append() returns, so
// that a crash loses at most the record being written.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "record/record.h"

namespace breakeven::record {

// "breakeven-20261121T204400Z.jsonl" for a time in seconds since 1970; the second of that time ends
// in Z-2.jsonl, and so on.
std::string journal_name(double unix_seconds, unsigned number = 1);

class Journal {
 public:
  // Opens for appending and makes the file if it is missing. A torn last line that an interrupted
  // run left behind is closed with a newline first, so that it cannot swallow the next record.
  // One writer at a time: the file is locked. Errors: file/unwritable, record/in-use.
  static Result<Journal> open(const std::string& path);
  // A new one in this folder, with the first journal_name() that is free: two runs that start in
  // the same second each get a file. Errors: as open().
  static Result<Journal> open_new(double unix_seconds);

  Journal(Journal&& other) noexcept;
  Journal& operator=(Journal&& other) noexcept;
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal();

  // Errors: record/not-finite, file/unwritable (a full disk names the path).
  Result<void> append(const Record& record);
  const std::string& path() const { return path_; }

 private:
  Journal() = default;
  static Result<Journal> open(const std::string& path, int more_flags);
  int fd_ = -1;
  std::string path_;
};

struct JournalContent {
  std::vector<Record> records;
  std::vector<std::string> notes;  // "line 7 is torn: ..."; empty when all is well
};

// A broken line is an error with its number, but for torn ones: the last line when no newline ends
// it, and a line that Journal::open() closed after a crash (it ends in kTornMark).
// Errors: file/..., and those of parse_record with the line's number before the message.
Result<JournalContent> read_journal(const std::string& path);
// The same for content in memory; `name` stands in messages.
Result<JournalContent> parse_journal(std::string_view content, std::string_view name);

// What open() puts behind a torn line: no JSON text ends in it.
inline constexpr std::string_view kTornMark = "#torn";

}  // namespace breakeven::record
