#include "cli/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace breakeven::cli {
namespace {

std::size_t terminal_width() {
  struct winsize size {};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

}  // namespace

std::string progress_text(std::string_view what, double done, double left_s, std::size_t width) {
  const long seconds = std::lround(std::max(0.0, left_s));
  std::string text =
      fmt::format("[{:3.0f} %] {}, {}:{:02} left", done * 100, what, seconds / 60, seconds % 60);
  if (text.size() > width) text.resize(width);
  return text;
}

StatusLine::StatusLine() : terminal_(isatty(STDERR_FILENO) == 1) {}

void StatusLine::show(std::string text) {
  if (!terminal_) return;
  if (text.size() >= terminal_width()) text.resize(terminal_width() - 1);
  std::fprintf(stderr, "\r\x1b[K%s", text.c_str());
  std::fflush(stderr);
  shown_ = true;
}

void StatusLine::clear() {
  if (!shown_) return;
  std::fprintf(stderr, "\r\x1b[K");
  std::fflush(stderr);
  shown_ = false;
}

void ProgressLine::update(std::string_view what, double done, double left_s) {
  line_.show(progress_text(what, done, left_s, terminal_width() - 1));
}

void ProgressLine::loading(std::string_view what, double done) {
  line_.show(fmt::format("[loading] {}, {:.0f} %", what, done * 100));
}

}  // namespace breakeven::cli
