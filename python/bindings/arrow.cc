#include "bindings/arrow.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <type_traits>

#include "base/utf8.h"

namespace breakeven::python {
namespace {

constexpr std::int64_t kNullable = 2;  // ArrowSchema.flags

bool bit(const void* bits, std::int64_t at) {
  return bits == nullptr || ((static_cast<const std::uint8_t*>(bits)[at / 8] >> (at % 8)) & 1) != 0;
}

template <class Offset>
std::string_view by_offsets(const ArrowArray& array, std::int64_t at) {
  const auto* offsets = static_cast<const Offset*>(array.buffers[1]);
  const auto begin = static_cast<std::size_t>(offsets[at]),
             end = static_cast<std::size_t>(offsets[at + 1]);
  return begin == end
             ? std::string_view{}
             : std::string_view(static_cast<const char*>(array.buffers[2]) + begin, end - begin);
}

// 16 bytes a row: the length, then either up to 12 letters, or the first four, a buffer's number
// and the place in it.
std::string_view by_view(const ArrowArray& array, std::int64_t at) {
  const char* view = static_cast<const char*>(array.buffers[1]) + at * 16;
  std::int32_t length = 0, buffer = 0, place = 0;
  std::memcpy(&length, view, 4);
  if (length <= 12) return {view + 4, static_cast<std::size_t>(length)};
  std::memcpy(&buffer, view + 8, 4);
  std::memcpy(&place, view + 12, 4);
  return {static_cast<const char*>(array.buffers[2 + buffer]) + place,
          static_cast<std::size_t>(length)};
}

using TextAt = std::string_view (*)(const ArrowArray&, std::int64_t);
TextAt text_reader(std::string_view format) {
  if (format == "u") return by_offsets<std::int32_t>;
  if (format == "U") return by_offsets<std::int64_t>;
  return format == "vu" ? by_view : nullptr;
}

template <class Index>
std::int64_t index_at(const ArrowArray& array, std::int64_t at) {
  return static_cast<std::int64_t>(static_cast<const Index*>(array.buffers[1])[at]);
}
using IndexAt = std::int64_t (*)(const ArrowArray&, std::int64_t);
IndexAt index_reader(std::string_view format) {
  static constexpr std::pair<std::string_view, IndexAt> kAll[] = {
      {"c", index_at<std::int8_t>},   {"C", index_at<std::uint8_t>}, {"s", index_at<std::int16_t>},
      {"S", index_at<std::uint16_t>}, {"i", index_at<std::int32_t>}, {"I", index_at<std::uint32_t>},
      {"l", index_at<std::int64_t>},  {"L", index_at<std::uint64_t>}};
  for (const auto& [name, reader] : kAll) {
    if (name == format) return reader;
  }
  return nullptr;
}

Result<ColumnLayout> layout_of(const ArrowSchema& given) {
  ColumnLayout layout;
  const ArrowSchema* schema = &given;
  if (std::string_view(schema->format) == "+s") {
    if (schema->n_children != 1) {
      return fail("arrow/type", fmt::format("this is a table of {} columns", schema->n_children),
                  "give one of them, as in table['text']");
    }
    layout.in_table = true;
    schema = schema->children[0];
  }
  const std::string_view format = schema->format;
  layout.all_null = format == "n";
  const ArrowSchema* texts = schema->dictionary != nullptr ? schema->dictionary : schema;
  layout.text = text_reader(texts->format);
  if (texts != schema) layout.index = index_reader(format);
  if (layout.all_null || (layout.text != nullptr && (layout.index != nullptr || texts == schema)))
    return layout;
  return fail("arrow/type",
              fmt::format("the column '{}' has Arrow's format '{}', and texts are utf8 (u), "
                          "large_utf8 (U), string_view (vu) or a dictionary of them",
                          schema->name == nullptr ? "" : schema->name, texts->format),
              "cast it to text first");
}

std::optional<std::string_view> row_of(const ColumnLayout& layout, const ArrowArray& given,
                                       std::int64_t row) {
  if (layout.all_null) return std::nullopt;
  const ArrowArray& array = layout.in_table ? *given.children[0] : given;
  const std::int64_t at = row + array.offset + (layout.in_table ? given.offset : 0);
  const void* outer = layout.in_table && given.n_buffers > 0 ? given.buffers[0] : nullptr;
  if (!bit(array.buffers[0], at) || !bit(outer, row + given.offset)) return std::nullopt;
  if (layout.index == nullptr) return layout.text(array, at);
  const ArrowArray& values = *array.dictionary;
  const std::int64_t index = layout.index(array, at) + values.offset;
  if (!bit(values.buffers[0], index)) return std::nullopt;
  return layout.text(values, index);
}

Error producer_failed(ArrowArrayStream& stream, int code) {
  const char* said = stream.get_last_error(&stream);
  return {
      "arrow/producer",
      fmt::format("the column's owner failed: {}", said != nullptr ? said : std::strerror(code)),
      ""};
}

}  // namespace

Result<void> TextColumn::add(Owned<ArrowArray> chunk, const std::atomic<bool>& stop) {
  const std::size_t first = size();
  const ArrowArray& array = *chunks_.emplace_back(std::move(chunk));
  for (std::int64_t row = 0; row < array.length && !stop; ++row) {
    const auto text = row_of(layout_, array, row);
    if (!text || is_valid_utf8(*text)) continue;
    return fail("arrow/utf8",
                fmt::format("row {} is no UTF-8 from byte {} on",
                            first + static_cast<std::size_t>(row), first_invalid_utf8(*text)),
                "decode the column anew");
  }
  if (stop) return fail("arrow/stopped", "reading the column was stopped");
  ends_.push_back(first + static_cast<std::size_t>(array.length));
  return {};
}

Result<TextColumn> TextColumn::read(Owned<ArrowArrayStream> stream, const std::atomic<bool>& stop) {
  Owned<ArrowSchema> schema;
  if (const int code = stream->get_schema(stream.get(), schema.get()); code != 0) {
    return tl::unexpected<Error>(producer_failed(*stream, code));
  }
  BREAKEVEN_TRY(const ColumnLayout layout, layout_of(*schema));
  TextColumn column(layout);
  while (true) {
    ArrowArray next{};
    if (const int code = stream->get_next(stream.get(), &next); code != 0) {
      return tl::unexpected<Error>(producer_failed(*stream, code));
    }
    if (next.release == nullptr) return column;
    BREAKEVEN_TRY_VOID(column.add(Owned(next), stop));
  }
}

Result<TextColumn> TextColumn::read(Owned<ArrowSchema> schema, Owned<ArrowArray> array,
                                    const std::atomic<bool>& stop) {
  BREAKEVEN_TRY(const ColumnLayout layout, layout_of(*schema));
  TextColumn column(layout);
  BREAKEVEN_TRY_VOID(column.add(std::move(array), stop));
  return column;
}

void TextColumn::rows(std::size_t first, std::span<std::optional<std::string_view>> out) const {
  auto chunk = static_cast<std::size_t>(std::ranges::upper_bound(ends_, first) - ends_.begin());
  for (std::optional<std::string_view>& row : out) {
    while (first >= ends_[chunk]) ++chunk;
    const std::size_t begin = chunk == 0 ? 0 : ends_[chunk - 1];
    row = row_of(layout_, *chunks_[chunk], static_cast<std::int64_t>(first - begin));
    ++first;
  }
}

namespace {

// What one struct that is given away needs for as long as it lives; its address is private_data.
struct GivenSchema {
  std::string name;
  std::vector<ArrowSchema> children = {};
  std::vector<ArrowSchema*> addresses = {};
  ArrowSchema dictionary{};
};
struct GivenArray {
  std::shared_ptr<const LabelColumns> columns;  // whose buffers these are
  std::vector<std::int32_t> offsets = {};       // of a dictionary's values, and their letters
  std::string letters = {};
  std::vector<const void*> buffers = {};
  std::vector<ArrowArray> children = {};
  std::vector<ArrowArray*> addresses = {};
  ArrowArray dictionary{};
};

// Children and dictionaries that the receiver moved away are released by it.
template <class Given, class Struct>
void release_given(Struct* value) {
  const std::unique_ptr<Given> given(static_cast<Given*>(value->private_data));
  for (Struct& child : given->children) release(child);
  release(given->dictionary);
  value->release = nullptr;
}

// Fills `out` in; the caller may then change what is special about it.
void finish(std::unique_ptr<GivenSchema> given, const char* format, std::int64_t flags,
            ArrowSchema& out) {
  for (ArrowSchema& child : given->children) given->addresses.push_back(&child);
  const bool has_dictionary = given->dictionary.release != nullptr;
  out = {.format = format,
         .name = given->name.c_str(),
         .metadata = nullptr,
         .flags = flags,
         .n_children = static_cast<std::int64_t>(given->children.size()),
         .children = given->addresses.data(),
         .dictionary = has_dictionary ? &given->dictionary : nullptr,
         .release = release_given<GivenSchema, ArrowSchema>,
         .private_data = given.get()};
  static_cast<void>(given.release());  // NOLINT(bugprone-unused-return-value): private_data has it
}
void finish(std::unique_ptr<GivenArray> given, std::int64_t length, std::int64_t nulls,
            ArrowArray& out) {
  for (ArrowArray& child : given->children) given->addresses.push_back(&child);
  const bool has_dictionary = given->dictionary.release != nullptr;
  out = {.length = length,
         .null_count = nulls,
         .offset = 0,
         .n_buffers = static_cast<std::int64_t>(given->buffers.size()),
         .n_children = static_cast<std::int64_t>(given->children.size()),
         .buffers = given->buffers.data(),
         .children = given->addresses.data(),
         .dictionary = has_dictionary ? &given->dictionary : nullptr,
         .release = release_given<GivenArray, ArrowArray>,
         .private_data = given.get()};
  static_cast<void>(given.release());  // NOLINT(bugprone-unused-return-value): private_data has it
}

const void* bits_of(const LabelColumns& columns) {
  return columns.present.empty() ? nullptr : columns.present.data();
}
std::int64_t rows_of(const LabelColumns& columns) {
  return static_cast<std::int64_t>(columns.labels.size());
}

ArrowSchema label_schema() {
  auto given = std::make_unique<GivenSchema>(GivenSchema{"label"});
  finish(std::make_unique<GivenSchema>(), "u", kNullable, given->dictionary);
  ArrowSchema out{};
  finish(std::move(given), "i", kNullable, out);
  return out;
}
ArrowSchema score_schema() {
  ArrowSchema out{};
  finish(std::make_unique<GivenSchema>(GivenSchema{"score"}), "f", kNullable, out);
  return out;
}
ArrowSchema struct_schema(const char* name, std::int64_t flags, std::vector<ArrowSchema> children) {
  auto given = std::make_unique<GivenSchema>(GivenSchema{name, std::move(children)});
  ArrowSchema out{};
  finish(std::move(given), "+s", flags, out);
  return out;
}
ArrowSchema scores_schema() {
  auto given = std::make_unique<GivenSchema>(GivenSchema{"scores"});
  given->children = {struct_schema("item", kNullable, {label_schema(), score_schema()})};
  ArrowSchema out{};
  finish(std::move(given), "+L", kNullable, out);
  return out;
}
ArrowSchema schema_of(const LabelColumns& columns, Part part) {
  if (part == Part::label) return label_schema();
  if (part == Part::score) return score_schema();
  if (part == Part::scores) return scores_schema();
  std::vector<ArrowSchema> children = {label_schema(), score_schema()};
  if (!columns.ranked_ends.empty()) children.push_back(scores_schema());
  return struct_schema("", 0, std::move(children));
}

ArrowArray names_array(const std::shared_ptr<const LabelColumns>& columns) {
  auto given = std::make_unique<GivenArray>(GivenArray{columns});
  given->offsets = {0};
  for (const std::string& name : columns->names) {
    given->letters += name;
    given->offsets.push_back(static_cast<std::int32_t>(given->letters.size()));
  }
  given->buffers = {nullptr, given->offsets.data(), given->letters.data()};
  ArrowArray out{};
  finish(std::move(given), static_cast<std::int64_t>(columns->names.size()), 0, out);
  return out;
}
// Labels by their index, or scores: of the rows, or of what is ranked, of which nothing is null.
template <class Value>
ArrowArray values_array(const std::shared_ptr<const LabelColumns>& columns,
                        const std::vector<Value>& values, const void* bits, std::int64_t nulls) {
  auto given = std::make_unique<GivenArray>(GivenArray{columns});
  given->buffers = {bits, values.data()};
  if constexpr (std::is_same_v<Value, std::int32_t>) given->dictionary = names_array(columns);
  ArrowArray out{};
  finish(std::move(given), static_cast<std::int64_t>(values.size()), nulls, out);
  return out;
}
ArrowArray struct_array(const std::shared_ptr<const LabelColumns>& columns, std::int64_t rows,
                        std::vector<ArrowArray> children) {
  auto given = std::make_unique<GivenArray>(GivenArray{columns});
  given->buffers = {nullptr};
  given->children = std::move(children);
  ArrowArray out{};
  finish(std::move(given), rows, 0, out);
  return out;
}
ArrowArray scores_array(const std::shared_ptr<const LabelColumns>& columns) {
  auto given = std::make_unique<GivenArray>(GivenArray{columns});
  given->buffers = {bits_of(*columns), columns->ranked_ends.data()};
  given->children = {struct_array(columns, static_cast<std::int64_t>(columns->ranked_labels.size()),
                                  {values_array(columns, columns->ranked_labels, nullptr, 0),
                                   values_array(columns, columns->ranked_scores, nullptr, 0)})};
  ArrowArray out{};
  finish(std::move(given), rows_of(*columns), columns->nulls, out);
  return out;
}
ArrowArray array_of(const std::shared_ptr<const LabelColumns>& columns, Part part) {
  const void* bits = bits_of(*columns);
  if (part == Part::label) return values_array(columns, columns->labels, bits, columns->nulls);
  if (part == Part::score) return values_array(columns, columns->scores, bits, columns->nulls);
  if (part == Part::scores) return scores_array(columns);
  std::vector<ArrowArray> children = {array_of(columns, Part::label),
                                      array_of(columns, Part::score)};
  if (!columns->ranked_ends.empty()) children.push_back(scores_array(columns));
  return struct_array(columns, rows_of(*columns), std::move(children));
}

struct GivenStream {
  std::shared_ptr<const LabelColumns> columns;
  Part part;
  bool done = false;
};

}  // namespace

void give(const std::shared_ptr<const LabelColumns>& columns, Part part, ArrowSchema& schema,
          ArrowArray& array) {
  schema = schema_of(*columns, part);
  array = array_of(columns, part);
}

void give(const std::shared_ptr<const LabelColumns>& columns, Part part, ArrowArrayStream& stream) {
  stream.private_data =
      new GivenStream{columns, part};  // NOLINT(cppcoreguidelines-owning-memory): release() has it
  stream.get_schema = [](ArrowArrayStream* self, ArrowSchema* out) {
    const auto& given = *static_cast<GivenStream*>(self->private_data);
    *out = schema_of(*given.columns, given.part);
    return 0;
  };
  stream.get_next = [](ArrowArrayStream* self, ArrowArray* out) {
    auto& given = *static_cast<GivenStream*>(self->private_data);
    *out = given.done ? ArrowArray{} : array_of(given.columns, given.part);
    given.done = true;
    return 0;
  };
  stream.get_last_error = [](ArrowArrayStream*) -> const char* { return nullptr; };
  stream.release = [](ArrowArrayStream* self) {
    delete static_cast<GivenStream*>(
        self->private_data);  // NOLINT(cppcoreguidelines-owning-memory)
    self->release = nullptr;
  };
}

}  // namespace breakeven::python
