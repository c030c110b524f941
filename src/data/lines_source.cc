#include <utility>

#include "data/file_sources.h"

namespace breakeven::data {
namespace {

class LinesSource final : public Source {
 public:
  explicit LinesSource(std::unique_ptr<LineReader> lines) : lines_(std::move(lines)) {}

  std::string name() const override { return lines_->name(); }

  Result<std::optional<Review>> next() override {
    if (done_) return std::optional<Review>();
    auto line = lines_->next();
    done_ = !line || !*line;
    if (!line) return propagate(std::move(line));
    if (!*line) return std::optional<Review>();
    Review review;
    review.text = without_line_end(**line);
    return std::optional(std::move(review));
  }

 private:
  std::unique_ptr<LineReader> lines_;
  bool done_ = false;
};

}  // namespace

Result<std::unique_ptr<Source>> open_lines(std::unique_ptr<LineReader> lines) {
  return std::unique_ptr<Source>(std::make_unique<LinesSource>(std::move(lines)));
}

}  // namespace breakeven::data
