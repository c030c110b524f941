#include <utility>

#include "data/file_sources.h"

namespace breakeven::data {
namespace {

class LinesSource final : public FileSource {
 public:
  explicit LinesSource(FileText text) : FileSource(std::move(text)) {}

  Result<std::optional<Review>> next() override {
    if (done_) return std::optional<Review>();
    auto line = lines().next();
    done_ = !line || !*line;
    if (!line) return propagate(std::move(line));
    if (!*line) return std::optional<Review>();
    Review review;
    review.text = without_line_end(**line);
    return std::optional(std::move(review));
  }

 private:
  bool done_ = false;
};

}  // namespace

Result<std::unique_ptr<Source>> open_lines(FileText text) {
  return std::unique_ptr<Source>(std::make_unique<LinesSource>(std::move(text)));
}

}  // namespace breakeven::data
