#include "data/source.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "base/content_hash.h"
#include "base/files.h"
#include "data/builtin_source.h"
#include "data/bytes.h"
#include "data/file_sources.h"
#include "data/imdb_source.h"

namespace breakeven::data {
namespace {

Result<std::unique_ptr<Source>> open_imdb(const std::string& path, const SourceOptions& options) {
  auto entries = is_folder(path) ? list_imdb_folder(path, options.split)
                                 : read_imdb_archive(path, options.split);
  if (!entries) return propagate(std::move(entries));
  return make_imdb_source(*std::move(entries), options, path);
}

struct FileKind {
  Format format = Format::lines;
  char separator = ',';
};

FileKind kind_of(const SourceOptions& options, std::string_view first_bytes) {
  const std::string extension = std::filesystem::path(options.texts).extension().string();
  const char separator = extension == ".tsv" ? '\t' : ',';
  if (options.format != Format::automatic) return {options.format, separator};
  if (extension == ".csv" || extension == ".tsv") return {Format::csv, separator};
  if (extension == ".jsonl" || extension == ".ndjson" || extension == ".json") {
    return {Format::jsonl, separator};
  }
  if (extension == ".txt") return {Format::lines, separator};
  const std::size_t first = first_bytes.find_first_not_of(" \t\r\n");
  const bool object = first != std::string_view::npos && first_bytes[first] == '{';
  return {object ? Format::jsonl : Format::lines, separator};
}

Result<std::unique_ptr<Source>> open_file(const SourceOptions& options) {
  BREAKEVEN_TRY(auto bytes, open_bytes(options.texts));
  auto lines = std::make_unique<LineReader>(std::move(bytes), kMaxTextBytes);
  BREAKEVEN_TRY(const std::string_view first_bytes, lines->peek());
  if (first_bytes.empty()) {
    return fail("data/empty", fmt::format("{} is empty", lines->name()),
                "give a file with at least one text");
  }
  const FileKind kind = kind_of(options, first_bytes);
  if (kind.format == Format::jsonl) return open_jsonl(std::move(lines), options);
  if (kind.format == Format::csv) return open_csv(std::move(lines), kind.separator, options);
  return open_lines(std::move(lines));
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

Result<std::unique_ptr<Source>> open_source(const SourceOptions& options) {
  if (options.split != "test" && options.split != "train" && options.split != "all") {
    return fail("data/split", fmt::format("'{}' is no part of IMDB", options.split),
                "choose one of test, train, all");
  }
  if (options.texts == "builtin") return make_builtin_source(options);
  if (options.texts == "imdb") {
    BREAKEVEN_TRY(const std::string path, find_imdb());
    return open_imdb(path, options);
  }
  if (is_folder(options.texts) || is_archive_name(options.texts)) {
    return open_imdb(options.texts, options);
  }
  return open_file(options);
}

Result<ReviewSet> read_reviews(const SourceOptions& options, std::size_t count) {
  BREAKEVEN_TRY(const auto source, open_source(options));
  ReviewSet set;
  while (set.reviews.size() < count) {
    BREAKEVEN_TRY(auto review, source->next());
    if (!review) break;
    if (review->originals.empty()) review->originals = {fingerprint(review->text)};
    set.reviews.push_back(*std::move(review));
  }
  set.name = source->name();
  set.note = source->note();
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
