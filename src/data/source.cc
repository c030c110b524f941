#include "data/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/files.h"
#include "base/utf8.h"
#include "data/builtin_source.h"
#include "data/bytes.h"
#include "data/file_sources.h"
#include "data/imdb_source.h"
#include "data/input.h"

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

struct FileKind {
  Format format = Format::lines;
  char separator = ',';  // unless the file's first line says otherwise
};

// `name`: of the file without what compressed it.
FileKind kind_of(Format wanted, const std::string& name, std::string_view first_bytes) {
  const std::string extension = lower_ascii(std::filesystem::path(name).extension().string());
  const auto is = [&extension](std::initializer_list<std::string_view> endings) {
    return std::find(endings.begin(), endings.end(), extension) != endings.end();
  };
  const char separator = is({".tsv", ".tab"}) ? '\t' : is({".psv"}) ? '|' : ',';
  if (wanted != Format::automatic) return {wanted, separator};
  if (is({".csv", ".tsv", ".tab", ".psv"})) return {Format::csv, separator};
  if (is({".jsonl", ".ndjson", ".json", ".jsonlines"})) return {Format::jsonl, separator};
  if (is({".txt"})) return {Format::lines, separator};
  const auto letter_from = [first_bytes](std::size_t from) {
    const std::size_t at = first_bytes.find_first_not_of(" \t\r\n", from);
    return std::pair(at, at == std::string_view::npos ? '\0' : first_bytes[at]);
  };
  const auto [at, first] = letter_from(0);
  const bool json = first == '{' || (first == '[' && letter_from(at + 1).second == '{');
  return {json ? Format::jsonl : Format::lines, separator};
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
  BREAKEVEN_TRY(const std::string_view first_bytes, text.lines->ahead(1));
  if (first_bytes.empty()) {
    return fail("data/empty", fmt::format("{} is empty", text.lines->name()),
                "give a file with at least one text");
  }
  const FileKind kind = kind_of(options.format, input.name, first_bytes);
  if (kind.format == Format::jsonl) return open_jsonl(std::move(text), options);
  if (kind.format == Format::csv) return open_csv(std::move(text), kind.separator, options);
  BREAKEVEN_TRY_VOID(refuse_pair_field(options, text.lines->name()));
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
