// Columns of texts and their labels without Python: by hand-made structs of Arrow's.
#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <deque>

#include "bindings/arrow.h"
#include "bindings/label_rows.h"

namespace breakeven::python {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::SizeIs;

using Row = std::optional<std::string>;

// The buffers of one utf8 array; releasing it frees nothing, and is counted.
class Texts {
 public:
  explicit Texts(const std::vector<Row>& rows) : valid_((rows.size() + 7) / 8) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      letters_ += rows[i].value_or("");
      offsets_.push_back(static_cast<std::int32_t>(letters_.size()));
      if (rows[i]) valid_[i / 8] = static_cast<std::uint8_t>(valid_[i / 8] | (1U << (i % 8)));
    }
    buffers_ = {valid_.data(), offsets_.data(), letters_.data()};
  }
  Texts(const Texts&) = delete;
  Texts& operator=(const Texts&) = delete;

  Owned<ArrowArray> array() {
    ArrowArray out{};
    out.length = static_cast<std::int64_t>(offsets_.size()) - 1;
    out.n_buffers = 3;
    out.buffers = buffers_.data();
    out.release = [](ArrowArray* self) {
      ++static_cast<Texts*>(self->private_data)->released_;
      self->release = nullptr;
    };
    out.private_data = this;
    return Owned<ArrowArray>(out);
  }
  int released() const { return released_; }

 private:
  std::vector<std::uint8_t> valid_;
  std::vector<std::int32_t> offsets_{0};
  std::string letters_;
  std::vector<const void*> buffers_;
  int released_ = 0;
};

Owned<ArrowSchema> schema_of(const char* format) {
  ArrowSchema out{};
  out.format = format;
  out.release = [](ArrowSchema* self) { self->release = nullptr; };
  return Owned<ArrowSchema>(out);
}

// A stream of `chunks`, each as often as `repeat` says; `told`, where there is one, is set when so
// many have been given.
struct Chunks {
  std::deque<Texts> chunks{};
  std::size_t repeat = 1, given = 0, tell_at = 0;
  std::atomic<bool>* told = nullptr;

  Owned<ArrowArrayStream> stream() {
    ArrowArrayStream out{};
    out.get_schema = [](ArrowArrayStream*, ArrowSchema* schema) {
      *schema = *schema_of("u");
      return 0;
    };
    out.get_next = [](ArrowArrayStream* self, ArrowArray* array) {
      auto& mine = *static_cast<Chunks*>(self->private_data);
      *array = {};
      if (mine.given == mine.chunks.size() * mine.repeat) return 0;
      Owned<ArrowArray> next = mine.chunks[mine.given++ % mine.chunks.size()].array();
      std::swap(*array, *next);
      if (mine.told != nullptr && mine.given == mine.tell_at) *mine.told = true;
      return 0;
    };
    out.get_last_error = [](ArrowArrayStream*) -> const char* { return nullptr; };
    out.release = [](ArrowArrayStream* self) { self->release = nullptr; };
    out.private_data = this;
    return Owned<ArrowArrayStream>(out);
  }
};

// A dictionary of one text, and an index of a byte for each of many rows: any length costs little.
class Repeated {
 public:
  explicit Repeated(std::size_t rows, const char* text = "a text") : values_({Row(text)}) {
    index_.resize(rows);
    buffers_ = {nullptr, index_.data()};
    dictionary_ = *values_.array();
    dictionary_.release = nullptr;
    text_schema_.format = "u";
  }
  Result<TextColumn> read() {
    const std::atomic<bool> stop{false};
    ArrowArray array{};
    array.length = static_cast<std::int64_t>(index_.size());
    array.n_buffers = 2;
    array.buffers = buffers_.data();
    array.dictionary = &dictionary_;
    array.release = [](ArrowArray* self) { self->release = nullptr; };
    Owned<ArrowSchema> schema = schema_of("c");
    schema->dictionary = &text_schema_;
    return TextColumn::read(std::move(schema), Owned(array), stop);
  }

 private:
  Texts values_;
  std::vector<std::int8_t> index_;
  std::vector<const void*> buffers_;
  ArrowArray dictionary_{};
  ArrowSchema text_schema_{};
};

std::vector<Row> rows_of(const TextColumn& column, std::size_t first, std::size_t count) {
  std::vector<std::optional<std::string_view>> views(count);
  column.rows(first, views);
  return {views.begin(), views.end()};
}

TEST(TextColumn, GivesAnyRowsOfManyChunks) {
  const std::vector<std::vector<Row>> parts = {
      {}, {Row("a"), std::nullopt, Row("")}, {}, {Row("four")}, {std::nullopt, Row("six")}, {}};
  Chunks chunks;
  std::vector<Row> all;
  for (const auto& part : parts) {
    chunks.chunks.emplace_back(part);
    all.insert(all.end(), part.begin(), part.end());
  }
  const std::atomic<bool> stop{false};
  {
    const auto column = TextColumn::read(chunks.stream(), stop);
    ASSERT_TRUE(column) << column.error().message;
    ASSERT_EQ(column->size(), all.size());
    for (std::size_t first = 0; first <= all.size(); ++first) {
      for (std::size_t count = 0; first + count <= all.size(); ++count) {
        const auto begin = all.begin() + static_cast<std::ptrdiff_t>(first);
        EXPECT_EQ(rows_of(*column, first, count),
                  std::vector<Row>(begin, begin + static_cast<std::ptrdiff_t>(count)))
            << first << " " << count;
      }
    }
    EXPECT_EQ(chunks.chunks[1].released(), 0);
  }
  for (const Texts& chunk : chunks.chunks) EXPECT_EQ(chunk.released(), 1);
}

TEST(TextColumn, NamesTheRowThatIsNoUtf8) {
  Chunks chunks;
  chunks.chunks.emplace_back(std::vector<Row>{Row("fine"), std::nullopt});
  chunks.chunks.emplace_back(std::vector<Row>{Row("fine"), Row("ab\xff")});
  const std::atomic<bool> stop{false};
  const auto column = TextColumn::read(chunks.stream(), stop);
  ASSERT_FALSE(column);
  EXPECT_EQ(column.error().code, "arrow/utf8");
  EXPECT_THAT(column.error().message, HasSubstr("row 3 is no UTF-8 from byte 2"));
  for (const Texts& chunk : chunks.chunks) EXPECT_EQ(chunk.released(), 1);
}

// What Ctrl-C does: nothing more is asked of a stream once it was pressed, whatever a chunk holds.
TEST(TextColumn, AsksForNoChunkMoreOnceItIsStopped) {
  for (const auto& rows : {std::vector<Row>{Row("a")}, std::vector<Row>{}}) {
    std::atomic<bool> stop{false};
    Chunks chunks{.repeat = 1000, .tell_at = 3, .told = &stop};
    chunks.chunks.emplace_back(rows);
    const auto column = TextColumn::read(chunks.stream(), stop);
    ASSERT_FALSE(column);
    EXPECT_EQ(column.error().code, "arrow/stopped");
    EXPECT_EQ(chunks.given, 3U);
    EXPECT_EQ(chunks.chunks[0].released(), 3);
  }
}

// Answers by the length of a text, and keeps how many it was asked for.
struct Asked {
  std::vector<std::size_t> texts{};
  std::size_t fail_at = 0;  // the call that fails, from 1 on

  AnswerTexts answer() {
    return [this](std::span<const Text> given, Answers& out) -> Result<void> {
      texts.push_back(given.size());
      if (texts.size() == fail_at) return fail("engine/stopped", "the call was stopped");
      out = {};
      for (const Text& text : given) {
        const auto length = static_cast<float>(text.bytes());
        out.logits.insert(out.logits.end(), {length, 3});
        out.labels.push_back(length >= 3 ? 0 : 1);
        out.scores.push_back(length);
      }
      return {};
    };
  }
};
const LabelForm kForm{.names = {"LONG", "SHORT"}};

// Between two answers somebody may press Ctrl-C: what is held, and what is made, is a window's.
TEST(LabelRows, HoldsOneWindowAtATime) {
  const std::size_t rows = 3 * kWindowRows + 7;
  Repeated repeated(rows);
  const auto column = repeated.read();
  ASSERT_TRUE(column);
  Asked asked;
  LabelColumns out;
  ASSERT_TRUE(label_rows(*column, nullptr, kForm, asked.answer(), out));
  EXPECT_THAT(asked.texts, ElementsAre(kWindowRows, kWindowRows, kWindowRows, 7));
  EXPECT_THAT(asked.texts, Each(Le(std::size_t{1} << 20)));
  EXPECT_THAT(out.labels, SizeIs(rows));
  EXPECT_THAT(out.scores, Each(6));
  EXPECT_THAT(out.present, SizeIs(0));
}

TEST(LabelRows, EndsAtTheFirstAnswerThatFails) {
  Repeated repeated(4 * kWindowRows);
  const auto column = repeated.read();
  ASSERT_TRUE(column);
  Asked asked{.fail_at = 2};
  LabelColumns out;
  const auto done = label_rows(*column, nullptr, kForm, asked.answer(), out);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "engine/stopped");
  EXPECT_THAT(asked.texts, SizeIs(2));
  EXPECT_THAT(out.labels, SizeIs(kWindowRows));
}

TEST(LabelRows, AsksForWindowsOfNullsToo) {
  const std::atomic<bool> stop{false};
  ArrowArray nulls{};
  nulls.length = 2 * kWindowRows + 1;
  nulls.release = [](ArrowArray* self) { self->release = nullptr; };
  const auto column = TextColumn::read(schema_of("n"), Owned(nulls), stop);
  ASSERT_TRUE(column);
  Asked asked;
  LabelColumns out;
  ASSERT_TRUE(label_rows(*column, nullptr, kForm, asked.answer(), out));
  EXPECT_THAT(asked.texts, ElementsAre(0, 0, 0));
  EXPECT_EQ(out.nulls, nulls.length);
  EXPECT_THAT(out.present, Each(0));
}

TEST(LabelRows, RanksAsManyLabelsAsAskedFor) {
  Texts texts({Row("four"), std::nullopt, Row("a"), std::nullopt});
  const std::atomic<bool> stop{false};
  const auto column = TextColumn::read(schema_of("u"), texts.array(), stop);
  ASSERT_TRUE(column);
  LabelForm form = kForm;
  form.own = form.chosen = ScoreFunction::none;
  for (const std::size_t top : {1U, 2U, 9U}) {
    form.top = top;
    Asked asked;
    LabelColumns out;
    ASSERT_TRUE(label_rows(*column, nullptr, form, asked.answer(), out));
    if (top == 1) {
      EXPECT_THAT(out.ranked_labels, ElementsAre(0, 1));
      EXPECT_THAT(out.ranked_scores, ElementsAre(4, 3));
      EXPECT_THAT(out.ranked_ends, ElementsAre(0, 1, 1, 2, 2));
    } else {
      EXPECT_THAT(out.ranked_labels, ElementsAre(0, 1, 1, 0));
      EXPECT_THAT(out.ranked_scores, ElementsAre(4, 3, 3, 1));
      EXPECT_THAT(out.ranked_ends, ElementsAre(0, 2, 2, 4, 4));
    }
  }
}

TEST(LabelRows, KeepsEachRowInItsPlace) {
  std::vector<Row> rows(2 * kWindowRows + 3);
  const std::vector<std::size_t> places = {0, 7, kWindowRows - 1, kWindowRows, rows.size() - 1};
  for (const std::size_t place : places) rows[place] = std::string(1 + place % 5, 'x');
  Texts texts(rows);
  Repeated seconds(rows.size(), "");
  const std::atomic<bool> stop{false};
  const auto column = TextColumn::read(schema_of("u"), texts.array(), stop);
  const auto second = seconds.read();
  ASSERT_TRUE(column && second);
  LabelForm logits = kForm;
  logits.chosen = ScoreFunction::none;
  for (const LabelForm& form : {kForm, logits}) {
    for (const TextColumn* pair : {static_cast<const TextColumn*>(nullptr), &*second}) {
      Asked asked;
      LabelColumns out;
      ASSERT_TRUE(label_rows(*column, pair, form, asked.answer(), out));
      EXPECT_THAT(asked.texts, ElementsAre(3, 1, 1));
      EXPECT_EQ(out.nulls, static_cast<std::int64_t>(rows.size() - places.size()));
      for (std::size_t row = 0; row < rows.size(); ++row) {
        const bool present = ((out.present[row / 8] >> (row % 8)) & 1) != 0;
        ASSERT_EQ(present, rows[row].has_value()) << row;
        if (!present) continue;
        const std::size_t length = rows[row]->size();
        EXPECT_EQ(out.labels[row], length >= 3 ? 0 : 1);
        // By the logits it is the higher one of the two.
        const auto own = static_cast<float>(length);
        EXPECT_EQ(out.scores[row], form.chosen == form.own ? own : std::max(own, 3.0F));
      }
    }
  }
}

}  // namespace
}  // namespace breakeven::python
