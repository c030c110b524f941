// A line on stderr that changes in place: what runs, how far, how long still.
#pragma once

#include <string>
#include <string_view>

#include "study/sweep.h"

namespace breakeven::cli {

// Shows nothing where stderr is no terminal.
class StatusLine {
 public:
  StatusLine();
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;
  ~StatusLine() { clear(); }
  bool on_terminal() const { return terminal_; }
  void show(std::string text);  // cut at the terminal's width
  void clear();

 private:
  bool terminal_ = false;
  bool shown_ = false;
};

class ProgressLine final : public study::Progress {
 public:
  void update(std::string_view what, double done, double left_s) override;
  // What another runtime does while it loads: "converting", 0.3.
  void loading(std::string_view what, double done);
  void clear() { line_.clear(); }

 private:
  StatusLine line_;
};

// "[ 42 %] cpu bf16 batch 32 stream · 1:12 left", cut at `width` columns.
std::string progress_text(std::string_view what, double done, double left_s, std::size_t width);

}  // namespace breakeven::cli
