// Where results and messages go: to a file or stdout, with every failed write noticed; what a
// person should know goes to stderr.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace breakeven::cli {

// A stream of results, written as it comes.
class Output {
 public:
  // "" or "-" is stdout. A file is made if it is missing; an old one keeps its content until the
  // first write, so that a run that fails before it has a result destroys nothing. `input` is what
  // is being read: writing over it is refused. Errors: file/unwritable, output/same-file.
  static Result<Output> open(const std::string& path, const std::string& input);

  Output(Output&& other) noexcept;
  Output& operator=(Output&&) = delete;
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  ~Output();

  // Writes `text`, which holds `records` whole records. Errors: file/unwritable (a full disk
  // ...), output/closed (the reader of a pipe went away, which is no fault: see is_closed_pipe).
  Result<void> write(std::string_view text, std::uint64_t records);
  // The last step of a run that went well: an old file without a new result becomes empty, and
  // errors that only show on closing are told. Errors: file/unwritable.
  Result<void> close();

  std::uint64_t records() const { return records_; }  // written in whole calls of write
  const std::string& name() const { return name_; }

 private:
  Output(int fd, bool owned, std::string name) : fd_(fd), owned_(owned), name_(std::move(name)) {}
  Result<void> truncate_once();

  int fd_;
  bool owned_;
  bool truncated_ = false;
  std::string name_;
  std::uint64_t records_ = 0;
};

// `breakeven ... | head` closes the pipe when it has enough: the program then ends quietly.
bool is_closed_pipe(const Error& error);

// Whether FILE can be written, told before hours are spent: "" and "-" are stdout.
// Errors: file/unwritable.
Result<void> check_output(const std::string& path);
// A whole document: to stdout or, by rename, to a file. A closed pipe is no error. Errors:
// file/unwritable, file/unwritable.
Result<void> write_output(const std::string& path, const std::string& content);
// Whether what is written there may be coloured: a terminal, and no NO_COLOR.
bool use_colour(const std::string& path);

// A line for the user beside the results, on stderr.
void tell(const std::string& line);
// As tell() writes it. Texts may come from files: a control character, which would end the line or
// act on the terminal, is shown as \x1b; the newline and the tab stay.
std::string shown(std::string_view text);

}  // namespace breakeven::cli
