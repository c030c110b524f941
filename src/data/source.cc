#include "data/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/files.h"
#include "base/utf8.h"
#include "data/builtin_source.h"
#include "data/bytes.h"
#include "data/csv_reader.h"
#include "data/file_sources.h"
#include "data/imdb_source.h"
#include "data/input.h"
#include "data/text_fields.h"

namespace breakeven::data {
namespace {

Result<std::unique_ptr<Source>> open_imdb_folder(const std::string& path,
                                                 const SourceOptions& options) {
  BREAKEVEN_TRY(auto entries, list_imdb_folder(path, options.split));
  return make_imdb_source(std::move(entries), options, path);
}

// Of texts that are no records.
Result<void> refuse_pair_field(const SourceOptions& options, const std::string& name) {
  if (options.pair_field.empty()) return {};
  return fail("data/missing-field",
              fmt::format("--pair-field {}: {} has no fields", options.pair_field, name),
              "pairs come from JSON or CSV: --input-format jsonl or csv");
}

// Of plain lines, which would be read whole where one of their fields was meant.
Result<void> refuse_fields(const SourceOptions& options, const std::string& name) {
  BREAKEVEN_TRY_VOID(refuse_pair_field(options, name));
  const bool is_text = !options.text_field.empty();
  if (!is_text && !options.label_required) return {};
  return fail("data/missing-field",
              fmt::format("--{}-field {}: {} is read as lines, which have no fields",
                          is_text ? "text" : "label",
                          is_text ? options.text_field : options.label_field, name),
              "if it holds records, say of which kind: --input-format jsonl or csv");
}

struct FileKind {
  Format format = Format::lines;
  char separator = ',';      // unless the file's first line says otherwise
  const char* because = "";  // of what the name does not say and a person would not expect
};

// The first line that is not blank; of what may be JSON as much more as shows the next letter.
Result<std::string_view> beginning(LineReader& lines) {
  constexpr std::string_view kBlanks = " \t\r\n";
  BREAKEVEN_TRY(std::string_view text, lines.first_line());
  for (;;) {
    const std::size_t first = text.find_first_not_of(kBlanks);
    if (first == std::string_view::npos || (text[first] != '{' && text[first] != '[')) return text;
    if (text.find_first_not_of(kBlanks, first + 1) != std::string_view::npos) return text;
    const std::size_t before = text.size();
    if (before >= LineReader::kMaxFirstLine) return text;
    BREAKEVEN_TRY(text, lines.ahead(before + 1));
    if (text.size() == before) return text;
  }
}

// Whether it can be a header: of two columns or more, of which the texts are one or two.
bool begins_with_header(std::string_view text, const SourceOptions& options) {
  bool found = false;
  guess_separator(text, ',', [&](const std::vector<std::string>& header) {
    const bool here = header.size() > 1 && has_texts(options, [&](std::string_view field) {
                        return std::find(header.begin(), header.end(), field) != header.end();
                      });
    found = found || here;
    return here;
  });
  return found;
}

// `name`: of the file without what compressed it.
FileKind kind_of(const SourceOptions& options, const std::string& name, std::string_view text) {
  const std::string extension = lower_ascii(std::filesystem::path(name).extension().string());
  const auto is = [&extension](std::initializer_list<std::string_view> endings) {
    return std::find(endings.begin(), endings.end(), extension) != endings.end();
  };
  const char separator = is({".tsv", ".tab"}) ? '\t' : is({".psv"}) ? '|' : ',';
  if (options.format != Format::automatic) return {options.format, separator};
  if (is({".csv", ".tsv", ".tab", ".psv"})) return {Format::csv, separator};
  if (is({".jsonl", ".ndjson", ".json", ".jsonlines"})) return {Format::jsonl, separator};
  // Flags that mean nothing elsewhere.
  if (!options.header || options.separator != 0 || options.quoting != Quoting::automatic) {
    return {Format::csv, separator};
  }
  const auto letter_from = [text](std::size_t from) {
    const std::size_t at = text.find_first_not_of(" \t\r\n", from);
    return std::pair(at, at == std::string_view::npos ? '\0' : text[at]);
  };
  const auto [at, first] = letter_from(0);
  const char second = first == '\0' ? '\0' : letter_from(at + 1).second;
  // An array of strings is read by nobody, and is then told.
  const bool array = first == '[' && (second == '{' || second == '"');
  if (is({".txt"})) {
    // Of a file that is called so: lines that begin with '{' are not yet JSON.
    if (array || (first == '{' && second == '"')) {
      return {Format::jsonl, separator, "it begins as JSON does, and is read so"};
    }
  } else if (array || first == '{') {
    return {Format::jsonl, separator};
  }
  if (begins_with_header(text, options)) {
    return {Format::csv, separator, "its first line is a CSV header, and it is read so"};
  }
  return {Format::lines, separator};
}

Result<std::unique_ptr<Source>> open_file(const std::string& path, const SourceOptions& options) {
  BREAKEVEN_TRY(Input input, open_input(path, options.encoding));
  if (input.is_tar) {
    BREAKEVEN_TRY_VOID(refuse_pair_field(options, path));
    BREAKEVEN_TRY(auto entries, read_imdb_archive(std::move(input.bytes), options.split));
    return make_imdb_source(std::move(entries), options, path);
  }
  FileText text;
  text.lines = std::make_unique<LineReader>(std::move(input.bytes), kMaxTextBytes);
  text.is_plain = input.is_plain;
  if (!input.assumption.empty()) text.assumptions.push_back(std::move(input.assumption));
  BREAKEVEN_TRY(const std::string_view first, beginning(*text.lines));
  if (first.empty()) {
    return fail("data/empty", fmt::format("{} is empty", text.lines->name()),
                "give a file with at least one text");
  }
  const FileKind kind = kind_of(options, input.name, first);
  if (*kind.because != '\0') {
    text.assumptions.push_back(fmt::format("{}: {} (--input-format lines: every line is a text)",
                                           text.lines->name(), kind.because));
  }
  if (kind.format == Format::jsonl) return open_jsonl(std::move(text), options);
  if (kind.format == Format::csv) return open_csv(std::move(text), kind.separator, options);
  BREAKEVEN_TRY_VOID(refuse_fields(options, text.lines->name()));
  return open_lines(std::move(text));
}

}  // namespace

Result<Format> parse_format(std::string_view text) {
  if (text == "auto") return Format::automatic;
  if (text == "jsonl") return Format::jsonl;
  if (text == "csv") return Format::csv;
  if (text == "lines") return Format::lines;
  return fail("data/format", fmt::format("'{}' is no input format", text),
              "choose one of auto, jsonl, csv, lines");
}

Result<Quoting> parse_quoting(std::string_view text) {
  if (text == "auto") return Quoting::automatic;
  if (text == "on") return Quoting::on;
  if (text == "off") return Quoting::off;
  return fail("data/format", fmt::format("--csv-quoting '{}' is not known", text),
              "choose one of auto, on, off");
}

Result<char> parse_separator(std::string_view text) {
  if (text.empty() || text == "auto") return '\0';
  if (text == "tab" || text == "\\t" || text == "\t") return '\t';
  const bool usable = text.size() == 1 && static_cast<unsigned char>(text[0]) > ' ' &&
                      static_cast<unsigned char>(text[0]) < 0x7F && text[0] != '"';
  if (usable) return text[0];
  return fail("data/format", fmt::format("--csv-separator '{}' is no single letter", text),
              "give , or ; or | or tab");
}

Result<std::unique_ptr<Source>> open_source(const SourceOptions& options) {
  if (options.split != "test" && options.split != "train" && options.split != "all") {
    return fail("data/split", fmt::format("'{}' is no part of IMDB", options.split),
                "choose one of test, train, all");
  }
  if (options.texts == "builtin" || is_folder(options.texts)) {
    BREAKEVEN_TRY_VOID(refuse_pair_field(options, options.texts));
  }
  if (options.texts == "builtin") return make_builtin_source(options);
  if (options.texts == "imdb") {
    BREAKEVEN_TRY(const std::string path, find_imdb());
    return is_folder(path) ? open_imdb_folder(path, options) : open_file(path, options);
  }
  if (is_folder(options.texts)) return open_imdb_folder(options.texts, options);
  return open_file(options.texts, options);
}

Result<ReviewSet> read_reviews(const SourceOptions& options, std::size_t count) {
  BREAKEVEN_TRY(const auto source, open_source(options));
  ReviewSet set;
  while (set.reviews.size() < count) {
    BREAKEVEN_TRY(auto review, source->next());
    if (!review) break;
    if (review->originals.empty())
      review->originals = {fingerprint(review->text + review->second.value_or(""))};
    set.reviews.push_back(*std::move(review));
  }
  set.name = source->name();
  set.note = source->note();
  set.remarks = source->assumptions();
  if (std::string losses = source->losses(); !losses.empty()) {
    set.note = set.note.empty() ? losses : fmt::format("{}; {}", set.note, losses);
    set.remarks.push_back(std::move(losses));
  }
  return set;
}

std::uint64_t fingerprint(std::string_view text) {
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  }
  return hash;
}

}  // namespace breakeven::data
