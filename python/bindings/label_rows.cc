#include "bindings/label_rows.h"

#include <algorithm>

#include "classifier/ranking.h"
#include "engine/decode.h"

namespace breakeven::python {
namespace {

static_assert(kWindowRows % 8 == 0, "windows share no byte of LabelColumns::present");

// The texts of a window's rows, and where they stand in the column.
class Window {
 public:
  void fill(const TextColumn& first, const TextColumn* second, std::size_t from, std::size_t to) {
    texts_.clear();
    places_.clear();
    read(first, from, to, ones_);
    if (second != nullptr) read(*second, from, to, others_);
    for (std::size_t i = 0; i < ones_.size(); ++i) {
      if (!ones_[i] || (second != nullptr && !others_[i])) continue;
      texts_.emplace_back(*ones_[i], second != nullptr ? others_[i] : std::nullopt);
      places_.push_back(from + i);
    }
  }
  std::span<const Text> texts() const { return texts_; }
  std::span<const std::size_t> places() const { return places_; }

 private:
  using Rows = std::vector<std::optional<std::string_view>>;
  static void read(const TextColumn& column, std::size_t from, std::size_t to, Rows& rows) {
    rows.resize(to - from);
    column.rows(from, rows);
  }

  Rows ones_, others_;
  std::vector<Text> texts_;
  std::vector<std::size_t> places_;
};

}  // namespace

void Ranking::rank(const Answers& answers, std::size_t text) {
  const auto logits = std::span(answers.logits).subspan(text * scores_.size(), scores_.size());
  engine::score(logits, function_, scores_);
  rank_labels(scores_, order_);
}

namespace {

void append_ranked(const Ranking& ranking, std::size_t top, LabelColumns& out) {
  for (std::size_t place = 0; place < top; ++place) {
    out.ranked_labels.push_back(static_cast<std::int32_t>(ranking.label(place)));
    out.ranked_scores.push_back(ranking.score(place));
  }
}

void fill_window(const Window& window, const Answers& answers, const LabelForm& form,
                 Ranking& ranking, LabelColumns& out) {
  const bool own = form.chosen == form.own;
  for (std::size_t i = 0; i < window.places().size(); ++i) {
    const std::size_t row = window.places()[i];
    if (!own || form.top) ranking.rank(answers, i);
    out.labels[row] = static_cast<std::int32_t>(own ? answers.labels[i] : ranking.label(0));
    out.scores[row] = own ? answers.scores[i] : ranking.score(0);
    out.present[row / 8] = static_cast<std::uint8_t>(out.present[row / 8] | (1U << (row % 8)));
    if (!form.top) continue;
    append_ranked(ranking, std::min(*form.top, form.names.size()), out);
    out.ranked_ends[row + 1] = static_cast<std::int64_t>(out.ranked_labels.size());
  }
}

}  // namespace

Result<void> label_rows(const TextColumn& first, const TextColumn* second, const LabelForm& form,
                        const AnswerTexts& answer, LabelColumns& out) {
  const std::size_t rows = first.size();
  out.names = form.names;
  // Room without pages: those come window by window.
  out.labels.reserve(rows);
  out.scores.reserve(rows);
  out.present.reserve((rows + 7) / 8);
  if (form.top) {
    out.ranked_labels.reserve(rows * std::min(*form.top, form.names.size()));
    out.ranked_scores.reserve(out.ranked_labels.capacity());
    out.ranked_ends.reserve(rows + 1);
    out.ranked_ends.push_back(0);
  }
  Window window;
  Answers answers;
  Ranking ranking(form.names.size(), form.chosen);
  for (std::size_t from = 0; from < rows; from += kWindowRows) {
    const std::size_t to = std::min(rows, from + kWindowRows);
    window.fill(first, second, from, to);
    BREAKEVEN_TRY_VOID(answer(window.texts(), answers));
    out.labels.resize(to);
    out.scores.resize(to);
    out.present.resize((to + 7) / 8);
    if (form.top) out.ranked_ends.resize(to + 1);
    out.nulls += static_cast<std::int64_t>(to - from - window.places().size());
    fill_window(window, answers, form, ranking, out);
    if (!form.top) continue;
    for (std::size_t row = from; row < to; ++row) {  // a null ends where the row before it ends
      out.ranked_ends[row + 1] = std::max(out.ranked_ends[row + 1], out.ranked_ends[row]);
    }
  }
  if (out.nulls == 0) out.present = {};
  return {};
}

}  // namespace breakeven::python
