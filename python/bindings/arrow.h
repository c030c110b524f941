// Columns of texts in, labels and scores out, by Arrow's C data interface (arrow.apache.org,
// "The Arrow C data interface", and the C stream interface): buffers change hands, nothing of
// Arrow is linked. Without Python.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// The three structs as that page lays them out in memory; their names are its names.
extern "C" {
// NOLINTBEGIN(readability-identifier-naming)
struct ArrowSchema {
  const char* format;
  const char* name;
  const char* metadata;
  std::int64_t flags;
  std::int64_t n_children;
  ArrowSchema** children;
  ArrowSchema* dictionary;
  void (*release)(ArrowSchema*);
  void* private_data;
};
struct ArrowArray {
  std::int64_t length;
  std::int64_t null_count;
  std::int64_t offset;
  std::int64_t n_buffers;
  std::int64_t n_children;
  const void** buffers;
  ArrowArray** children;
  ArrowArray* dictionary;
  void (*release)(ArrowArray*);
  void* private_data;
};
struct ArrowArrayStream {
  int (*get_schema)(ArrowArrayStream*, ArrowSchema* out);
  int (*get_next)(ArrowArrayStream*, ArrowArray* out);
  const char* (*get_last_error)(ArrowArrayStream*);
  void (*release)(ArrowArrayStream*);
  void* private_data;
};
// NOLINTEND(readability-identifier-naming)
}

namespace breakeven::python {

// Calls what the producer left to be called at the end; nothing where that was done already.
template <class Struct>
void release(Struct& given) {
  if (given.release != nullptr) given.release(&given);
  given.release = nullptr;
}
// One of the three structs, released when it goes.
template <class Struct>
class Owned {
 public:
  Owned() = default;
  // Takes it over: the giver's becomes a released one.
  explicit Owned(Struct& given) : value_(given) { given.release = nullptr; }
  Owned(Owned&& other) noexcept : Owned(other.value_) {}
  Owned& operator=(Owned&&) = delete;
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() { release(value_); }
  Struct& operator*() { return value_; }
  const Struct& operator*() const { return value_; }
  Struct* operator->() { return &value_; }
  Struct* get() { return &value_; }

 private:
  Struct value_{};
};

// How the rows of a column are read; of a table, those of its one column.
struct ColumnLayout {
  bool in_table = false, all_null = false;
  std::string_view (*text)(const ArrowArray&, std::int64_t row) = nullptr;
  std::int64_t (*index)(const ArrowArray&, std::int64_t row) = nullptr;  // of a dictionary
};

// A column of texts: utf8, large_utf8 or string_view, a dictionary of one of them, or nulls alone;
// or a table of one such column. It holds the producer's buffers and nothing for each row, so that
// giving it back takes no time that grows with the rows.
class TextColumn {
 public:
  // Errors: arrow/type (of the column, named by its format), arrow/producer (what it says itself),
  // arrow/utf8 (a row that is none), arrow/stopped (another thread set `stop`, which is looked at
  // for each row and each chunk).
  static Result<TextColumn> read(Owned<ArrowArrayStream> stream, const std::atomic<bool>& stop);
  static Result<TextColumn> read(Owned<ArrowSchema> schema, Owned<ArrowArray> array,
                                 const std::atomic<bool>& stop);

  std::size_t size() const { return ends_.empty() ? 0 : ends_.back(); }
  // Rows `first` to first + out.size() - 1 of size(), views into the producer's buffers; nothing
  // where a row is null.
  void rows(std::size_t first, std::span<std::optional<std::string_view>> out) const;

 private:
  explicit TextColumn(const ColumnLayout& layout) : layout_(layout) {}
  Result<void> add(Owned<ArrowArray> chunk, const std::atomic<bool>& stop);

  ColumnLayout layout_;
  std::vector<Owned<ArrowArray>> chunks_;
  std::vector<std::size_t> ends_;  // of each chunk, the row behind its last one
};

// Labels and scores of n rows, some of them null in both.
struct LabelColumns {
  std::vector<std::string> names;     // of the labels: the dictionary's values
  std::vector<std::int32_t> labels;   // [n] index into names
  std::vector<float> scores;          // [n]
  std::vector<std::uint8_t> present;  // [(n + 7) / 8] bits, least first; empty: no row is null
  std::int64_t nulls = 0;
  // Where more than the first label was asked for: of each row that is not null, so many labels
  // and their scores, the highest first.
  std::vector<std::int32_t> ranked_labels;  // index into names
  std::vector<float> ranked_scores;
  std::vector<std::int64_t> ranked_ends;  // [n + 1] from 0: where a row's labels end; or empty
};

// What of it is given away: a table of its columns, or one of them.
enum class Part : std::uint8_t { table, label, score, scores };

// The label is a dictionary<int32, utf8>, the score a float; scores, where they were asked for, a
// large_list<struct<label, score>>. The buffers live until the receiver releases what it got.
void give(const std::shared_ptr<const LabelColumns>& columns, Part part, ArrowSchema& schema,
          ArrowArray& array);
// A stream of one batch of the table.
void give(const std::shared_ptr<const LabelColumns>& columns, Part part, ArrowArrayStream& stream);

}  // namespace breakeven::python
