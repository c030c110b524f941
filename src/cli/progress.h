// A progress line on stderr: what runs, how far, how long still. Nothing when stderr is no
// terminal.
#pragma once

#include <string>
#include <string_view>

#include "study/sweep.h"

namespace breakeven::cli {

class ProgressLine final : public study::Progress {
 public:
  ProgressLine();
  ~ProgressLine() override;
  void update(std::string_view what, double done, double left_s) override;
  // What another runtime does while it loads: "converting", 0.3.
  void loading(std::string_view what, double done);
  void clear();

 private:
  void show(const std::string& text);
  bool terminal_ = false;
  bool shown_ = false;
};

// "[ 42 %] cpu bf16 batch 32 stream · 1:12 left", cut at `width` columns.
std::string progress_text(std::string_view what, double done, double left_s, std::size_t width);

}  // namespace breakeven::cli
